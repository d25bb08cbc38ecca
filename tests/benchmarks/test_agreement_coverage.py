import numpy as np
import pytest

from benchmarks.agreement_coverage import calibrated, cell, cohort
from pdray.evaluation.statistics.calibration import intercepts, slopes


def test_the_drawn_probabilities_are_right() -> None:
    draws = np.random.default_rng(0)
    event = calibrated(draws, np.repeat(np.arange(50_000), 3), alike=0.5)
    ones = np.ones((1, len(event.share)))
    assert intercepts(event, ones)[0] == pytest.approx(0, abs=0.03)
    assert slopes(event, ones)[0] == pytest.approx(1, abs=0.03)


def test_a_cohort_without_interval_is_counted_apart() -> None:
    draws = np.random.default_rng(0)
    many, few = cohort(draws, 40, 0.5)["mae"], cohort(draws, 8, 0.5)["mae"]
    assert cell([many, few], many.value).split() == ["1.000", "(0.50)"]
    assert cell([many, few], 9.0).split() == ["0.000", "(0.50)"]
