import numpy as np
import pytest
from sklearn.model_selection import StratifiedGroupKFold

from pdray.data.batches.plan import derive_seed
from pdray.data.tables.features import Features
from pdray.evaluation.metrics import score
from pdray.models.estimators.feature_settings import FeatureChoiceConfig, FeatureHeadConfig
from pdray.training.estimators.feature_choice import FeatureChoice
from pdray.training.estimators.feature_head import FeatureHead

# The classes differ in spread alone, which a linear model cannot learn.
GRID = (FeatureHeadConfig(strength=0.1), FeatureHeadConfig(classifier="svm", svm_strength=3.0))
SMALL = FeatureChoiceConfig(grid=GRID, num_folds=3, num_repeats=2)
NUM = 72


@pytest.fixture
def made() -> tuple[list[Features], np.ndarray, list[str]]:
    rng = np.random.default_rng(3)
    y = np.repeat(np.arange(NUM // 2) % 3, 2)
    x = rng.normal(size=(NUM, 2)) * (0.3 + 1.5 * y[:, None])
    return [Features(("a", "b"), row) for row in x], y, [f"S{n // 2}" for n in range(NUM)]


@pytest.mark.parametrize(
    ("criterion", "num_classes"),
    [("auto", 2), ("auto", 3), ("mae", 3), ("kappa", 3)],
)
def test_the_best_setting_on_other_subjects_is_fitted_on_everything(
    made, criterion: str, num_classes: int
) -> None:
    x, y, subjects = made
    y = np.minimum(y, num_classes - 1)
    config = SMALL.model_copy(update={"criterion": criterion})
    choice = FeatureChoice(config, num_classes=num_classes, seed=7).fit(x, y, subjects)
    assert choice.told["fit/choice"] == 1
    head = FeatureHead(GRID[1], num_classes=num_classes, seed=7).fit(x, y)
    np.testing.assert_array_equal(choice.predict_proba(x), head.predict_proba(x))
    expected = []
    for repeat in range(2):
        shares = np.zeros((NUM, num_classes))
        drawn = derive_seed(7, "inner", repeat) % 2**32
        folds = StratifiedGroupKFold(3, shuffle=True, random_state=drawn)
        for learnt, held in folds.split(y, y > 0, subjects):
            assert {subjects[i] for i in learnt}.isdisjoint(subjects[i] for i in held)
            head = FeatureHead(GRID[1], num_classes=num_classes, seed=7)
            head.fit([x[i] for i in learnt], y[learnt])
            shares[held] = head.predict_proba([x[i] for i in held])
        expected.append({
            ("auto", 2): score("auroc", y, shares),
            ("auto", 3): score("kappa", y, shares) - score("mae", y, shares),
            ("mae", 3): -score("mae", y, shares),
            ("kappa", 3): score("kappa", y, shares),
        }[criterion, num_classes])  # fmt: skip
    assert choice.told["fit/inner_score"] == pytest.approx(np.mean(expected))
