import numpy as np
import pytest
from scipy.linalg import sqrtm

from pdray.evaluation.statistics.frechet import frechet_distance, kernel_distance


def by_roots(one, other):
    """Return the distance by its definition, with a matrix square root."""
    covariances = [np.cov(x, rowvar=False) for x in (one, other)]
    shift = one.mean(axis=0) - other.mean(axis=0)
    root = sqrtm(covariances[0] @ covariances[1])
    return float(shift @ shift + np.trace(covariances[0] + covariances[1] - 2 * np.real(root)))


def by_pairs(one, other):
    """Return the unbiased estimate by its sums over pairs."""

    def kernel(x, y):
        return (float(x @ y) / len(x) + 1) ** 3

    def among(x):
        pairs = [kernel(a, b) for i, a in enumerate(x) for j, b in enumerate(x) if i != j]
        return sum(pairs) / len(pairs)

    across = [kernel(a, b) for a in one for b in other]
    return among(one) + among(other) - 2 * sum(across) / len(across)


@pytest.fixture
def draw():
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(8, 8))
    return lambda number, shift=0.0: (rng.normal(size=(number, 8)) + shift) @ mixing


def test_the_distance_is_that_of_its_definition(draw):
    one, other = draw(60), draw(41, 0.3)
    assert frechet_distance(one, other) == pytest.approx(by_roots(one, other), rel=1e-6)
    assert frechet_distance(other, one) == pytest.approx(frechet_distance(one, other), rel=1e-12)


def test_a_copy_has_distance_0_and_a_shift_its_square(draw):
    one = draw(60)
    assert frechet_distance(one, one) == pytest.approx(0.0, abs=1e-9)
    assert frechet_distance(one, one + 2.0) == pytest.approx(8 * 4.0, rel=1e-9)


def test_fewer_pictures_than_features_are_exact_and_far_from_0():
    rng = np.random.default_rng(1)
    few = [rng.normal(size=(20, 64)) for _ in range(2)]
    # Of rank 19 each: a rotation of the features changes nothing.
    rotation = np.linalg.qr(rng.normal(size=(64, 64)))[0]
    turned = frechet_distance(few[0] @ rotation, few[1] @ rotation)
    assert frechet_distance(*few) == pytest.approx(turned, rel=1e-10)
    assert frechet_distance(*few) > 50


def test_the_kernel_distance_is_that_of_its_sums_and_0_on_average(draw):
    one, other = draw(12), draw(9, 0.5)
    assert kernel_distance(one, other) == pytest.approx(by_pairs(one, other), rel=1e-12)
    rng = np.random.default_rng(2)
    same = [kernel_distance(*rng.normal(size=(2, 15, 4))) for _ in range(400)]
    assert abs(np.mean(same)) < 3 * np.std(same) / np.sqrt(len(same))
    assert min(same) < 0


@pytest.mark.parametrize("distance", [frechet_distance, kernel_distance])
@pytest.mark.parametrize(
    ("shapes", "told"),
    [(((1, 4), (5, 4)), "at least 2 pictures, got an array"), (((5, 4), (5, 3)), "4 features in")],
)
def test_sets_that_cannot_be_compared_are_refused(distance, shapes, told):
    with pytest.raises(ValueError, match=told):
        distance(*(np.ones(shape) for shape in shapes))
