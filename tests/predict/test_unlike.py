import numpy as np
import pytest

from pdray.predict.unlike import ALPHA, distances, p_values


def test_a_distance_counts_standard_deviations_of_the_bank_and_no_idle_number() -> None:
    bank = np.array([[0.0, 5.0, np.nan, 1.0], [2.0, 5.0, np.nan, np.nan], [4.0, 5.0, np.nan, 3.0]])
    spread = np.std([0.0, 2.0, 4.0]), np.std([1.0, 3.0])
    new = np.array([[2.0, 5.0, 7.0, 2.0], [10.0, 9.0, 0.0, np.nan], [4.0, 5.0, 1.0, 4.0]])
    wanted = [0.0, 6 / spread[0], 1 / spread[1]]
    wanted[1] = np.hypot(6 / spread[0], 1 / spread[1])  # the nearest is the third of the bank
    assert distances(bank, bank).tolist() == [0.0, 0.0, 0.0]
    assert distances(bank, new).tolist() == pytest.approx(
        [0.0, min(wanted[1], 8 / spread[0]), wanted[2]]
    )


def test_a_p_value_is_counted_over_the_models_that_may_judge() -> None:
    held = [np.array([1.0, 2.0, 3.0]), np.array([10.0, 20.0])]
    new = [np.array([2.0, 9.0, 2.5]), np.array([15.0, 5.0, 99.0])]
    judges = [np.array([True, True, False]), np.array([True, False, True])]
    shares, counts = p_values(held, new, judges)
    # 2 and 3 are as far as 2, and 20 as 15; nothing as far as 9; nothing as far as 99.
    assert shares.tolist() == pytest.approx([(1 + 2 + 1) / 6, 1 / 4, 1 / 3])
    assert counts.tolist() == [5, 3, 2]


def test_of_recordings_like_those_of_the_study_about_five_percent_are_unlike() -> None:
    draw = np.random.default_rng(3)
    found = []
    for _ in range(20):
        study, new = draw.normal(size=(60, 4)), draw.normal(size=(200, 4))
        folds = np.arange(60) % 5
        near = [distances(study[folds != k], np.concatenate([study, new])) for k in range(5)]
        held = [one[:60][folds == k] for k, one in enumerate(near)]
        shares, _ = p_values(held, [one[60:] for one in near], [np.ones(200, np.bool_)] * 5)
        found.append(np.mean(shares <= ALPHA))
        far, _ = p_values(held, [np.array([99.0])] * 5, [np.ones(1, np.bool_)] * 5)
        assert far.tolist() == [1 / 61]
    assert 0.03 < np.mean(found) < 0.07
