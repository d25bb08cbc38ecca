"""Turns batches of uint8 pictures into normalised floats on the device.

Pictures are uint8 until here. The same pass also changes their colour.

Letters: B snippet, T frame, H height, W width, C channel.
"""

import math

import numpy as np
import torch
from torch import Tensor

from pdray.data.batches.augment import Augmentation, move_frames
from pdray.data.modalities import Modality, PictureSpec, picture_spec

# Grey from red, green and blue: luma of Rec. ITU-R BT.601, as torchvision's adjust_saturation.
LUMA = (0.299, 0.587, 0.114)

# Floats converted at once on a CPU; few enough to stay in its cache between the steps.
_CPU_CHUNK = 1 << 18
_ALIGNMENT = 64  # [byte]


def normalise_frames(
    frames: Tensor,
    dtype: torch.dtype = torch.float32,
    *,
    augmentation: Augmentation | None = None,
    modality: Modality = "rgb",
) -> Tensor:
    """Turn uint8 frames into normalised floats, augmented if wanted.

    With p the code divided by the ``unit`` of the modality's :class:`PictureSpec`, m and s its mean
    and standard deviation, the result is ``(p - m) / s``. For ``flow`` and ``boundaries`` that is
    ``(code - 128) / 127``, in -1..1 and exactly 0 without motion. For ``rgb``, with mean and
    standard deviation of Kinetics, it is ``c * (b * (a * p + (1 - a) * g) - m) / s`` with b, c and
    a the brightness, contrast and saturation of the snippet, and g the grey of the pixel;
    b = c = a = 1 without augmentation. Nothing is clipped.

    Args:
        frames: (B, T, H, W, C) uint8, contiguous, on any device; C depends on the modality.
        dtype: Of the result; all arithmetic is float32.
        augmentation: From :func:`draw_augmentation` in training, from :func:`central_view` in
            evaluation.
        modality: A modality of pictures.

    Returns:
        (B, C, T, height, width) of ``dtype``, a view whose memory is channels-last-3d; the size
        is that of the frames, or of the augmentation's crops.

    Raises:
        ValueError: If ``frames`` is not such a tensor, the modality has no pictures, or the
            augmentation is for another batch size.

    Example:
        >>> import torch
        >>> frames = torch.zeros(1, 16, 48, 48, 3, dtype=torch.uint8)
        >>> pdray.normalise_frames(frames).shape
        torch.Size([1, 3, 16, 48, 48])
    """
    spec = picture_spec(modality)
    num_channels = spec.num_channels
    if frames.dtype != torch.uint8 or frames.dim() != 5 or frames.shape[-1] != num_channels:
        raise ValueError(
            f"{modality}: expected (B, T, H, W, {num_channels}) uint8, got "
            f"{tuple(frames.shape)} {frames.dtype}"
        )
    if augmentation is not None:
        frames = move_frames(frames, augmentation, modality)
    gain, offset, grey = colour_factors(spec, augmentation)
    scaled = _scaled(frames, dtype, gain=gain, offset=offset, grey=grey)
    return scaled.permute(0, 4, 1, 2, 3)


def colour_factors(
    spec: PictureSpec, augmentation: Augmentation | None = None
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Return (B or 1, C) factors of the code, of 1, and of the grey if it is needed."""
    mean, spread = torch.tensor(spec.mean), torch.tensor(spec.std)
    contrast, brightness, saturation = torch.ones(1, 1), torch.ones(1, 1), None
    if augmentation is not None and spec.has_colour:
        contrast, brightness = augmentation.contrast[:, None], augmentation.brightness[:, None]
        saturation = augmentation.saturation
    gain = contrast * brightness / (spec.unit * spread)
    offset = -contrast * mean / spread
    if saturation is None:
        return gain, offset, None
    return gain * saturation[:, None], offset, gain * (1 - saturation[:, None])


def _scaled(
    frames: Tensor, dtype: torch.dtype, *, gain: Tensor, offset: Tensor, grey: Tensor | None
) -> Tensor:
    """Return ``gain * frames + offset + grey * luma``, (B or 1, C) factors, as (B, T, H, W, C)."""
    num_snippets, num_frames, height, width, num_channels = frames.shape
    # A row of pixels is the last axis, since torch does not vectorise a last axis of three colours.
    flat = frames.reshape(num_snippets, num_frames, height, width * num_channels)
    gain, offset = (
        factor.repeat(1, width).expand(num_snippets, -1)[:, None, None].to(frames.device)
        for factor in (gain, offset)
    )
    result = _new_memory(flat.shape, dtype, frames.device)
    on_cpu = frames.device.type == "cpu"
    per_part = 1 if on_cpu else num_snippets
    step = max(1, _CPU_CHUNK // (height * width * num_channels)) if on_cpu else num_frames
    for number in range(0, num_snippets, per_part):
        some = slice(number, number + per_part)
        for first in range(0, num_frames, step):
            part = flat[some, first : first + step].float()
            luma = None if grey is None else _luma(part)
            part.mul_(gain[some])
            if luma is not None and grey is not None:
                _add_colours(part, luma, grey[some].to(frames.device))
            torch.add(part, offset[some], out=result[some, first : first + step])
    return result.view(frames.shape)


def _luma(rows: Tensor) -> Tensor:
    """Return the grey (..., W) of rows of red, green and blue (..., W * 3)."""
    pixels = rows.view(*rows.shape[:-1], -1, 3)
    red, green, blue = LUMA
    return (pixels[..., 0] * red).add_(pixels[..., 1], alpha=green).add_(pixels[..., 2], alpha=blue)


def _add_colours(rows: Tensor, luma: Tensor, grey: Tensor) -> None:
    """Add (B, 3) times the grey (B, T, H, W) to rows (B, T, H, W * 3), in place."""
    pixels = rows.view(*rows.shape[:-1], -1, 3)
    for colour in range(3):
        pixels[..., colour].addcmul_(luma, grey[:, colour, None, None, None])


def _new_memory(shape: torch.Size, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return memory to write to.

    On a CPU it comes from NumPy, which uses memory pages of 2 MiB, while torch uses 4 KiB: first
    writing to 4 KiB pages takes longer than computing the batch.
    """
    if device.type != "cpu":
        return torch.empty(shape, dtype=dtype, device=device)
    num_bytes = math.prod(shape) * dtype.itemsize
    memory = torch.from_numpy(np.empty(num_bytes + _ALIGNMENT, np.uint8))
    start = -memory.data_ptr() % _ALIGNMENT
    return memory[start : start + num_bytes].view(dtype).view(shape)
