"""From uint8 frames to what a network takes, on the device, whole batches at a time.

Frames travel as uint8 and become normalised floats only here. Augmentation happens in the same
pass: one draw a snippet, the same for each of its frames, so that nothing in it looks like motion.

Letters: B snippet, T frame, H height, W width.
"""

from dataclasses import dataclass

import torch
from pydantic import Field
from torch import Tensor

from pdray.config import Settings

# Kinetics, red green blue, pixels in 0..1: get_mean_std('kinetics') of Hara's 3D-ResNets-PyTorch,
# with which the published weights were trained.
KINETICS_MEAN = (0.4345, 0.4051, 0.3775)
KINETICS_STD = (0.2768, 0.2713, 0.2737)

# Floats converted at once on a CPU: small enough to stay in its cache between the steps.
_CPU_CHUNK = 1 << 18


class AugmentConfig(Settings):
    """How much training snippets vary; validation and test never do."""

    flip: float = Field(0.5, ge=0, le=1, description="probability of a left-right flip [0..1]")
    brightness: float = Field(
        0.2, ge=0, lt=1, description="pixels times a factor within 1 -+ this [0..1)"
    )
    contrast: float = Field(
        0.2, ge=0, lt=1, description="distance to the mean colour times 1 -+ this [0..1)"
    )
    max_shift: float = Field(
        0.04, ge=0, le=0.5, description="largest shift, as a part of the height and width [0..0.5]"
    )


@dataclass(frozen=True)
class Augmentation:
    """What was drawn for a batch; index b belongs to snippet b.

    Attributes:
        flipped: Whether left and right change places.
        shifts: (down, right) shift, applied after the flip [px].
        brightness: (B,) float32 factor of the pixels, greater than 0.
        contrast: (B,) float32 factor of the distance to the mean colour, greater than 0.
    """

    flipped: tuple[bool, ...]
    shifts: tuple[tuple[int, int], ...]
    brightness: Tensor
    contrast: Tensor


def draw_augmentation(
    frames: Tensor, config: AugmentConfig, generator: torch.Generator
) -> Augmentation:
    """Draw what happens to each snippet of a batch.

    Args:
        frames: (B, T, H, W, 3); only its shape is used.
        config: How much.
        generator: On the CPU, so that the draws are the same whatever device trains. Five numbers
            a snippet are taken, whatever the settings.

    Returns:
        The draws.
    """
    num_snippets, _, height, width, _ = frames.shape
    drawn = torch.rand((num_snippets, 5), generator=generator)
    reach = torch.tensor([round(config.max_shift * height), round(config.max_shift * width)])
    shifts = (drawn[:, 1:3] * (2 * reach + 1)).long().clamp(max=2 * reach) - reach
    return Augmentation(
        flipped=tuple((drawn[:, 0] < config.flip).tolist()),
        shifts=tuple((down, right) for down, right in shifts.tolist()),
        brightness=1 + config.brightness * (2 * drawn[:, 3] - 1),
        contrast=1 + config.contrast * (2 * drawn[:, 4] - 1),
    )


def normalise_frames(
    frames: Tensor, dtype: torch.dtype = torch.float32, *, augmentation: Augmentation | None = None
) -> Tensor:
    """Turn uint8 frames into normalised floats, augmented or as they are.

    With p a pixel in 0..1, m and s the Kinetics mean and standard deviation of its colour, b and c
    the snippet's brightness and contrast, the result is ``c * (b * p - m) / s``; b = c = 1 without
    augmentation. Nothing is clipped. Where a shift uncovers the edge it is black, as decoding pads.

    Args:
        frames: (B, T, H, W, 3) uint8, contiguous, on any device.
        dtype: Of the result; the arithmetic is float32 throughout.
        augmentation: From :func:`draw_augmentation`, for training.

    Returns:
        (B, 3, T, H, W) of ``dtype``, a view whose memory is channels-last-3d.

    Raises:
        ValueError: If ``frames`` is not such a tensor, or the draws are for another batch size.
    """
    if frames.dtype != torch.uint8 or frames.dim() != 5 or frames.shape[-1] != 3:
        raise ValueError(
            f"expected (B, T, H, W, 3) uint8, got {tuple(frames.shape)} {frames.dtype}"
        )
    mean = torch.tensor(KINETICS_MEAN)
    spread = torch.tensor(KINETICS_STD)
    contrast, brightness = torch.ones(1, 1), torch.ones(1, 1)
    if augmentation is not None:
        if len(augmentation.flipped) != len(frames):
            raise ValueError(f"{len(augmentation.flipped)} draws for {len(frames)} snippets")
        contrast, brightness = augmentation.contrast[:, None], augmentation.brightness[:, None]
        frames = _moved(frames, augmentation)
    gain = contrast * brightness / (255 * spread)
    offset = -contrast * mean / spread
    return _scaled(frames, dtype, gain=gain, offset=offset).permute(0, 4, 1, 2, 3)


def _moved(frames: Tensor, augmentation: Augmentation) -> Tensor:
    """Flip, then shift; slices of uint8 copy several times faster than a gather."""
    _, _, height, width, _ = frames.shape
    moved = torch.zeros_like(frames)
    draws = zip(moved, frames, augmentation.flipped, augmentation.shifts, strict=True)
    for target, source, flipped, (down, right) in draws:
        seen = source.flip(2) if flipped else source
        target[:, max(down, 0) : height + min(down, 0), max(right, 0) : width + min(right, 0)] = (
            seen[:, max(-down, 0) : height - max(down, 0), max(-right, 0) : width - max(right, 0)]
        )
    return moved


def _scaled(frames: Tensor, dtype: torch.dtype, *, gain: Tensor, offset: Tensor) -> Tensor:
    """Return ``gain * frames + offset``, with (B or 1, 3) factors, as (B, T, H, W, 3)."""
    num_snippets, num_frames, height, width, _ = frames.shape
    # One long row of pixels as the last axis: a last axis of three colours is not vectorised.
    flat = frames.reshape(num_snippets, num_frames, height, width * 3)
    gain, offset = (
        factor.repeat(1, width).expand(num_snippets, -1).to(frames.device)
        for factor in (gain, offset)
    )
    result = torch.empty(flat.shape, dtype=dtype, device=frames.device)
    step = num_frames if frames.is_cuda else max(1, _CPU_CHUNK // (height * width * 3))
    for snippet in range(num_snippets):
        for first in range(0, num_frames, step):
            chunk = flat[snippet, first : first + step].float()
            result[snippet, first : first + step] = chunk.mul_(gain[snippet]).add_(offset[snippet])
    return result.view(frames.shape)
