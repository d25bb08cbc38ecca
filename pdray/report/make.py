"""Makes the report of a finished study, and makes it again from the study's folder alone."""

import json
from pathlib import Path

from pdray.atomic import write_text
from pdray.command import Say, console
from pdray.config import require_writable
from pdray.report.card.checklist import card_markdown, make_card
from pdray.report.case import Reported, check_finished, read_case
from pdray.report.cohort_table import cohort_csv, cohort_table
from pdray.report.figures.save import save_all
from pdray.report.methods import methods_text
from pdray.report.page import Parts, page
from pdray.report.results import results_of
from pdray.tracking.run_log import PAGE, StudyLog
from pdray.tracking.withdrawn import refuse_withdrawn


def make_report(study: StudyLog) -> Path:
    """Write the report of a finished study into its folder ``report``.

    Everything in it may leave the room: running numbers stand for people and recordings.

    Args:
        study: The study. Nothing but its folder is read.

    Returns:
        The page.

    Raises:
        StudyError: If there is no finished search, a file of it cannot be read, or ``card.yaml``
            answers what nobody asked.
        SettingsError: If the folder cannot be written.
    """
    file = study.folder / PAGE
    check_finished(study, study.read())
    refuse_withdrawn(study, "has no report any more")
    require_writable(file.parent, key="study")
    write_report(read_case(study), file.parent)
    return file


def write_report(case: Reported, folder: Path) -> None:
    """Write every file of a report; the page comes last."""
    card = make_card(case, folder.parent)  # first, as it refuses what the owner wrote
    results, methods = results_of(case), methods_text(case)
    write_text(folder / "results.json", json.dumps(results, indent=1, allow_nan=False) + "\n")
    write_text(folder / "scores.csv", case.numbers.to_csv(index=False))
    cohort = None
    if case.cohort is not None:
        cohort = cohort_table(case)
        write_text(folder / "cohort.csv", cohort_csv(cohort))
    write_text(folder / "methods.txt", methods)
    write_text(folder / "card.md", card_markdown(case, card))
    figures = save_all(case, folder / "figures")
    parts = Parts(
        figures={name: vars(one) for name, one in figures.items()},
        cohort=cohort,
        methods=methods,
        card=card,
    )
    write_text(folder / Path(PAGE).name, page(results, parts, case.small_cells))


def try_report(study: StudyLog, say: Say) -> None:
    """Make the report of a study that has just ended; a failure is said and ends nothing."""
    try:
        make_report(study)
    except Exception as error:  # noqa: BLE001 - the study is complete, whatever its report meets
        again = console("report", f"study={study.folder}")
        # Its text may hold a path or a name.
        say(f"note: the report was not made ({type(error).__name__}); make it again with: {again}")
