"""The decision made of class probabilities: a rule that joins rows, calibration, a threshold.

All of it is chosen on *inner out-of-fold* predictions: those of subjects of the training side, by
networks that were not trained on them, such as the validation predictions of a search. A subject
whose rows chose a decision is never scored with it. Where there are no such predictions (a
cross-validation without inner folds), nothing is chosen, and the words say so.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from pdray.errors import StudyError
from pdray.evaluation.levels import RULES, at_level
from pdray.evaluation.metrics import predicted, score
from pdray.evaluation.predictions import num_classes, probabilities, targets
from pdray.evaluation.settings import Calibration, Cut, DecisionConfig, Level, Rule
from pdray.evaluation.statistics.scaled import scaled
from pdray.evaluation.statistics.scaling import TEMPERATURES, fit_scaling
from pdray.evaluation.statistics.threshold import best_threshold

MOST_WORDS = 10
"""Decisions that are told one by one."""
_CHOSEN = ["trial", "outer_fold"]
_NOT_CHOSEN = (
    "nothing was chosen: these predictions have no inner out-of-fold predictions; rows are joined "
    "by the mean of the class probabilities, and the class of highest probability is predicted"
)


@dataclass(frozen=True)
class Decision:
    """A decision, with all the numbers that it needs.

    Attributes:
        level: Unit that is decided.
        over: Columns over which units are averaged besides; see :func:`at_level`.
        rule: How rows are joined.
        calibration: Kind of calibration.
        numbers: Its numbers, as :func:`fit_scaling` returns them.
        threshold: For two classes: probability of class 1 above which class 1 is predicted; None
            is the class of highest probability.
        cut: How the threshold was chosen.
        subjects: Subjects on whose rows it was chosen.
        num_units: Units on which it was chosen.
    """

    level: Level = "recording"
    over: tuple[str, ...] = ()
    rule: Rule = "mean"
    calibration: Calibration = "none"
    numbers: tuple[float, ...] = ()
    threshold: float | None = None
    cut: Cut = "highest"
    subjects: frozenset[str] = field(default=frozenset(), repr=False)
    num_units: int = 0

    def apply(self, table: pd.DataFrame) -> pd.DataFrame:
        """Return the units of a table with calibrated probabilities and the predicted class.

        Args:
            table: A predictions table.

        Returns:
            As :func:`at_level`, and ``predicted``, class 0..K-1, int64.

        Raises:
            StudyError: If the decision was chosen on rows of one of the subjects.
        """
        known = sorted(self.subjects & set(table["subject_id"].astype(str)))
        if known:
            raise StudyError(
                f"the decision was chosen on rows of {len(known)} subjects that it would score, "
                f"the first is {known[0]}; choose it on other subjects"
            )
        units = at_level(table, self.level, self.rule, self.over)
        shares = scaled(self.calibration, self.numbers, probabilities(units))
        classes = predicted(shares)
        if self.threshold is not None:
            classes = (shares[:, 1] > self.threshold).astype(np.int64)
        columns: dict[str, Any] = {f"probability_{k}": share for k, share in enumerate(shares.T)}
        return units.assign(**columns, predicted=classes)

    @property
    def words(self) -> str:
        """What was chosen, on how many subjects."""
        parts = [f"rows are joined by the {RULES[self.rule]}"]
        if self.calibration == "temperature":
            parts.append(f"temperature {self.numbers[0]:.3g}{_at_limit(self.numbers[0])}")
        elif self.calibration == "platt":
            parts.append(f"Platt scaling, slope {self.numbers[0]:.3g} and {self.numbers[1]:.3g}")
        elif self.calibration == "isotonic":
            parts.append(f"isotonic regression of {len(self.numbers) // 2} points")
        if self.threshold is not None:
            parts.append(f"class 1 above {self.threshold:.3g} ({_CUTS[self.cut]})")
        if not self.subjects:
            return "; ".join(parts)
        return (
            f"chosen on inner out-of-fold predictions of {len(self.subjects)} subjects "
            f"({self.num_units} units): {'; '.join(parts)}"
        )


@dataclass(frozen=True)
class Decided:
    """Scored units, and how they were decided.

    Attributes:
        units: As :meth:`Decision.apply` returns.
        decisions: By (trial, outer fold); empty if nothing could be chosen.
        words: What was chosen, or why nothing was.
    """

    units: pd.DataFrame
    decisions: dict[Any, Decision]
    words: tuple[str, ...]


def decide(
    inner: pd.DataFrame | None,
    scored: pd.DataFrame,
    config: DecisionConfig,
    level: Level = "recording",
    over: Sequence[str] = (),
) -> Decided:
    """Choose decisions on inner out-of-fold predictions, and decide other rows with them.

    Each trial and outer fold of the scored rows has a decision of its own, chosen on the inner rows
    of the same trial and outer fold.

    Args:
        inner: Predictions table; its rows of split "val" are used. None where there is none.
        scored: Predictions table of subjects that take no part in the choice.
        config: What is chosen.
        level: Unit that is decided.
        over: As :func:`at_level` takes it.

    Raises:
        StudyError: If a scored subject would choose its own decision, only some of the scored rows
            have inner predictions, or something cannot be chosen (see :func:`choose`).
    """
    fixed = config == DecisionConfig()
    learnt = {} if inner is None or fixed else dict(list(_inner(inner).groupby(_CHOSEN)))
    groups = dict(list(scored.groupby(_CHOSEN)))
    lacking = sorted(groups.keys() - learnt.keys())
    if len(lacking) == len(groups):
        units = Decision(level, tuple(over)).apply(scored)
        return Decided(units, {}, () if fixed else (_NOT_CHOSEN,))
    if lacking:
        raise StudyError(
            f"trial {lacking[0][0]}, outer fold {lacking[0][1]}: there are no inner predictions, "
            "but other folds have some; add them, or choose nothing"
        )
    decisions = {key: choose(learnt[key], config, level, over) for key in groups}
    units = pd.concat([decisions[key].apply(rows) for key, rows in groups.items()])
    return Decided(units.reset_index(drop=True), decisions, tuple(_words(decisions)))


def choose(
    inner: pd.DataFrame,
    config: DecisionConfig,
    level: Level = "recording",
    over: Sequence[str] = (),
) -> Decision:
    """Choose a decision on inner out-of-fold predictions.

    Args:
        inner: Predictions table of subjects of the training side.
        config: What is chosen. The rule "best" is the one of highest MCC.
        level: Unit that is decided; each unit has the same weight.
        over: As :func:`at_level` takes it.

    Raises:
        StudyError: If a kind does not fit the number of classes, there are too few subjects for
            isotonic regression, the rows have a single class, or the scores of Platt's scaling
            rank the classes the wrong way round.
    """
    _check(config, num_classes(inner))
    rule = _best_rule(inner, level, over) if config.rule == "best" else config.rule
    units = at_level(inner, level, rule, over)
    y_true, shares = targets(units), probabilities(units)
    if len(np.unique(y_true)) < 2 and (config.calibration, config.threshold) != ("none", "highest"):
        raise StudyError(
            f"the {len(units)} units of the inner predictions are all of class {y_true[0]}; a "
            "calibration or threshold cannot be chosen on them"
        )
    subjects = units["subject_id"].to_numpy(dtype=object)
    numbers = fit_scaling(config.calibration, y_true, shares, subjects)
    shares = scaled(config.calibration, numbers, shares)
    threshold = None
    if config.threshold != "highest":
        threshold = best_threshold(y_true, shares[:, 1], config.threshold, config.specificity)
    return Decision(
        level=level,
        over=tuple(over),
        rule=rule,
        calibration=config.calibration,
        numbers=numbers,
        threshold=threshold,
        cut=config.threshold,
        subjects=frozenset(units["subject_id"].astype(str)),
        num_units=len(units),
    )


def as_classes(units: pd.DataFrame) -> pd.DataFrame:
    """Return decided units with probability 1 for the predicted class, for scores of classes.

    Args:
        units: From :meth:`Decision.apply`.
    """
    sure = np.eye(num_classes(units))[units["predicted"].to_numpy()]
    return units.assign(**{f"probability_{k}": share for k, share in enumerate(sure.T)})


_CUTS = {
    "mcc": "of highest MCC",
    "balanced_accuracy": "of highest balanced accuracy",
    "specificity": "the lowest of the wanted specificity",
}


def _words(decisions: Mapping[Any, Decision]) -> Iterator[str]:
    """Yield what was chosen in each outer fold, or a summary of many."""
    if len(decisions) <= MOST_WORDS:
        for key, one in decisions.items():
            several = f"trial {key[0]}, outer fold {key[1]}: " if len(decisions) > 1 else ""
            yield f"{several}{one.words}"
        return
    cuts = [one.threshold for one in decisions.values() if one.threshold is not None]
    ends = f"; class 1 above {min(cuts):.3g} to {max(cuts):.3g}" if cuts else ""
    yield (
        f"chosen {len(decisions)} times on inner out-of-fold predictions, for each outer fold on "
        f"those of its own training side{ends}"
    )


def _inner(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["split"] == "val"]


def _best_rule(inner: pd.DataFrame, level: Level, over: Sequence[str]) -> Rule:
    """Return the rule of highest MCC; of equal ones, the first."""
    rules = [one for one in RULES if num_classes(inner) == 2 or one != "max"]
    return max(rules, key=lambda one: _mcc(at_level(inner, level, one, over)))


def _mcc(units: pd.DataFrame) -> float:
    value = score("mcc", targets(units), probabilities(units))
    return -np.inf if np.isnan(value) else value


def _check(config: DecisionConfig, classes: int) -> None:
    asked = {"calibration": config.calibration, "threshold": config.threshold}
    free = ("none", "temperature", "highest")
    wrong = [f"{name} '{kind}'" for name, kind in asked.items() if kind not in free]
    if classes != 2 and wrong:
        raise StudyError(
            f"{' and '.join(wrong)} need 2 classes, but there are {classes}; use temperature, or "
            "the class of highest probability"
        )


def _at_limit(value: float) -> str:
    near = [limit for limit in TEMPERATURES if abs(np.log(value / limit)) < 1e-3]
    return ", the limit of what is tried" if near else ""
