"""Classifiers on named features of recordings: one classifier, or the mean of several.

Everything is learnt from the training recordings: what fills in an absent feature, which features
are kept, their scale, and the classifier.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline

from pdray.data.tables.features import Features
from pdray.errors import DecodeError, FoldsError
from pdray.models.estimators.audio_mlp import build_audio_mlp
from pdray.models.estimators.audio_mlp_settings import AudioMlpConfig
from pdray.models.estimators.classifiers import (
    CLASSIFIERS,
    Preparation,
    build_pipeline,
    class_shares,
    preparing_steps,
)
from pdray.models.estimators.feature_settings import GIVEN, FeatureHeadConfig
from pdray.models.estimators.grade_regression import median_decided
from pdray.models.estimators.rater_confusion import ABSENT, RaterConfusion
from pdray.training.estimators.network_in_memory import NetworkLearner

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]


class Rated(NamedTuple):
    """Features of a recording, and the class that each rater gave it.

    Attributes:
        names, values: As of :class:`Features`.
        votes: (R,) class by each rater, -1 where one did not rate; only classifier rater uses them.
    """

    names: tuple[str, ...]
    values: Floats
    votes: tuple[int, ...] = ()


class FeatureHead:
    """A classifier on features that learns everything from its training recordings.

    Args:
        config: Settings.
        num_classes: Classes K, at least 2.
        seed: Seed of all randomness.

    Attributes:
        told: ``fit/features``, their number; of classifier rater also ``fit/rater_<n>_agreement``,
            the probability that rater n gives the true class, averaged over the classes.
    """

    def __init__(self, config: FeatureHeadConfig, *, num_classes: int, seed: int) -> None:
        self.config, self.num_classes, self.seed = config, num_classes, seed
        self.told: dict[str, float] = {}
        self.names: tuple[str, ...] = ()

    def fit(self, x: Sequence[Features | Rated], y: Labels, subjects: Sequence[str] = ()) -> Self:
        """Learn from recordings.

        Args:
            x: Features of N recordings, with the same names; NaN where absent.
            y: (N,) class, 0 to K-1.
            subjects: Not used.

        Raises:
            DecodeError: If recordings have other features than the first one.
            FoldsError: If all recordings have the same class, there are too few recordings for the
                principal components, or classifier rater has no grade by a rater.
            DivergedError: If the loss of classifier mlp is not finite.
        """
        self.names, values = x[0].names, stack_features(x)
        self._check(values, y)
        self.told = {"fit/features": float(len(self.names))}
        self.fitted = [
            self._learnt(kind, x, values, y) for kind in self.config.classifier.split("+")
        ]
        return self

    def predict_proba(self, x: Sequence[Features | Rated]) -> Floats:
        """Return (N, K) probabilities of N recordings; 0 for a class that training lacked.

        Raises:
            DecodeError: If features differ from those of training.
        """
        values = stack_features(x, self.names)
        shares = [class_shares(one, values, self.num_classes) for one in self.fitted]
        mean: Floats = np.mean(shares, axis=0)
        return mean if self.config.decision == "likeliest" else median_decided(mean)

    def _check(self, values: Floats, y: Labels) -> None:
        if len(set(y.tolist())) == 1:
            raise FoldsError(
                f"all {len(y)} training recordings are of class {y[0]}, but {self.config.name} "
                "needs two classes; use fewer folds or other data.grade_cuts"
            )
        most = min(len(values), values.shape[1], self.config.num_selected or values.shape[1])
        if (self.config.num_components or 0) > most:
            raise FoldsError(
                f"num_components: {self.config.num_components} is too many for {len(values)} "
                f"training recordings with {values.shape[1]} features; use at most {most}"
            )

    def _learnt(
        self, kind: str, x: Sequence[Features | Rated], values: Floats, y: Labels
    ) -> Pipeline:
        built = self._pipeline(kind)
        if kind != "rater":
            return built.fit(values, y)
        built.fit(values, y, classify__votes=_votes(x))
        for number, confusion in enumerate(built[-1].confusions, start=1):
            self.told[f"fit/rater_{number}_agreement"] = float(confusion.diagonal().mean())
        return built

    def _pipeline(self, kind: str) -> Pipeline:
        config = self.config
        given = Preparation(
            config.indicate_missing, config.num_selected, config.num_components, config.scale
        )
        settings = {name: getattr(config, key) for name, key in GIVEN[kind].items()}
        if kind in CLASSIFIERS:
            return build_pipeline(kind, seed=self.seed, preparation=given, **settings)
        if kind == "rater":
            last: Any = RaterConfusion(**settings)
        else:
            last = MlpStep(config.mlp, self.num_classes, self.seed)
        return Pipeline([*preparing_steps(given), ("classify", last)])


class MlpStep(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """The multi-layer perceptron as the last step of a pipeline, which has scaled its inputs."""

    def __init__(self, config: AudioMlpConfig, num_classes: int, seed: int) -> None:
        self.config, self.num_classes, self.seed = config, num_classes, seed

    def fit(self, x: Floats, y: Labels) -> Self:
        """Learn from (N, D) numbers and (N,) classes."""
        config, self.classes_ = self.config, np.arange(self.num_classes)
        self.learner = NetworkLearner(
            lambda shape: build_audio_mlp(
                config, num_inputs=shape[0], num_classes=self.num_classes
            ),
            config,
            seed=self.seed,
            scales="nothing",
        ).fit(list(x), y)
        return self

    def predict_proba(self, x: Floats) -> Floats:
        """Return (N, K) probabilities of (N, D) numbers."""
        return self.learner.predict_proba(list(x))


def stack_features(x: Sequence[Features | Rated], names: Sequence[str] = ()) -> Floats:
    """Return the (N, D) features of N recordings in the order of ``names``.

    Args:
        x: At least one recording.
        names: Features of training; empty: those of the first recording.

    Raises:
        DecodeError: If a recording has other features; lists what differs.
    """
    wanted = tuple(names) or x[0].names
    rows = []
    for one in x:
        if one.names == wanted:
            rows.append(one.values)
            continue
        lacks, has = sorted({*wanted} - {*one.names}), sorted({*one.names} - {*wanted})
        if lacks or has:
            told = [f"lacks {_shown(lacks)}"] * bool(lacks) + [f"has {_shown(has)}"] * bool(has)
            raise DecodeError(
                f"its features differ from those of training: it {' and '.join(told)} ("
                f"{len(one.names)} instead of {len(wanted)}); give it the columns of training"
            )
        rows.append(one.values[[one.names.index(name) for name in wanted]])
    return np.stack(rows)


def _shown(names: Sequence[str]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more


def _votes(x: Sequence[Features | Rated]) -> Labels:
    """Return the (N, R) votes of the raters."""
    given = [one.votes if isinstance(one, Rated) else () for one in x]
    count = max(len(votes) for votes in given)
    votes = np.full((len(x), count), ABSENT, np.int64)
    for row, one in zip(votes, given, strict=True):
        row[: len(one)] = one
    if not (votes != ABSENT).any():
        raise FoldsError(
            "classifier rater learns from the grades of each rater, but no training recording has "
            "one; add columns rater_1, rater_2, ... to the manifest, or set "
            "model.classifier=ordinal"
        )
    return votes
