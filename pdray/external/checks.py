"""Checks of an external validation: copies from the study, few people, earlier scorings."""

from dataclasses import dataclass, replace
from pathlib import Path

from pdray.checks.case import Case, Split
from pdray.checks.finding import Finding
from pdray.checks.run import run_checks
from pdray.data.cohort.members import Cohort
from pdray.errors import PdrayError
from pdray.external.validated import Validated
from pdray.predict.learning import training_recordings, training_rows
from pdray.tracking.leaving import KEY, told_finding
from pdray.tracking.numbering import number_recordings
from pdray.tracking.run_log import StudyLog

_COPIES = "PDR002"
_OF_SCORED = ("PDR009", "PDR011", "PDR012")
_LEARNT = "of the study: "


@dataclass(frozen=True)
class _Case(Case):
    """Scored recordings, maybe behind those of the study, whose ids begin with a mark.

    Attributes:
        log: Where the key of the running numbers of scored recordings is.
    """

    log: StudyLog

    def number_of(self, place: int) -> str:
        one = self.recordings[place]
        name = one.recording_id.removeprefix(_LEARNT)
        if name == one.recording_id:
            return number_recordings(self.log, {name: one.subject_id})[name]
        return f"{number_recordings(self.study, {name: one.subject_id})[name]} of the study"


def run_external_checks(found: Validated, log: StudyLog, output: Path) -> tuple[Finding, ...]:
    """Run the checks that need no fit.

    Args:
        found: The graded recordings.
        log: Folder of the validation.
        output: Output folder, whose list of scorings is looked at.

    Returns:
        The findings by their codes, as they may leave the room.
    """
    alone = run_checks(_case(found, log, output, with_study=False), {}, _OF_SCORED)
    try:
        (copies,) = run_checks(_case(found, log, output, with_study=True), {}, {_COPIES})
    except PdrayError:
        (copies,) = run_checks(_case(found, log, output, with_study=False), {}, {_COPIES})
        copies = replace(
            copies, state="unknown", numbers={},
            found="the recordings of the study are not there as it read them",
        )  # fmt: skip
    copies = replace(
        copies,
        advice="leave these recordings out of the manifest, and run the job again; "
        f"{KEY} of both folders says which they are",
    )
    told = (told_finding(vars(one), found.studied.study) for one in (copies, *alone))
    return tuple(Finding(**one) for one in told)


def _case(found: Validated, log: StudyLog, output: Path, *, with_study: bool) -> _Case:
    """Return the scored recordings as checks see them.

    Raises:
        PdrayError: If those of the study are wanted, and are not there as it read them.
    """
    studied = found.studied
    learnt = training_recordings(studied) if with_study else ()
    rows = training_rows(studied) if with_study else ()
    scored = [replace(one.rated, subject_id=one.row.subject_id) for one in found.scored]
    marked = [replace(one, recording_id=f"{_LEARNT}{one.recording_id}") for one in learnt]
    known = [replace(one, recording_id=f"{_LEARNT}{one.recording_id}") for one in rows]
    held = tuple(range(len(marked), len(marked) + len(scored)))
    return _Case(
        study=studied.study,
        config=studied.facts["settings"],
        cohort=Cohort(
            manifest=found.manifest,
            recordings=(*known, *(one.row for one in found.scored)),
            lacking={},
            folds=studied.folds,
            notes=(),
            grade_cuts=studied.data.grade_cuts,
        ),
        recordings=(*marked, *scored),
        splits=(Split("recordings from elsewhere", tuple(range(len(marked))), held),),
        table=None,
        searches=(),
        cache=studied.store.root / "checks",
        output=output,
        log=log,
    )
