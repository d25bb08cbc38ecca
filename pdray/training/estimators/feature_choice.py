"""Chooses a head on features by nested cross-validation, then fits it on all recordings.

The score of a setting is that of its out-of-fold predictions of the training recordings, averaged
over repeats. Of equally good settings the first is taken.
"""

from collections.abc import Sequence
from typing import Self

import numpy as np
from numpy.typing import NDArray

from pdray.data.tables.features import Features
from pdray.evaluation.metrics import metric_named, score
from pdray.models.estimators.feature_settings import FeatureChoiceConfig, FeatureHeadConfig
from pdray.training.estimators.feature_head import FeatureHead, Rated
from pdray.training.estimators.inner_folds import Fold, inner_folds

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]


class FeatureChoice:
    """An estimator that chooses its head from a grid.

    Args:
        config: The grid, the inner folds and the score that chooses.
        num_classes: Classes K, at least 2; 0 is healthy.
        seed: Seed of the inner folds and of every head.

    Attributes:
        told: ``fit/choice``, the position in the grid, ``fit/inner_score``, and those of the head.
        scores: Of each setting of the grid; greater is better.
    """

    def __init__(self, config: FeatureChoiceConfig, *, num_classes: int, seed: int) -> None:
        self.config, self.num_classes, self.seed = config, num_classes, seed
        self.told: dict[str, float] = {}
        self.scores = np.zeros(len(config.grid))

    def fit(self, x: Sequence[Features | Rated], y: Labels, subjects: Sequence[str]) -> Self:
        """Choose a setting, and fit its head on all recordings.

        Args:
            x: Features of N recordings, with the same names; NaN where absent.
            y: (N,) class, 0 to K-1.
            subjects: Subject of each recording.

        Raises:
            FoldsError: If there are fewer ill or fewer healthy subjects than inner folds.
            DecodeError: As :meth:`FeatureHead.fit`.
        """
        config = self.config
        repeats = list(
            inner_folds(
                y, subjects, count=config.num_folds, repeats=config.num_repeats, seed=self.seed
            )
        )
        for number, head in enumerate(config.grid):
            self.scores[number] = np.mean([self._score(head, x, y, folds) for folds in repeats])
        chosen = int(self.scores.argmax())
        self.head = self._built(config.grid[chosen]).fit(x, y)
        self.told = {
            "fit/choice": float(chosen),
            "fit/inner_score": float(self.scores[chosen]),
            **self.head.told,
        }
        return self

    def predict_proba(self, x: Sequence[Features | Rated]) -> Floats:
        """Return (N, K) probabilities of N recordings, as :meth:`FeatureHead.predict_proba`."""
        return self.head.predict_proba(x)

    def _built(self, head: FeatureHeadConfig) -> FeatureHead:
        return FeatureHead(head, num_classes=self.num_classes, seed=self.seed)

    def _score(
        self,
        head: FeatureHeadConfig,
        x: Sequence[Features | Rated],
        y: Labels,
        folds: Sequence[Fold],
    ) -> float:
        shares = np.zeros((len(y), self.num_classes))
        for learnt, held in folds:
            fitted = self._built(head).fit([x[i] for i in learnt], y[learnt])
            shares[held] = fitted.predict_proba([x[i] for i in held])
        return _quality(self.config.criterion, y, shares)


def _quality(criterion: str, y: Labels, shares: Floats) -> float:
    """Return the score of predictions by a criterion of the settings; greater is better."""
    if criterion != "auto":
        value = score(criterion, y, shares)
        return value if metric_named(criterion).greater_is_better else -value
    if shares.shape[1] == 2:
        return score("auroc", y, shares)
    return score("kappa", y, shares) - score("mae", y, shares)
