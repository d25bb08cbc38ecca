"""The network of a fit, from the inside out: backbone, published weights, consensus, thresholds."""

from pathlib import Path

import torch
from torch import nn

from pdray.data.modalities import KINETICS_MEAN, KINETICS_STD, picture_spec
from pdray.models import MODELS
from pdray.training.objective import num_outputs, wrap
from pdray.training.settings import FitConfig

OWN_NAME = "model.pt"  # what a study calls its weights

FROZEN_AT_RANDOM = (
    "note: no file of weights: the frozen network{} keeps the random ones that were drawn for it, "
    "so that its features were learnt from nothing"
)


def joins_segments(config: FitConfig) -> bool:
    """Whether the snippets of a training recording give one prediction together."""
    return config.segments.consensus != "none"


def build_network(config: FitConfig, num_classes: int) -> nn.Module:
    """Build the network to train; what no file gives comes from the ambient torch generator.

    Args:
        config: Settings.
        num_classes: Classes K, at least 2.

    Raises:
        PdrayError: If the file of ``pretrained`` cannot be read or does not fit the network.
    """
    network, _ = _start(config, num_classes)
    if config.beside:  # its outputs are wrapped inside it
        return network
    if joins_segments(config):
        from pdray.models.layers.segment_attention import SegmentNetwork

        network = SegmentNetwork(network, attention=config.segments.consensus == "attention")
    return wrap(network, config.loss, num_classes)


def describe_start(config: FitConfig, num_classes: int) -> list[str]:
    """Return what the networks of a fit start from as lines; none where all weights are drawn.

    Raises:
        PdrayError: As :func:`build_network`.
    """
    if config.network is None:
        from pdray.training.estimators.fit import find_parts

        return find_parts(config).start(config)
    if config.pretrained is None:
        return [FROZEN_AT_RANDOM.format("")] if _draws_frozen(config) else []
    with torch.random.fork_rng(devices=[]):
        return _start(config, num_classes)[1]


def _draws_frozen(config: FitConfig) -> bool:
    """Whether weights that nothing trains are given by no file."""
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
    return backbone, load_weights(backbone, config.pretrained, modality=config.modality)


def load_weights(network: nn.Module, file: Path, *, modality: str = "rgb") -> list[str]:
    """Load a file of weights, and return what became of them as lines of text.

    Args:
        network: Built; it is changed in place.
        file: A published file, or one of a study, which keeps its name.
        modality: What the network sees.

    Raises:
        CheckpointError: If the file cannot be read or does not fit the network.
    """
    from pdray.models.weights.pixels import Pixels
    from pdray.models.weights.pretrained import load_pretrained

    # Our own weights know our pixels; a published first layer is refitted to them.
    is_own = file.name == OWN_NAME or modality != "rgb"
    seen = None if is_own else Pixels(KINETICS_MEAN, KINETICS_STD)
    return load_pretrained(network, file, pixels=seen).told()
