"""Every model under its short key: the class of its settings, its builder, its check."""

from collections.abc import Callable
from typing import Any

from torch import nn

from pdray.models.resnet3d import ResNet3DConfig, build_resnet3d, resnet3d_faults
from pdray.models.tsa import TsaConfig, build_tsa, tsa_faults

MODELS: dict[str, tuple[type[ResNet3DConfig], Callable[[Any, int], nn.Module]]] = {
    "resnet3d": (ResNet3DConfig, build_resnet3d),
    "tsa": (TsaConfig, build_tsa),
}

FAULTS: dict[str, Callable[..., list[str]]] = {
    "resnet3d": resnet3d_faults,
    "tsa": tsa_faults,
}
"""``FAULTS[key](config, num_frames=, height=, width=)`` lists what the model cannot take."""
