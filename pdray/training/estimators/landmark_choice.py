"""Chooses a head on landmark features by nested cross-validation, then fits it on all recordings.

The inner folds are folds of subjects, stratified by ill or healthy. The score of a setting is the
mean of the AUROC (ill or healthy) and the balanced accuracy of its out-of-fold decisions, averaged
over repeats. Of equally good settings the first is taken; the grid starts with the simplest.
"""

import itertools
from collections.abc import Sequence
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from pdray.data.face.motion import feature_columns
from pdray.data.face.settings import LandmarkFeatureConfig
from pdray.data.tables.features import Features
from pdray.models.estimators.landmark_head import LandmarkHead, build_landmark_head
from pdray.models.estimators.landmark_settings import LandmarkChoiceConfig, LandmarkHeadConfig
from pdray.training.estimators.inner_folds import Fold, inner_folds

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]


class Setting(NamedTuple):
    """One setting of the grid.

    Attributes:
        groups: Groups of features, joined by +.
        head: Settings of the head.
    """

    groups: str
    head: LandmarkHeadConfig


class LandmarkChoice:
    """An estimator that chooses its head from a grid.

    Args:
        config: The grid, and the inner folds and repeats.
        num_classes: Classes K, at least 2; 0 is healthy.
        seed: Seed of the inner folds and of every head.

    Attributes:
        told: ``fit/choice``, the position in the grid, and ``fit/inner_score``.
    """

    def __init__(self, config: LandmarkChoiceConfig, *, num_classes: int, seed: int) -> None:
        self.config, self.num_classes, self.seed = config, num_classes, seed
        self.grid = [Setting(*one) for one in itertools.product(config.groups, config.heads)]
        self.told: dict[str, float] = {}
        self.scores = np.zeros(len(self.grid))
        self.head: LandmarkHead | None = None

    @property
    def chosen(self) -> int:
        """Position of the best setting in the grid."""
        return int(self.scores.argmax())

    def fit(self, x: Sequence[Features], y: Labels, subjects: Sequence[str]) -> Self:
        """Choose a setting, and fit its head on all recordings.

        Args:
            x: Features of N recordings, with the same names; NaN where absent.
            y: (N,) class, 0 to K-1.
            subjects: Subject of each recording.

        Raises:
            FoldsError: If there are fewer ill or fewer healthy subjects than inner folds.
        """
        config, values = self.config, _stacked(x)
        folds = list(
            inner_folds(
                y, subjects, count=config.num_folds, repeats=config.num_repeats, seed=self.seed
            )
        )
        self.columns = {
            groups: feature_columns(x[0].names, LandmarkFeatureConfig(groups=groups))
            for groups in config.groups
        }
        for number, setting in enumerate(self.grid):
            self.scores[number] = np.mean([self._score(setting, values, y, of) for of in folds])
        groups, head = self.grid[self.chosen]
        built = build_landmark_head(head, self.num_classes, seed=self.seed)
        self.head = built.fit(values[:, self.columns[groups]], y)
        self.told = {"fit/choice": self.chosen, "fit/inner_score": self.scores.max()}
        return self

    def predict_proba(self, x: Sequence[Features]) -> Floats:
        """Return (N, K) probabilities of N recordings."""
        assert self.head is not None, "it has been fitted"
        return self.head.predict_proba(_stacked(x)[:, self.columns[self.grid[self.chosen].groups]])

    def _score(self, setting: Setting, x: Floats, y: Labels, folds: list[Fold]) -> float:
        seen, ill = x[:, self.columns[setting.groups]], (y > 0).astype(np.int64)
        shares = np.zeros(len(y))
        for learnt, held in folds:
            # Two classes only: the severity plays no part here.
            head = build_landmark_head(setting.head, 2, seed=self.seed)
            shares[held] = head.fit(seen[learnt], ill[learnt]).predict_proba(seen[held])[:, 1]
        area = float(roc_auc_score(ill, shares))
        return (area + float(balanced_accuracy_score(ill, shares >= 0.5))) / 2


def _stacked(x: Sequence[Features]) -> Floats:
    return np.stack([one.values for one in x])
