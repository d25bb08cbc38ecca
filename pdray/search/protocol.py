"""The protocol of a study: who is tested, by how many searches, and which one is the default.

``holdout`` and ``split`` search once and test one group. The others search once in each outer fold,
so that everybody is tested once, and then once more on all subjects for the winner that is kept.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from pdray.data.cohort.folds import make_folds, make_held_out_folds
from pdray.data.cohort.manifest import Manifest, Recording, grade_class
from pdray.data.cohort.members import Cohort, make_cohort, split_again, usable
from pdray.data.cohort.settings import FoldsConfig
from pdray.errors import FoldsError, refuse
from pdray.evaluation.metrics import KERNEL_DISTANCE, undefined_reason
from pdray.search.plan import StudyPlan, short_seed, with_search
from pdray.search.settings import NESTED

FEW_SUBJECTS = 60
"""Below so many subjects a model that is learnt in one step is searched by ``nested``."""


@dataclass(frozen=True)
class Settled:
    """A study whose subjects are split.

    Attributes:
        plan: Its settings; the protocol of a network is None until its time is forecast.
        cohort: Its recordings, and the folds of the search whose winner is kept.
        outer: The search in each outer fold; empty if one group is tested.
        told: A line about the protocol, where it was not asked for; else empty.
    """

    plan: StudyPlan
    cohort: Cohort
    outer: tuple["OuterFold", ...] = ()
    told: str = ""


@dataclass(frozen=True)
class OuterFold:
    """The search in one outer fold.

    Attributes:
        key: Name of its folder.
        title: What lines of progress call it, such as "outer fold 2 of 5".
        plan: Settings of a study of protocol ``holdout`` whose test set is this fold.
        cohort: Recordings and folds.
        repeat: Which assignment of subjects to outer folds, from 0.
    """

    key: str
    title: str
    plan: StudyPlan
    cohort: Cohort
    repeat: int


def settle(plan: StudyPlan, manifest: Manifest) -> Settled:
    """Split the subjects of a study, and choose its protocol where that needs no forecast.

    Without a protocol, a model that is learnt in one step is searched by ``nested`` below
    :data:`FEW_SUBJECTS` subjects, if they can be split so.

    Args:
        plan: Settings of a search.
        manifest: The manifest.

    Raises:
        ManifestError: If no recording has what is needed.
        FoldsError: If the subjects cannot be split as asked.
    """
    config = plan.config
    protocol, once = config.search.protocol, config.entry.loop == "once"
    if config.entry.loop == "translate" and protocol is None:  # it grades nobody to be tested
        protocol, plan = "holdout", _with_protocol(plan, "holdout")
    if protocol in NESTED:
        return nested(plan, _everybody(plan, manifest))
    holdout = partial(make_cohort, manifest, config.data, config.folds, needs=plan.needs)
    if protocol is not None:
        return Settled(plan, holdout())
    if _names_its_test_set(plan):
        return Settled(_with_protocol(plan, "holdout"), holdout())
    if not once:
        return Settled(plan, holdout())
    reason = f"it is the default below {FEW_SUBJECTS} subjects"
    recordings, _ = usable(manifest, config.data, plan.needs)
    if _num_people(recordings) < FEW_SUBJECTS:
        found, reason = _nested_by_default(plan, manifest)
        if found is not None:
            return found
    cohort = holdout()
    told = _told_holdout(plan, cohort, reason)
    return Settled(_with_protocol(plan, "holdout"), cohort, told=told)


def settle_by_time(settled: Settled, manifest: Manifest, hours: float | None) -> Settled:
    """Choose the protocol of a network by the forecast of ``nested``.

    Args:
        settled: From :func:`settle`.
        manifest: The manifest.
        hours: Forecast of the whole study with ``nested``; None: unknown.
    """
    plan, limit = settled.plan, settled.plan.config.search.nested_hours
    if hours is not None and hours < limit:
        found, reason = _nested_by_default(plan, manifest)
        if found is not None:
            return found
    elif hours is None:
        reason = "their time is not known before the first trial"
    else:
        reason = f"about {hours:.1f} hours, and search.nested_hours={limit:g}"
    told = _told_holdout(plan, settled.cohort, reason)
    return replace(settled, plan=_with_protocol(plan, "holdout"), told=told)


def nested(plan: StudyPlan, cohort: Cohort) -> Settled:
    """Split the subjects of a study that searches in each outer fold.

    Args:
        plan: Its settings.
        cohort: Its recordings; its folds are not used.

    Raises:
        FoldsError: If they cannot be split so; with every fault of every outer fold.
    """
    data, split = plan.config.data, _outer_split(plan, cohort.recordings)
    # A class that the subjects outside an outer fold do not have is refused here.
    split_again(cohort, data, split, make_held_out_folds)
    make = partial(make_held_out_folds, key="folds.num_folds")
    everybody = split_again(cohort, data, split, make)
    return Settled(plan, everybody, _outer_folds(plan, cohort, split))


def check_metric(settled: Settled) -> None:
    """Refuse inner folds of one subject in which the score that decides is undefined.

    Raises:
        FoldsError: With the counts of each search, and what to change.
    """
    metric = settled.plan.config.search.metric
    if metric == KERNEL_DISTANCE:
        return
    faults = []
    for title, plan, cohort in _searches(settled):
        single = _undefined(cohort, metric)
        if single:
            num = len(cohort.folds.development)
            faults.append(
                f"{title}{': ' if title else ''}{single} of {len(cohort.folds.folds)} inner folds "
                f"hold one of {num} subjects and one class, so that {metric} is undefined there; "
                f"lower folds.num_folds from {plan.config.folds.num_folds} to at most {num // 2}, "
                "or set search.metric=brier, which is defined for one class"
            )
    refuse(faults, FoldsError, f"search.metric={metric}")


def check_training(settled: Settled) -> None:
    """Refuse training sides with fewer subjects of a class than a model needs.

    Raises:
        FoldsError: With the counts of each side, and what to change.
    """
    needy = max((one.entry for one in settled.plan.fits), key=lambda one: one.fewest_subjects)
    faults = []
    for title, _, cohort in _searches(settled):
        people: dict[int, set[str]] = {number: set() for number in range(cohort.num_classes)}
        for one in cohort.recordings:
            if one.grade is not None:
                people[grade_class(one.grade, cohort.grade_cuts)].add(one.subject_id)
        for side, (learnt, _) in cohort.folds.splits.items():
            counts = {number: len(some & learnt) for number, some in people.items()}
            faults += [
                f"{title}{', ' if title else ''}{side}: its training side has {count} subjects of "
                f"class {number}"
                for number, count in counts.items()
                if count < needy.fewest_subjects
            ]
    headline = (
        f"model.name={needy.name} needs {needy.fewest_subjects} training subjects of each class; "
        "use fewer folds, or classes that more subjects have (data.grade_cuts)"
    )
    refuse(faults, FoldsError, headline)


def _searches(settled: Settled) -> list[tuple[str, StudyPlan, Cohort]]:
    """Return title, settings and cohort of each search, the last one of the winner that is kept."""
    last = ("all subjects" if settled.outer else "", settled.plan, settled.cohort)
    return [*((one.title, one.plan, one.cohort) for one in settled.outer), last]


def _undefined(cohort: Cohort, metric: str) -> int:
    """Return how many inner folds hold one subject, and have no score of a metric."""
    found = 0
    for side in cohort.folds.folds:
        if len(side) > 1:
            continue
        held = [one.grade for one in cohort.recordings if one.subject_id in side]
        classes = [grade_class(grade, cohort.grade_cuts) for grade in held if grade is not None]
        shares = np.full((len(classes), cohort.num_classes), 1 / cohort.num_classes)
        found += undefined_reason(metric, classes, shares) is not None
    return found


def num_searches(plan: StudyPlan, cohort: Cohort, protocol: str | None = None) -> int:
    """Return how many searches a study runs, one after the other.

    Args:
        plan: Its settings.
        cohort: Its recordings.
        protocol: Another protocol than that of the settings.
    """
    config, protocol = plan.config, protocol or plan.config.search.protocol
    outer = {
        "nested": config.folds.num_outer,
        "repeated": config.folds.num_outer * config.search.repeats,
        "leave_one_subject_out": _num_people(cohort.recordings),
    }
    return outer.get(str(protocol), 0) + 1


def num_with_permutations(plan: StudyPlan, num: int) -> int:
    """Return how many searches a study runs, those with exchanged grades among them.

    Args:
        plan: Its settings.
        num: Searches of the study itself, of :func:`num_searches`; where it tests in outer folds,
            an exchange leaves out the last one, which tests nobody.
    """
    return num + plan.config.evaluation.permutations * max(1, num - 1)


def _outer_folds(plan: StudyPlan, cohort: Cohort, split: FoldsConfig) -> tuple[OuterFold, ...]:
    repeats = plan.config.search.repeats if plan.config.search.protocol == "repeated" else 1
    found, faults = [], []
    for repeat in range(repeats):
        seed = split.seed if not repeat else short_seed(split.seed, "repeat", repeat)
        for fold in range(split.num_outer):
            title = f"outer fold {fold + 1} of {split.num_outer}"
            key = f"{fold:0{max(2, len(str(split.num_outer - 1)))}}"
            if repeats > 1:
                title, key = f"repeat {repeat + 1} of {repeats}, {title}", f"{repeat}-{key}"
            folds = split.model_copy(update={"outer_fold": fold, "seed": seed})
            make = partial(make_folds, is_pooled=True)
            try:
                of_fold = split_again(cohort, plan.config.data, folds, make)
            except FoldsError as error:
                faults.append(f"{title}: {error}")
                continue
            searched = _searched(plan, folds, key, short_seed(plan.seed, "outer", repeat, fold))
            found.append(OuterFold(key, title, searched, of_fold, repeat))
    refuse(faults, FoldsError, "outer folds")
    return tuple(found)


def _searched(plan: StudyPlan, folds: FoldsConfig, key: str, seed: int) -> StudyPlan:
    """Return the settings of the search in an outer fold."""
    name = f"{plan.config.search.name}-outer-{key}"
    plan = with_search(plan, protocol="holdout", seed=seed, name=name, keep_folds=False)
    return replace(plan, config=plan.config.model_copy(update={"folds": folds}))


def _nested_by_default(plan: StudyPlan, manifest: Manifest) -> tuple[Settled | None, str]:
    """Return the study under ``nested``; None, and the reason, if it is not possible."""
    try:
        found = nested(_with_protocol(plan, "nested"), _everybody(plan, manifest))
        check_metric(found)
    except FoldsError as error:
        first = str(error).splitlines()[:2][-1].strip(" -")
        return None, f"it is not possible here: {first}"
    told = (
        f"protocol   nested: {len(found.outer) + 1} searches, so that each subject is tested once; "
        "search.protocol=holdout searches once and tests one outer fold"
    )
    return replace(found, told=told), ""


def _with_protocol(plan: StudyPlan, name: str) -> StudyPlan:
    return with_search(plan, protocol=name)


def _names_its_test_set(plan: StudyPlan) -> bool:
    """Return whether the settings ask for a certain test set, or start from a study with one."""
    folds = plan.config.folds
    asked = folds.from_split or folds.person is not None or folds.outer_fold > 0
    return asked or plan.start_study is not None


def _everybody(plan: StudyPlan, manifest: Manifest) -> Cohort:
    """Return the recordings of a study, each outer fold held out in turn."""
    recordings, _ = usable(manifest, plan.config.data, plan.needs)
    split = _outer_split(plan, recordings)
    return make_cohort(manifest, plan.config.data, split, needs=plan.needs, searches=False)


def _outer_split(plan: StudyPlan, recordings: Sequence[Recording]) -> FoldsConfig:
    if plan.config.search.protocol != "leave_one_subject_out":
        return plan.config.folds
    return plan.config.folds.model_copy(update={"num_outer": max(2, _num_people(recordings))})


def _num_people(recordings: Sequence[Recording]) -> int:
    return len({recording.group for recording in recordings})


def _told_holdout(plan: StudyPlan, cohort: Cohort, reason: str) -> str:
    tested, learnt = len(cohort.folds.test), len(cohort.folds.development)
    return (
        f"protocol   holdout: {tested} of {tested + learnt} subjects are tested; "
        "search.protocol=nested tests each of them once, by "
        f"{num_searches(plan, cohort, 'nested')} searches in place of one ({reason})"
    )
