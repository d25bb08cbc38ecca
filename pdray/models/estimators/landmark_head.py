"""Classical estimator of severity from the landmark features of a recording.

It answers two questions, as the hierarchy-guided loss of YouTubePD does (section 5.1): is there
disease, and how severe is it? A classifier gives p, the probability of disease. Ridge regression on
the grades of all recordings, healthy ones too, gives m; the grades k above 0 then get
``q_k ~ sqrt(n_k) exp(-(k - m)^2 / (2 s^2))`` with n_k their number in training. The class
probabilities are ``1 - p`` and ``p q_k``, so the binary probability is ``1 - p_0`` as in the paper.
Regression uses the order of the grades: with the benchmark's 5 to 12 recordings per grade, a
classifier of six classes learns less.
p is shared among the grades, so the largest probability is rarely that of a grade: take the two
decisions one after the other (``papers/severity_table.py``).
Letters: N recording, D feature, K class.
"""

from collections.abc import Sequence
from typing import Self

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import Ridge
from sklearn.pipeline import Pipeline

from pdray.models.estimators.classifiers import (
    Preparation,
    build_pipeline,
    class_shares,
    preparing_steps,
)
from pdray.models.estimators.landmark_settings import Kind, LandmarkHeadConfig

Floats = npt.NDArray[np.float64]
_VOTERS: tuple[Kind, ...] = ("logistic", "svm", "trees")
# Classifier of each kind, and its keywords with the settings that give their values.
_CLASSIFIERS: dict[str, tuple[str, dict[str, str]]] = {
    "logistic": ("linear", {"strength": "strength"}),
    "svm": ("svm", {"strength": "svm_strength", "width": "svm_width"}),
    "trees": ("trees", {"num_trees": "num_trees", "least_leaf": "least_leaf"}),
    "boosting": ("gradient_boosting", {"least_leaf": "least_leaf"}),
}


def build_classifier(config: LandmarkHeadConfig, kind: Kind, *, seed: int) -> Pipeline:
    """Build the pipeline that detects disease; see :func:`build_pipeline`.

    Healthy and ill have equal weight, whatever their number; boosting has no weights.

    Args:
        config: Settings.
        kind: One classifier, not vote.
        seed: Seed of trees and boosting.
    """
    if kind not in _CLASSIFIERS:
        raise ValueError(f"'{kind}' is not a single classifier")
    name, keys = _CLASSIFIERS[kind]
    given = {keyword: getattr(config, key) for keyword, key in keys.items()}
    preparation = Preparation(config.indicate_missing, num_components=config.num_components)
    return build_pipeline(name, seed=seed, preparation=preparation, **given)


def build_landmark_head(
    config: LandmarkHeadConfig, num_classes: int, *, seed: int
) -> "LandmarkHead":
    """Build an estimator that is not fitted yet.

    Args:
        config: Settings.
        num_classes: Grades K, at least 2; 0 is healthy.
        seed: Seed of all randomness.
    """
    return LandmarkHead(config, num_classes=num_classes, seed=seed)


class LandmarkHead:
    """Classifier of disease and regression of severity, combined as the module describes."""

    def __init__(self, config: LandmarkHeadConfig, *, num_classes: int, seed: int) -> None:
        self.config = config
        self.num_classes = num_classes
        kinds = _VOTERS if config.kind == "vote" else (config.kind,)
        self.classifiers = [build_classifier(config, kind, seed=seed) for kind in kinds]
        plain = Preparation(config.indicate_missing)
        ridge = Ridge(config.severity_penalty)
        self.regression = Pipeline([*preparing_steps(plain), ("regress", ridge)])
        self.counts = np.zeros(num_classes, np.int64)
        self.told: dict[str, float] = {}

    def fit(
        self, x: npt.ArrayLike, grade: npt.NDArray[np.int64], subjects: Sequence[str] = ()
    ) -> Self:
        """Learn from recordings.

        Args:
            x: (N, D) float64, NaN where absent.
            grade: (N,) 0 to K-1.
            subjects: Not used.

        Raises:
            ValueError: If a grade is outside 0..K-1, or all recordings are healthy or none is, or
                PCA wants more components than there are columns or recordings.
        """
        if grade.min() < 0 or grade.max() >= self.num_classes:
            row = int(np.flatnonzero((grade < 0) | (grade >= self.num_classes))[0])
            raise ValueError(
                f"grade {grade[row]} at position {row} is outside 0..{self.num_classes - 1}"
            )
        is_ill = (grade > 0).astype(np.int64)
        if is_ill.min() == is_ill.max():
            raise ValueError(
                f"all {len(grade)} training recordings are {'ill' if is_ill[0] else 'healthy'}; "
                "train on both"
            )
        x = np.asarray(x, np.float64)
        if (self.config.num_components or 0) > min(x.shape):
            raise ValueError(
                f"num_components: {self.config.num_components} is too many for {len(x)} recordings "
                f"with {x.shape[1]} features; use at most {min(x.shape)}"
            )
        for classifier in self.classifiers:
            classifier.fit(x, is_ill)
        self.regression.fit(x, grade)
        self.counts = np.bincount(grade, minlength=self.num_classes)
        return self

    def predict_proba(self, x: npt.ArrayLike) -> Floats:
        """Return (N, K) probabilities of (N, D) features; 0 for a grade that training lacks.

        They are not calibrated, since healthy and ill have equal weight in training.
        """
        x = np.asarray(x, np.float64)
        ill = np.mean([class_shares(one, x, 2)[:, 1] for one in self.classifiers], axis=0)
        if self.num_classes == 2:
            return np.stack([1 - ill, ill], axis=1)
        regressed = self.regression.predict(x)
        grades = np.arange(1, self.num_classes)
        far = (grades - regressed[:, None]) ** 2 / (2 * self.config.severity_spread**2)
        # In logs, minus the largest: a regressed grade may be far from all grades.
        with np.errstate(divide="ignore"):
            logs = np.log(self.counts[1:]) / 2 - far
        shares = np.exp(logs - logs.max(axis=1, keepdims=True))
        shares = shares / shares.sum(axis=1, keepdims=True)
        return np.concatenate([1 - ill[:, None], ill[:, None] * shares], axis=1)
