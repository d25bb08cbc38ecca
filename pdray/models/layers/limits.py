"""Limits of networks: which tensors are snippets, and which settings and sizes leave nothing.

Each architecture has a function ``<name>_faults(config, *, num_frames, height, width)``, called
before anything is built. ``config`` are its settings, shown under the key ``model``, and the rest
is the size of a snippet [frames, px, px]. It returns one sentence for each value that the network
cannot take, with the value's key and what would be right, and nothing when the network can be built
and trained. The sentences that several of them have stand here.
Letters: B batch, C channel, T time step, H height, W width.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

# Least side of five halvings, each rounding up: ceil(17 / 2^4) = 2 are left to the last [px].
FIVE_HALVINGS = 17


def width_faults(
    width_factor: float, *, narrowest: int, place: str = "the first stage"
) -> list[str]:
    """Refuse a factor that leaves the narrowest layer, of ``place``, without a channel."""
    if int(narrowest * width_factor) >= 1:
        return []
    return [
        f"model.width_factor: {width_factor} leaves {place} without a channel; "
        f"use at least {1 / narrowest}"
    ]


def frame_faults(num_frames: int) -> list[str]:
    """Refuse a snippet without a frame."""
    return [] if num_frames >= 1 else [f"num_frames: {num_frames} is no snippet; use at least 1"]


def side_faults(*, height: int, width: int, least: int, place: str = "stage") -> list[str]:
    """Refuse the sides [px] that are one before the last ``place`` halves them: below ``least``."""
    return [
        f"{name}: {size} px collapse to one before the last {place} has halved them; "
        f"use at least {least} px"
        for name, size in (("height", height), ("width", width))
        if size < least
    ]


def check_snippets(x_BCTHW: "Tensor", *, num_channels: int) -> None:
    """Refuse a tensor that cannot be a batch of snippets.

    Args:
        x_BCTHW: What was given to a network.
        num_channels: Channels that it was built for.

    Raises:
        ValueError: If the axes, the channels or the dtype are wrong, or an axis is empty; names
            the shape and the dtype.
    """
    got = f"got {tuple(x_BCTHW.shape)} {x_BCTHW.dtype}"
    if x_BCTHW.ndim != 5:
        raise ValueError(f"snippets need five axes (B, C, T, H, W), {got}")
    if x_BCTHW.shape[1] != num_channels:
        raise ValueError(
            f"axis 1 of snippets (B, C, T, H, W) is the channels: expected {num_channels}, {got}"
        )
    if 0 in x_BCTHW.shape:
        raise ValueError(f"snippets (B, C, T, H, W) need at least one of each axis, {got}")
    if not x_BCTHW.is_floating_point():
        raise ValueError(f"snippets are normalised floating point numbers, {got}")
