"""Pixel scales of published networks, and first layers refitted to another scale.

A published network saw ``u = (p - mean') / std'`` of a pixel p in 0..1; here it is given
``x = (p - mean) / std``. With ``u = a x + b``, a = std / std' and b = (mean - mean') / std', its
first convolution W returns ``W u = (W a) x + W b``: the weights take the factor, and the constant
is taken from the running mean of the batch norm behind them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Pixels:
    """What a network sees of a pixel p in 0..1: ``(p - mean) / std`` of each colour.

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
        return f"red, green, blue in 0..1 less ({means}) over ({stds}){order}"


class Stem(NamedTuple):
    """The way from a picture to the first batch norm.

    Attributes:
        convs: Names of the convolutions, none with a bias; from the second on they mix no channels.
        norm: Name of the batch norm behind them.
    """

    convs: tuple[str, ...]
    norm: str


def refit(
    state: dict[str, Tensor], stems: Sequence[Stem], *, there: Pixels, here: Pixels
) -> dict[str, Tensor]:
    """Make a network that was trained on pixels ``there`` see pixels ``here``.

    Args:
        state: Weights by name; a stem's first convolution is (D, 3, ...).
        stems: Which of them touch the picture.
        there: What the network was trained on.
        here: What it is going to be given.

    Returns:
        Weights of which the stems' outputs are those of before wherever no kernel reaches over
        the edge of the picture; the others are the same tensors.
    """
    is_turned = here.is_bgr != there.is_bgr
    mean, std = _channels(here)
    old_mean, old_std = (row.flip(0) if is_turned else row for row in _channels(there))
    gain, offset = std / old_std, (mean - old_mean) / old_std
    changed = dict(state)
    for stem in stems:
        first = f"{stem.convs[0]}.weight"
        weight = state[first].double()
        if is_turned:
            weight = weight.flip(1)
        constant = weight.flatten(2).sum(2) @ offset
        changed[first] = weight * gain.view(1, 3, *[1] * (weight.ndim - 2))
        for name in stem.convs[1:]:
            constant = constant * state[f"{name}.weight"].double().flatten(1).sum(1)
        moved = f"{stem.norm}.running_mean"
        changed[moved] = state[moved].double() - constant
    return changed


def _channels(pixels: Pixels) -> tuple[Tensor, Tensor]:
    """Return mean and std (3,) float64 in the order of the network's channels."""
    mean, std = (torch.tensor(v, dtype=torch.float64) for v in (pixels.mean, pixels.std))
    return (mean.flip(0), std.flip(0)) if pixels.is_bgr else (mean, std)
