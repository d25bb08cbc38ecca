"""Report of a study that fits translators: its trials, and what its winner makes of other people.

There are no class predictions, so nothing is tested, plotted or compared with a baseline. What is
told are the kernel distance by the features of the guide and, beside it, that of the pictures as
they are, which a translator has to beat.
"""

from pdray.atomic import write_text
from pdray.data.cohort.members import Cohort
from pdray.data.cohort.settings import SYNTHETIC_MARK
from pdray.evaluation.metrics import KERNEL_DISTANCE
from pdray.evaluation.report import leaderboard
from pdray.evaluation.translations import read_translations
from pdray.search.budget import Spent
from pdray.search.plan import StudyPlan
from pdray.tracking.address import shared_settings
from pdray.tracking.run_log import REPORT, StudyLog, TrialLog


def report_translator(plan: StudyPlan, cohort: Cohort, study: StudyLog) -> tuple[str, str]:
    """Return the leaderboard, and what the winner makes of the test subjects; write both."""
    rows = [
        {**trial, "params": shared_settings(trial["params"]), "note": trial.get("label") or ""}
        for trial in map(TrialLog.read, study.trials())
    ]
    board = leaderboard(rows, metric=f"val/{KERNEL_DISTANCE}", synthetic=cohort.is_synthetic)
    early = Spent(study).ended
    notes = [*cohort.notes, *([early] if early else [])]
    board = "\n".join([board, *(f"note: {note}" for note in notes)])
    held_out = _held_out(plan, cohort, study) if cohort.folds.test else ""
    write_text(study.folder / REPORT, f"{board}\n\n{held_out}".rstrip() + "\n")
    return board, held_out


def _held_out(plan: StudyPlan, cohort: Cohort, study: StudyLog) -> str:
    """Return the winner's scores on the test subjects, which none of its networks has seen."""
    scores = study.winner.read()["scores"]
    table = read_translations(study.winner.translations_path)
    people = (
        f"{len(table)} translated pictures of {table['subject_id'].nunique()} test subjects of "
        "class 0"
    )
    mark = f"; {SYNTHETIC_MARK}" if cohort.is_synthetic else ""
    guide = plan.config.synthesis.guide
    if guide is None:
        return (
            f"test: {people}; no guide (synthesis.guide), so they are compared with nothing{mark}"
        )
    changed, source = (
        scores[f"test/{name}"]["value"] for name in (KERNEL_DISTANCE, f"{KERNEL_DISTANCE}_source")
    )
    return (
        f"test/{KERNEL_DISTANCE} {changed:.4f} to real ill test subjects by the features of the "
        f"guide {guide.name} ({people}); of the same pictures unchanged: {source:.4f}; lower is "
        f"more alike, and it says nothing of the person or of the truth{mark}"
    )
