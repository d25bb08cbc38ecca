"""Limits of networks: checks of snippets, settings and sizes that several networks share.

Each architecture has a function ``<name>_faults(config, *, num_frames, height, width)``, called
before anything is built. ``config`` holds its settings, the section ``model``; the rest is the
size of a snippet [frames, px, px]. It returns one sentence for each value that the network cannot
take, with the key, the value and a right value; and nothing if the network can be trained.
Letters: B batch, C channel, T time step, H height, W width.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

# Smallest side that five halvings accept, each rounding up: ceil(17 / 2^4) = 2 reach the last [px].
FIVE_HALVINGS = 17


def width_faults(
    width_factor: float, *, narrowest: int, place: str = "the first stage"
) -> list[str]:
    """Refuse a width factor that leaves the narrowest layer, in ``place``, without channels."""
    if int(narrowest * width_factor) >= 1:
        return []
    return [
        f"model.width_factor: {width_factor} leaves {place} without channels; "
        f"use at least {1 / narrowest}"
    ]


def frame_faults(num_frames: int) -> list[str]:
    """Refuse a snippet without frames."""
    return [] if num_frames >= 1 else [f"num_frames: {num_frames} is too few; use at least 1"]


def side_faults(*, height: int, width: int, least: int, place: str = "stage") -> list[str]:
    """Refuse sides below ``least`` [px], which shrink to 1 before the last ``place``."""
    return [
        f"{name}: {size} px shrink to 1 px before the last {place} halves them; "
        f"use at least {least} px"
        for name, size in (("height", height), ("width", width))
        if size < least
    ]


def check_snippets(x_BCTHW: "Tensor", *, num_channels: int) -> None:
    """Refuse a tensor that cannot be a batch of snippets.

    Args:
        x_BCTHW: Input of a network.
        num_channels: Channels that the network was built for.

    Raises:
        ValueError: If the axes, the channels or the dtype are wrong, or an axis is empty; names
            the shape and the dtype.
    """
    got = f"got {tuple(x_BCTHW.shape)} {x_BCTHW.dtype}"
    if x_BCTHW.ndim != 5:
        raise ValueError(f"snippets need five axes (B, C, T, H, W), {got}")
    if x_BCTHW.shape[1] != num_channels:
        raise ValueError(
            f"axis 1 of snippets (B, C, T, H, W) holds channels: expected {num_channels}, {got}"
        )
    if 0 in x_BCTHW.shape:
        raise ValueError(f"no axis of snippets (B, C, T, H, W) may be empty, {got}")
    if not x_BCTHW.is_floating_point():
        raise ValueError(f"snippets must be normalised floating point numbers, {got}")
