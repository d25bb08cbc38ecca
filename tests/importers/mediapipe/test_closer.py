from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from pdray.importers.mediapipe.closer import FaceSearch, without_brief
from pdray.importers.mediapipe.points import NUM_MESH

# SYNTHETIC: a face is a white square, and its mesh fills it.
MESH = np.random.default_rng(0).uniform(0, 1, (NUM_MESH, 2))
MESH[:2] = [[0, 0], [1, 1]]
WHITE, GREY = 255, 200  # a grey square resembles a face, but not in a window of its own


class Squares:
    """Finds the largest square that lies whole in a picture and is not too small for it."""

    def __init__(self) -> None:
        self.videos = self.closed = 0

    @contextmanager
    def opens(self, *, still: bool = False) -> Iterator["Detector"]:
        self.videos += not still
        yield Detector(still)
        self.closed += not still


class Detector:
    def __init__(self, still: bool) -> None:
        self.still, self.last = still, -1

    def detect(self, picture: np.ndarray, milliseconds: int) -> np.ndarray | None:
        assert picture.flags.c_contiguous
        assert self.still or milliseconds > self.last
        self.last = milliseconds
        height, width = picture.shape[:2]
        found = []
        for grey in (WHITE, GREY) if self.still else (WHITE,):
            rows, columns = np.nonzero(picture[..., 0] == grey)
            if not len(rows):
                continue
            top, bottom, left, right = rows.min(), rows.max() + 1, columns.min(), columns.max() + 1
            whole = top > 0 and left > 0 and bottom < height and right < width
            if whole and (bottom - top) * 8 >= max(height, width):
                found.append((bottom - top, left, top))
        if not found:
            return None
        side, left, top = max(found)
        return (MESH * side + [left, top]) / [width, height]


def draw(side: int, left: int, top: int, grey: int = WHITE, size: tuple[int, int] = (480, 640)):
    picture = np.zeros((*size, 3), np.uint8)
    picture[top : top + side, left : left + side] = grey
    return picture


@pytest.mark.parametrize("size", [(480, 640), (640, 360), (200, 640)])
@pytest.mark.parametrize("side", [90, 70, 45, 27])
def test_a_face_is_found_at_every_place_and_mapped_exactly(
    size: tuple[int, int], side: int
) -> None:
    closer = side * 8 < 640
    for left in np.linspace(1, size[1] - side - 1, 5).astype(int):
        for top in np.linspace(1, size[0] - side - 1, 3).astype(int):
            with FaceSearch(Squares().opens) as search:
                mesh = search.find(draw(side, left, top, size=size), 0)
                assert search.closer == closer
            assert mesh is not None, (left, top)
            np.testing.assert_allclose(mesh, MESH * side + [left, top], atol=1e-9)


def test_a_window_follows_somebody_who_walks_to_and_from_the_camera() -> None:
    squares = Squares()
    sides = [*range(40, 140, 2), *range(140, 40, -2)]
    with FaceSearch(squares.opens) as search:
        closer = []
        for number, side in enumerate(sides):
            left, top = 2 + 4 * number, 100
            mesh = search.find(draw(side, left, top), 40 * number)
            np.testing.assert_allclose(mesh, MESH * side + [left, top], atol=1e-9)
            closer.append(search.closer)
    # The whole picture shows the person who has become large, until small again.
    assert [side for side, one in zip(sides, closer, strict=True) if not one] == [
        *range(132, 140, 2), *range(140, 78, -2),
    ]  # fmt: skip
    assert 2 < squares.videos < 20
    assert squares.closed == squares.videos


@pytest.mark.parametrize(
    ("picture", "before", "found"),
    [
        (draw(20, 300, 200), 0, False),  # too small
        (draw(60, 300, 200, GREY), 0, False),  # not found again in its window
        (draw(134, 300, 200, GREY), 0, False),  # too large to be missed in the whole picture
        (draw(60, 300, 200), 6, False),  # half as high as the face before: another person
        (draw(70, 300, 200), 6, True),  # more than half as high
        (draw(60, 300, 200), 5, True),  # the face before was none: it did not stay for 0.2 s
    ],
)
def test_what_is_no_face_of_the_person_is_not_followed(
    picture: np.ndarray, before: int, found: bool
) -> None:
    with FaceSearch(Squares().opens) as search:
        for number in range(before):
            assert search.find(draw(130, 200, 200), 40 * number) is not None
            assert not search.closer
        assert (search.find(picture, 40 * before) is not None) == found
        assert search.closer == found
        assert search.num_parts > 0


def test_parts_are_looked_at_again_after_a_pause() -> None:
    counts = []
    with FaceSearch(Squares().opens) as search:
        for milliseconds in (0, 40, 199, 200, 240, 400):
            assert search.find(draw(1, 0, 0), milliseconds) is None
            counts.append(search.num_parts)
    once = counts[0]
    assert once > 6
    assert counts == [once, once, once, 2 * once, 2 * once, 3 * once]


def test_a_face_that_a_closer_look_finds_for_a_moment_does_not_count() -> None:
    closer = np.array([c == "c" for c in "cccccc.ccccc...cccccccc.c"])
    lasting = without_brief(closer, np.arange(len(closer)) / 25)
    assert "".join("c" if one else "." for one in lasting) == "cccccc.........cccccccc.."
    assert not without_brief(np.zeros(3, bool), np.arange(3) / 25).any()
