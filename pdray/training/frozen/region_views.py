"""Caches the maps of the frozen stages of a network on regions, for every view of a recording.

It caches the maps of the last frozen stage, not the tokens of the regions: for pictures of 224 px,
a map of ResNet-50 takes 200 kB and its 15 tokens of 3x3 bins 550 kB; reading the regions from a map
is fast, and later stages can still be trained. Items are (H', W', D) float16. The boxes of the
regions stay in their own entry and are moved like the view's pictures when maps are read.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from pdray.config import dump
from pdray.data.batches.augment import Augmentation
from pdray.data.batches.normalise import normalise_frames
from pdray.data.batches.settings import Views
from pdray.data.batches.views import view_augmentation
from pdray.data.cohort.rated import RatedRecording
from pdray.data.modalities import Modality
from pdray.data.store.entry import Entry
from pdray.errors import DecodeError
from pdray.models.networks.region_attention import RegionAttention
from pdray.training.frozen.keep import file_state, frozen_path, keep_frozen, weights_digest
from pdray.training.network import build_network
from pdray.training.region_network import RegionNetwork
from pdray.training.settings import FitConfig

_FRAMES_AT_ONCE = 16
_NUM_CLASSES = 2  # of the heads, which are not used here
_HALF = np.dtype(np.float16)


@dataclass(frozen=True)
class FrozenStages:
    """The frozen stages of a network.

    Attributes:
        network: In evaluation mode; only its frozen stages are used.
        views: The views of a recording to cache.
        facts: Everything that the maps depend on, except the pictures and the view.
        map_shape: (H', W', D) of an item.
    """

    network: RegionAttention
    views: Views
    facts: Mapping[str, Any]
    map_shape: tuple[int, int, int]

    def view(self, recording_id: str, number: int) -> "KeptView":
        """Return a view of a recording as a frozen computation."""
        return KeptView(self, view_augmentation(self.views, recording_id, number))

    @property
    def item_bytes(self) -> int:
        """Size of the map of one frame [byte]."""
        return int(np.prod(self.map_shape)) * _HALF.itemsize


class KeptView:
    """The maps of one view of one recording, as a :class:`pdray.training.frozen.keep.Frozen`."""

    def __init__(self, stages: FrozenStages, augmentation: Augmentation | None) -> None:
        self.reads: tuple[Modality, ...] = ("rgb",)
        self.decides: Mapping[str, Any] = {**stages.facts, "view": _described(augmentation)}
        self._network, self._augmentation = stages.network, augmentation

    @torch.inference_mode()
    def items(self, entries: Mapping[Modality, Entry]) -> Iterator[tuple[float, NDArray[Any]]]:
        """Yield (seconds, (H', W', D) float16) of each frame.

        Raises:
            DecodeError: If a value is outside the range of float16.
        """
        entry = entries["rgb"]
        device = next(self._network.parameters()).device
        seconds = entry.seconds
        for first in range(0, len(entry), _FRAMES_AT_ONCE):
            some = np.arange(first, min(first + _FRAMES_AT_ONCE, len(entry)))
            frames = torch.from_numpy(entry.read(some))[None].to(device)
            x = normalise_frames(frames, torch.float32, augmentation=self._augmentation)
            maps = self._network.frozen_maps(x).permute(0, 2, 3, 1).to(torch.float16).cpu().numpy()
            if not np.isfinite(maps).all():
                raise DecodeError(
                    "the maps of its frozen stages are outside the range of float16; set "
                    "features.cache=off"
                )
            yield from zip(seconds[some].tolist(), maps, strict=True)


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
            views=tuple(
                keep_frozen(stages.view(one.recording_id, number), one)
                for number in range(config.views.count)
            ),
        )
        for one in recordings
    )


def lacking_views(
    recordings: Sequence[RatedRecording], config: FitConfig
) -> list[tuple[RatedRecording, int]]:
    """Return every recording and view that :func:`keep_views` would have to compute.

    Raises:
        PdrayError: See :func:`keep_views`.
    """
    if config.views is None:
        return []
    stages = frozen_stages(config)
    return [
        (one, number)
        for one in recordings
        for number in range(config.views.count)
        if not frozen_path(stages.view(one.recording_id, number), one).exists()
    ]


def frozen_stages(config: FitConfig) -> FrozenStages:
    """Return the frozen stages of a fit that caches views; a process builds them once.

    Raises:
        PdrayError: If the file of ``pretrained`` cannot be read or does not fit the network.
    """
    # Settings of later stages do not change the frozen ones.
    names = ("name", "depth", "width_factor", "layout", "map_stage", "frozen_stages")
    model = type(config.model)(**{name: getattr(config.model, name) for name in names})
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
    wrapped = cast(RegionNetwork, build_network(config, _NUM_CLASSES))
    network = wrapped.network.eval().requires_grad_(False)
    # Use a GPU if the process has one, wherever the training runs.
    network.to("cuda" if torch.cuda.is_available() else "cpu")
    network.backbone.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    facts = {
        "kind": "maps",
        "layout": dump(config.model)["layout"],
        "stages": network.frozen_stages,
        "weights": weights_digest(
            pair for part in network.frozen_parts() for pair in sorted(part.state_dict().items())
        ),
    }
    height, width = views.seen_size
    blank = torch.zeros((1, 3, 1, height, width), device=next(network.parameters()).device)
    _, num_maps, map_height, map_width = network.frozen_maps(blank).shape
    return FrozenStages(network, views, facts, (map_height, map_width, num_maps))


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
