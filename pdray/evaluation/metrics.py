"""Metrics of class probabilities, and the cases in which each of them is undefined.

The predicted class is the one of highest probability (the lower class on a tie).

- K = 2 classes: precision and recall are those of the positive class, the higher one (1).
- K > 2: both are macro averages. Precision averages over the classes that occur or are predicted;
  a class that is never predicted counts as 0 (as in scikit-learn, so that ignoring a class does
  not raise the score). Recall averages over the classes that occur.
- F1, for any K, is weighted by the true classes (``f1_weighted``) or the macro average over the
  classes that occur or are predicted (``f1_macro``). ``f1`` is that of the positive class for
  K = 2, else ``f1_macro``.
- ``mse`` and ``mae`` are the mean squared and the mean absolute difference between predicted and
  true class, since classes are ordered; ``within_one`` is the share of rows with a difference of at
  most one class.
- ``kappa`` is Cohen's with quadratic weights (Cohen 1968) on all of 0..K-1: a class that is absent
  does not move the others together. Like MCC it is 0 for a constant prediction.
- AUROC and AUPRC (average precision: without interpolation) are those of the positive class for
  K = 2, else the macro average of one class versus the rest over the classes that occur; reports
  name the absent ones.
- ``brier`` is the mean squared error of the probability of class 1 for K = 2 (0..1), else the sum
  of the squared errors of all classes (Brier 1950, 0..2).
- MCC of a constant prediction is 0.0 (scikit-learn's convention) if two true classes occur.

An undefined score is nan, never 0, and :func:`undefined_reason` gives the reason. Scores are logged
as ``val/mcc``, ``test/mcc`` and so on.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pdray.config import nearest
from pdray.errors import SettingsError
from pdray.plugins import parts

KERNEL_DISTANCE = "kernel_distance"
"""Score of a translator, which predicts no class: kernel distance of translated pictures to real
ones by the features of its guide (:mod:`pdray.training.translators.held_out`)."""

Labels = NDArray[np.int64]
Shares = NDArray[np.float64]


@dataclass(frozen=True)
class Metric:
    """Declaration of one metric.

    Attributes:
        function: Computes the score from (N,) int64 true classes and (N, K) probabilities.
        undefined: Returns the reason why there is no score, or None.
        greater_is_better: Whether a search maximises it.
        meaning: One line for reports and ``--help``.
        is_share: Whether reports print it in percent.
        classes: Which true classes need several subjects for an interval. "each": all of them;
            "positive" and "negative": class 1 and class 0 for K = 2, all of them for K > 2;
            "scale": none in particular, since the score treats the class as a number.
        transform: Scale on which its interval is symmetric: "fisher" for -1..1, "logit" for 0..1,
            "log" for 0 and more, "none".
        num_classes: For which K it is a metric: "any" K, "two" classes only, or "more" than two.
    """

    function: Callable[[Labels, Shares], float]
    undefined: Callable[[Labels, Shares], str | None]
    greater_is_better: bool
    meaning: str
    is_share: bool = True
    classes: Literal["each", "positive", "negative", "scale"] = "each"
    transform: Literal["fisher", "logit", "log", "none"] = "none"
    num_classes: Literal["any", "two", "more"] = "any"


def compute_metrics(y_true: ArrayLike, probability: ArrayLike) -> dict[str, float]:
    """Compute every metric of K classes.

    Args:
        y_true: (N,) integer true classes, 0..K-1.
        probability: (N, K) probabilities, rows sum to 1.

    Returns:
        Name to value; nan where :func:`undefined_reason` gives one.

    Raises:
        ValueError: If the shapes do not fit or a class is outside 0..K-1.
    """
    labels, shares = _checked(y_true, probability)
    return {name: score(name, labels, shares) for name in metrics_for(shares.shape[1])}


def metrics_for(num_classes: int) -> tuple[str, ...]:
    """Return the names of the metrics of K classes, such as sensitivity for two only."""
    return tuple(name for name in _metrics() if _wrong_classes(name, num_classes) is None)


def score(name: str, y_true: ArrayLike, probability: ArrayLike) -> float:
    """Compute one metric of :data:`METRICS`; nan where it is undefined."""
    labels, shares = _checked(y_true, probability)
    if undefined_reason(name, labels, shares) is not None:
        return float("nan")
    return float(_metrics()[name].function(labels, shares))


def undefined_reason(name: str, y_true: ArrayLike, probability: ArrayLike) -> str | None:
    """Return the reason why a metric is undefined; None if it is defined."""
    labels, shares = _checked(y_true, probability)
    if not len(labels):
        return "there are no rows"
    wrong = _wrong_classes(name, shares.shape[1])
    return wrong or _metrics()[name].undefined(labels, shares)


def _wrong_classes(name: str, num_classes: int) -> str | None:
    wanted = _metrics()[name].num_classes
    if wanted == "two" and num_classes != 2:
        return f"it is a score of two classes, here are {num_classes}"
    if wanted == "more" and num_classes == 2:
        return "it is a score of three classes or more, here are 2"
    return None


def greater_is_better(logged: str) -> bool:
    """Return whether a search maximises a score.

    Args:
        logged: A metric or :data:`KERNEL_DISTANCE`, as :func:`metric_named` takes it.

    Raises:
        SettingsError: If there is no such score.
    """
    if logged.rpartition("/")[2] == KERNEL_DISTANCE:
        return False
    return metric_named(logged).greater_is_better


def absent_classes(y_true: ArrayLike, num_classes: int) -> tuple[int, ...]:
    """Return the classes of 0..num_classes-1 without a row; every score is reported with them."""
    present = set(np.unique(np.asarray(y_true)).tolist())
    return tuple(k for k in range(num_classes) if k not in present)


def metric_named(logged: str) -> Metric:
    """Return a metric by its logged name.

    Args:
        logged: ``mcc`` or, as logged, ``val/mcc``.

    Returns:
        The metric.

    Raises:
        SettingsError: If there is no such metric; names the most similar one and all metrics.
    """
    name = logged.rpartition("/")[2]
    known = _metrics()
    if name not in known:
        hint = nearest(name, list(known))
        raise SettingsError(f"unknown metric '{logged}'; {hint}use one of {', '.join(known)}")
    return known[name]


def predicted(probability: Shares) -> Labels:
    """Return the (N,) classes of highest probability; the lower class on a tie."""
    y_pred: Labels = probability.argmax(axis=1).astype(np.int64)
    return y_pred


def _checked(y_true: ArrayLike, probability: ArrayLike) -> tuple[Labels, Shares]:
    labels = np.asarray(y_true, dtype=np.int64)
    shares = np.asarray(probability, dtype=np.float64)
    if shares.ndim != 2 or shares.shape[1] < 2 or labels.shape != shares.shape[:1]:
        raise ValueError(
            "expected classes (N,) and probabilities (N, K) with K of at least 2, got "
            f"{labels.shape} and {shares.shape}"
        )
    if len(labels) and not 0 <= labels.min() <= labels.max() < shares.shape[1]:
        raise ValueError(f"a class of {np.unique(labels)} is outside 0..{shares.shape[1] - 1}")
    return labels, shares


def _reference(name: str, *rows: Any, **options: Any) -> float:
    """Call a function of scikit-learn, imported only here, since settings import this module."""
    from sklearn import metrics

    return float(getattr(metrics, name)(*rows, **options))


def _accuracy(y_true: Labels, probability: Shares) -> float:
    return _reference("accuracy_score", y_true, predicted(probability))


def _precision(y_true: Labels, probability: Shares) -> float:
    y_pred = predicted(probability)
    if probability.shape[1] == 2:
        return _reference("precision_score", y_true, y_pred)
    return _reference("precision_score", y_true, y_pred, average="macro", zero_division=0.0)


def _recall(y_true: Labels, probability: Shares) -> float:
    return (_sensitivity if probability.shape[1] == 2 else _balanced)(y_true, probability)


def _balanced(y_true: Labels, probability: Shares) -> float:
    y_pred, present = predicted(probability), np.unique(y_true)
    return _reference("recall_score", y_true, y_pred, labels=present, average="macro")


def _sensitivity(y_true: Labels, probability: Shares) -> float:
    return _reference("recall_score", y_true, predicted(probability))


def _specificity(y_true: Labels, probability: Shares) -> float:
    return _reference("recall_score", y_true, predicted(probability), pos_label=0)


def _f1_weighted(y_true: Labels, probability: Shares) -> float:
    y_pred = predicted(probability)
    return _reference("f1_score", y_true, y_pred, average="weighted")


def _f1_macro(y_true: Labels, probability: Shares) -> float:
    y_pred = predicted(probability)
    return _reference("f1_score", y_true, y_pred, average="macro")


def _f1(y_true: Labels, probability: Shares) -> float:
    if probability.shape[1] == 2:
        return _reference("f1_score", y_true, predicted(probability))
    return _f1_macro(y_true, probability)


def _mse(y_true: Labels, probability: Shares) -> float:
    return _reference("mean_squared_error", y_true, predicted(probability))


def _mae(y_true: Labels, probability: Shares) -> float:
    return _reference("mean_absolute_error", y_true, predicted(probability))


def _within_one(y_true: Labels, probability: Shares) -> float:
    return float(np.mean(np.abs(y_true - predicted(probability)) <= 1))


def _mcc(y_true: Labels, probability: Shares) -> float:
    return _reference("matthews_corrcoef", y_true, predicted(probability))


def _kappa(y_true: Labels, probability: Shares) -> float:
    y_pred, labels = predicted(probability), np.arange(probability.shape[1])
    return _reference("cohen_kappa_score", y_true, y_pred, labels=labels, weights="quadratic")


def _brier(y_true: Labels, probability: Shares) -> float:
    num_classes = probability.shape[1]
    summed = 1 if num_classes == 2 else num_classes  # scikit-learn averages over the classes
    hot = np.eye(num_classes)[y_true]
    return summed * _reference("mean_squared_error", hot, probability)


def _auroc(y_true: Labels, probability: Shares) -> float:
    return _one_versus_rest("roc_auc_score", y_true, probability)


def _auprc(y_true: Labels, probability: Shares) -> float:
    return _one_versus_rest("average_precision_score", y_true, probability)


def _one_versus_rest(name: str, y_true: Labels, probability: Shares) -> float:
    present = [1] if probability.shape[1] == 2 else np.unique(y_true).tolist()
    return float(np.mean([_reference(name, y_true == k, probability[:, k]) for k in present]))


def _never(y_true: Labels, probability: Shares) -> str | None:
    return None


def _nothing_positive_predicted(y_true: Labels, probability: Shares) -> str | None:
    if probability.shape[1] == 2 and not (predicted(probability) == 1).any():
        return "no row is predicted as the positive class 1"
    return None


def _nothing_positive(y_true: Labels, probability: Shares) -> str | None:
    if probability.shape[1] == 2 and not (y_true == 1).any():
        return "the positive class 1 is absent"
    return None


def _nothing_negative(y_true: Labels, probability: Shares) -> str | None:
    return None if (y_true == 0).any() else "the negative class 0 is absent"


def _nothing_positive_at_all(y_true: Labels, probability: Shares) -> str | None:
    if probability.shape[1] == 2 and not ((y_true == 1) | (predicted(probability) == 1)).any():
        return "the positive class 1 neither occurs nor is predicted"
    return None


def _one_class(y_true: Labels, probability: Shares) -> str | None:
    present: list[Any] = np.unique(y_true).tolist()
    return f"only class {present[0]} is present" if len(present) == 1 else None


_RATE: dict[str, Any] = {"transform": "logit"}
_SCALE: dict[str, Any] = {"classes": "scale"}
_POSITIVE: dict[str, Any] = {"classes": "positive", **_RATE}
_ERROR: dict[str, Any] = {"is_share": False, "transform": "log", **_SCALE}

OWN: dict[str, Metric] = {
    "accuracy": Metric(
        _accuracy, _never, True, "share of rows with the right class, 0..1", **_SCALE, **_RATE
    ),
    "precision": Metric(
        _precision,
        _nothing_positive_predicted,
        True,
        "positive class, or macro for K>2, 0..1",
        **_RATE,
    ),
    "recall": Metric(
        _recall, _nothing_positive, True, "positive class, or macro for K>2, 0..1", **_POSITIVE
    ),
    "f1": Metric(
        _f1,
        _nothing_positive_at_all,
        True,
        "F1: positive class, or macro for K>2, 0..1",
        **_RATE,
    ),
    "f1_weighted": Metric(
        _f1_weighted, _never, True, "F1 weighted by the true classes, 0..1", **_RATE
    ),
    "f1_macro": Metric(_f1_macro, _never, True, "mean F1 of the classes, 0..1", **_RATE),
    "mcc": Metric(_mcc, _one_class, True, "Matthews correlation, -1..1", transform="fisher"),
    "auroc": Metric(_auroc, _one_class, True, "area under ROC, one versus rest, 0..1", **_RATE),
    "mse": Metric(_mse, _never, False, "mean squared difference of the classes, 0..", **_ERROR),
    "balanced_accuracy": Metric(
        _balanced, _one_class, True, "mean recall of the classes that occur, 0..1", **_RATE
    ),
    "sensitivity": Metric(
        _sensitivity,
        _nothing_positive,
        True,
        "recall of the positive class of two, 0..1",
        **_POSITIVE,
        num_classes="two",
    ),
    "specificity": Metric(
        _specificity,
        _nothing_negative,
        True,
        "recall of the negative class of two, 0..1",
        classes="negative",
        **_RATE,
        num_classes="two",
    ),
    "auprc": Metric(_auprc, _one_class, True, "average precision, one versus rest, 0..1", **_RATE),
    "brier": Metric(
        _brier, _never, False, "squared error of the probabilities, 0..1; 0..2 for K>2", **_ERROR
    ),
    "kappa": Metric(
        _kappa,
        _one_class,
        True,
        "Cohen's kappa with quadratic weights, -1..1",
        **_SCALE,
        transform="fisher",
    ),
    "mae": Metric(_mae, _never, False, "mean absolute difference of the classes, 0..", **_ERROR),
    "within_one": Metric(
        _within_one,
        _never,
        True,
        "share of rows at most one class off, 0..1",
        **_SCALE,
        **_RATE,
        num_classes="more",
    ),
}
if TYPE_CHECKING:
    METRICS: dict[str, Metric]
    """Every metric by its name; those of plug-ins come last."""


def __getattr__(name: str) -> Any:
    """Return the table on first use, when the module of a plug-in is already imported."""
    if name != "METRICS":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return _metrics()


@cache
def _metrics() -> dict[str, Metric]:
    return OWN | parts("pdray.metrics", Metric, OWN)
