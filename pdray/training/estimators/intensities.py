"""The classifier on expression intensities: numbers of a visit, their scale, and what learns.

The numbers are standardised to mean 0 and standard deviation 1 of the training visits that have
them. Then a recurrent network leaves absent videos out; the other classifiers get the training
mean of absent numbers, and one more column for each video that says whether it is absent. Naive
Bayes takes these columns by their shares (Bernoulli): as Gaussian numbers, a column that is
constant in a class would decide everything.
Letters: N visit, V video, P phrase, D number, K class.
"""

from collections import defaultdict
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Self, cast

import numpy as np
from numpy.typing import NDArray
from sklearn.naive_bayes import BernoulliNB
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from pdray.data.cohort.rated import RatedRecording
from pdray.data.store.entry import Entry
from pdray.errors import DecodeError, FoldsError
from pdray.models.estimators.classifiers import build_pipeline, class_shares
from pdray.models.estimators.intensity_numbers import LARGEST_LOG, intensity_numbers
from pdray.models.estimators.intensity_recurrent import build_intensity_recurrent
from pdray.models.estimators.intensity_settings import FEWEST_SUBJECTS, IntensityHeadConfig
from pdray.training.estimators.fit import Parts
from pdray.training.estimators.network_in_memory import NetworkLearner
from pdray.training.frozen.keep import HELD
from pdray.training.settings import FitConfig

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]

# Of standardised numbers: an intensity of another visit may be 1e80 standard deviations away, which
# float32 cannot hold, and nothing that was learnt says how far is very far.
_FARTHEST = 10.0


def describe_intensities(recording: RatedRecording, config: FitConfig) -> Floats:
    """Return the (V, V) logarithms of intensities of a visit, NaN where a video is absent.

    Raises:
        DecodeError: If they are too large for ``model.scale=exp``; without the recording's id.
    """
    assert recording.stored is not None, "checked before"
    logs = _logs(recording.stored["intensities"])
    largest = float(np.nanmax(logs))
    if cast(IntensityHeadConfig, config.model).scale == "exp" and largest > LARGEST_LOG:
        raise DecodeError(
            f"its largest intensity is exp({largest:.0f}), but sums of squares need at most "
            f"exp({LARGEST_LOG:.0f}); set model.scale=log"
        )
    return logs


def build_intensities(config: FitConfig, *, num_classes: int, seed: int) -> "IntensityHead":
    """Build the classifier that learns from logarithms of :func:`describe_intensities`."""
    model = cast(IntensityHeadConfig, config.model)
    return IntensityHead(model, num_classes=num_classes, seed=seed)


