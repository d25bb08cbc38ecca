"""The linear model on the rhythm of movement: spectrum of a recording, and choice of its penalty.

The spectrum sees no label. It is computed once per recording and cached in the frame store under
the digest of its frames, so that every fold, trial, study and check reads the same numbers.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self, cast

import numpy as np
from numpy.typing import NDArray
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.class_weight import compute_sample_weight

from pdray.data.batches.plan import derive_seed
from pdray.data.cohort.rated import RatedRecording
from pdray.data.media.movement_spectrum import movement_spectrum
from pdray.data.modalities import MODALITIES, Modality
from pdray.data.store.entry import Entry
from pdray.errors import FoldsError
from pdray.models.estimators.motion_linear import MotionLinearConfig
from pdray.training.estimators.fit import Parts
from pdray.training.frozen.keep import keep_frozen, read_vector
from pdray.training.settings import FitConfig

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]

_AT_ONCE = 64  # frames in memory
_STEPS = 10_000  # largest number of steps of logistic regression


class MovementSpectrum:
    """The spectrum of a recording, as a frozen computation with one item."""

    def __init__(self, modality: Modality) -> None:
        self.reads: tuple[Modality, ...] = (modality,)
        self.decides: Mapping[str, Any] = {"kind": "movement_spectrum", "modality": modality}

    def items(self, entries: Mapping[Modality, Entry]) -> Iterator[tuple[float, NDArray[Any]]]:
        """Yield the (D,) float64 spectrum at the time of the first frame.

        Raises:
            PdrayError: If the recording is too short or damaged; without its id.
        """
        entry = entries[self.reads[0]]
        places = np.arange(len(entry))
        pieces = (entry.read(places[i : i + _AT_ONCE]) for i in range(0, len(entry), _AT_ONCE))
        is_motion = not MODALITIES[self.reads[0]].is_colour
        yield 0.0, movement_spectrum(pieces, entry.seconds, is_motion=is_motion)


def describe_motion(recording: RatedRecording, config: FitConfig) -> Floats:
    """Return the (D,) spectrum of a recording, NaN in bands that its frame rate cannot show.

    Raises:
        PdrayError: If the recording is too short or cannot be read; names it.
    """
    return motion_vector(recording, config.modality)


def motion_vector(recording: RatedRecording, modality: Modality) -> Floats:
    """Return the spectrum of one modality of pictures; see :func:`describe_motion`."""
    return read_vector(keep_frozen(MovementSpectrum(modality), recording))


def build_motion(config: FitConfig, *, num_classes: int, seed: int) -> "MotionLinear":
    """Build the model that learns from the spectra of :func:`describe_motion`."""
    model = cast(MotionLinearConfig, config.model)
    return MotionLinear(model, num_classes=num_classes, seed=seed)


class MotionLinear:
    """Logistic regression whose penalty is chosen inside the training side.

    Args:
        config: Penalties to choose from, and the inner folds.
        num_classes: Classes K, at least 2.
        seed: Seed of the inner folds.

    Attributes:
        told: ``fit/strength``, the chosen C; ``fit/inner_folds``, how many folds chose it (0: too
            few subjects to choose, so the C in the middle is taken); ``fit/inner_log_loss``.
    """

    def __init__(self, config: MotionLinearConfig, *, num_classes: int, seed: int) -> None:
        self.config, self.num_classes, self.seed = config, num_classes, seed
        self.told: dict[str, float] = {}
        self.fitted: Pipeline | None = None

    def fit(self, x: Sequence[Any], y: Labels, subjects: Sequence[str]) -> Self:
        """Choose the penalty, and fit on all recordings.

        Args:
            x: Spectra of N recordings, NaN where absent.
            y: (N,) class, 0 to K-1.
            subjects: Who must not be on two sides of an inner fold, for each recording.

        Raises:
            FoldsError: If all recordings have the same class.
        """
        if len(set(y.tolist())) == 1:
            raise FoldsError(
                f"all {len(y)} training recordings are of class {y[0]}, but motion_linear needs "
                "two classes; use fewer folds or other data.grade_cuts"
            )
        values, people = np.stack(x), np.asarray(subjects)
        # From the strongest penalty: of equally good ones the simplest model is taken.
        strengths = sorted(self.config.strengths)
        folds = self._folds(y, people)
        losses = [self._loss(strength, values, y, folds) for strength in strengths] if folds else []
        best = int(np.argmin(losses)) if losses else len(strengths) // 2
        self.fitted = _pipeline(strengths[best]).fit(values, y)
        self.told = {"fit/strength": strengths[best], "fit/inner_folds": len(folds)}
        if losses:
            self.told["fit/inner_log_loss"] = losses[best]
        return self

    def predict_proba(self, x: Sequence[Any]) -> Floats:
        """Return (N, K) probabilities of N spectra; 0 for a class that was not in training."""
        assert self.fitted is not None, "it has been fitted"
        found = np.zeros((len(x), self.num_classes))
        found[:, self.fitted.classes_] = self.fitted.predict_proba(np.stack(x))
        return found

    def _folds(self, y: Labels, people: NDArray[Any]) -> list[tuple[Labels, Labels]]:
        """Return inner folds of subjects whose training sides all have every class of ``y``.

        There are fewer than asked for where a class has fewer subjects; none where it has one.
        """
        fewest = min(len(set(people[y == one])) for one in set(y.tolist()))
        count = min(self.config.num_folds, fewest)
        if count < 2:
            return []
        drawn = derive_seed(self.seed, "inner") % 2**32
        made = StratifiedGroupKFold(count, shuffle=True, random_state=drawn).split(y, y, people)
        classes = set(y.tolist())
        return [(learnt, held) for learnt, held in made if set(y[learnt].tolist()) == classes]

    def _loss(
        self, strength: float, x: Floats, y: Labels, folds: Sequence[tuple[Labels, Labels]]
    ) -> float:
        """Return the mean log loss of held-out recordings, each class with equal weight [nats]."""
        shares = [
            _pipeline(strength).fit(x[learnt], y[learnt]).predict_proba(x[held])
            for learnt, held in folds
        ]
        held = np.concatenate([y[of] for _, of in folds])
        weights = compute_sample_weight("balanced", held)
        every = np.concatenate(shares)
        return float(log_loss(held, every, labels=np.unique(y), sample_weight=weights))


def _pipeline(strength: float) -> Pipeline:
    """Return the model; everything in it is learnt from the recordings that it is fitted on."""
    return make_pipeline(
        SimpleImputer(strategy="median", keep_empty_features=True),
        StandardScaler(),
        LogisticRegression(C=strength, class_weight="balanced", max_iter=_STEPS),
    )


PARTS = Parts(describe_motion, build_motion)
