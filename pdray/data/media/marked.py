"""Made pictures and videos, which say below the picture that they are.

A picture that a method changed shows a person as that person never was. So every file has a strip
of letters: SYNTHETIC, the method and the date; its metadata say the same. The strip must not teach
a network that a recording is made: the row of the manifest has the returned ``crop``, and what it
leaves is, to the bit, what the same writer gives for the picture alone:
  - the strip begins on a multiple of 16 rows, behind a picture whose last row is repeated up to
    there, so that no block of the coder holds both;
  - colours of picture and strip are brought to half the size apart from each other;
  - each frame is coded by itself, by steps of one size, without a filter across edges of blocks:
    a block depends on those above and to the left of it alone, and the strip is below.
"""

import io
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from pdray.atomic import replacing
from pdray.data.media.encode import LOSSLESS, Coding, encode
from pdray.data.media.lettering import LETTER_WIDTH, lettered
from pdray.data.media.source import MADE_TITLE
from pdray.errors import SettingsError

Pixels = NDArray[np.uint8]

ALONE = Coding(
    "libx264",
    "yuv420p",
    {"preset": "veryfast", "qp": "18", "x264-params": "keyint=1:no-deblock=1:aq-mode=0:mbtree=0"},
)
"""H.264 whose blocks depend on nothing below them. QP 18: its loss is hardly seen."""
LEAST_WIDTH = 64
"""The narrowest picture below which the words can be read [px]."""
_BLOCK = 16  # rows and columns of a macroblock of H.264
_LETTERS = (10.0, 40.0)  # smallest and largest size [px]
_SHARE = 1 / 18  # of a picture's width, between the two: then the words have one line
_LINE = 1.25  # height of a line over the size of its letters
_TICK = Fraction(1, 90_000)  # in which times are written [s]


@dataclass(frozen=True)
class Mark:
    """Words of a made picture.

    Attributes:
        method: Name of what made it, such as "cut".
        date: When.
        maker: Who made it: ``Provenance.maker`` of the set's provenance file.
    """

    method: str
    date: date
    maker: str

    @property
    def words(self) -> str:
        """What stands below the picture."""
        return f"{MADE_TITLE} {self.method} {self.date.isoformat()}"

    @property
    def metadata(self) -> dict[str, str]:
        """The same for a reader of the file's title and comment."""
        return {
            "title": self.words,
            "comment": f"{MADE_TITLE}: changed by {self.method} on {self.date.isoformat()}; no "
            f"record of a person. Maker in the provenance file: sha256 {self.maker}",
        }


def write_marked_video(
    path: Path,
    frames: Iterable[Pixels],
    seconds: Sequence[float],
    mark: Mark,
    *,
    lossless: bool = False,
) -> str:
    """Write made frames into an MP4 file with the mark, whole or not at all.

    Args:
        path: The file; its folder is made when missing.
        frames: (H, W, 3) uint8 RGB, as many as there are times; they need not be in memory.
        seconds: Rising times of two frames or more [s]. The file begins with the first one, as
            its second 0.
        mark: Its words.
        lossless: Whether the decoder gives back the same frames, bit for bit; else their colours
            are stored at half the size, with a loss that is hardly seen.

    Returns:
        The cell of the manifest's column ``crop``, which leaves the frames alone.

    Raises:
        SettingsError: If the frames are too narrow for the words.
        ValueError: If there are not as many frames as times, or fewer than two.
    """
    if len(seconds) < 2:
        raise ValueError(f"a video needs frames at two times or more, got {len(seconds)}")
    frames = iter(frames)
    first = next(frames)
    strip = _strip(first.shape[1], mark)
    joined = _joined if lossless else _joined_halved
    made = (joined(one, strip) for one in chain([first], frames))
    encode(
        path,
        _timed(made, seconds),
        rate=Fraction(1 / float(np.median(np.diff(seconds)))).limit_denominator(1001),
        coding=LOSSLESS if lossless else ALONE,
        metadata=mark.metadata,
    )
    return _crop(first)


