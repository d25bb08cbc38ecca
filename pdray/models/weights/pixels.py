"""Pixel scales of published networks, and adaptation of their first layers to another scale.

A published network was trained on ``u = (p - mean') / std'`` of a pixel p in 0..1; pdray gives it
``x = (p - mean) / std``. So ``u = a (x - z)`` with a = std / std' and z = (mean' - mean) / std. The
weights of the first convolution are multiplied by a; z, the publisher's zero, is subtracted from x
before the convolution pads with zeros (:mod:`pdray.models.layers.zero_pixel`). Its output is then
the publisher's everywhere, also at the edges of the picture.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from pdray.models.layers.zero_pixel import NAME

State = Mapping[str, Tensor]


@dataclass(frozen=True, slots=True)
class Pixels:
    """Pixel scale of a network: ``(p - mean) / std`` of a pixel p in 0..1, for each colour.

    Attributes:
        mean: Of red, green and blue.
        std: Of red, green and blue.
        is_bgr: Whether the first channel of the network is blue.
    """

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    is_bgr: bool = False

    def __str__(self) -> str:
        means, stds = (
            ", ".join(f"{value:.4g}" for value in values) for values in (self.mean, self.std)
        )
        order = ", blue first" if self.is_bgr else ""
        return f"red, green, blue in 0..1 minus ({means}) divided by ({stds}){order}"


class Stem(NamedTuple):
    """Layers from the picture to the first batch norm.

    Attributes:
        convs: Names of the convolutions, without bias; the second and later mix no channels.
        norm: Name of the batch norm after them.
    """

    convs: tuple[str, ...]
    norm: str


def refit(
    state: State, stems: Sequence[Stem], *, there: Pixels, here: Pixels, in_norm: bool = False
) -> dict[str, Tensor]:
    """Adapt a network that was trained on the pixel scale ``there`` to the scale ``here``.

    Args:
        state: Weights by name; a stem's first convolution is (D, 3, ...).
        stems: The stems of the network.
        there: Scale of the training.
        here: Scale of the pictures that the network will get.
        in_norm: Correct the running mean of the norm behind the stem, and subtract nothing, as
            earlier versions did. The output then differs where a kernel reaches over the edge.

    Returns:
        Weights with the same output of each stem, and a ``zero_pixel`` (3,) beside each first
        convolution; all other weights are the same tensors.
    """
    is_turned = here.is_bgr != there.is_bgr
    mean, std = _channels(here)
    old_mean, old_std = (row.flip(0) if is_turned else row for row in _channels(there))
    gain, zero = std / old_std, (old_mean - mean) / std
    changed = dict(state)
    for stem in stems:
        first = f"{stem.convs[0]}.weight"
        weight = state[first].double()
        if is_turned:
            weight = weight.flip(1)
        weight = weight * gain.view(1, 3, *[1] * (weight.ndim - 2))
        changed[first] = weight
        if not in_norm:
            changed[f"{stem.convs[0]}.{NAME}"] = zero
            continue
        constant = weight.flatten(2).sum(2) @ zero
        for name in stem.convs[1:]:
            constant = constant * state[f"{name}.weight"].double().flatten(1).sum(1)
        moved = f"{stem.norm}.running_mean"
        changed[moved] = state[moved].double() + constant
    return changed


def _channels(pixels: Pixels) -> tuple[Tensor, Tensor]:
    """Return mean and std (3,) float64 in the order of the network's channels."""
    mean, std = (torch.tensor(v, dtype=torch.float64) for v in (pixels.mean, pixels.std))
    return (mean.flip(0), std.flip(0)) if pixels.is_bgr else (mean, std)
