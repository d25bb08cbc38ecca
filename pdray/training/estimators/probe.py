"""The linear probe: features of a frozen network, and a linear classifier on them.

The features are those of the evaluation view, averaged over its snippets. They are computed once
per recording, weights and view, and cached in the frame store. Without a weights file, the random
weights come from one seed, so every study and fold has the same network.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Self, cast

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from pdray.data.batches.plan import derive_seed
from pdray.data.cohort.rated import RatedRecording
from pdray.errors import FoldsError
from pdray.models.estimators.linear_probe import LinearProbeConfig
from pdray.training.estimators.fit import Learner, Parts
from pdray.training.estimators.network_in_memory import NetworkLearner
from pdray.training.frozen.keep import file_state, keep_frozen, read_vector
from pdray.training.frozen.vectors import FrozenFeatures
from pdray.training.network import build_network
from pdray.training.settings import FitConfig, OptimConfig

_SEED = 0
_OUTPUTS = 2  # of the frozen network's own head, which is not used
_STEPS = 1000  # largest number of steps of logistic regression

Floats = NDArray[np.float64]


def describe_probe(recording: RatedRecording, config: FitConfig) -> Floats:
    """Return the (D,) features of a recording.

    Raises:
        PdrayError: If the weights or the recording cannot be read; names the recording.
    """
    return read_vector(keep_frozen(frozen_features(config), recording))


def frozen_features(config: FitConfig) -> FrozenFeatures:
    """Return the frozen network of a fit; a process builds it once.

    Raises:
        PdrayError: If the file of ``pretrained`` cannot be read or does not fit the network.
    """
    seen = FitConfig(
        modality=config.modality,
        snippet=config.snippet,
        augment=config.augment,
        model=LinearProbeConfig(backbone=config.network),  # the classifier changes no feature
        pretrained=config.pretrained,
        pretrained_pixels=config.pretrained_pixels,
        optim=OptimConfig(epochs=1),
    )
    return _frozen(seen, file_state(config.pretrained))


def build_probe(config: FitConfig, *, num_classes: int, seed: int) -> Learner:
    """Build the classifier on features, which standardises them over its training recordings."""
    model = cast(LinearProbeConfig, config.model)
    if model.kind == "logistic":
        return LogisticProbe(model.strength, num_classes)
    # torch initialises the weights.
    return NetworkLearner(lambda shape: nn.Linear(shape[0], num_classes), model, seed=seed)


class LogisticProbe:
    """Logistic regression with balanced classes.

    Args:
        strength: C, the inverse of the penalty on the weights.
        num_classes: Classes K, at least 2.
    """

    def __init__(self, strength: float, num_classes: int) -> None:
        self.num_classes = num_classes
        self.told: dict[str, float] = {}
        solver = LogisticRegression(C=strength, class_weight="balanced", max_iter=_STEPS)
        self.fitted = make_pipeline(StandardScaler(), solver)

    def fit(self, x: Sequence[Any], y: NDArray[np.int64], subjects: Sequence[str] = ()) -> Self:
        """Learn from N features and their (N,) classes; subjects are not used.

        Raises:
            FoldsError: If all recordings have the same class.
        """
        if len(set(y.tolist())) == 1:
            raise FoldsError(
                f"all {len(y)} training recordings are of class {y[0]}, but model.kind logistic "
                "needs two classes; use fewer folds or other data.grade_cuts"
            )
        self.fitted.fit(np.stack(x), y)
        return self

    def predict_proba(self, x: Sequence[Any]) -> Floats:
        """Return (N, K) probabilities of N features; 0 for a class that was not in training."""
        found = np.zeros((len(x), self.num_classes))
        found[:, self.fitted.classes_] = self.fitted.predict_proba(np.stack(x))
        return found


@lru_cache(maxsize=1)
def _frozen(config: FitConfig, state: tuple[int, ...]) -> FrozenFeatures:
    """Build the network; ``state`` is a cache key that changes with its weights file."""
    del state
    # Use a GPU if the process has one, wherever the classifier is fitted.
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(_SEED, "frozen"))
        network = build_network(config, _OUTPUTS)
    return FrozenFeatures(network.eval().requires_grad_(False).to(device), config)


PARTS = Parts(describe_probe, build_probe)
