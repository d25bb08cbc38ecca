"""Features of recordings from a trained network: the input of its head, and its last map.

They are computed in evaluation mode on the evaluation view of each recording, averaged over its
snippets, and cached on disk under a digest of weights, recordings and settings of the view.
"""

import hashlib
import json
import zipfile
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pdray.atomic import replacing
from pdray.config import dump
from pdray.data.batches.augment import central_view
from pdray.data.batches.boxes import region_boxes
from pdray.data.batches.normalise import normalise_frames
from pdray.data.batches.plan import PlannedBatch
from pdray.data.batches.reader import Batch, SnippetReader
from pdray.data.batches.settings import seen_size
from pdray.data.batches.snippet import frame_indices, snippet_shape
from pdray.data.batches.stream import open_stream
from pdray.data.cohort.rated import RatedRecording
from pdray.data.modalities import picture_spec
from pdray.data.store.entry import Entry
from pdray.errors import DivergedError, StudyError
from pdray.training.network import build_network
from pdray.training.region_network import RegionNetwork
from pdray.training.settings import FitConfig

_CPU = torch.device("cpu")
_VIEW = ("modality", "decode", "snippet", "augment", "model", "segments")


class Backbone(Protocol):
    """The features of a network, beside its logits."""

    MAP_LAYERS: tuple[str, ...]

    def features(self, x_BCTHW: Tensor) -> Tensor:  # noqa: N803  # axes, as in models/
        """Return the (B, D) input of the head."""


@dataclass(frozen=True)
class Features:
    """Features of N recordings, in the given order.

    Attributes:
        vectors: (N, D) float32, input of the network's head ("avgpool" of TSA).
        maps: (N, C, T, H, W) float32, output of its last map layer ("layer4" of TSA).
    """

    vectors: NDArray[np.float32]
    maps: NDArray[np.float32]


def load_network(config: FitConfig, num_classes: int, weights: Mapping[str, Tensor]) -> nn.Module:
    """Return the network of a fit with its trained weights, in evaluation mode."""
    trained = config.model_copy(update={"pretrained": None})  # ``weights`` replaces every tensor
    network = build_network(trained, num_classes)
    network.load_state_dict(dict(weights))
    return network.eval()


