import numpy as np
from sklearn.preprocessing import PowerTransformer

from pdray.models.estimators.power_scaler import PowerScaler


def test_it_equals_scikit_learn_within_five_deviations() -> None:
    rng = np.random.default_rng(0)
    x = np.column_stack([
        rng.lognormal(size=200), rng.normal(size=200), -rng.exponential(5, 200),
        1e-3 * rng.normal(size=200), rng.integers(0, 2, 200), rng.standard_t(2, 200),
    ])  # fmt: skip
    x /= x.std(axis=0)
    wanted = PowerTransformer().fit(x)
    units = [1e-6, 1, 1e6, 1, 1, 3]
    scaler = PowerScaler().fit(x * units)
    inside = np.abs(wanted.lambdas_ - 1) < 11
    assert inside[[0, 1, 2, 5]].all()
    np.testing.assert_allclose(scaler.exponents[inside], wanted.lambdas_[inside], atol=2e-3)
    near = wanted.transform(x)[:, inside].clip(-5, 5)
    np.testing.assert_allclose(scaler.transform(x * units)[:, inside], near, atol=5e-3)


def test_constant_and_huge_columns_stay_finite() -> None:
    x = np.column_stack([np.full(9, 3.0), np.array([1e300, *range(8)]), np.zeros(9)])
    z = PowerScaler().fit(x).transform(np.vstack([x, x * -1e5]))
    assert np.isfinite(z).all()
    assert (np.abs(z) <= 5).all()
    assert (z[:9, [0, 2]] == 0).all()
