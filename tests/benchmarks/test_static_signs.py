"""Exact landmarks tell as much of static signs as the results say."""

import numpy as np
import pytest

from benchmarks.static_signs import SEEDS, measure


def test_one_frame_tells_the_grade_with_static_signs_and_classes_overlap() -> None:
    pairs = SEEDS[:2]
    without = np.mean([measure(seeds, 0.0, num_subjects=200)[0] for seeds in pairs])
    assert without == pytest.approx(0.5, abs=0.12)
    single, mean = np.mean([measure(seeds, 1.0, num_subjects=200) for seeds in pairs], axis=0)
    assert 0.8 < single < mean < 0.98
