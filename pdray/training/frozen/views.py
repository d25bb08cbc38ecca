"""Caches the outputs of the frozen layers of a network, for every view of a recording.

Of a network on regions it caches the maps of the last frozen stage, not the tokens of the regions:
for pictures of 224 px, a map of ResNet-50 takes 200 kB and its 15 tokens of 3x3 bins 550 kB.
Reading the regions from a map is fast, and later stages can still be trained. Of the expression
network it caches what the image encoder makes of each frame: the tokens that the gate reads
(ViT-B/32: 77 kB), or one vector. Items are float16. The boxes of the regions stay in their own
entry and are moved like the view's pictures when maps are read.
"""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pdray.cpus import granted_cpus
from pdray.data.batches.augment import Augmentation
from pdray.data.batches.normalise import normalise_frames
from pdray.data.batches.settings import Views
from pdray.data.batches.views import view_augmentation
from pdray.data.cohort.rated import RatedRecording
from pdray.data.modalities import Modality
from pdray.data.store.entry import Entry, is_whole
from pdray.errors import DecodeError
from pdray.training.frozen.keep import file_state, frozen_path, keep_frozen, weights_digest
from pdray.training.network import build_network
from pdray.training.settings import FitConfig

_FRAMES_AT_ONCE = 16
_HALF = np.dtype(np.float16)


class Freezing(Protocol):
    """A network with frozen layers."""

    def frozen_items(self, x_BCTHW: Tensor) -> Tensor:  # noqa: N803  # axes, as in models/
        """Return (N, ...) outputs for the N frames of snippets (B, C, T, H, W)."""

    def frozen_parts(self) -> list[nn.Module]:
        """Return the modules that compute them."""


@dataclass(frozen=True)
class FrozenStages:
    """The frozen layers of a network.

    Attributes:
        network: In evaluation mode; only its frozen layers are used.
        device: Device of the network.
        views: The views of a recording to cache.
        facts: Everything that the items depend on, except the pictures and the view.
        item_shape: Shape of an item: (H', W', D) of a map, (S, D) of tokens, (E,) of a vector.
    """

    network: Freezing
    device: torch.device
    views: Views
    facts: Mapping[str, Any]
    item_shape: tuple[int, ...]

    def view(self, recording_id: str, number: int) -> "KeptView":
        """Return a view of a recording as a frozen computation."""
        return KeptView(self, view_augmentation(self.views, recording_id, number))

    @property
    def item_bytes(self) -> int:
        """Size of the item of one frame [byte]."""
        return int(np.prod(self.item_shape)) * _HALF.itemsize


class KeptView:
    """The items of one view of one recording, as a :class:`pdray.training.frozen.keep.Frozen`."""

    def __init__(self, stages: FrozenStages, augmentation: Augmentation | None) -> None:
        self.reads: tuple[Modality, ...] = ("rgb",)
        self.decides: Mapping[str, Any] = {**stages.facts, "view": _described(augmentation)}
        self._stages, self._augmentation = stages, augmentation

    @torch.inference_mode()
    def items(self, entries: Mapping[Modality, Entry]) -> Iterator[tuple[float, NDArray[Any]]]:
        """Yield (seconds, item of float16) of each frame.

        Raises:
            DecodeError: If a value is outside the range of float16.
        """
        entry = entries["rgb"]
        network, device = self._stages.network, self._stages.device
        seconds = entry.seconds
        for first in range(0, len(entry), _FRAMES_AT_ONCE):
            some = np.arange(first, min(first + _FRAMES_AT_ONCE, len(entry)))
            frames = torch.from_numpy(entry.read(some))[None].to(device)
            x = normalise_frames(frames, torch.float32, augmentation=self._augmentation)
            items = network.frozen_items(x).to(torch.float16).cpu().numpy()
            if not np.isfinite(items).all():
                raise DecodeError(
                    "the outputs of its frozen layers are outside the range of float16; set "
                    "features.cache=off"
                )
            yield from zip(seconds[some].tolist(), items, strict=True)


