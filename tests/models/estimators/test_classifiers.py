import numpy as np
import pytest
from sklearn.feature_selection import f_regression

from pdray.models.estimators.classifiers import (
    CLASSIFIERS,
    Preparation,
    Strongest,
    build_pipeline,
    class_shares,
)

FAST = {"forest": {"num_trees": 30}, "trees": {"num_trees": 30}}


@pytest.fixture(scope="module")
def made() -> tuple[np.ndarray, np.ndarray]:
    """Six numbers per row, with gaps, of which the first two differ between classes 0, 1 and 3."""
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1, 3], 30)
    x = rng.normal(size=(90, 6))
    x[:, :2] += 3 * y[:, None]
    x[::9, 0] = np.nan
    x[:, 5] = np.nan
    return x, y


@pytest.mark.parametrize("kind", CLASSIFIERS)
def test_every_classifier_learns_from_numbers_with_gaps(kind: str, made) -> None:
    x, y = made
    fitted = build_pipeline(kind, seed=1, **FAST.get(kind, {})).fit(x[::2], y[::2])
    p = class_shares(fitted, x, 4)
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-12)
    assert (p[:, 2] == 0).all()  # a class that training lacks
    assert (p.argmax(axis=1) == y)[1::2].mean() > 0.8
    np.testing.assert_allclose(class_shares(fitted, x[3:4], 4), p[3:4], atol=1e-12)


def test_the_most_correlated_columns_are_kept(made) -> None:
    x, y = np.nan_to_num(made[0]), made[1]
    wanted = np.argsort(-np.nan_to_num(f_regression(x[:, :5], y)[0]))[:3]
    got = Strongest(3).fit(x, y).get_support(indices=True)
    assert sorted(got) == sorted(wanted)
    assert Strongest(99).fit(x, y).transform(x).shape == x.shape


def test_an_indicator_is_a_column_to_learn_from() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(60, 2)), np.arange(60) % 2
    x[y == 1, 0] = np.nan
    fitted = build_pipeline("linear", preparation=Preparation(indicates=True)).fit(x, y)
    assert (class_shares(fitted, x, 2).argmax(axis=1) == y).all()


def test_an_unknown_classifier_is_refused() -> None:
    with pytest.raises(ValueError, match="'deep' is not a single classifier; use linear, ordinal"):
        build_pipeline("deep")
