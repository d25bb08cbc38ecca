"""Numbers of a procedure: a whole search and the refit of its winner, run once in each outer fold.

Every subject is scored by a search in which this subject took no part. Decisions are chosen on the
inner out-of-fold predictions of the same outer fold. Scores of predicted classes then pool all
rows; scores that rank rows compare those of one outer fold only. Repeats score every subject again:
a number is then the mean over the repeats, and the subject remains the unit of its interval.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from pdray.data.cohort.settings import Target
from pdray.evaluation.decision import as_classes, decide
from pdray.evaluation.evaluate import Evaluation, evaluate
from pdray.evaluation.metrics import metric_named, metrics_for, score
from pdray.evaluation.numbers import Number, scored
from pdray.evaluation.predictions import num_classes, probabilities, targets
from pdray.evaluation.score_intervals import Rows, rows_interval
from pdray.evaluation.settings import DecisionConfig, EvaluationSettings
from pdray.evaluation.uncertainty import COUNTED, RANKING

TABLE = "procedure"
HEADLINES = ("mcc", "kappa", "mae", "accuracy", "balanced_accuracy", "sensitivity", "specificity",
             "auroc", "auprc")  # fmt: skip
"""Metrics of the procedure, beside the one that the search optimised."""
NAIVE = "pooled over outer folds (naive)"
ONE_SUBJECT = "each outer fold has one subject"
ONE_CLASS = "fewer than two outer folds have a score, since most have rows of one class"


@dataclass(frozen=True)
class OuterPredictions:
    """Predictions of the winner of the search in one outer fold.

    Attributes:
        repeat: Assignment to outer folds, from 0.
        number: The outer fold in it, from 0.
        scored: The winner's predictions of the test subjects of the fold.
        inner: The winner's out-of-fold predictions of the other subjects; None: there are none.
        value: Score of the winner in its own search, the mean over inner folds.
    """

    repeat: int
    number: int
    scored: pd.DataFrame
    inner: pd.DataFrame | None
    value: float


def pooled(folds: Sequence[OuterPredictions]) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    """Return the scored and the inner rows of all outer folds as two tables.

    Outer folds are numbered on over the repeats, and ``seed`` is the repeat, since ``repeat`` of a
    predictions table is averaged.

    Args:
        folds: All outer folds; each repeat scores every subject.
    """
    size = max(one.number for one in folds) + 1

    def marked(rows: pd.DataFrame, one: OuterPredictions) -> pd.DataFrame:
        return rows.assign(outer_fold=one.repeat * size + one.number, seed=one.repeat, repeat=0)

    tested = pd.concat([marked(one.scored, one) for one in folds], ignore_index=True)
    inner = [marked(one.inner, one) for one in folds if one.inner is not None]
    return tested, pd.concat(inner, ignore_index=True) if len(inner) == len(folds) else None


def evaluate_procedure(
    folds: Sequence[OuterPredictions],
    how: EvaluationSettings,
    metric: str,
    target: Target = "grade",
) -> Evaluation:
    """Compute every number of a procedure.

    Args:
        folds: All its outer folds.
        how: As in :func:`~pdray.evaluation.evaluate.evaluate`.
        metric: Score that the search optimised.
        target: ``data.target``, which names the classes.

    Returns:
        The numbers: those of table "procedure" first.

    Raises:
        StudyError: If a decision that the settings ask for cannot be chosen.
    """
    table, inner = pooled(folds)
    several = len({one.repeat for one in folds}) > 1
    # The decision that the settings ask for is in the numbers of the procedure.
    usual = DecisionConfig(specificity=how.decision.specificity)
    asked = how.model_copy(update={"decision": usual})
    found = evaluate(table, asked, inner, mean_of_runs=several, target=target)
    numbers, words = procedure_numbers(folds, how.decision, metric)
    notes = tuple(f"procedure: {one}" for one in words)
    return replace(found, numbers=(*numbers, *found.numbers), notes=(*notes, *found.notes))


def procedure_numbers(
    folds: Sequence[OuterPredictions], decision: DecisionConfig, metric: str
) -> tuple[list[Number], tuple[str, ...]]:
    """Return the numbers of table "procedure", and how the decisions were chosen.

    The first number is the score that the search optimised. Then other scores, those that rank rows
    pooled naively, the spread over outer folds, and the optimism of the searches.
    """
    table, inner = pooled(folds)
    decided = decide(inner, table, decision)
    classes = as_classes(decided.units) if decided.decisions else decided.units
    known = metrics_for(num_classes(decided.units))
    names = dict.fromkeys((metric, *(one for one in HEADLINES if one in known)))
    numbers = []
    for name in names:
        units = classes if name in COUNTED else decided.units
        found = rows_interval(name, Rows.of(units, mean_of_runs=True))
        numbers.append(scored(found, units, name, table=TABLE, group="", level="recording"))
    numbers += _naive(decided.units, numbers[0])
    numbers += _spread(classes if metric in COUNTED else decided.units, metric, numbers[0])
    numbers += _optimism(folds, metric, numbers[0])
    return numbers, decided.words


def _naive(units: pd.DataFrame, like: Number) -> Iterator[Number]:
    """Yield scores that rank rows of all outer folds together, as if one model had made them."""
    if Rows.of(units).leaves_one_out:
        return
    for name in RANKING:
        runs = [score(name, targets(one), probabilities(one)) for _, one in units.groupby("seed")]
        yield _beside(like, NAIVE, name, float(np.mean(runs)))


def _spread(units: pd.DataFrame, metric: str, like: Number) -> Iterator[Number]:
    """Yield how the score differs between outer folds."""
    folds = [
        score(metric, targets(one), probabilities(one)) for _, one in units.groupby("outer_fold")
    ]
    values = [one for one in folds if not math.isnan(one)]
    group = f"{metric} of single outer folds ({len(values)} of {len(folds)} have one)"
    lacking = "" if len(values) > 1 else ONE_CLASS
    if Rows.of(units).leaves_one_out:
        group, lacking = f"{metric} of single outer folds", ONE_SUBJECT
    found = dict.fromkeys(("mean", "sd", "lowest", "highest"), math.nan)
    if not lacking:
        deviation = float(np.std(values, ddof=1))
        found |= {"mean": float(np.mean(values)), "sd": deviation}
        found |= {"lowest": min(values), "highest": max(values)}
    for name, value in found.items():
        yield _beside(like, group, name, value, lacking)


def _optimism(folds: Sequence[OuterPredictions], metric: str, like: Number) -> Iterator[Number]:
    """Yield how much better the searches rated their winners than the outer folds do."""
    inner = float(np.mean([one.value for one in folds]))
    gap = inner - like.value if metric_named(metric).greater_is_better else like.value - inner
    lacking = "" if gap == gap else "one of the two scores is undefined"
    group = f"{metric} of the winners in their own searches"
    for name, value in {"inner": inner, "outer": like.value, "optimism": gap}.items():
        yield _beside(like, group, name, value, lacking if value != value else "")


def _beside(like: Number, group: str, metric: str, value: float, undefined: str = "") -> Number:
    return Number(
        table=TABLE, group=group, metric=metric, value=value, undefined=undefined,
        num_subjects=like.num_subjects, num_rows=like.num_rows,
    )  # fmt: skip
