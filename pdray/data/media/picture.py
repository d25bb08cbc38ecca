"""One decoded frame brought to the set size: cut, turned, scaled, centred on black.

The display matrix (phones write one) is honoured in all its eight quarter turns and mirrorings.
The display aspect ratio is kept: the picture is scaled by swscale's AREA filter to fit and the
rest of the canvas stays black, evenly on both sides. A ``crop`` is cut out before all that, so that
nothing around it has any part in the result. Pictures of high dynamic range are brought to
SDR after that, as ``tone.py`` says.
"""

from collections.abc import Mapping
from fractions import Fraction
from typing import Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt
from av.buffer import Buffer
from av.sidedata.sidedata import SideDataContainer
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Interpolation, VideoReformatter

from pdray.data.media.crop import Cutter
from pdray.data.media.part import Box
from pdray.data.media.tone import TRANSFERS, Toner, Transfer
from pdray.errors import DecodeError

Pixels = npt.NDArray[np.uint8]

# ACCURATE_RND and BITEXACT: the same pixels on every CPU, since swscale's SIMD code rounds
# otherwise and a store may be filled by several kinds of machine. FULL_CHR_H_INT: without it the
# other two turn white into 253.
_SCALER = (
    Interpolation.AREA
    | Interpolation.ACCURATE_RND
    | Interpolation.BITEXACT
    | Interpolation.FULL_CHR_H_INT
)


class Turn(NamedTuple):
    """How stored pixels become the shown picture: transpose first, then mirror.

    Attributes:
        transposed: Rows become columns.
        mirrored: Left and right change places.
        upended: Top and bottom change places.
    """

    transposed: bool
    mirrored: bool
    upended: bool

    def apply(self, pixels: Pixels) -> Pixels:
        """Return a view of (H, W, 3) pixels as they are shown."""
        if self.transposed:
            pixels = pixels.transpose(1, 0, 2)
        return pixels[:: -1 if self.upended else 1, :: -1 if self.mirrored else 1]

    def stored(self, shown: Box, width: int, height: int) -> Box:
        """Return where a rectangle of the shown picture, of some size, is stored."""
        left = width - shown.left - shown.width if self.mirrored else shown.left
        top = height - shown.top - shown.height if self.upended else shown.top
        if self.transposed:
            return Box(top, left, shown.height, shown.width)
        return Box(left, top, shown.width, shown.height)


