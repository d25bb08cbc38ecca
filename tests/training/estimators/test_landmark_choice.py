import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold

from pdray.data.batches.plan import derive_seed
from pdray.data.face.motion import Features
from pdray.errors import FoldsError
from pdray.models.estimators.landmark_head import build_landmark_head
from pdray.models.estimators.landmark_settings import LandmarkChoiceConfig
from pdray.training.estimators.landmark_choice import LandmarkChoice

NAMES = ("head.a", "head.b", "eyes.a", "brows.a")
NUM = 48
SMALL = LandmarkChoiceConfig(
    groups=("eyes", "head"), logistic=(0.3,), svm=(3.0,), vote=False, num_folds=3, num_repeats=2
)


def named(x: np.ndarray) -> list[Features]:
    return [Features(NAMES, row) for row in x]


@pytest.fixture
def made() -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Features of which head alone tells the class, two recordings a subject."""
    rng = np.random.default_rng(3)
    y = np.repeat(np.arange(NUM // 2) % 3, 2)
    x = rng.normal(size=(NUM, len(NAMES)))
    x[:, 0] += 2.5 * (y > 0)
    return x, y, [f"S{number // 2}" for number in range(NUM)]


def test_the_best_setting_is_chosen_and_fitted_on_everything(made) -> None:
    x, y, subjects = made
    choice = LandmarkChoice(SMALL, num_classes=3, seed=7).fit(named(x), y, subjects)
    assert choice.grid[choice.chosen].groups == "head"
    head = build_landmark_head(choice.grid[choice.chosen].head, 3, seed=7).fit(x[:, :2], y)
    np.testing.assert_allclose(choice.predict_proba(named(x)), head.predict_proba(x[:, :2]))


def test_a_score_is_of_recordings_of_other_subjects(made) -> None:
    x, y, subjects = made
    choice = LandmarkChoice(SMALL, num_classes=3, seed=7).fit(named(x), y, subjects)
    ill, expected = (y > 0).astype(np.int64), []
    for repeat in range(2):
        shares = np.zeros(NUM)
        drawn = derive_seed(7, "inner", repeat) % 2**32
        folds = StratifiedGroupKFold(3, shuffle=True, random_state=drawn)
        for learnt, held in folds.split(x, ill, subjects):
            assert {subjects[i] for i in learnt}.isdisjoint(subjects[i] for i in held)
            head = build_landmark_head(choice.grid[2].head, 2, seed=7)
            shares[held] = head.fit(x[learnt][:, :2], ill[learnt]).predict_proba(x[held][:, :2])[
                :, 1
            ]
        area, balanced = roc_auc_score(ill, shares), balanced_accuracy_score(ill, shares >= 0.5)
        expected.append((area + balanced) / 2)
    assert choice.scores[2] == pytest.approx(np.mean(expected))
    assert choice.scores[2] > 0.75


def test_noise_scores_as_chance(made) -> None:
    x, y, subjects = made
    noise = np.random.default_rng(0).normal(size=x.shape)
    choice = LandmarkChoice(SMALL, num_classes=3, seed=7).fit(named(noise), y, subjects)
    assert choice.scores.max() < 0.7


def test_too_few_subjects_to_choose_inside_are_told(made) -> None:
    x, y, _ = made
    few = [f"S{number % 2}{label > 0}" for number, label in enumerate(y)]
    with pytest.raises(
        FoldsError,
        match=r"only 2 training subjects are ill, .* 3 inner folds .*; lower model.num_folds",
    ):
        LandmarkChoice(SMALL, num_classes=3, seed=0).fit(named(x), y, few)
