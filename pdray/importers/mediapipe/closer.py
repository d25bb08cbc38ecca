"""Follows one face through the frames of a recording, closer where it is too small.

MediaPipe's detector looks at a picture of 128 x 128 px and misses a face that is lower than about
an eighth of the picture's longer side, as that of somebody who stands or walks. Where the whole
picture shows no face, parts of it are looked at: halves, then thirds of its longer side, which
overlap, so that a small face lies whole in one of them. What is found there counts only if it is
found again in a window around it. This window is then a video of its own, which follows the face.

A window is cut out and not resized, so landmarks need only be moved to their place in the whole
picture. Measured on real clips: those of a window lay within 0.22 px (root mean square, three
clips) of those that the whole picture gave, and trembled as little. Those of frames that were
looked at alone trembled 1.3 to 2.7 times as much (six clips), which would tell who stands from who
sits.
"""

from contextlib import ExitStack
from itertools import product
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from pdray.data.media.part import Box
from pdray.importers.mediapipe.landmarker import Floats, Landmarker, OpenLandmarker

Picture = NDArray[np.uint8]

SMALLEST = 1 / 26
"""Height of the smallest face that is found, as a share of the longer side of the picture."""
_PARTS = (1 / 2, 1 / 3)  # sides of the parts, as shares of the longer side of the picture
_OVERLAP = 0.4  # of a part with the next: a face not larger than that lies whole in one of them
_WINDOW = 4  # sides of a window in heights of its face
# The whole picture shows a face higher than this share of its longer side; what a part shows so
# large, and the whole picture does not, is no face.
_LARGEST = 0.2
# Somebody who is seen large does not become half as high from one frame to the next: that is
# another person, farther away.
_LEAST = 0.5
_PAUSE = 200  # after a search that found nothing [ms]
_LASTS = 0.2  # least time that a face is seen [s]


class FaceSearch:
    """Finds a face in the frames of one recording, in time order.

    Attributes:
        closer: The last frame's face was found by a closer look.
        num_parts: Parts of pictures that were looked at.
    """

    def __init__(self, opens: OpenLandmarker) -> None:
        self.closer = False
        self.num_parts = 0
        self._opens = opens
        self._all, self._near = ExitStack(), ExitStack()
        self._whole = self._all.enter_context(opens())
        self._still: Landmarker | None = None
        self._window: tuple[Box, Landmarker] | None = None
        self._height = 0.0  # of the last face that the whole picture showed for a while [px]
        self._since: int | None = None  # the whole picture shows a face [ms]
        self._next = 0  # time of the next search [ms]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._near.close()
        self._all.close()

    def find(self, picture: Picture, milliseconds: int) -> Floats | None:
        """Return the (478, 2) mesh of a frame's face, or None.

        Args:
            picture: (H, W, 3) RGB; all of one size.
            milliseconds: When it is shown, later than the last one.

        Returns:
            x, y from the left top corner of the picture [px].
        """
        mesh = self._follow(picture, milliseconds)
        self.closer = mesh is not None
        if mesh is None:
            height, width = picture.shape[:2]
            mesh = _look(self._whole, picture, Box(0, 0, width, height), milliseconds)
            self._remember(mesh, milliseconds)
        if mesh is None and milliseconds >= self._next:
            mesh = self._search(picture, milliseconds)
            self.closer = mesh is not None
        return mesh

    def _remember(self, mesh: Floats | None, milliseconds: int) -> None:
        if mesh is None:
            self._since = None
            return
        if self._since is None:
            self._since = milliseconds
        if milliseconds - self._since >= 1000 * _LASTS:
            self._height = _height(mesh)

    def _follow(self, picture: Picture, milliseconds: int) -> Floats | None:
        """Look into the window, if there is one; move it with the face, or close it."""
        if self._window is None:
            return None
        box, landmarker = self._window
        mesh = _look(landmarker, picture, box, milliseconds)
        if mesh is None or _height(mesh) > _LARGEST * max(picture.shape[:2]):
            self._close()
        else:
            wanted = _around(mesh, picture)
            moved = np.hypot(*(_middle(wanted) - _middle(box)))
            if moved > box.width / 4 or not 2 / 3 < wanted.width / box.width < 3 / 2:
                self._open(wanted)
        return mesh

    def _search(self, picture: Picture, milliseconds: int) -> Floats | None:
        """Look at parts of the picture; open a window on the largest face."""
        if self._still is None:
            self._still = self._all.enter_context(self._opens(still=True))
        for share in _PARTS:
            parts = _parts(picture, share)
            self.num_parts += len(parts)
            looks = [_look(self._still, picture, part, milliseconds) for part in parts]
            found = [mesh for mesh in looks if mesh is not None and self._can_be(mesh, picture)]
            for mesh in sorted(found, key=_height, reverse=True):
                box = _around(mesh, picture)
                again = _look(self._open(box), picture, box, milliseconds)
                if again is not None and _alike(again, mesh):
                    return again
                self._close()
        self._next = milliseconds + _PAUSE
        return None

    def _can_be(self, mesh: Floats, picture: Picture) -> bool:
        largest: float = _LARGEST * max(picture.shape[:2])
        return _LEAST * self._height <= _height(mesh) <= largest

    def _open(self, box: Box) -> Landmarker:
        self._close()
        landmarker = self._near.enter_context(self._opens())
        self._window = box, landmarker
        return landmarker

    def _close(self) -> None:
        self._near.close()
        self._window = None


