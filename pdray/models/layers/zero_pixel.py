"""The pixel that stands for zero in front of a published first convolution.

A published network pads pictures with zeros of its own pixel scale. On pdray's scale that pixel has
another value. It is subtracted before the first convolution, so that padding means what it meant to
the publisher. It is a buffer of the convolution, and is saved and loaded with the weights.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

NAME = "zero_pixel"


def set_zero_pixel(conv: nn.Module, pixel_C: Tensor) -> None:
    """Make a convolution subtract a pixel (C,) from its input before it pads."""
    if not hasattr(conv, NAME):
        conv.register_forward_pre_hook(_subtract)
    conv.register_buffer(NAME, pixel_C)


def accept_zero_pixels(network: nn.Module, state: Mapping[str, Any], prefix: str) -> None:
    """Prepare a network for the zero pixels of the weights that are about to be loaded.

    Args:
        network: The network, which may have been built without them.
        state: Weights by name.
        prefix: Prefix of the network's names in ``state``.
    """
    modules = dict(network.named_modules())
    for name, value in state.items():
        conv = modules.get(name.removeprefix(prefix).removesuffix(f".{NAME}"))
        if name.startswith(prefix) and name.endswith(f".{NAME}") and conv is not None:
            set_zero_pixel(conv, torch.zeros_like(value, device=next(conv.parameters()).device))


def _subtract(conv: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor]:
    """Subtract the pixel from an input (N, C, ...), in the pixel's precision."""
    (x,) = inputs
    pixel = conv.get_buffer(NAME)
    return ((x - pixel.view(-1, *[1] * (x.ndim - 2))).to(x.dtype),)
