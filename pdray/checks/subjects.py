"""PDR009: too few subjects of a class, to learn it or to say how certain a score is."""

from collections import defaultdict

from pdray.checks.case import Case
from pdray.checks.finding import Finding, State, counted
from pdray.config import build
from pdray.data.cohort.members import num_unnamed
from pdray.data.cohort.settings import DataConfig
from pdray.evaluation.statistics.intervals import LEAST_OF_CLASS, LEAST_SUBJECTS


def run(case: Case) -> Finding:
    """Count the subjects of each class on the training and the scored sides."""
    rows = case.recordings
    scored = _subjects(case, {i for split in case.splits for i in split.held})
    people = {rows[i].subject_id for split in case.splits for i in split.held}
    learning = [split for split in case.splits if split.training]
    found = []
    if len(people) < LEAST_SUBJECTS:
        found.append(f"scored: {counted(len(people), 'subject')}, {LEAST_SUBJECTS} are needed")
    for label in range(case.cohort.num_classes):
        count = len(scored[label])
        if count < LEAST_OF_CLASS:
            found.append(
                f"scored: {counted(count, 'subject')} of class {label}, {LEAST_OF_CLASS} are needed"
            )
        sizes = [
            (len(_subjects(case, set(split.training))[label]), split.name) for split in learning
        ]
        learnt, name = min(sizes, default=(LEAST_OF_CLASS, ""))  # nobody, of another data set
        if learnt < LEAST_OF_CLASS:
            found.append(
                f"learnt from: {counted(learnt, 'subject')} of class {label} ({name}), "
                f"{LEAST_OF_CLASS} are needed"
            )
    state: State = "warning" if found else "passed"
    unnamed = num_unnamed(case.cohort.recordings, build(DataConfig, case.config["data"]))
    if unnamed and not found:
        state = "unknown"
        found.append(
            f"{counted(unnamed, 'recording')} without a subject each count as one; how many people "
            "there are is not known"
        )
    told = ", ".join(
        f"class {label}: {len(scored[label])}" for label in range(case.cohort.num_classes)
    )
    more = "" if len(learning) != 1 else ", or test everybody with search.protocol=nested"
    return Finding(
        state=state,
        looked_at=f"subjects of each class on both sides of each split ({len(case.splits)})",
        found="; ".join(found) or f"{len(people)} subjects were scored ({told})",
        sure="exact counts; below these numbers, intervals of scores cover the truth too rarely",
        advice=f"collect more subjects of these classes, or join them with data.grade_cuts{more}",
        numbers={"scored": len(people), **{f"scored_{k}": len(who) for k, who in scored.items()}},
    )


def _subjects(case: Case, places: set[int]) -> defaultdict[int, set[str]]:
    """Return the subjects that have a recording of each class."""
    found: defaultdict[int, set[str]] = defaultdict(set)
    for one in (case.recordings[i] for i in sorted(places)):
        found[one.target].add(one.subject_id)
    return found
