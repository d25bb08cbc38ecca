"""Numbers of a study that searched in outer folds: of the search and refit, not of one model."""

from collections.abc import Sequence

from pdray.atomic import write_text
from pdray.config import part
from pdray.data.cohort.members import Cohort, num_unnamed, rated
from pdray.evaluation.controls import Known
from pdray.evaluation.evaluate import Evaluation
from pdray.evaluation.metrics import absent_classes
from pdray.evaluation.numbers import Number
from pdray.evaluation.predictions import by_recording, targets
from pdray.evaluation.procedure import NAIVE, TABLE, OuterPredictions, pooled
from pdray.evaluation.report import control_lines, held_out_sentence
from pdray.evaluation.settings import EvaluationSettings
from pdray.evaluation.statistics.intervals import Interval
from pdray.search.evaluating import evaluated, of_outer_folds, write_evaluation
from pdray.search.plan import StudyPlan
from pdray.tracking.run_log import REPORT, StudyLog


def _lines(
    plan: StudyPlan, cohort: Cohort, folds: Sequence[OuterPredictions], evaluation: Evaluation
) -> list[str]:
    """Return the numbers of a procedure, and the baselines below them."""
    name = f"test/{plan.config.search.metric}"
    units = by_recording(pooled(folds)[0])
    recordings = rated(cohort, plan.config.data, None)
    sentence = held_out_sentence(
        name,
        _interval(evaluation.numbers[0]),
        num_recordings=units["recording_id"].nunique(),
        absent=absent_classes(targets(units), cohort.num_classes),
        synthetic=cohort.is_synthetic,
        unnamed=num_unnamed(cohort.recordings, plan.config.data) == len(cohort.recordings),
    )
    sites = {one.recording_id: one.site for one in cohort.recordings}
    known = [Known(one.target, sites[one.recording_id]) for one in recordings]
    return [
        sentence,
        f"this is the number of the procedure (the search in each of {len(folds)} outer folds, "
        "then the refit of its winner), not of this model.pt, which learnt from all subjects",
        *_spread_lines(name, evaluation),
        *_ranking_lines(evaluation),
        *control_lines(name, units, known, sites, small_cells=plan.config.report.small_cells),
    ]


def _spread_lines(name: str, evaluation: Evaluation) -> list[str]:
    found = {one.metric: one for one in evaluation.numbers if one.table == TABLE and one.group}
    mean, sd, low, high = (found[key] for key in ("mean", "sd", "lowest", "highest"))
    inner, optimism = found["inner"].value, found["optimism"].value
    side = "better" if optimism >= 0 else "worse"
    return [
        f"{mean.group}: {mean.undefined}"
        if mean.undefined
        else f"{mean.group}: {low.value:.3f} to {high.value:.3f}, SD {sd.value:.3f}",
        f"optimism: the searches rated their winners {inner:.3f} on average, "
        f"{abs(optimism):.3f} {side} than {name}",
    ]


def _ranking_lines(evaluation: Evaluation) -> list[str]:
    numbers = {(one.group, one.metric): one for one in evaluation.numbers if one.table == TABLE}
    lines = []
    for metric in ("auroc", "auprc"):
        inside, naive = numbers["", metric], numbers.get((NAIVE, metric))
        if naive is None:
            lines.append(f"test/{metric}: {inside.undefined or inside.reason}")
        else:
            lines.append(
                f"test/{metric} {inside.value:.3f} from pairs inside one outer fold; "
                f"{naive.value:.3f} pooled over outer folds (naive: it compares models with each "
                "other, too)"
            )
    return lines


def _interval(one: Number) -> Interval:
    sides, truth = one.sides, one.truth or "procedure"
    return Interval(one.value, one.low, one.high, one.num_subjects, 0, 0, 0.95,
                    one.undefined or one.reason, sides, truth)  # type: ignore[arg-type]  # fmt: skip


def report_outer(plan: StudyPlan, cohort: Cohort, study: StudyLog, board: str) -> str:
    """Write the report and the evaluation of a study with outer folds; return its scores.

    Args:
        plan: Its settings.
        cohort: All recordings.
        study: Its log, whose outer folds have all been searched.
        board: Leaderboard of the search on all subjects.
    """
    found = of_outer_folds(study)
    evaluation = evaluated(found, part(plan.config, EvaluationSettings))
    write_evaluation(study.evaluation, found, evaluation)
    text = "\n".join(_lines(plan, cohort, found.folds, evaluation))
    write_text(study.folder / REPORT, f"{board}\n\n{text}\n")
    return text
