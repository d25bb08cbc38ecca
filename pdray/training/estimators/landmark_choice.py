"""Choosing a head on landmark features inside the training side, then fitting it on all of it.

The inner folds are of subjects, stratified by ill or not. A setting's score is the mean, over
repeats, of the mean of the binary area under the ROC and the balanced accuracy of its decision on
the recordings that it did not learn from, all inner folds of a repeat together. The first of the
best settings is taken, and the grid begins with the simplest.
"""

import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import balanced_accuracy_score, roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold

from pdray.data.batches.plan import derive_seed
from pdray.data.face.motion import Features, feature_columns
from pdray.data.face.settings import LandmarkFeatureConfig
from pdray.errors import FoldsError
from pdray.models.estimators.landmark_head import LandmarkHead, build_landmark_head
from pdray.models.estimators.landmark_settings import LandmarkChoiceConfig, LandmarkHeadConfig

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]


class Setting(NamedTuple):
    """One of the grid.

    Attributes:
        groups: Of features, joined by +.
        head: Its head.
    """

    groups: str
    head: LandmarkHeadConfig


class LandmarkChoice:
    """The chosen head as an estimator of classes from features.

    Args:
        config: The grid and how it is chosen from.
        num_classes: Classes K, at least 2; 0 is healthy.
        seed: Of the inner folds and of every head.

    Attributes:
        told: ``fit/choice``, the place in the grid, and ``fit/inner_score``.
    """

    def __init__(self, config: LandmarkChoiceConfig, *, num_classes: int, seed: int) -> None:
        self.config, self.num_classes, self.seed = config, num_classes, seed
        self.grid = [Setting(*one) for one in itertools.product(config.groups, config.heads)]
        self.told: dict[str, float] = {}
        self.scores = np.zeros(len(self.grid))
        self.head: LandmarkHead | None = None

    @property
    def chosen(self) -> int:
        """Place in the grid of the best setting."""
        return int(self.scores.argmax())

    def fit(self, x: Sequence[Features], y: Labels, subjects: Sequence[str]) -> Self:
        """Choose, and learn from all recordings.

        Args:
            x: Features of N recordings, of the same names; NaN where absent.
            y: (N,) class, 0 to K-1.
            subjects: Of each recording.

        Raises:
            FoldsError: If fewer subjects than there are inner folds are ill, or healthy.
        """
        folds, values = list(self._folds(y, subjects)), _stacked(x)
        self.columns = {
            groups: feature_columns(x[0].names, LandmarkFeatureConfig(groups=groups))
            for groups in self.config.groups
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

    def _folds(self, y: Labels, subjects: Sequence[str]) -> Iterator[list[tuple[Labels, Labels]]]:
        """Yield the inner folds of each repeat."""
        people = np.asarray(subjects)
        count = self.config.num_folds
        for told, members in (("ill", people[y > 0]), ("healthy", people[y == 0])):
            if len(set(members)) < count:
                raise FoldsError(
                    f"{len(set(members))} subjects to learn from are {told}; choosing inside them "
                    f"needs model.num_folds = {count} at least"
                )
        for repeat in range(self.config.num_repeats):
            drawn = derive_seed(self.seed, "inner", repeat) % 2**32
            folds = StratifiedGroupKFold(count, shuffle=True, random_state=drawn)
            yield list(folds.split(y, y > 0, people))

    def _score(
        self, setting: Setting, x: Floats, y: Labels, folds: list[tuple[Labels, Labels]]
    ) -> float:
        seen, ill = x[:, self.columns[setting.groups]], (y > 0).astype(np.int64)
        shares = np.zeros(len(y))
        for learnt, held in folds:
            # Of two classes: how ill a recording is decides nothing here.
            head = build_landmark_head(setting.head, 2, seed=self.seed)
            shares[held] = head.fit(seen[learnt], ill[learnt]).predict_proba(seen[held])[:, 1]
        area = float(roc_auc_score(ill, shares))
        return (area + float(balanced_accuracy_score(ill, shares >= 0.5))) / 2


def _stacked(x: Sequence[Features]) -> Floats:
    return np.stack([one.values for one in x])
