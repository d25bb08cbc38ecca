"""PDR011: the scored subjects were scored before, by this or by other studies."""

from pdray.checks.case import Case
from pdray.checks.finding import Finding, State, counted
from pdray.tracking.run_log import OUTER
from pdray.tracking.scorings import (
    Scoring,
    read_scorings,
    scored_studies,
    subject_marks,
    tested_subjects,
)


def run(case: Case) -> Finding:
    """Count the studies that scored the same subjects of the same manifest."""
    held = subject_marks(case.recordings[i].subject_id for split in case.splits for i in split.held)
    rows = _rows_of_others(case)
    others: dict[str, frozenset[str]] = {}
    for one in (one for one in rows if one.subjects):
        name = _whole(one.study)
        others[name] = others.get(name, frozenset()) | (one.subjects & held)
    own = {log.folder.absolute() for log in (case.study, *case.searches)}
    others |= {  # studies of earlier versions, which wrote no line
        log.name: tested_subjects(log) & held
        for log in scored_studies(case.output, case.cohort.manifest.digest)
        if log.name not in others and log.folder.absolute() not in own
    }
    studies = [subjects for subjects in others.values() if subjects]
    vague = {one.study for one in rows if not one.subjects}
    again = frozenset().union(*studies)
    state: State = "warning" if studies else "unknown" if vague else "passed"
    found = f"no other study is known to have scored any of the {len(held)} subjects"
    if studies:
        found = (
            f"{counted(len(studies), 'other study', 'other studies')} scored {len(again)} of the "
            f"{len(held)} subjects; tables/scorings.csv lists them"
        )
    if vague:
        found += (
            f"; of {counted(len(vague), 'study', 'studies')} of a manifest of this name, the list "
            "of an earlier version does not say which subjects were scored"
        )
    return Finding(
        state=state,
        looked_at="tables/scorings.csv and the studies of this output folder that have the same "
        "manifest (by the digest of its content)",
        found=found,
        sure="exact for this output folder; scores computed elsewhere, by other programs, or of "
        "the same people in another manifest are not seen",
        advice="report how many studies were scored on these subjects; choose between them by "
        "validation scores; compare them with jobs/compare.py, which corrects for their number; "
        "keep new subjects for the last score",
        numbers={
            "studies": len(studies), "subjects": len(again), "scored": len(held),
            "unknown_studies": len(vague),
        },
    )  # fmt: skip


def _rows_of_others(case: Case) -> list[Scoring]:
    """Return the lines of the list that are of this manifest and not of this study.

    A refit that went on after a stop has several lines; a new study may have an old name.
    """
    logs = [case.study, *case.searches]
    ids, names = {log.read().get("study_id") for log in logs}, {log.name for log in logs}
    digest, name = case.cohort.manifest.digest, case.cohort.manifest.path.name
    return [
        one
        for one in read_scorings(case.output)
        if (one.digest == digest if one.digest else one.manifest == name)
        and not (one.study_id in ids if one.study_id else one.study in names)
    ]


def _whole(name: str) -> str:
    """Return the name of a study, also where one of its outer folds was searched."""
    return name.partition(f"-{OUTER}-")[0]