def extract_features(
    network: nn.Module,
    recordings: Sequence[RatedRecording],
    config: FitConfig,
    *,
    device: torch.device = _CPU,
) -> Features:
    """Run recordings through a network, in float32.

    Args:
        network: With ``features`` and ``MAP_LAYERS``, in evaluation mode.
        recordings: At least one.
        config: Settings of the fit: how recordings are read.
        device: Device of the network.

    Returns:
        One row per recording.

    Raises:
        DecodeError: If a recording cannot be read; names it.
        DivergedError: If a feature is not finite; names the recording.
    """
    reader = SnippetReader(
        tuple(recordings),
        config.snippet,
        config.decode,
        0,
        modality=config.sees[0],
        limits=config.limits,
    )
    trained, evaluated = (np.prod(snippet_shape(config.snippet, training=t)) for t in (True, False))
    size = max(1, int(config.optim.batch_size * trained // evaluated))
    plan = [
        PlannedBatch(0, 0, False, chosen, len(chosen))
        for start in range(0, len(recordings), size)
        for chosen in (tuple(range(start, min(start + size, len(recordings)))),)
    ]
    stored = all(recording.stored is not None for recording in recordings)
    kind = config.stream.chosen(num_workers=1, stored=stored)
    network = network.to(device)
    found = []
    with open_stream(plan, reader, config.stream, kind=kind, device=device) as stream:
        found = [_features(network, batch, config) for batch in stream]
    vectors, maps = (np.concatenate(parts) for parts in zip(*found, strict=True))
    finite = np.isfinite(vectors).all(1) & np.isfinite(maps.reshape(len(maps), -1)).all(1)
    if not finite.all():
        named = recordings[int(np.flatnonzero(~finite)[0])].recording_id
        raise DivergedError(f"recording {named}: a feature of the network is not finite")
    return Features(vectors, maps)


def kept_features(
    network: nn.Module,
    recordings: Sequence[RatedRecording],
    config: FitConfig,
    *,
    folder: Path,
    device: torch.device = _CPU,
) -> Path:
    """Return the file with the result of :func:`extract_features`; make it if it is missing."""
    path = folder / f"{_digest(network, recordings, config)}.npz"
    if not path.exists():
        features = extract_features(network, recordings, config, device=device)
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.savez(file, vectors=features.vectors, maps=features.maps)
    return path


def read_features(path: Path, kind: str) -> NDArray[np.float32]:
    """Read one array of a file of :func:`kept_features`.

    Args:
        path: The file.
        kind: ``vectors`` or ``maps``.

    Raises:
        StudyError: If the file is absent or damaged.
    """
    try:
        with closing(np.load(path, allow_pickle=False)) as arrays:
            values: NDArray[np.float32] = arrays[kind]
    except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise StudyError(
            f"features {path}: the file cannot be read: {error}; delete it and run again"
        ) from error
    return values


@torch.inference_mode()
def entry_vector(network: nn.Module, entry: Entry, config: FitConfig) -> NDArray[np.float32]:
    """Return the (D,) vector of one stored recording, on the view of :func:`extract_features`.

    Args:
        network: In evaluation mode, on its device.
        entry: Entry of the network's modality.
        config: Settings of the fit; if frames are shuffled, the entry's name decides the order.

    Raises:
        PdrayError: If the entry is damaged, too short, or smaller than the crop.
    """
    name = entry.path.stem
    indices = frame_indices(len(entry), config.snippet, None, recording_id=name)
    frames = torch.from_numpy(entry.read(indices.ravel()).reshape(*indices.shape, *entry.shape))
    device = next(network.parameters()).device
    parts = [
        cast(Backbone, network).features(_seen(snippets.to(device), config, config.modality))
        for snippets in torch.split(frames, config.optim.batch_size)
    ]
    return torch.cat(parts).float().mean(dim=0).cpu().numpy()


@torch.inference_mode()
def region_vector(
    network: RegionNetwork, recording: RatedRecording, config: FitConfig
) -> NDArray[np.float32]:
    """Return the (D,) input of the recording's head in a network on regions.

    Args:
        network: In evaluation mode, on the CPU.
        recording: Stored, with its regions.
        config: Settings of the fit; pictures are read even if the fit cached maps.

    Raises:
        PdrayError: If it cannot be read; names it.
    """
    reader = SnippetReader(
        (recording,), config.snippet, config.decode, 0,
        modality="rgb", beside=("regions",), limits=config.limits,
    )  # fmt: skip
    planned = PlannedBatch(0, 0, False, (0,), 1)
    read = {name: values[0] for name, values in reader.allocate(planned).items()}
    reader.read(planned, 0, {name: values.numpy() for name, values in read.items()})
    parts = []
    for frames, points in zip(
        *(torch.split(read[name], config.optim.batch_size) for name in ("rgb", "regions")),
        strict=True,
    ):
        view = central_view(frames, config.augment)
        boxes = region_boxes(points, view, (frames.shape[2], frames.shape[3]))
        x = normalise_frames(frames, torch.float32, augmentation=view)
        parts.append(network.network.features(x, boxes))
    return torch.cat(parts).float().mean(dim=0).numpy()


@torch.inference_mode()
def feature_shapes(config: FitConfig, num_classes: int) -> tuple[int, tuple[int, ...]]:
    """Return D of the vector and (C, T, H, W) of the last map, from one blank snippet."""
    stored_height, stored_width = config.picture_size
    height, width = seen_size(config.augment, height=stored_height, width=stored_width)
    num_frames = snippet_shape(config.snippet, training=False)[1]
    blank = torch.zeros((1, picture_spec(config.modality).num_channels, num_frames, height, width))
    with torch.random.fork_rng(devices=[]):
        untrained = config.model_copy(update={"pretrained": None})
        network = build_network(untrained, num_classes).eval()
    vector, last_map = _see(network, blank)
    return vector.shape[1], tuple(last_map.shape[1:])


@torch.inference_mode()
def _features(
    network: nn.Module, batch: Batch, config: FitConfig
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return (B, D) and (B, C, T, H, W), means over the snippets of each recording."""
    num_recordings, num_snippets = batch.frames.shape[:2]
    parts = []
    # No more snippets at once than in training, however many views a recording has.
    for snippets in torch.split(batch.frames.flatten(0, 1), config.optim.batch_size):
        parts.append(_see(network, _seen(snippets, config, batch.modality)))
    vector, last_map = (
        values.view(num_recordings, num_snippets, *values.shape[1:]).mean(dim=1).contiguous()
        for values in (torch.cat(kind) for kind in zip(*parts, strict=True))
    )
    return vector.numpy(), last_map.numpy()


def _seen(snippets: Tensor, config: FitConfig, modality: str) -> Tensor:
    """Return uint8 snippets as the (N, C, T, H, W) floats of the network's input."""
    view = central_view(snippets, config.augment)
    return normalise_frames(snippets, torch.float32, augmentation=view, modality=modality)


def _see(network: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return vectors (N, D) and last maps (N, C, T, H, W) of snippets, on the CPU."""
    backbone = cast(Backbone, network)
    caught: list[Tensor] = []
    layer = network.get_submodule(backbone.MAP_LAYERS[-1])
    hook = layer.register_forward_hook(lambda _module, _inputs, output: caught.append(output))
    try:
        vector = backbone.features(x)
    finally:
        hook.remove()
    return vector.float().cpu(), as_map(caught.pop(), len(x)).float().cpu()


def as_map(output: Tensor, num_snippets: int) -> Tensor:
    """Return a layer's output as (B, K, T', H', W').

    Args:
        output: The same, or (B T', K, H', W') of a network on single frames.
        num_snippets: B.
    """
    if output.ndim == 4:
        return output.view(num_snippets, -1, *output.shape[1:]).transpose(1, 2)
    return output


def _digest(network: nn.Module, recordings: Sequence[RatedRecording], config: FitConfig) -> str:
    """Return a digest of weights, recordings and view."""
    tree = dump(config)
    facts: dict[str, Any] = {name: tree[name] for name in _VIEW}
    facts["recordings"] = [
        [one.recording_id, *sorted(path.name for path in (one.stored or {}).values())]
        for one in recordings
    ]
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:32]
