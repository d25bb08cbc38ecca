"""Describes a study in some lines before it starts: data, folds, trials, resources, disk."""

from collections import Counter

from pdray.data.cohort.manifest import grade_class
from pdray.data.cohort.members import Cohort, num_unnamed
from pdray.data.cohort.settings import LABELS, SYNTHETIC_MARK
from pdray.data.modalities import PICTURES
from pdray.data.store.forecast import Forecast
from pdray.data.store.settings import picture_sizes
from pdray.search.cluster import (
    Capacity,
    Reservation,
    counted,
    describe_capacity,
    describe_workers,
)
from pdray.search.plan import StudyPlan
from pdray.search.protocol import num_searches, num_with_permutations

_SHOWN = 5
_MOST_CLASSES = 8  # more classes, such as actions, are not listed


def describe_plan(
    plan: StudyPlan,
    cohort: Cohort,
    capacity: Capacity,
    reservation: Reservation,
    expected: Forecast,
) -> str:
    """Describe data, folds, trials, resources and disk of a study as lines of text."""
    config = plan.config
    recordings = cohort.recordings
    subjects = {recording.subject_id for recording in recordings}
    people = f"{len(subjects)} subjects"
    if num_unnamed(recordings, config.data) == len(recordings):
        people = "unnamed subjects"
    grades = Counter(recording.grade for recording in recordings)
    told = "; grades " + ", ".join(f"{grade}: {grades[grade]}" for grade in sorted(grades, key=str))
    at_once = reservation.concurrent_trials
    lines = [
        f"cohort     {len(recordings)} recordings of {people}"
        + told * (config.data.target == "grade"),
        f"classes    {_describe_classes(plan, cohort)}",
        *_describe_work(plan, cohort),
        f"resources  each {_fit_told(reservation)} uses {describe_workers(reservation.workers)}; "
        f"{counted(at_once, 'trial')} run{'s' if at_once == 1 else ''} at once; the cluster has "
        f"{describe_capacity(capacity)}",
        f"frames     {describe_frames(plan, expected)}",
        f"output     {config.output}",
    ]
    lines += [
        f"left out   {counted(len(ids), 'recording')} without {fact}: {', '.join(ids[:_SHOWN])}"
        + (f" and {len(ids) - _SHOWN} more" if len(ids) > _SHOWN else "")
        for fact, ids in cohort.lacking.items()
        if ids
    ]
    lines += [f"note       {note}" for note in cohort.notes]
    if any(recording.split for recording in recordings) and not config.folds.from_split:
        lines.append(
            "note       the manifest's column 'split' is not used; to use it, set "
            "folds.from_split=true"
        )
    if cohort.is_synthetic:
        lines.append(f"note       {SYNTHETIC_MARK}")
    return "\n".join(lines)


def _fit_told(reservation: Reservation) -> str:
    folds = reservation.folds_at_once
    return "trial" if folds == 1 else f"of {folds} folds of a trial that train at once"


def _describe_classes(plan: StudyPlan, cohort: Cohort) -> str:
    """Return the grades of each class and its number of recordings."""
    cuts = plan.config.data.grade_cuts
    if len(cuts) >= _MOST_CLASSES:
        return f"{len(cuts) + 1}"
    counts = Counter(
        grade_class(one.grade, cuts) for one in cohort.recordings if one.grade is not None
    )
    told = []
    for number, low in enumerate((0, *cuts)):
        last = cuts[number] - 1 if number < len(cuts) else None
        grades = f"grade {low}" if low == last else f"grades {low} to {last}"
        if last is None:
            grades = f"grade {low} and above"
        if plan.config.data.target == "diagnosis":
            grades = LABELS[number]
        told.append(f"{number}: {grades} ({counts[number]} recordings)")
    return ", ".join(told)


def _describe_work(plan: StudyPlan, cohort: Cohort) -> list[str]:
    config, num_folds = plan.config, len(cohort.folds.folds)
    epochs, trials = counted(plan.epochs, "epoch"), config.search.trials
    if plan.fixed:
        told = f"{num_folds} folds of all subjects; each fold is held out and scored once"
        if config.folds.from_split:
            told = "the manifest's column split: train for training, the rest is scored once"
        return [
            f"folds      {told}",
            f"compare    {trials} trials x {num_folds} folds x {epochs}, scored after the "
            f"last epoch: {', '.join(plan.fixed)}",
        ]
    few = ""
    if plan.num_trials < trials:
        few = f" (search.trials is {trials}; the space has no more combinations)"
        trials = plan.num_trials
    tested, learnt = len(cohort.folds.test), len(cohort.folds.development)
    num = num_searches(plan, cohort)
    told = f"{tested} test subjects, scored once at the end; {learnt} development subjects"
    if num > 1:
        told = (
            f"{num - 1} outer folds, each searched on its own and scored once; then a search on "
            f"all {learnt} subjects"
        )
    many = f"{num} searches of " if num > 1 else ""
    names = len(plan.space)
    searched = f"{counted(names, 'setting')} {'is' if names == 1 else 'are'} searched"
    if not names:
        searched = "without a space each trial has the settings of the study; the score is"
    again = []
    if permutations := config.evaluation.permutations:
        more = num_with_permutations(plan, num) - num
        again = [f"chance     {permutations} exchanges of grades, {more} more searches in all"]
    return [
        f"folds      {told} in {num_folds} folds of cross-validation",
        f"search     {many}{trials} trials x {num_folds} folds x {epochs}; "
        f"{searched} {'for the best ' if names else ''}val/{config.search.metric}{few}",
        *again,
    ]


def describe_frames(plan: StudyPlan, expected: Forecast) -> str:
    """Return how much there is to decode, its size on disk and the time that it takes."""
    config = plan.config
    if not set(PICTURES) & set(plan.modalities):
        return f"{', '.join(plan.modalities)} of {expected.num_recordings} recordings, no pictures"
    text = (
        f"about {expected.seconds / 3600:.2f} hours of video, "
        f"{picture_sizes(plan.modalities, config.decode, config.portraits)}"
    )
    if config.frames == "video":
        return f"{text}; each read decodes the video again"
    if not expected.num_missing:
        return f"{text}; all are in the frame store"
    minutes = counted(max(1, round(expected.cpu_seconds / 60)), "CPU minute")
    return (
        f"{text}; {expected.num_missing} of {expected.num_recordings} recordings must be decoded: "
        f"about {expected.num_bytes / 1e9:.2f} GB ({config.store.codec}), {minutes}"
    )
