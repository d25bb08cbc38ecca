"""The linear probe: what a frozen network makes of each recording, and the classifier on it.

The features are those of the evaluation view, averaged over its snippets, computed once for each
recording, weights and view, and kept in the frame store; whatever the classifier is told, they
stay. Weights that no file gives are drawn from one seed for every study and fold: the network under
a probe is the same one in all of them.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Self, cast

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from pdray.config import dump
from pdray.data.batches.plan import derive_seed
from pdray.data.cohort.rated import RatedRecording
from pdray.data.modalities import Modality
from pdray.data.store.entry import Entry
from pdray.errors import DivergedError, FoldsError
from pdray.models.estimators.linear_probe import LinearProbeConfig
from pdray.training.estimators.fit import Learner, Parts
from pdray.training.estimators.network_in_memory import NetworkLearner
from pdray.training.frozen.features import entry_vector
from pdray.training.frozen.keep import file_state, keep_frozen, read_vector, weights_digest
from pdray.training.network import build_network
from pdray.training.settings import FitConfig, OptimConfig

_SEED = 0
_OUTPUTS = 2  # of the frozen network's own head, which nothing reads
_STEPS = 1000  # of logistic regression, at most

Floats = NDArray[np.float64]


class FrozenFeatures:
    """The feature vector of a recording, as a frozen computation with one item.

    Args:
        config: Settings of a fit whose model is a probe.

    Raises:
        PdrayError: If the file of ``pretrained`` cannot be read or does not fit the network.
    """

    def __init__(self, config: FitConfig) -> None:
        modality: Modality = config.sees[0]
        # GPU where the process sees one, whoever fits the classifier.
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive_seed(_SEED, "frozen"))
            network = build_network(config, _OUTPUTS)
        self.reads: tuple[Modality, ...] = (modality,)
        self.decides: Mapping[str, Any] = {
            "kind": "features",
            "network": dump(config.network),
            "weights": weights_digest(sorted(network.state_dict().items())),
            "snippet": dump(config.snippet),
            "crop_size": config.augment.crop_size,
        }
        self.config = config
        self.network = network.eval().requires_grad_(False).to(device)

    def items(self, entries: Mapping[Modality, Entry]) -> Iterator[tuple[float, NDArray[Any]]]:
        """Yield the (D,) float32 vector, at the recording's first moment.

        Raises:
            PdrayError: If the recording cannot be read or a feature is not finite; without its id.
        """
        entry = entries[self.reads[0]]
        vector = entry_vector(self.network, entry, self.config)
        if not np.isfinite(vector).all():
            raise DivergedError("a feature of the frozen network is not finite")
        yield float(entry.seconds[0]), vector


def describe_probe(recording: RatedRecording, config: FitConfig) -> Floats:
    """Return the (D,) features of a recording.

    Raises:
        PdrayError: If the weights, or the recording, cannot be read; names the recording.
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
        model=LinearProbeConfig(backbone=config.network),  # a trial's classifier changes nothing
        pretrained=config.pretrained,
        optim=OptimConfig(epochs=1),
    )
    return _frozen(seen, file_state(config.pretrained))


def build_probe(config: FitConfig, *, num_classes: int, seed: int) -> Learner:
    """Build the classifier on features; inputs are scaled by those that it learns from."""
    model = cast(LinearProbeConfig, config.model)
    if model.kind == "logistic":
        return LogisticProbe(model.strength, num_classes)
    # torch's own initial weights.
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
        """Learn from N features, their (N,) classes; whose they are changes nothing.

        Raises:
            FoldsError: If there is one class to learn from.
        """
        if len(set(y.tolist())) == 1:
            raise FoldsError(
                f"all {len(y)} recordings to learn from are of class {y[0]}; model.kind "
                "logistic needs two classes"
            )
        self.fitted.fit(np.stack(x), y)
        return self

    def predict_proba(self, x: Sequence[Any]) -> Floats:
        """Return (N, K) probabilities of N features; 0 of a class that it never met."""
        found = np.zeros((len(x), self.num_classes))
        found[:, self.fitted.classes_] = self.fitted.predict_proba(np.stack(x))
        return found


@lru_cache(maxsize=1)
def _frozen(config: FitConfig, state: tuple[int, ...]) -> FrozenFeatures:
    """Build the network; the state of its file is there to tell one content from another."""
    del state
    return FrozenFeatures(config)


PARTS = Parts(describe_probe, build_probe)
