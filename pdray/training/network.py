"""The network of a fit, from the inside out: backbone, published weights, consensus, thresholds."""

import torch
from torch import nn

from pdray.data.modalities import KINETICS_MEAN, KINETICS_STD, picture_spec
from pdray.models import MODELS
from pdray.models.layers.segment_attention import SegmentNetwork
from pdray.models.networks.region_attention import RegionAttention
from pdray.models.weights.pixels import Pixels
from pdray.models.weights.pretrained import LoadReport, load_pretrained
from pdray.training.estimators.fit import find_parts
from pdray.training.objective import num_outputs, wrap
from pdray.training.region_network import RegionNetwork, draw_frozen
from pdray.training.settings import FitConfig

OWN_NAME = "model.pt"  # what a study calls its weights

_FROZEN_AT_RANDOM = (
    "note: no file of weights: the frozen network keeps the random ones that were drawn for it, so "
    "that its features were learnt from nothing"
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
    backbone, _ = _start(config, num_classes)
    if isinstance(backbone, RegionNetwork):
        return backbone
    network = backbone
    if joins_segments(config):
        network = SegmentNetwork(backbone, attention=config.segments.consensus == "attention")
    return wrap(network, config.loss, num_classes)


def describe_start(config: FitConfig, num_classes: int) -> list[str]:
    """Return what the networks of a fit start from as lines; none where all weights are drawn.

    Raises:
        PdrayError: As :func:`build_network`.
    """
    if config.network is None:
        return find_parts(config).start(config)
    if config.pretrained is None:
        return [_FROZEN_AT_RANDOM] if _draws_frozen(config) else []
    with torch.random.fork_rng(devices=[]):
        _, report = _start(config, num_classes)
    return report.told() if report is not None else []


def _draws_frozen(config: FitConfig) -> bool:
    """Whether weights that nothing trains are given by no file."""
    if config.pretrained is not None:
        return False
    return config.model.has_frozen_weights


def _start(config: FitConfig, num_classes: int) -> tuple[nn.Module, LoadReport | None]:
    outputs = num_outputs(config.loss, num_classes)
    entry, channels = MODELS[config.network.name], picture_spec(config.modality).num_channels
    backbone: nn.Module = entry.build(config.network, outputs, channels)
    if isinstance(backbone, RegionAttention):
        if _draws_frozen(config):
            draw_frozen(backbone)
        classes = wrap(nn.Identity(), config.loss, num_classes)
        size = None if config.views is None else config.views.seen_size
        backbone = RegionNetwork(backbone, classes=classes, map_size=size)
    if config.pretrained is None:
        return backbone, None
    # Our own weights know our pixels; a published first layer is refitted to them.
    is_own = config.pretrained.name == OWN_NAME or config.modality != "rgb"
    seen = None if is_own else Pixels(KINETICS_MEAN, KINETICS_STD)
    return backbone, load_pretrained(backbone, config.pretrained, pixels=seen)