def without_brief(closer: NDArray[np.bool_], seconds: Floats) -> NDArray[np.bool_]:
    """Return which closer looks found a face that stays for 0.2 s.

    A fist or a print on a pullover resembles a face for a moment: of 3,374 frames without a face, a
    closer look took three for faces, at most two in a row.

    Args:
        closer: (N,) whether a closer look found the face of a frame.
        seconds: (N,) when each frame is shown, rising.

    Returns:
        (N,) bool, a subset of ``closer``.
    """
    lasting = np.zeros(len(closer), bool)
    edges = np.flatnonzero(np.diff(closer.astype(int), prepend=0, append=0))
    for start, stop in edges.reshape(-1, 2):
        lasting[start:stop] = seconds[stop - 1] - seconds[start] >= _LASTS
    return lasting


def _look(landmarker: Landmarker, picture: Picture, box: Box, milliseconds: int) -> Floats | None:
    """Return the mesh of a face in a part of the picture, in pixels of the whole picture."""
    cut = picture[box.top : box.top + box.height, box.left : box.left + box.width]
    mesh = landmarker.detect(np.ascontiguousarray(cut), milliseconds)
    return None if mesh is None else mesh * [box.width, box.height] + [box.left, box.top]


def _parts(picture: Picture, share: float) -> list[Box]:
    height, width = picture.shape[:2]
    side = min(round(share * max(height, width)), height, width)
    places = product(_starts(height, side), _starts(width, side))
    return [Box(left, top, side, side) for top, left in places]


def _starts(length: int, side: int) -> list[int]:
    """Return where overlapping parts start, from the first to the last that fits."""
    num = 1 + int(np.ceil((length - side) / ((1 - _OVERLAP) * side)))
    return [round(start) for start in np.linspace(0, length - side, num).tolist()]


def _around(mesh: Floats, picture: Picture) -> Box:
    """Return a square window inside the picture with the face in its middle, if that fits."""
    height, width = picture.shape[:2]
    side = max(1, min(round(_WINDOW * _height(mesh)), height, width))
    left, top = np.round(_centre(mesh) - side / 2).astype(int).tolist()
    return Box(min(max(left, 0), width - side), min(max(top, 0), height - side), side, side)


def _alike(one: Floats, other: Floats) -> bool:
    """Say whether two meshes are one face: less than half a height apart, and as large."""
    apart = float(np.hypot(*(_centre(one) - _centre(other)))) / _height(other)
    return apart < 1 / 2 and 2 / 3 < _height(one) / _height(other) < 3 / 2


def _height(mesh: Floats) -> float:
    return float(np.ptp(mesh[:, 1]))


def _centre(mesh: Floats) -> Floats:
    centre: Floats = (mesh.min(axis=0) + mesh.max(axis=0)) / 2
    return centre


def _middle(box: Box) -> Floats:
    return np.array([box.left + box.width / 2, box.top + box.height / 2])
