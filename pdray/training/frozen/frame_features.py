"""Features of single frames from a frozen network: the picture branch of a fusion.

Source: YouTubePD, section 5.2: a frozen ResNet-50 trained on faces, 2,048 numbers per frame. The
frames are the middles of equal parts of the recording, in the evaluation view. Without a weights
file, the random weights come from one seed for every study, trial and fold.
"""

from collections.abc import Iterator, Mapping
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pdray.atomic import file_digest
from pdray.config import dump
from pdray.data.batches.normalise import normalise_frames
from pdray.data.batches.plan import derive_seed
from pdray.data.batches.settings import SnippetConfig
from pdray.data.batches.snippet import frame_indices
from pdray.data.cohort.rated import RatedRecording
from pdray.data.modalities import Modality
from pdray.data.store.entry import Entry
from pdray.errors import DivergedError
from pdray.models.networks.frame_resnet import FrameResNet, build_frame_resnet
from pdray.models.networks.frame_resnet_settings import FrameResNetConfig
from pdray.training.frozen.keep import file_state, keep_frozen, read_items
from pdray.training.network import FROZEN_AT_RANDOM, is_own, load_weights

_AT_ONCE = 16  # frames
_OUTPUTS = 2  # of the frozen network's own head, which is not used


class FrameFeatures:
    """The features of evenly spaced frames, a computation for ``keep_frozen``.

    Args:
        backbone: Settings of the network.
        num_frames: Frames F per recording; a shorter recording repeats some.
        weights: File of ``pretrained``; None: random weights.
        pixels: ``pretrained_pixels``.

    Attributes:
        reads: Colours.
        decides: Shape, frames, and the digest of the weights' file.
    """

    reads: tuple[Modality, ...] = ("rgb",)

    def __init__(
        self,
        backbone: FrameResNetConfig,
        *,
        num_frames: int,
        weights: Path | None,
        pixels: str = "auto",
    ) -> None:
        self.backbone, self.num_frames = backbone, num_frames
        self.weights, self.pixels = weights, pixels
        # Features that the earlier version would compute alike keep its key.
        is_alike = pixels == "earlier" or weights is None or is_own(weights, pixels)
        known = [] if is_alike else [pixels]
        self.decides: Mapping[str, Any] = {
            "computes": "features of frames",
            "network": dump(backbone),
            "num_frames": num_frames,
            "weights": None
            if weights is None
            else [file_digest(weights), is_own(weights, pixels), *known],
        }

    def items(self, entries: Mapping[Modality, Entry]) -> Iterator[tuple[float, NDArray[Any]]]:
        """Yield (D,) float32 features of F frames at their times.

        Raises:
            StoreError: If a frame cannot be read.
            DivergedError: If a feature is not finite.
            CheckpointError: If the weights cannot be read or do not fit the network.
        """
        entry = entries["rgb"]
        indices = frame_indices(len(entry), SnippetConfig(num_frames=self.num_frames), None)[0]
        seconds = entry.seconds[indices]
        for start in range(0, self.num_frames, _AT_ONCE):
            chosen = indices[start : start + _AT_ONCE]
            features = self.look(entry.read(chosen))
            if not np.isfinite(features).all():
                raise DivergedError("a feature of the frozen network is not finite")
            yield from zip(seconds[start:].tolist(), features, strict=False)

    @torch.inference_mode()
    def look(self, frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return (F, D) features of (F, H, W, 3) frames."""
        x = normalise_frames(torch.from_numpy(frames)[None])[0].transpose(0, 1)
        features: NDArray[np.float32] = self._network.look(x.to(self._device)).cpu().numpy()
        return features

    @cached_property
    def _device(self) -> torch.device:
        # Use a GPU if the process has one, wherever the branches are fitted.
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")

    @cached_property
    def _network(self) -> FrameResNet:
        network, _ = _start(self.backbone, self.weights, self.pixels)
        return network.to(self._device)


def frame_vectors(recording: RatedRecording, frozen: FrameFeatures) -> NDArray[np.float32]:
    """Return the (F, D) features of a recording, computed once.

    Raises:
        PdrayError: If the recording or the weights cannot be read; names the recording.
    """
    return read_items(keep_frozen(frozen, recording))


def open_features(
    backbone: FrameResNetConfig, *, num_frames: int, weights: Path | None, pixels: str = "auto"
) -> FrameFeatures:
    """Return the frozen network of a fit; a process reads its weights only once."""
    return _opened(backbone, num_frames, weights, pixels, file_state(weights))


def describe_frames(
    backbone: FrameResNetConfig, weights: Path | None, pixels: str = "auto"
) -> list[str]:
    """Return lines of text about the weights of the frozen network.

    Raises:
        CheckpointError: If the weights cannot be read or do not fit the network.
    """
    return _start(backbone, weights, pixels)[1]


def _start(
    backbone: FrameResNetConfig, weights: Path | None, pixels: str
) -> tuple[FrameResNet, list[str]]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(0, "frozen"))
        network = build_frame_resnet(backbone, _OUTPUTS)
    told = [FROZEN_AT_RANDOM.format(" of rgb")]
    if weights is not None:
        told = load_weights(network, weights, trained_on=pixels)
    return network.eval().requires_grad_(False), told


@lru_cache(maxsize=4)
def _opened(
    backbone: FrameResNetConfig,
    num_frames: int,
    weights: Path | None,
    pixels: str,
    state: tuple[int, ...],
) -> FrameFeatures:
    """Build the features; ``state`` is a cache key that changes with the weights file."""
    del state
    return FrameFeatures(backbone, num_frames=num_frames, weights=weights, pixels=pixels)