class Canvas:
    """Draws frames at one size; holds swscale's context, which is costly to make anew.

    Args:
        height: Of the result [px].
        width: Of the result [px].
        pixel_aspect: Width of a stored pixel over its height.
        tones: Whether HLG and PQ are brought to SDR; else they are taken for BT.709.
        crop: Rectangle of the shown picture to draw; None draws all of it.
    """

    def __init__(
        self,
        *,
        height: int,
        width: int,
        pixel_aspect: Fraction,
        tones: bool = True,
        crop: Box | None = None,
    ) -> None:
        self.height = height
        self.width = width
        self.pixel_aspect = pixel_aspect
        self._tones = tones
        self._crop = crop
        self._cutter = None if crop is None else Cutter()
        self._toners: dict[tuple[Transfer, int], Toner] = {}
        self._scaler = VideoReformatter()
        self._boxes: dict[tuple[int, int, bool], Box] = {}

    def draw(self, picture: VideoFrame) -> Pixels:
        """Return (height, width, 3) uint8 RGB.

        Raises:
            DecodeError: If the crop is not inside the picture, or the display matrix turns by
                anything but quarters of a circle.
        """
        turn = display_turn(picture)
        stored = self._stored(picture, turn)
        box = self._box(stored, turn)
        if self._cutter is not None:
            picture = self._cutter.cut(picture, stored)
        # Scaled as stored, turned afterwards: the small picture is the cheap one to turn.
        size = (box.width, box.height) if turn.transposed else (box.height, box.width)
        transfer = TRANSFERS.get(picture.color_trc) if self._tones else None
        scaled = self._scaler.reformat(
            picture,
            height=size[0],
            width=size[1],
            # Not rgb48le: swscale mixes up its colours where it has nothing to scale.
            format="gbrp16le" if transfer else "rgb24",
            interpolation=_SCALER,
            dst_color_range=ColorRange.JPEG,
            threads=1,
        )
        pixels: npt.NDArray[Any] = scaled.to_ndarray()
        if transfer:
            pixels = self._toner(transfer, picture.color_primaries).sdr(pixels)
        shown = turn.apply(np.asarray(pixels, np.uint8))
        canvas = np.zeros((self.height, self.width, 3), np.uint8)
        canvas[box.top : box.top + box.height, box.left : box.left + box.width] = shown
        return canvas

    def box(self, picture: VideoFrame) -> Box:
        """Return where :meth:`draw` puts a frame's shown picture."""
        turn = display_turn(picture)
        return self._box(self._stored(picture, turn), turn)

    def _toner(self, transfer: Transfer, primaries: int) -> Toner:
        key = transfer, primaries
        if key not in self._toners:
            self._toners[key] = Toner(transfer, primaries)
        return self._toners[key]

    def _stored(self, picture: VideoFrame, turn: Turn) -> Box:
        """Return the part of a stored frame that is drawn."""
        if self._crop is None:
            return Box(0, 0, picture.width, picture.height)
        width, height = shown_size(picture, turn)
        self._crop.check_inside(width, height)
        return turn.stored(self._crop, width, height)

    def _box(self, stored: Box, turn: Turn) -> Box:
        key = stored.width, stored.height, turn.transposed
        if key not in self._boxes:
            self._boxes[key] = self._place(*key)
        return self._boxes[key]

    def _place(self, width: int, height: int, transposed: bool) -> Box:
        stored = (height, float(width * self.pixel_aspect))
        room = (self.width, self.height) if transposed else (self.height, self.width)
        scale = min(room[0] / stored[0], room[1] / stored[1])
        shown = _fitted(stored[0] * scale, room[0]), _fitted(stored[1] * scale, room[1])
        rows, columns = shown[::-1] if transposed else shown
        left, top = (self.width - columns) // 2, (self.height - rows) // 2
        return Box(left=left, top=top, width=columns, height=rows)


def shown_size(picture: VideoFrame, turn: Turn) -> tuple[int, int]:
    """Return the width and height of a frame as it is shown [px], whatever its pixels' aspect."""
    return (picture.height, picture.width) if turn.transposed else (picture.width, picture.height)


def display_turn(picture: VideoFrame) -> Turn:
    """Read a frame's display matrix.

    Raises:
        DecodeError: If it turns by anything but quarters of a circle.
    """
    # Not picture.side_data: that container and its frame refer to each other, so that frames of
    # several megabytes would live until the garbage collector comes by.
    side_data: Mapping[str, Buffer] = cast(Any, SideDataContainer)(picture)
    if "DISPLAYMATRIX" not in side_data:
        return Turn(transposed=False, mirrored=False, upended=False)
    # Row vectors, 16.16 fixed point: a stored pixel (p, q) is shown at (a p + c q, b p + d q).
    raw = np.frombuffer(bytes(side_data["DISPLAYMATRIX"]), np.int32).reshape(3, 3)
    (a, b), (c, d) = raw[:2, :2].tolist()
    straight, crossed = max(abs(a), abs(d)), max(abs(b), abs(c))
    if max(straight, crossed) < 100 * min(straight, crossed) or straight == crossed:
        raise DecodeError(
            f"is shown turned by {picture.rotation} degrees; only quarter turns are read"
        )
    if crossed > straight:
        return Turn(transposed=True, mirrored=c < 0, upended=b < 0)
    return Turn(transposed=False, mirrored=a < 0, upended=d < 0)


def _fitted(length: float, room: int) -> int:
    return max(1, min(room, round(length)))
