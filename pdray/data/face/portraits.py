"""Portraits: a face cut out of a frame, upright and of one size, and the way back into the frame.

The cut is the oriented square of Karras et al. 2018 (arXiv:1710.10196, appendix C), which FFHQ
(Karras et al. 2019, arXiv:1812.04948, appendix A) took over. With e0, e1 the eyes and m the mouth:

    x' = e1 - e0,  y' = (e0 + e1) / 2 - m,  c = (e0 + e1) / 2 - 0.1 y',
    s = max(4 |x'|, 3.6 |y'|),  x = normalised x' - rotate90(y'),  y = rotate90(x)

c is the middle of the square, s its side, x and y its axes, and rotate90 a quarter turn to the
left. So frame and portrait differ by a similarity: rotation, scale, shift. Three things differ.

- An eye is the middle of its two corners, so that a blink does not move the picture.
- The mouth is the lower edge of the upper lip, in the middle, in place of the middle between the
  corners. Corners hang in the illness that the picture is to show: on SYNTHETIC faces of
  ``static_signs=1`` they made the portraits of the ill 6.5 % smaller than those of the same faces
  when healthy (0.2 % now), so that a network could read the grade from the size alone. In the 36
  healthy training clips of YouTubePD the corners are 1.014 times as far from the eyes (SD 0.036):
  a picture is nearly that of FFHQ.
- What the square has outside the picture is mirrored at the picture's edge, but not blurred.

Points and matrices count from the corner of the picture: pixel (0, 0) covers 0 to 1. "Left" and
"right" are sides of the picture.
"""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from pdray.data.face.settings import SMALLEST, PortraitConfig
from pdray.data.face.shape import LEFT_EYE, RIGHT_EYE, numbers_of
from pdray.data.media.picture import Pixels
from pdray.errors import DecodeError

if TYPE_CHECKING:
    from torch import Tensor

    from pdray.data.store.full_frames import FullFrames

Floats = npt.NDArray[np.float64]
Changes = npt.NDArray[np.float32]  # of pixels [grey levels]

MOUTH = numbers_of("mouth_upper_lip_bottom")
LACKS = ("", "without eyes or mouth", "mouth not below the eyes", "face outside the picture",
         f"face smaller than {SMALLEST} px")  # fmt: skip
_CUBIC = 2  # pixels on each side of a place that cubic interpolation reads
_EDGE = 0.125  # share of a portrait's side over which it fades into the frame


class Alignment(NamedTuple):
    """Places of the portraits of N frames.

    Attributes:
        matrix: (N, 2, 3) from (x, y, 1) of the portrait to x, y of the frame [px]; NaN where there
            is no portrait.
        lack: (N,) int64 position in :data:`LACKS` of the reason why there is none; 0 where there
            is one.
    """

    matrix: Floats
    lack: npt.NDArray[np.int64]


def cut_portraits(source: "FullFrames", config: PortraitConfig) -> Iterator[tuple[float, Pixels]]:
    """Yield the time [s] and the portrait of each frame that has one.

    The others are put into the findings of ``source``, by the reason.

    Raises:
        DecodeError: If no frame has a portrait; counts the reasons.
    """
    places = align_portraits(source.points, picture=source.size, size=config.size)
    unaligned = source.findings.unaligned
    for (seconds, frame), matrix, lack in zip(source.frames, *places, strict=True):
        if lack:
            unaligned.setdefault(LACKS[lack], []).append(seconds)
        else:
            yield seconds, take_portrait(frame, matrix, config.size)
    if places.lack.all():
        told = ", ".join(f"{len(times)} {why}" for why, times in unaligned.items())
        raise DecodeError(
            f"none of its {len(places.lack)} frames gives a portrait: {told}; give landmarks of a "
            "larger face, or leave their cell in the manifest empty"
        )


def align_portraits(
    points: npt.NDArray[np.floating], *, picture: tuple[float, float], size: int
) -> Alignment:
    """Find the portraits of frames by their landmarks.

    Args:
        points: (N, 106, 2) landmarks x, y of each frame [px], in the order of LANDMARKS; NaN where
            absent.
        picture: Width and height of the frames [px].
        size: Height and width of a portrait [px].

    Returns:
        A similarity for each frame. There is none where a corner of the eyes or the mouth is
        absent, where the mouth is not on the side of the eyes on which the chin is, where the
        mouth or the middle of the eyes is outside the picture, or where the square in the frame has
        a side of less than 64 px, the smallest portrait.
    """
    z = points[..., 0].astype(np.float64) + 1j * points[..., 1].astype(np.float64)
    left, right, mouth = (z[:, part].mean(axis=1) for part in (LEFT_EYE, RIGHT_EYE, MOUTH))
    eyes = (left + right) / 2
    # As complex numbers x + iy with y downwards: -rotate90(y') is -i times the way to the mouth.
    across, down = right - left, -1j * (mouth - eyes)
    axis, side = across + down, np.maximum(4 * np.abs(across), 3.6 * np.abs(down))
    with np.errstate(invalid="ignore"):  # NaN is said below
        is_below = (across.conj() * down).real > 0
        is_inside = np.all(
            [(one.real >= 0) & (one.real <= picture[0]) & (one.imag >= 0) & (one.imag <= picture[1])
             for one in (eyes, mouth)], axis=0
        )  # fmt: skip
        faults = [np.isnan(axis), ~is_below, ~is_inside, ~(side >= SMALLEST)]
        lack = np.where(np.any(faults, axis=0), np.argmax(faults, axis=0) + 1, 0)
        axis = side * np.where(lack == 0, axis, np.nan) / np.abs(np.where(axis == 0, 1, axis))
    corner = eyes + 0.1 * (mouth - eyes) - (0.5 + 0.5j) * axis
    step = axis / size
    rows = [[step.real, -step.imag, corner.real], [step.imag, step.real, corner.imag]]
    matrix = np.array(rows).transpose(2, 0, 1)
    matrix[lack > 0] = np.nan
    return Alignment(matrix, lack.astype(np.int64))


