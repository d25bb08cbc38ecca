"""The feature vector of a recording by a network that does not learn, cached in the frame store."""

from collections.abc import Iterator, Mapping
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from torch import nn

from pdray.config import dump
from pdray.data.cohort.rated import RatedRecording
from pdray.data.modalities import Modality
from pdray.data.store.entry import Entry
from pdray.errors import DivergedError
from pdray.training.frozen.features import entry_vector, region_vector
from pdray.training.frozen.keep import weights_digest
from pdray.training.region_network import RegionNetwork
from pdray.training.settings import FitConfig


class FrozenFeatures:
    """The feature vector of a recording, as a frozen computation with one item.

    Args:
        network: In evaluation mode, on its device; one on regions is on the CPU.
        config: Settings of a fit with this network.
    """

    def __init__(self, network: nn.Module, config: FitConfig) -> None:
        self.reads: tuple[Modality, ...] = config.sees
        self.decides: Mapping[str, Any] = {
            "kind": "features",
            "network": dump(config.network),
            "weights": weights_digest(sorted(network.state_dict().items())),
            "snippet": dump(config.snippet),
            "crop_size": config.augment.crop_size,
        }
        self.config = config
        self.network = network

    def items(self, entries: Mapping[Modality, Entry]) -> Iterator[tuple[float, NDArray[Any]]]:
        """Yield the (D,) float32 vector at the time of the first frame.

        Raises:
            PdrayError: If the recording cannot be read or a feature is not finite; without its id.
        """
        entry = entries[self.reads[0]]
        if self.config.beside:
            stored = {name: one.path for name, one in entries.items()}
            recording = RatedRecording(entry.path.stem, "", "", 0, 0, None, stored=stored)
            network = cast(RegionNetwork, self.network)
            vector = region_vector(network, recording, self.config)
        else:
            vector = entry_vector(self.network, entry, self.config)
        if not np.isfinite(vector).all():
            raise DivergedError("a feature of the network is not finite")
        yield float(entry.seconds[0]), vector
