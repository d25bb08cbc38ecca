from collections.abc import Callable

import pytest

from pdray.evaluation.metrics import METRICS
from pdray.testing.metrics import CLASSES, METRIC_CHECKS


def test_there_are_metrics() -> None:
    wanted = {"accuracy", "precision", "recall", "f1", "f1_weighted", "f1_macro", "mcc", "auroc"}
    assert set(METRICS) >= wanted | {"mse"}


@pytest.mark.parametrize("check", METRIC_CHECKS)
@pytest.mark.parametrize("num_classes", CLASSES)
@pytest.mark.parametrize("name", METRICS)
def test_every_metric(name: str, num_classes: int, check: Callable[[str, int], None]) -> None:
    check(name, num_classes)
