import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, matthews_corrcoef

from pdray.evaluation.statistics.threshold import best_threshold


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    ("cut", "reference"),
    [("mcc", matthews_corrcoef), ("balanced_accuracy", balanced_accuracy_score)],
)
def test_no_threshold_scores_higher(cut, reference, seed):
    draws = np.random.default_rng(seed)
    classes = draws.permutation([0] * 25 + [1] * 15)
    share = np.round(draws.uniform(size=40) * 0.6 + 0.3 * classes, 2)  # with ties
    found = best_threshold(classes, share, cut, 0.9)
    every = [reference(classes, (share > one).astype(int)) for one in np.arange(-0.005, 1.01, 0.01)]
    assert reference(classes, (share > found).astype(int)) == pytest.approx(max(every))


def test_equal_thresholds_give_way_to_the_one_nearest_to_a_half():
    classes, share = np.array([0, 0, 1, 1]), np.array([0.1, 0.2, 0.8, 0.9])
    assert best_threshold(classes, share, "mcc", 0.9) == 0.5
    # 0.3 and 0.65 tell equally many apart.
    classes, share = np.array([0, 1, 0, 1]), np.array([0.2, 0.4, 0.6, 0.7])
    assert best_threshold(classes, share, "balanced_accuracy", 0.9) == pytest.approx(0.65)


@pytest.mark.parametrize(
    ("specificity", "threshold"), [(0.1, 0.15), (0.5, 0.25), (0.9, 0.35), (0.91, 0.55)]
)
def test_the_lowest_threshold_of_a_specificity(specificity, threshold):
    # Ten healthy rows: one at 0.1, four at 0.2, four at 0.3, one at 0.5; two ill ones.
    classes = np.array([0] * 10 + [1] * 2)
    share = np.array([0.1, *[0.2] * 4, *[0.3] * 4, 0.5, 0.4, 0.6])
    found = best_threshold(classes, share, "specificity", specificity)
    assert found == pytest.approx(threshold)
    assert np.mean(share[:10] <= found) >= specificity - 1e-12


def test_nobody_is_ill_where_only_that_is_specific_enough():
    classes, share = np.array([0, 1, 1]), np.array([0.9, 0.3, 0.5])
    assert best_threshold(classes, share, "specificity", 0.5) == 1.0
