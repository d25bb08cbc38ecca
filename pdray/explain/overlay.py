"""Draws a recording with the activation maps of a network's layers over it, as an H.264 video.

The panels are: the picture with the outlines of its regions, then one panel per layer with its map.
Dark purple is little activation, yellow is the highest of that layer in the recording; brightness
cannot be compared between layers. A layer without activation for the class is marked. Each frame
is shown until the next one that the network used, so the video lasts as long as the recording.

Such a video shows a person: the user chooses where it is written, and MLflow never gets it.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import matplotlib
import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import interpolate

from pdray.data.cohort.settings import SYNTHETIC_MARK
from pdray.data.media.encode import CAMERA, encode
from pdray.data.media.lettering import lettered
from pdray.explain.spread import Regions, region_mask

Pixels = NDArray[np.uint8]

_PANEL_PX = 192  # a smaller picture is enlarged to at least this height
_IN_A_ROW = 6  # panels
_CAPTION_PX = 18
_LETTER_PX = 6.2  # width of the widest letter of a caption, so that a cut one fits
_STRENGTH = 0.65  # how much of the colour covers the picture where activation is highest
_TICKS = 1000  # time steps per second of the file, as in files of cameras


@dataclass(frozen=True)
class Overlay:
    """The content of the video of one recording.

    Attributes:
        pictures: (F, H, W, 3) uint8 RGB, the network's view of the recording.
        seconds: (F,) rising times of the frames.
        activations: (F, H, W) float, at least 0, by layer.
        regions: Regions to outline on the first panel; a grid is not drawn.
        caption: Names the recording and the class.
        synthetic: Whether the cohort is SYNTHETIC; the caption then says so.
    """

    pictures: Pixels
    seconds: NDArray[np.float64]
    activations: Mapping[str, NDArray[np.float32]]
    regions: Regions
    caption: str
    synthetic: bool


def write_overlay(path: Path, overlay: Overlay) -> None:
    """Write the video, whole or not at all.

    Args:
        path: The mp4 file; its folder is made if missing.
        overlay: At least one frame.
    """
    # A frame lasts until the time of the next one, so the last one is written twice.
    frames = [*overlay_frames(overlay)]
    step = float(np.median(np.diff(overlay.seconds))) if len(frames) > 1 else 1.0
    seconds = np.append(overlay.seconds, overlay.seconds[-1] + step)
    made = _timed([*frames, frames[-1]], seconds - seconds[0])
    encode(path, made, rate=_TICKS, coding=CAMERA._replace(options={**CAMERA.options, "crf": "20"}))


def overlay_frames(overlay: Overlay) -> Iterator[Pixels]:
    """Draw the frames of the video.

    Yields:
        (height, width, 3) uint8 RGB, both even, the same for all frames.
    """
    num_frames, height, width = overlay.pictures.shape[:3]
    scale = -(-_PANEL_PX // height)
    size = (height * scale, width * scale)
    highest = {name: float(one.max()) for name, one in overlay.activations.items()}
    named = [name if most > 0 else f"{name} (nothing)" for name, most in highest.items()]
    captions = [_text(name, size[1]) for name in ("picture", *named)]
    columns = min(len(captions), _IN_A_ROW)
    mark = f"{SYNTHETIC_MARK}; " if overlay.synthetic else ""
    title = _text(f"{mark}{overlay.caption}", columns * size[1])
    colours = (matplotlib.colormaps["inferno"](np.arange(256))[:, :3] * 255).astype(np.float32)
    for number in range(num_frames):
        picture = _enlarged(overlay.pictures[number].transpose(2, 0, 1), size).transpose(1, 2, 0)
        panels = [_outlined(picture, overlay.regions, number, scale)]
        for name, one in overlay.activations.items():
            heat = _enlarged(one[number][None] / (highest[name] or 1.0), size)[0]
            colour = colours[(255 * heat).round().astype(np.int64)]
            cover = _STRENGTH * heat[:, :, None]
            panels.append((1 - cover) * picture + cover * colour)
        yield _laid_out(title, captions, panels, columns)


def _laid_out(
    title: Pixels, captions: list[Pixels], panels: list[NDArray[np.float32]], columns: int
) -> Pixels:
    """Join title, captions and panels into one picture."""
    tiles = [
        np.concatenate([caption, panel.round().clip(0, 255).astype(np.uint8)])
        for caption, panel in zip(captions, panels, strict=True)
    ]
    blank = np.zeros_like(tiles[0])
    tiles += [blank] * (-len(tiles) % columns)
    rows = [
        np.concatenate(tiles[at : at + columns], axis=1) for at in range(0, len(tiles), columns)
    ]
    frame = np.concatenate([title, *rows])
    # yuv420p stores colour for blocks of two by two pixels.
    return np.pad(frame, ((0, frame.shape[0] % 2), (0, frame.shape[1] % 2), (0, 0)))


def _enlarged(channels: NDArray[np.generic], size: tuple[int, int]) -> NDArray[np.float32]:
    """Return (C, H, W) resized, bilinear, float32."""
    values = torch.from_numpy(np.ascontiguousarray(channels, np.float32))[None]
    stretched: NDArray[np.float32] = interpolate(values, size, mode="bilinear")[0].numpy()
    return stretched


def _outlined(
    picture: NDArray[np.float32], regions: Regions, number: int, scale: int
) -> NDArray[np.float32]:
    """Draw the outlines of a frame's regions on its enlarged picture."""
    if regions.is_grid:
        return picture
    drawn = picture.copy()
    for region in range(len(regions.names)):
        corners = regions.corners(region)[number : number + 1] * np.float32(scale)
        inside = np.pad(region_mask(corners, height=len(picture), width=picture.shape[1])[0], 1)
        core = inside[1:-1, 1:-1].copy()
        for near in (inside[:-2, 1:-1], inside[2:, 1:-1], inside[1:-1, :-2], inside[1:-1, 2:]):
            core &= near
        drawn[inside[1:-1, 1:-1] & ~core] = (0, 255, 160)
    return drawn


def _text(text: str, width: int) -> Pixels:
    """Return white letters on black, (height, width, 3); the start of a long text is cut off."""
    most = int(width / _LETTER_PX)
    shown = text if len(text) <= most else f"...{text[3 - most :]}"
    return lettered(shown, height=_CAPTION_PX, width=width, size=10)


def _timed(frames: Iterable[Pixels], seconds: NDArray[np.float64]) -> Iterator[av.VideoFrame]:
    """Yield frames as the encoder takes them, each at its time [s]."""
    stamps = np.round(seconds * _TICKS).astype(np.int64)
    for number, pixels in enumerate(frames):
        picture = av.VideoFrame.from_ndarray(pixels, format="rgb24")
        picture.pts, picture.time_base = int(stamps[number]), Fraction(1, _TICKS)
        yield picture