class IntensityHead:
    """A classifier on the numbers of each video, standardised.

    Args:
        config: Settings.
        num_classes: Classes K, at least 2.
        seed: Seed of all random numbers.

    Attributes:
        told: ``fit/absent_videos``, training videos without intensities; ``fit/absent_z``, present
            ones whose intensities are all equal, so that they have no z.
    """

    def __init__(self, config: IntensityHeadConfig, *, num_classes: int, seed: int) -> None:
        self.config, self.num_classes, self.seed = config, num_classes, seed
        self.told: dict[str, float] = {}
        self.scaler = StandardScaler()

    def fit(self, x: Sequence[Floats], y: Labels, subjects: Sequence[str]) -> Self:
        """Learn from visits.

        Args:
            x: (V, V) logarithms of intensities of N visits, NaN where a video is absent.
            y: (N,) class, 0 to K-1.
            subjects: Subject of each visit.

        Raises:
            FoldsError: If a class has fewer than three subjects.
            DivergedError: If the loss of a recurrent network is not finite.
        """
        _check_classes(y, subjects, self.num_classes)
        logs = np.stack(x)
        is_absent = np.isnan(logs).all(axis=2)
        is_flat = logs.min(axis=2) == logs.max(axis=2)
        self.told = {
            "fit/absent_videos": float(is_absent.sum()),
            "fit/absent_z": float(is_flat.sum()),
        }
        numbers = self._numbers(logs)
        with np.errstate(invalid="ignore"):  # a number that no visit has stays absent
            self.scaler.fit(numbers.reshape(len(x), -1))
        scaled = self._scaled(numbers)
        if self.config.is_recurrent:
            self.network = NetworkLearner(
                lambda shape: build_intensity_recurrent(
                    self.config, num_inputs=shape[1], num_classes=self.num_classes
                ),
                self.config,
                seed=self.seed,
                scales="nothing",
            ).fit(list(scaled), y)
        else:
            self.fitted = self._classifier().fit(self._columns(scaled), y)
            if self.config.classifier == "bayes":
                self.gaps = BernoulliNB().fit(_absent(scaled), y)
        return self

    def predict_proba(self, x: Sequence[Floats]) -> Floats:
        """Return (N, K) probabilities of N visits."""
        scaled = self._scaled(self._numbers(np.stack(x)))
        if self.config.is_recurrent:
            return self.network.predict_proba(list(scaled))
        shares = class_shares(self.fitted, self._columns(scaled), self.num_classes)
        if self.config.classifier == "bayes":
            # Both have the shares of the classes in training as their prior.
            prior = np.exp(self.gaps.class_log_prior_)
            shares = shares * self.gaps.predict_proba(_absent(scaled)) / prior
            shares /= shares.sum(axis=1, keepdims=True)
        return shares

    def _classifier(self) -> Pipeline:
        config = self.config
        leaf: dict[str, Any] = {"least_leaf": config.least_leaf, "is_balanced": False}
        given: dict[str, Any] = {
            "tree": leaf,
            "forest": leaf | {"num_trees": config.num_trees},
            "svm": {"strength": config.strength, "is_balanced": False},
            "bayes": {},
        }[config.classifier]
        return build_pipeline(config.classifier, seed=self.seed, **given)

    def _columns(self, scaled: Floats) -> Floats:
        """Return (N, V D) numbers without gaps, and where each video is absent as (N, V) more."""
        columns = scaled.reshape(len(scaled), -1)
        filled = np.nan_to_num(columns, nan=0.0)  # the training mean
        if self.config.classifier == "bayes":
            return filled
        return np.concatenate([filled, _absent(scaled)], axis=1)

    def _numbers(self, logs: Floats) -> Floats:
        """Return (N, V, D) numbers of visits."""
        return intensity_numbers(logs, self.config.features, self.config.scale)

    def _scaled(self, numbers: Floats) -> Floats:
        """Return standardised numbers, none farther from 0 than what float32 can hold."""
        flat = np.asarray(self.scaler.transform(numbers.reshape(len(numbers), -1)), np.float64)
        return flat.clip(-_FARTHEST, _FARTHEST).reshape(numbers.shape)


def _absent(scaled: Floats) -> Floats:
    """Return (N, V): 1 where a video is absent, else 0."""
    return np.asarray(np.isnan(scaled).all(axis=2), np.float64)


def _check_classes(y: Labels, subjects: Sequence[str], num_classes: int) -> None:
    """Refuse classes of whom training knows too few subjects."""
    of_class: dict[int, set[str]] = defaultdict(set)
    for label, subject in zip(y.tolist(), subjects, strict=True):
        of_class[label].add(subject)
    few = [k for k in range(num_classes) if len(of_class[k]) < FEWEST_SUBJECTS]
    if few:
        told = ", ".join(f"{len(of_class[k])} of class {k}" for k in few)
        raise FoldsError(
            f"training has {told}, but intensity_head needs {FEWEST_SUBJECTS} subjects of each "
            "class; use fewer folds, or classes that more subjects have (data.grade_cuts)"
        )


@lru_cache(maxsize=HELD)
def _logs(path: Path) -> Floats:
    entry = Entry(path)
    return np.asarray(entry.read(np.arange(len(entry))), np.float64)


PARTS = Parts(describe_intensities, build_intensities)