def take_portrait(frame: Pixels, matrix: Floats, size: int) -> Pixels:
    """Cut a portrait out of a frame.

    Args:
        frame: (H, W, 3) uint8 RGB.
        matrix: (2, 3) of :func:`align_portraits`, without NaN.
        size: The portrait's size S of that call [px].

    Returns:
        (S, S, 3) uint8 RGB. A frame that is finer than the portrait is made coarser first, by a
        triangle filter; then each pixel is interpolated cubically. Kinds of processors may differ
        by one grey level.
    """
    return _round(_warp(frame, matrix, (size, size)))


def paste_change(frame: Pixels, made: Pixels, source: Pixels, matrix: Floats) -> Pixels:
    """Put what has changed in a portrait back into its frame.

    The change is added, so that a frame that is finer than the portrait keeps its detail, and a
    portrait that did not change leaves the frame as it is.

    Args:
        frame: (H, W, 3) uint8 RGB.
        made: (S, S, 3) uint8 RGB, the changed portrait.
        source: (S, S, 3) uint8 RGB, the portrait as :func:`take_portrait` cut it.
        matrix: (2, 3) by which it was cut.

    Returns:
        (H, W, 3) uint8 RGB, a copy. The change fades out over an eighth of the portrait's side;
        outside it each pixel is that of the frame.
    """
    size, pasted = len(made), frame.copy()
    corners = matrix @ np.array([[0, size, 0, size], [0, 0, size, size], [1, 1, 1, 1]])
    (left, top), (right, bottom) = np.floor(corners.min(axis=1)), np.ceil(corners.max(axis=1))
    columns = _within(left, right, frame.shape[1])
    rows = _within(top, bottom, frame.shape[0])
    part = pasted[rows, columns]
    if not part.size:
        return pasted
    inverse = _inverse(matrix)
    inverse[:, 2] += inverse[:, :2] @ (columns.start, rows.start)
    height, width = part.shape[:2]
    place = _places(inverse, (height, width))
    depth = np.minimum(place, size - place).min(axis=2, keepdims=True) / (_EDGE * size)
    cover = depth.clip(0, 1).astype(np.float32)
    change = _warp(made.astype(np.float32) - source, inverse, (height, width)).numpy()
    part[...] = np.rint(part + cover * change).clip(0, 255).astype(np.uint8)
    return pasted


def _warp(image: Pixels | Changes, matrix: Floats, size: tuple[int, int]) -> "Tensor":
    """Return (height, width, 3) float32 of a size; the matrix goes from it to the (H, W, 3) image.

    The image is mirrored at its edges.
    """
    import torch
    from torch.nn import functional

    scale = math.sqrt(abs(np.linalg.det(matrix[:, :2])))
    image, offset = _needed(image, matrix, size, margin=math.ceil((_CUBIC + 1) * max(scale, 1)))
    height, width = image.shape[:2]
    source = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None].float()
    if scale > 1:
        coarse = max(1, round(height / scale)), max(1, round(width / scale))
        source = functional.interpolate(source, coarse, mode="bilinear", antialias=True)
    place = (_places(matrix, size) - offset) / (width, height) * 2 - 1
    drawn = functional.grid_sample(
        source,
        torch.from_numpy(place.astype(np.float32))[None],
        mode="bicubic",
        padding_mode="reflection",
        align_corners=False,
    )
    return drawn[0].permute(1, 2, 0)


def _needed(
    image: Pixels | Changes, matrix: Floats, size: tuple[int, int], *, margin: int
) -> tuple[Pixels | Changes, tuple[int, int]]:
    """Return the part of an image that is read, mirrored places included, and its left and top."""
    height, width = size
    corners = matrix @ np.array([[0, width, 0, width], [0, 0, height, height], [1, 1, 1, 1]])
    parts = []
    for low, high, length in zip(
        corners.min(axis=1) - margin, corners.max(axis=1) + margin, image.shape[1::-1], strict=True
    ):
        # What is mirrored at one edge is read as far on the other side of that edge.
        parts.append(
            _within(math.floor(min(low, 2 * length - high)), math.ceil(max(high, -low)), length)
        )
    columns, rows = parts
    return image[rows, columns], (columns.start, rows.start)


def _within(low: float, high: float, length: int) -> slice:
    return slice(min(max(int(low), 0), length), max(0, min(int(high), length)))


def _places(matrix: Floats, size: tuple[int, int]) -> Floats:
    """Return (height, width, 2) where the middle of each pixel lies in the image."""
    x, y = np.arange(size[1]) + 0.5, np.arange(size[0]) + 0.5
    place: Floats = x[None, :, None] * matrix[:, 0] + y[:, None, None] * matrix[:, 1] + matrix[:, 2]
    return place


def _inverse(matrix: Floats) -> Floats:
    back = np.linalg.inv(matrix[:, :2])
    return np.concatenate([back, -back @ matrix[:, 2:]], axis=1)


def _round(drawn: "Tensor") -> Pixels:
    pixels: Pixels = drawn.round().clamp(0, 255).byte().numpy()
    return pixels
