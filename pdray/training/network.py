"""Builds the network of a fit: backbone, pretrained weights, consensus and thresholds."""

from collections.abc import Mapping
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import torch
from torch import nn

from pdray.config import build, lay
from pdray.data.modalities import KINETICS_MEAN, KINETICS_STD, picture_spec
from pdray.errors import SettingsError, refuse
from pdray.models import MODELS, NETWORKS
from pdray.models.entry import ModelEntry
from pdray.training.objective import num_outputs, wrap
from pdray.training.settings import FitConfig, size_faults

OWN_NAME = "model.pt"  # the name of a study's own weights

FROZEN_AT_RANDOM = (
    "note: pretrained is not set: the frozen network{} keeps its random initialisation, so its "
    "features are untrained"
)


def joins_segments(config: FitConfig) -> bool:
    """Return whether the snippets of a training recording give one joint prediction."""
    return config.segments.consensus != "none"


def build_network(config: FitConfig, num_classes: int) -> nn.Module:
    """Build the network to train; torch's global generator draws weights that no file gives.

    Args:
        config: Settings.
        num_classes: Classes K, at least 2.

    Raises:
        PdrayError: If the file of ``pretrained`` cannot be read or does not fit the network.
    """
    network, _ = _start(config, num_classes)
    if config.beside:  # this network wraps its own outputs
        return network
    if joins_segments(config):
        from pdray.models.layers.segment_attention import SegmentNetwork

        network = SegmentNetwork(network, attention=config.segments.consensus == "attention")
    return wrap(network, config.loss, num_classes)


def make_network(
    name: str, settings: Mapping[str, Any] | None = None, *, num_classes: int = 2
) -> nn.Module:
    """Build a network by its name, as a study would train it.

    What no file gives is drawn from torch's global generator: seed it to build the same weights
    again. Take it to evaluation mode (``eval()``) before a forward pass on a few snippets.

    Args:
        name: A network of :func:`list_models`.
        settings: Keys of a study, dotted or nested: ``model.*`` are the network's own;
            ``snippet.num_frames``, ``decode.height`` and ``decode.width`` say what it will see, and
            are checked with them; ``pretrained`` is a file of weights.
        num_classes: Classes K, at least 2.

    Returns:
        From (B, C, T, H, W) float, C = 3 colours or 2 components of flow (``modality``), to
        (B, K) logits; (B, K - 1) for a loss on ordered grades.

    Raises:
        SettingsError: If the name is no network, or it cannot be built with these settings.
        CheckpointError: If the file of weights cannot be read or does not fit.

    Example:
        >>> import torch
        >>> small = {"model.width_factor": 0.125, "decode.height": 48, "decode.width": 48}
        >>> network = pdray.make_network("tsa", small, num_classes=3).eval()
        >>> network(torch.zeros(1, 3, 32, 48, 48)).shape
        torch.Size([1, 3])
    """
    config = build(FitConfig, lay(FitConfig, {}, {**(settings or {}), "model.name": name}))
    faults = size_faults(config)
    if config.entry.loop != "steps":
        faults = [f"{name} is no network; networks are {', '.join(NETWORKS)}"]
    refuse(faults, SettingsError, "network")
    return build_network(config, num_classes)


def describe_start(config: FitConfig, num_classes: int) -> list[str]:
    """Return lines about the start weights of a fit; empty if training starts from random ones.

    Raises:
        PdrayError: See :func:`build_network`.
    """
    if config.network is None:
        from pdray.training.estimators.fit import find_parts

        return find_parts(config).start(config)
    notes = config.network.start_notes(num_classes, is_random=config.pretrained is None)
    if config.pretrained is None:
        return [*([FROZEN_AT_RANDOM.format("")] if _draws_frozen(config) else []), *notes]
    with torch.random.fork_rng(devices=[]):
        return [*_start(config, num_classes)[1], *notes]


def _draws_frozen(config: FitConfig) -> bool:
    """Return whether frozen weights stay random because no file gives them."""
    return config.pretrained is None and config.model.has_frozen_weights


def _start(config: FitConfig, num_classes: int) -> tuple[nn.Module, list[str]]:
    outputs = num_outputs(config.loss, num_classes)
    entry, channels = MODELS[config.network.name], picture_spec(config.modality).num_channels
    backbone = entry.build(config.network, outputs, channels)
    if config.beside:
        from pdray.training.region_network import RegionNetwork, draw_frozen

        if _draws_frozen(config):
            draw_frozen(backbone)
        classes = wrap(nn.Identity(), config.loss, num_classes)
        size = None if config.views is None else config.views.seen_size
        backbone = RegionNetwork(backbone, classes=classes, map_size=size)
    if config.pretrained is None:
        return backbone, []
    pixels = config.pretrained_pixels
    return backbone, load_weights(
        backbone,
        config.pretrained,
        modality=config.modality,
        trained_on=pixels,
        loader=entry.loader,
    )


def load_weights(
    network: nn.Module,
    file: Path,
    *,
    modality: str = "rgb",
    trained_on: str = "auto",
    loader: str = ModelEntry.loader,
) -> list[str]:
    """Load a weights file, and return lines of text that report which tensors were used.

    Args:
        network: The built network; it is changed in place.
        file: A published file, or a study's ``model.pt`` under this name.
        modality: Input of the network.
        trained_on: The setting ``pretrained_pixels``.
        loader: That of the network's entry.

    Raises:
        CheckpointError: If the file cannot be read or does not fit the network.
    """
    from pdray.models.weights.pixels import Pixels

    # pdray's own weights expect pdray's pixel scale; a published first layer is adapted to it.
    is_kept = is_own(file, trained_on) or not picture_spec(modality).has_colour
    seen = None if is_kept else Pixels(KINETICS_MEAN, KINETICS_STD)
    return list(resolve_name(loader)(network, file, pixels=seen, trained_on=trained_on).told())


def is_own(file: Path, trained_on: str) -> bool:
    """Return whether weights are taken to be a study's own, by their name, unless it is said."""
    return file.name == OWN_NAME and trained_on in ("auto", "earlier")
