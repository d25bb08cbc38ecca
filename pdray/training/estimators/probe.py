"""The linear probe: what a frozen network makes of each recording, and the classifier on it.

The features are those of the evaluation view, averaged over its snippets, computed once for each
recording, weights and view, and kept in the frame store; whatever the classifier is told, they
stay. Weights that no file gives are drawn from one seed for every study and fold: the network under
a probe is the same one in all of them.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import softmax
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
from pdray.training.estimators.fit import Parts
from pdray.training.estimators.network_in_memory import ScaledNetwork
from pdray.training.frozen.features import entry_vector
from pdray.training.frozen.keep import file_state, keep_frozen, weights_digest
from pdray.training.network import build_network
from pdray.training.settings import FitConfig, OptimConfig

_HELD = 4096  # recordings whose features a process keeps, some kilobytes each
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
    return _vector(keep_frozen(frozen_features(config), recording))


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


class LinearProbe:
    """The classifier, told of recordings one by one.

    Args:
        config: Settings of a fit whose model is a probe.
        num_classes: Classes K, at least 2; 0 is healthy.
        seed: Of the first weights and of the order of the recordings.
    """

    def __init__(self, config: FitConfig, *, num_classes: int, seed: int) -> None:
        assert isinstance(config.model, LinearProbeConfig), "chosen by its name"
        self.config, self.num_classes, self.seed = config.model, num_classes, seed
        self.told: dict[str, float] = {}
        self.fitted: Any

    def fit(self, x: Sequence[Any], y: NDArray[np.int64], subjects: Sequence[str]) -> Self:
        """Learn from N features, their (N,) classes; whose they are changes nothing.

        Raises:
            DivergedError: If the loss is not finite.
            FoldsError: If logistic has one class to learn from.
        """
        if self.config.kind == "adam":
            # Of (D,) features; standardised by those that it learns from.
            self.fitted = ScaledNetwork(self._layer, self.config, seed=self.seed)
        else:
            if len(set(y.tolist())) == 1:
                raise FoldsError(
                    f"all {len(y)} recordings to learn from are of class {y[0]}; model.kind "
                    "logistic needs two classes"
                )
            solver = LogisticRegression(
                C=self.config.strength, class_weight="balanced", max_iter=_STEPS
            )
            self.fitted = make_pipeline(StandardScaler(), solver)
        self.fitted.fit(np.stack(x), y)
        return self

    def predict_proba(self, x: Sequence[Any]) -> Floats:
        """Return (N, K) probabilities of N features; 0 of a class that logistic never met."""
        if isinstance(self.fitted, ScaledNetwork):
            shares: Floats = softmax(self.fitted.logits(np.stack(x)), axis=1)
            return shares
        found = np.zeros((len(x), self.num_classes))
        found[:, self.fitted.classes_] = self.fitted.predict_proba(np.stack(x))
        return found

    def _layer(self, shape: tuple[int, ...]) -> nn.Linear:
        # torch's own initial weights.
        return nn.Linear(shape[0], self.num_classes)


@lru_cache(maxsize=1)
def _frozen(config: FitConfig, state: tuple[int, ...]) -> FrozenFeatures:
    """Build the network; the state of its file is there to tell one content from another."""
    del state
    return FrozenFeatures(config)


@lru_cache(maxsize=_HELD)
def _vector(path: Path) -> Floats:
    found: Floats = Entry(path).read(np.array([0]))[0].astype(np.float64)
    return found


PARTS = Parts(describe_probe, LinearProbe)
