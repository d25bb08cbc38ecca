"""Checks of a metric: order of rows, best at perfect, a value or a reason for every input."""

from collections.abc import Callable

import numpy as np

from pdray.evaluation.metrics import METRICS, metrics_for, score, undefined_reason

CLASSES = (2, 3, 5)


def check_metric(name: str) -> None:
    """Check what every metric promises, on random probabilities of 2, 3 and 5 classes.

    Args:
        name: Of the metric, as in ``search.metric``; that of an installed plug-in too.

    Raises:
        AssertionError: At the first promise that is not kept.
    """
    for num_classes in CLASSES:
        for check in METRIC_CHECKS:
            check(name, num_classes)


def ignores_order(name: str, num_classes: int) -> None:
    """Score the same rows in another order alike."""
    if name not in metrics_for(num_classes):
        return
    draws = np.random.default_rng(0)
    y_true = draws.integers(0, num_classes, size=50)
    probability = draws.dirichlet(np.ones(num_classes), size=50)
    order = draws.permutation(50)
    there, back = score(name, y_true, probability), score(name, y_true[order], probability[order])
    assert abs(back - there) <= 1e-12, f"{name} of {num_classes} classes: {there}, then {back}"


def best_is_perfect(name: str, num_classes: int) -> None:
    """Be 1 of a perfect prediction, or 0 where less is better, and worse of any other."""
    if name not in metrics_for(num_classes):
        return
    draws, is_more = np.random.default_rng(1), METRICS[name].greater_is_better
    y_true = np.arange(30) % num_classes
    best = score(name, y_true, np.eye(num_classes)[y_true])
    assert abs(best - float(is_more)) <= 1e-6, f"{name} of a perfect prediction: {best}"
    for _ in range(8):
        other = score(name, y_true, draws.dirichlet(np.ones(num_classes), size=30))
        assert other < best if is_more else other > best, f"{name}: {other} beside {best}"


def value_or_reason(name: str, num_classes: int) -> None:
    """Give a number, or nan and a reason, of few rows."""
    draws = np.random.default_rng(2)
    for size in [size for size in range(8) for _ in range(8)]:
        y_true = draws.integers(0, num_classes, size=size)
        probability = draws.dirichlet(np.full(num_classes, 0.2), size=size)
        reason, value = (
            undefined_reason(name, y_true, probability),
            score(name, y_true, probability),
        )
        assert np.isnan(value) == (reason is not None), f"{name}: {value}, {reason}"


METRIC_CHECKS: tuple[Callable[[str, int], None], ...] = (
    ignores_order,
    best_is_perfect,
    value_or_reason,
)
"""What :func:`check_metric` checks, one promise each."""
