"""Runs the checks of a finished search and adds what they found to its report."""

from pathlib import Path

from pdray.atomic import write_text
from pdray.checks import CHECKS
from pdray.checks.case import Case, Split
from pdray.checks.run import HEADING, findings_text, run_checks, write_findings
from pdray.data.cohort.folds import folds_from_json
from pdray.data.cohort.members import Cohort, outer_sides
from pdray.data.cohort.rated import RatedRecording
from pdray.evaluation.predictions import by_recording, read_predictions
from pdray.search.evaluating import of_outer_folds
from pdray.search.plan import StudyPlan
from pdray.tracking.run_log import REPORT, StudyLog

WITHOUT_PREDICTIONS = frozenset(CHECKS) - {"PDR006", "PDR008", "PDR009", "PDR010"}
"""Checks of a study of a translator, which predicts nothing."""


def check_search(
    plan: StudyPlan, cohort: Cohort, recordings: tuple[RatedRecording, ...], study: StudyLog
) -> str:
    """Run the checks of a search whose winner is scored; write them and add them to the report.

    Args:
        plan: Its settings.
        cohort: Its recordings and folds.
        recordings: The same with their store entries.
        study: Its log, with its report and its evaluation.

    Returns:
        The checks as text.
    """
    case = make_case(plan, cohort, recordings, study)
    codes = None if case.table is not None else WITHOUT_PREDICTIONS
    findings = run_checks(case, plan.config.checks.mute, codes)
    write_findings(study.folder, findings)
    text = findings_text(findings)
    for folder in (study.folder, study.evaluation):
        if (folder / REPORT).is_file():
            scores, _ = read_report(folder)
            write_text(folder / REPORT, f"{scores}\n\n{text}\n")
    return text


def make_case(
    plan: StudyPlan, cohort: Cohort, recordings: tuple[RatedRecording, ...], study: StudyLog
) -> Case:
    """Return the search as the checks see it."""
    output, outer = plan.config.output, study.outer_studies()
    made = tuple(one for one in recordings if one.carries)
    recordings = tuple(one for one in recordings if not one.carries)
    table = None
    if outer:
        table = of_outer_folds(study).table
    elif plan.config.entry.predicts:
        table = read_predictions(study.winner.predictions_path)
    tested = {f"outer fold {one.folder.name}": one for one in outer} or {"test set": study}
    return Case(
        study=study,
        config=plan.tree,
        cohort=cohort,
        recordings=recordings,
        splits=tuple(_split(name, one, cohort, (recordings, made)) for name, one in tested.items()),
        table=None if table is None else by_recording(table),
        searches=(*outer, study),
        cache=output / "store" / "checks",
        output=output,
        made=made,
    )


def _split(
    name: str,
    search: StudyLog,
    cohort: Cohort,
    recordings: tuple[tuple[RatedRecording, ...], tuple[RatedRecording, ...]],
) -> Split:
    """Return both sides on which the winner of a search was scored; real recordings, then made."""
    folds = folds_from_json(search.folds_path.read_text(encoding="utf-8"))
    real, made = recordings
    (sides,) = outer_sides(folds, (*real, *made), cohort.made_share)
    training = tuple(place for place in sides.training if place < len(real))
    learnt = tuple(place - len(real) for place in sides.training if place >= len(real))
    return Split(name, training, sides.evaluation, learnt)


def read_report(folder: Path) -> tuple[str, str]:
    """Return the scores and the checks of a report; an earlier version wrote no checks.

    Raises:
        OSError: If the report cannot be read.
    """
    text = (folder / REPORT).read_text(encoding="utf-8").rstrip()
    scores, found, checks = text.partition(f"\n\n{HEADING}")
    return scores, f"{HEADING}{checks}" if found else ""
