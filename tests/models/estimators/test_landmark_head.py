import numpy as np
import pytest
from pydantic import ValidationError
from sklearn.linear_model import LogisticRegression

from pdray.models.estimators.landmark_head import build_classifier, build_landmark_head
from pdray.models.estimators.landmark_settings import LandmarkHeadConfig

KINDS = ("logistic", "svm", "trees", "boosting", "vote")


def drawn(num: int = 60, num_features: int = 6, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return features of which the first tells the grade, and grades 0 to 5, half of them 0."""
    rng = np.random.default_rng(seed)
    grade = np.where(np.arange(num) % 2 == 0, 0, 1 + np.arange(num) // 2 % 5).astype(np.int64)
    x = rng.normal(size=(num, num_features))
    x[:, 0] -= grade
    return x, grade


def config(**changes: object) -> LandmarkHeadConfig:
    return LandmarkHeadConfig.model_validate({"num_trees": 30, **changes})


@pytest.mark.parametrize("kind", KINDS)
def test_a_head_learns_and_its_probabilities_are_some(kind: str) -> None:
    x, grade = drawn()
    head = build_landmark_head(config(kind=kind), 6, seed=0).fit(x, grade)
    p = head.predict_proba(x)
    assert p.shape == (60, 6)
    assert (p >= 0).all()
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-12)
    ill = 1 - p[:, 0]
    assert ill[grade >= 2].mean() > ill[grade == 0].mean() + 0.2
    expected = p @ np.arange(6)
    assert expected[grade == 5].mean() > expected[grade == 1].mean() + 0.5


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_gives_the_same_head_and_rows_do_not_mix(kind: str) -> None:
    x, grade = drawn()
    one, other = (build_landmark_head(config(kind=kind), 6, seed=3).fit(x, grade) for _ in "ab")
    np.testing.assert_array_equal(one.predict_proba(x), other.predict_proba(x))
    np.testing.assert_allclose(one.predict_proba(x)[4:5], one.predict_proba(x[4:5]), atol=1e-12)


def test_probabilities_by_hand() -> None:
    x, grade = drawn(40, 3)
    settings = config(strength=0.7, severity_penalty=5.0, severity_spread=0.8)
    got = build_landmark_head(settings, 6, seed=0).fit(x, grade).predict_proba(x)
    z = (x - x.mean(axis=0)) / x.std(axis=0)
    # Ridge by its normal equations; the intercept is the mean, z being centred.
    weight = np.linalg.solve(z.T @ z + 5.0 * np.eye(3), z.T @ (grade - grade.mean()))
    regressed = z @ weight + grade.mean()
    plain = LogisticRegression(C=0.7, class_weight="balanced", tol=1e-9).fit(z, grade > 0)
    ill = 1 / (1 + np.exp(-(z @ plain.coef_[0] + plain.intercept_[0])))
    for row in range(40):
        shares = [
            np.sqrt((grade == k).sum()) * np.exp(-((k - regressed[row]) ** 2) / (2 * 0.8**2))
            for k in range(1, 6)
        ]
        wanted = [1 - ill[row], *(ill[row] * np.array(shares) / sum(shares))]
        np.testing.assert_allclose(got[row], wanted, atol=1e-5)


def test_svm_has_a_kernel_as_wide_as_told() -> None:
    x, grade = drawn(40, 4)
    pipeline = build_classifier(config(kind="svm", svm_width=0.6), "svm", seed=0).fit(x, grade > 0)
    z = (x - x.mean(axis=0)) / x.std(axis=0)
    svm = pipeline[-1]
    far = ((z[:, None] - z[svm.support_][None]) ** 2).sum(axis=2)
    margin = np.exp(-0.6 / 4 * far) @ svm.dual_coef_[0] + svm.intercept_[0]
    np.testing.assert_allclose(pipeline.decision_function(x), margin, atol=1e-9)
    alone = build_landmark_head(config(kind="svm", svm_width=0.6), 2, seed=0).fit(
        x, (grade > 0).astype(np.int64)
    )
    np.testing.assert_allclose(
        alone.predict_proba(x)[:, 1], 1 / (1 + np.exp(-2 * margin)), atol=1e-9
    )


def test_vote_is_the_mean_of_its_three() -> None:
    x, grade = drawn()
    alone = [
        build_landmark_head(config(kind=kind), 2, seed=1).fit(x, np.minimum(grade, 1))
        for kind in ("logistic", "svm", "trees")
    ]
    vote = build_landmark_head(config(kind="vote"), 2, seed=1).fit(x, np.minimum(grade, 1))
    mean = np.mean([one.predict_proba(x) for one in alone], axis=0)
    np.testing.assert_allclose(vote.predict_proba(x), mean, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_absent_features_are_medians_and_an_absent_column_says_nothing(kind: str) -> None:
    x, grade = drawn()
    holes = x.copy()
    holes[::7, 0] = np.nan
    holes[:, 5] = np.nan
    filled = holes.copy()
    filled[::7, 0] = np.nanmedian(holes[:, 0])
    filled[:, 5] = 0
    one = build_landmark_head(config(kind=kind), 6, seed=0).fit(holes, grade)
    other = build_landmark_head(config(kind=kind), 6, seed=0).fit(filled, grade)
    np.testing.assert_allclose(one.predict_proba(holes), other.predict_proba(filled), atol=1e-9)


def test_missing_is_told_by_a_column_where_wanted() -> None:
    rng = np.random.default_rng(0)
    x, grade = rng.normal(size=(60, 2)), (np.arange(60) % 2).astype(np.int64)
    x[grade == 1, 0] = np.nan
    blind = build_landmark_head(config(), 2, seed=0).fit(x, grade)
    told = build_landmark_head(config(indicate_missing=True), 2, seed=0).fit(x, grade)
    assert (told.predict_proba(x).argmax(1) == grade).all()
    assert (blind.predict_proba(x).argmax(1) == grade).mean() < 0.8


def test_components_are_fewer_columns() -> None:
    x, grade = drawn()
    head = build_landmark_head(config(num_components=2), 6, seed=0).fit(x, grade)
    assert head.classifiers[0][-1].coef_.shape == (1, 2)
    with pytest.raises(
        ValueError,
        match="num_components: 7 is too many for 60 recordings with 6 features; use at most 6",
    ):
        build_landmark_head(config(num_components=7), 6, seed=0).fit(x, grade)


def test_a_grade_that_training_lacks_has_no_probability() -> None:
    x, grade = drawn()
    seen = grade != 3
    head = build_landmark_head(config(), 6, seed=0).fit(x[seen], grade[seen])
    p = head.predict_proba(x)
    assert (p[:, 3] == 0).all()
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-12)


def test_grades_far_from_any_are_still_probabilities() -> None:
    x, grade = drawn()
    head = build_landmark_head(config(severity_spread=0.01), 6, seed=0).fit(x, grade)
    assert np.isfinite(head.predict_proba(x * 1000)).all()


def test_what_cannot_be_learnt_from_is_refused() -> None:
    x, grade = drawn()
    head = build_landmark_head(config(), 6, seed=0)
    with pytest.raises(ValueError, match=r"grade 11 at position 4 is outside 0..5"):
        head.fit(x, np.where(np.arange(60) == 4, 11, grade))
    with pytest.raises(ValueError, match="all 60 training recordings are healthy; train on both"):
        head.fit(x, np.zeros(60, np.int64))
    with pytest.raises(ValueError, match="all 60 training recordings are ill; train on both"):
        head.fit(x, np.ones(60, np.int64))
    with pytest.raises(ValueError, match="'vote' is not a single classifier"):
        build_classifier(config(), "vote", seed=0)


@pytest.mark.parametrize("wrong", [{"kind": "deep"}, {"strength": 0.0}, {"num_components": 0}])
def test_impossible_settings_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        LandmarkHeadConfig.model_validate(wrong)