def keep_views(
    recordings: Sequence[RatedRecording], config: FitConfig
) -> tuple[RatedRecording, ...]:
    """Return recordings with the entries of their views; compute the missing ones.

    Args:
        recordings: Stored recordings.
        config: Settings of a fit; if it reads pictures, the recordings are returned unchanged.

    Raises:
        PdrayError: If a recording is not stored or cannot be read, the store cannot be written, or
            the file of ``pretrained`` does not fit.
    """
    if config.views is None:
        return tuple(recordings)
    stages = frozen_stages(config)
    return tuple(
        replace(
            one,
            views=tuple(_kept(stages, one, number) for number in range(config.views.count)),
        )
        for one in recordings
    )


def _kept(stages: FrozenStages, recording: RatedRecording, number: int) -> Path:
    view = stages.view(recording.recording_id, number)
    path = frozen_path(view, recording)
    # Those that are there were compared once, when the study began: they are large.
    return path if path.exists() else keep_frozen(view, recording)


def lacking_views(
    recordings: Sequence[RatedRecording], config: FitConfig
) -> list[tuple[RatedRecording, int]]:
    """Return every recording and view that :func:`keep_views` has to compute.

    A view that has changed on disk is one of them.

    Raises:
        PdrayError: See :func:`keep_views`.
    """
    if config.views is None:
        return []
    stages = frozen_stages(config)
    views = [(one, number) for one in recordings for number in range(config.views.count)]
    paths = [frozen_path(stages.view(one.recording_id, number), one) for one, number in views]
    with ThreadPoolExecutor(granted_cpus()) as pool:
        whole = list(pool.map(is_whole, paths))
    lacking = [number for number, is_there in enumerate(whole) if not is_there]
    for number in lacking:  # one that has changed on disk is computed again
        paths[number].unlink(missing_ok=True)
    return [views[number] for number in lacking]


def frozen_stages(config: FitConfig) -> FrozenStages:
    """Return the frozen stages of a fit that caches views; a process builds them once.

    Raises:
        PdrayError: If the file of ``pretrained`` cannot be read or does not fit the network.
    """
    # Settings of later layers do not change the frozen ones.
    chosen = config.model
    model = type(chosen)(**{name: getattr(chosen, name) for name in chosen.kept_keys})
    seen = FitConfig(
        model=cast(Any, model),
        decode=config.decode,
        augment=config.augment,
        pretrained=config.pretrained,
        pretrained_pixels=config.pretrained_pixels,
        features=config.features,
    )
    return _built(seen, file_state(config.pretrained))


@lru_cache(maxsize=2)
def _built(config: FitConfig, _file: tuple[int, ...]) -> FrozenStages:
    views = config.views
    assert views is not None, "called only for fits that cache views"
    built = build_network(config, config.model.kept_classes)
    network: Any = getattr(built, "network", built)  # one on regions lies within another
    # Use a GPU if the process has one, wherever the training runs.
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network.eval().requires_grad_(False).to(device, memory_format=torch.channels_last)
    weights = (
        pair for part in network.frozen_parts() for pair in sorted(part.state_dict().items())
    )
    facts = {**config.model.kept_facts, "weights": weights_digest(weights)}
    height, width = views.seen_size
    blank = torch.zeros((1, 3, 1, height, width), device=device)
    with torch.inference_mode():
        item_shape = network.frozen_items(blank).shape[1:]
    return FrozenStages(network, device, views, facts, tuple(item_shape))


def _described(augmentation: Augmentation | None) -> Any:
    """Return an augmentation as plain data."""
    if augmentation is None:
        return None
    factors = {
        name: None if values is None else values.tolist()
        for name, values in (
            ("brightness", augmentation.brightness),
            ("contrast", augmentation.contrast),
            ("saturation", augmentation.saturation),
        )
    }
    moves = (augmentation.flipped, augmentation.shifts, augmentation.crops, augmentation.size)
    return [moves, factors]