def write_marked_picture(path: Path, picture: Pixels, mark: Mark) -> str:
    """Write a made picture into a PNG file with the mark, whole or not at all.

    Args, returns and errors are those of :func:`marked_png` and :func:`write_marked_video`.
    """
    content = marked_png(picture, mark)
    with replacing(path) as temporary:
        temporary.write_bytes(content)
    return _crop(picture)


def marked_png(picture: Pixels, mark: Mark) -> bytes:
    """Return a PNG with the mark, to paste into a text or to send.

    Args:
        picture: (H, W, 3) uint8 RGB; of several beside each other, one picture that holds them.
        mark: Its words.

    Raises:
        SettingsError: If the picture is too narrow for the words.
    """
    file = io.BytesIO()
    whole = _with_strip(picture, _strip(picture.shape[1], mark))
    words: dict[str, Any] = {name.title(): text for name, text in mark.metadata.items()}
    # Without matplotlib's version, the same picture gives the same file.
    matplotlib.image.imsave(file, whole, format="png", metadata=words | {"Software": None})
    return file.getvalue()


def _crop(picture: Pixels) -> str:
    return f"0 0 {picture.shape[1]} {picture.shape[0]}"


def _strip(width: int, mark: Mark) -> Pixels:
    """Return the letters, a multiple of 16 rows high and wide enough for an odd picture too."""
    if width < LEAST_WIDTH:
        raise SettingsError(
            f"made pictures are {width} px wide, too narrow for the words below them; use pictures "
            f"of {LEAST_WIDTH} px or more"
        )
    size = min(max(width * _SHARE, _LETTERS[0]), _LETTERS[1])
    lines = textwrap.wrap(mark.words, int(width / (size * LETTER_WIDTH)), break_on_hyphens=False)
    height = _whole(round((len(lines) + 0.5) * _LINE * size))
    return lettered("\n".join(lines), height=height, width=width + width % 2, size=size)


def _repeated(picture: Pixels, rows: int, columns: int) -> Pixels:
    """Return (H, W) or (H, W, 3) whose last rows and columns are repeated up to a size."""
    more = (rows - picture.shape[0], columns - picture.shape[1])
    wanted = [(0, one) for one in more] + [(0, 0)] * (picture.ndim - 2)
    return np.pad(picture, wanted, mode="edge")


def _whole(length: int) -> int:
    return -(-length // _BLOCK) * _BLOCK


def _timed(frames: Iterable[VideoFrame], seconds: Sequence[float]) -> Iterator[VideoFrame]:
    """Yield frames, each with its time."""
    for frame, time in zip(frames, seconds, strict=True):
        frame.pts, frame.time_base = round((time - seconds[0]) / _TICK), _TICK
        yield frame


def _joined(picture: Pixels, strip: Pixels) -> VideoFrame:
    """Return a frame of RGB with the strip below the picture."""
    return VideoFrame.from_ndarray(_with_strip(picture, strip), format="rgb24")


def _with_strip(picture: Pixels, strip: Pixels) -> Pixels:
    return np.concatenate([_repeated(picture, _whole(len(picture)), strip.shape[1]), strip])


def _joined_halved(picture: Pixels, strip: Pixels) -> VideoFrame:
    """Return a frame whose colours have half the size, with the strip below the picture.

    Rows are repeated after the colours were halved, as the coder does it below a picture alone.
    """
    height, width = picture.shape[:2]
    planes = _halved(_repeated(picture, height + height % 2, width + width % 2))
    joined = [
        np.concatenate([_repeated(plane, _whole(height) // part, plane.shape[1]), below]).ravel()
        for plane, below, part in zip(planes, _halved(strip), (1, 2, 2), strict=True)
    ]
    values = np.concatenate(joined).reshape(-1, strip.shape[1])
    return VideoFrame.from_ndarray(values, format="yuv420p")


def _halved(picture: Pixels) -> tuple[Pixels, Pixels, Pixels]:
    """Return brightness (H, W), and both colours at half the size."""
    height, width = picture.shape[:2]
    frame = VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
    values = np.asarray(frame.reformat(format="yuv420p").to_ndarray(), np.uint8)
    blue, red = values[height:].reshape(2, height // 2, width // 2)
    return values[:height], blue, red
