import numpy as np
import pytest
from scipy.stats import binom

from pdray.errors import FoldsError
from pdray.training.estimators.abstention import ERROR, NONE_GIVEN, withheld_below


def drawn(num: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return calibrated probabilities of two classes, and the classes."""
    rng = np.random.default_rng(seed)
    ill = rng.random(num)
    return np.stack([1 - ill, ill], axis=1), (rng.random(num) < ill).astype(np.int64)


def people(num: int) -> np.ndarray:
    return np.array([f"S{number}" for number in range(num)])


def test_the_risk_of_new_recordings_rarely_exceeds_the_set_risk() -> None:
    # Of these recordings the risk above a threshold t is (1 - t) / 2.
    thresholds = [withheld_below(*drawn(400, seed), people(400), risk=0.15) for seed in range(100)]
    exceeds = np.mean([(1 - t) / 2 > 0.15 for t in thresholds])
    assert exceeds <= binom.ppf(0.999, 100, ERROR) / 100
    assert 0.7 < np.median(thresholds) < 0.85  # with so many subjects little is given away


def test_nothing_is_given_where_guesses_are_random_and_everything_where_none_is_wrong() -> None:
    shares, y = drawn(300, 0)
    rng = np.random.default_rng(1)
    assert withheld_below(shares, rng.permutation(y), people(300), risk=0.1) == NONE_GIVEN
    threshold = withheld_below(shares, shares.argmax(axis=1), people(300), risk=0.1)
    assert threshold == shares.max(axis=1).min()


def test_subjects_are_counted_not_recordings() -> None:
    shares, y = drawn(100, 2)
    ten = [np.repeat(one, 10, axis=0) for one in (shares, y, people(100))]
    assert withheld_below(*ten, risk=0.2) == withheld_below(shares, y, people(100), risk=0.2)
    message = r"abstain_risk 0.02 needs 149 training subjects or more.*there are 100; raise it"
    with pytest.raises(FoldsError, match=message):
        withheld_below(*ten, risk=0.02)
