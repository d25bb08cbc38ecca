import numpy as np
import pytest

from pdray.predict.unlike import distances


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
