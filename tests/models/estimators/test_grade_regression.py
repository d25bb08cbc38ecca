import numpy as np
from sklearn.linear_model import Ridge

from pdray.models.estimators.grade_regression import GradeRegression, median_decided


def test_the_likeliest_class_is_nearest_to_the_regression() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(80, 3))
    y = np.array([0, 1, 3])[np.digitize(x[:, 0] + rng.normal(0, 0.5, 80), [-0.5, 0.5])]
    fitted = GradeRegression(Ridge(2.0)).fit(x, y)
    number = Ridge(2.0).fit(x, y).predict(x)
    wanted = np.exp(-((np.array([0, 1, 3]) - number[:, None]) ** 2) / (2 * 0.6**2))
    wanted /= wanted.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(fitted.predict_proba(x), wanted, atol=1e-12)


def test_the_median_class_becomes_the_likeliest() -> None:
    shares = np.random.default_rng(0).dirichlet(np.ones(5) * 0.5, 500)
    shares[:3] = [[1, 0, 0, 0, 0], [0, 0, 0, 0, 1], [0.4, 0, 0.2, 0, 0.4]]
    median = (shares.cumsum(axis=1) < 0.5).sum(axis=1)
    got = median_decided(shares)
    assert (got.argmax(axis=1) == median).all()
    np.testing.assert_allclose(got.sum(axis=1), 1, atol=1e-12)
