"""Announcement of what a study will do, before it starts."""

from collections import Counter

from pdray.data.cohort.manifest import grade_class
from pdray.data.cohort.members import Cohort, num_unnamed
from pdray.data.cohort.settings import SYNTHETIC_MARK
from pdray.data.modalities import PICTURES
from pdray.data.store.forecast import Forecast
from pdray.search.cluster import Capacity, Reservation
from pdray.search.plan import StudyPlan
from pdray.search.space import combinations

_SHOWN = 5
_MOST_CLASSES = 8  # more, as of actions, are not told one by one


def describe_plan(
    plan: StudyPlan,
    cohort: Cohort,
    capacity: Capacity,
    reservation: Reservation,
    expected: Forecast,
) -> str:
    """Lay out trials, folds, data, disk and resources of a study as lines of text."""
    config = plan.config
    recordings = cohort.recordings
    subjects = {recording.subject_id for recording in recordings}
    people = f"{len(subjects)} subjects"
    if num_unnamed(recordings, config.data) == len(recordings):
        people = "unnamed subjects"
    grades = Counter(recording.grade for recording in recordings)
    workers = reservation.workers
    lines = [
        f"cohort     {len(recordings)} recordings of {people}; grades "
        + ", ".join(f"{grade}: {grades[grade]}" for grade in sorted(grades, key=str)),
        f"classes    {_describe_classes(plan, cohort)}",
        *_describe_work(plan, cohort),
        f"resources  a trial reserves {workers.num_workers} x {workers.cpus_per_worker:g} CPUs, "
        f"{workers.num_workers} x {workers.gpus_per_worker:g} GPUs; "
        f"{reservation.concurrent_trials} trials at once on {capacity.num_nodes} nodes with "
        f"{capacity.cpus:g} CPUs and {capacity.gpus:g} GPUs",
        f"frames     {describe_frames(plan, expected)}",
        f"output     {config.output}",
    ]
    lines += [
        f"left out   {len(ids)} recordings without {fact}: {', '.join(ids[:_SHOWN])}"
        + (f" and {len(ids) - _SHOWN} more" if len(ids) > _SHOWN else "")
        for fact, ids in cohort.lacking.items()
        if ids
    ]
    lines += [f"note       {note}" for note in cohort.notes]
    if any(recording.split for recording in recordings) and not config.folds.from_split:
        lines.append("note       the manifest's column 'split' is not used: folds.* decides")
    if cohort.is_synthetic:
        lines.append(f"note       {SYNTHETIC_MARK}")
    return "\n".join(lines)


def _describe_classes(plan: StudyPlan, cohort: Cohort) -> str:
    """Say which grades are told apart, and how many recordings each class has."""
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
        told.append(f"{number}: {grades} ({counts[number]} recordings)")
    return ", ".join(told)


def _describe_work(plan: StudyPlan, cohort: Cohort) -> list[str]:
    config, num_folds = plan.config, len(cohort.folds.folds)
    epochs, trials = plan.epochs, config.search.trials
    if plan.fixed:
        told = f"{num_folds} folds of all subjects; each is scored once, by what the others taught"
        if config.folds.from_split:
            told = "the manifest's column split: train is learnt from, the rest is scored once"
        return [
            f"folds      {told}",
            f"compare    {trials} trials x {num_folds} folds x {epochs} epochs, scored after the "
            f"last: {', '.join(plan.fixed)}",
        ]
    every = combinations(plan.space)
    few = ""
    if every is not None and len(every) < trials:
        few = f" (search.trials is {trials}; the space has no more combinations)"
        trials = len(every)
    return [
        f"folds      {num_folds} inner folds of {len(cohort.folds.development)} development "
        f"subjects; {len(cohort.folds.test)} test subjects, seen once at the end",
        f"search     {trials} trials x {num_folds} folds x {epochs} epochs, {len(plan.space)} "
        f"searched settings, val/{config.search.metric} decides{few}",
    ]


def describe_frames(plan: StudyPlan, expected: Forecast) -> str:
    """Say how much there is to decode, how large it gets and how long it takes."""
    config, decode = plan.config, plan.config.decode
    if not set(PICTURES) & set(plan.modalities):
        return f"{', '.join(plan.modalities)} of {expected.num_recordings} recordings, no pictures"
    text = (
        f"about {expected.seconds / 3600:.2f} hours of video, {', '.join(plan.modalities)} at "
        f"{decode.width}x{decode.height}"
    )
    if config.frames == "video":
        return f"{text}, decoded again at every read"
    if not expected.num_missing:
        return f"{text}, all in the store"
    return (
        f"{text}: {expected.num_missing} of {expected.num_recordings} recordings to decode once, "
        f"into about {expected.num_bytes / 1e9:.2f} GB ({config.store.codec}), in about "
        f"{max(1.0, expected.cpu_seconds / 60):.0f} CPU minutes"
    )
