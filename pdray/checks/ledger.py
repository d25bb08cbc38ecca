"""PDR011: the scored subjects were scored before, by this or by other studies."""

from collections.abc import Iterator

from pdray.checks.case import Case
from pdray.checks.finding import Finding, State
from pdray.errors import StudyError
from pdray.tracking.run_log import StudyLog
from pdray.tracking.scorings import Scoring, read_scorings, subject_marks, tested_subjects


def run(case: Case) -> Finding:
    """Count the studies that scored the same subjects of the same manifest."""
    held = subject_marks(case.recordings[i].subject_id for split in case.splits for i in split.held)
    manifest = case.cohort.manifest
    rows = [
        one
        for one in read_scorings(case.output)
        if (one.digest == manifest.digest if one.digest else one.manifest == manifest.path.name)
        and not _is_own(case, one)
    ]
    others: dict[str, frozenset[str]] = {}
    for one in (one for one in rows if one.subjects):
        key = one.study_id or one.study
        others[key] = others.get(key, frozenset()) | (one.subjects & held)
    others |= {key: subjects & held for key, subjects in _unlisted(case, others)}
    counted = [subjects for subjects in others.values() if subjects]
    vague = {one.study for one in rows if not one.subjects}
    again = frozenset().union(*counted)
    state: State = "warning" if counted else "unknown" if vague else "passed"
    found = f"no other study scored any of the {len(held)} subjects"
    if counted:
        found = (
            f"{len(counted)} other studies scored {len(again)} of the {len(held)} subjects; "
            "tables/scorings.csv lists them"
        )
    elif vague:
        found = "no other study is known to have scored these subjects"
    if vague:
        found += (
            f"; for {len(vague)} studies of a manifest of this name, the list of an earlier "
            "version does not say which subjects were scored"
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
            "studies": len(counted), "subjects": len(again), "scored": len(held),
            "unknown_studies": len(vague),
        },
    )  # fmt: skip


def _is_own(case: Case, one: Scoring) -> bool:
    """Return whether a line is of this study: a refit that went on after a stop has several."""
    own = [case.study, *case.searches]
    if one.study_id:
        return one.study_id in {log.read().get("study_id") for log in own}
    return one.study in {log.name for log in own}


def _unlisted(
    case: Case, listed: dict[str, frozenset[str]]
) -> Iterator[tuple[str, frozenset[str]]]:
    """Yield studies with test scores that are not in the list, and who was scored."""
    own = {log.folder.absolute() for log in (case.study, *case.searches)}
    for file in sorted((case.output / "studies").glob("*/study.json")):
        log = StudyLog(file.parent)
        try:
            facts = log.read()
            is_scored = (
                log.winner.predictions_path.is_file()
                or log.pooled_path.is_file()
                or any(
                    one.read()["role"] == "fixed" and one.predictions_path.is_file()
                    for one in log.trials()
                )
            )
            key = str(facts["study_id"])
            is_same = facts["tags"].get("manifest_digest") == case.cohort.manifest.digest
        except (StudyError, KeyError):  # a study that is being written, or of another program
            continue
        known = {key, str(facts["name"])} & listed.keys()
        if is_same and is_scored and not known and log.folder.absolute() not in own:
            yield key, tested_subjects(log)
