from pathlib import Path

import numpy as np
import pytest
import torch

from pdray.data.batches.augment import Augmentation, Crop, move_frames
from pdray.data.batches.boxes import (
    NUM_POINTS,
    POINT_MIRROR,
    REGION_MIRROR,
    check_polygons,
    mirrored_regions,
    region_boxes,
)
from pdray.data.face.points import REGIONS, VERTICES
from pdray.data.media.tracks import Track, write_track
from pdray.errors import DecodeError

SIZE = (40, 60)
STARTS = np.cumsum(VERTICES) - VERTICES


def moved(num_snippets=1, **changes):
    same = torch.ones(num_snippets)
    still = {"flipped": (False,) * num_snippets, "shifts": ((0, 0),) * num_snippets}
    return Augmentation(**{**still, "brightness": same, "contrast": same, **changes})


def squares():
    """Polygons round squares of 4 px, each elsewhere: (1, 1, P, 2), and their boxes (R, 4)."""
    corner = np.array([(3 + 4 * (r % 7), 5 + 15 * (r // 7)) for r in range(len(REGIONS))], float)
    boxes = np.concatenate([corner, corner + 4], axis=1)
    points = []
    for box, count in zip(boxes, VERTICES, strict=True):
        x0, y0, x1, y1 = box
        points += [(x0, y0), (x1, y0), (x1, y1), (x0, y1), ((x0 + x1) / 2, y1)][:count]
    return torch.tensor(points, dtype=torch.float32)[None, None], torch.tensor(boxes).float()


def test_sides_are_exchanged_in_pairs_and_the_middle_stays() -> None:
    pairs = {(1, 2), (3, 4), (5, 6), (9, 10), (12, 13)}
    assert {(a, b) for a, b in enumerate(REGION_MIRROR.tolist()) if a < b} == pairs
    assert all(REGION_MIRROR[r] == r for r in (0, 7, 8, 11))
    for region, other in enumerate(REGION_MIRROR):
        mine = np.arange(STARTS[region], STARTS[region] + VERTICES[region])
        assert POINT_MIRROR[mine].tolist() == [
            STARTS[other] + place for place in range(VERTICES[other])
        ]
    assert sorted(POINT_MIRROR) == list(range(NUM_POINTS))


def test_boxes_are_the_extent_of_each_polygon() -> None:
    draw = np.random.default_rng(0)
    points = draw.uniform(0, 40, (7, NUM_POINTS, 2)).astype(np.float32)
    points[2, 5] = np.nan
    ends = np.cumsum(VERTICES)
    polygons = [points[:, end - size : end] for end, size in zip(ends, VERTICES, strict=True)]
    corners = [np.concatenate([one.min(axis=1), one.max(axis=1)], axis=1) for one in polygons]
    expected = np.stack(corners, axis=1)
    found = region_boxes(torch.from_numpy(points)[None], None, SIZE)[0]
    np.testing.assert_array_equal(found.numpy(), expected)
    assert np.isnan(expected).any(axis=(1, 2)).tolist() == [False, False, True, *[False] * 4]
    assert found[2, 1].isnan().all()  # vertex 5 is of region 1
    assert found[2, 0].isfinite().all()


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"flipped": (True,)},
        {"flipped": (True,), "shifts": ((3, -4),)},
        {"crops": (Crop(0, 0, 30, 60),), "size": (30, 60), "flipped": (True,)},
        {"crops": (Crop(0, 0, 20, 30),), "size": (40, 60), "shifts": ((0, 2),)},
    ],
    ids=["still", "flip", "flip and shift", "crop and flip", "zoom and shift"],
)
def test_boxes_lie_where_the_pixels_went(changes) -> None:
    """Each region is painted into a picture of its own, moved, and looked for."""
    points, boxes = squares()
    augmentation = moved(**changes)
    found = region_boxes(points, augmentation, SIZE)[0, 0]
    looked = 0
    for region, (x0, y0, x1, y1) in enumerate(boxes.int().tolist()):
        frames = torch.zeros((1, 1, *SIZE, 3), dtype=torch.uint8)
        frames[0, 0, y0:y1, x0:x1] = 255
        picture = move_frames(frames, augmentation)[0, 0, ..., 0] > 127
        rows, columns = picture.any(1).nonzero(), picture.any(0).nonzero()
        if not len(rows):  # the crop left it out
            continue
        looked += 1
        seen = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        name = REGION_MIRROR[region] if augmentation.flipped[0] else region
        limit = torch.tensor([picture.shape[1], picture.shape[0]] * 2)
        box = torch.minimum(found[name].clamp(min=0), limit)
        torch.testing.assert_close(box, torch.tensor(seen).float(), rtol=0, atol=0.51)
    assert looked >= 4


def test_marks_change_sides_with_the_picture() -> None:
    values = torch.arange(2.0 * len(REGIONS)).view(2, -1)
    found = mirrored_regions(values, moved(2, flipped=(False, True), shifts=((0, 0),) * 2))
    assert torch.equal(found[0], values[0])
    assert found[1].tolist() == [14.0 + other for other in REGION_MIRROR]
    assert mirrored_regions(values, None) is values


def test_points_that_are_no_regions_are_refused() -> None:
    with pytest.raises(ValueError, match=r"14 regions need 58 vertices, got points of \(1, 2, 106"):
        region_boxes(torch.zeros(1, 2, 106, 2), None, SIZE)


def track(path: Path, vertices: list[int] | None) -> Path:
    count = sum(vertices) if vertices else 5
    points = np.random.default_rng(0).uniform(0, 9, (2, count, 2)).astype(np.float32)
    held = None if vertices is None else np.array(vertices)
    write_track(path, Track(points, np.array([0.0, 0.04]), (10.0, 10.0), held))
    return path


def test_other_polygons_are_refused_with_their_vertices(tmp_path: Path) -> None:
    check_polygons(track(tmp_path / "right.npz", VERTICES.tolist()))
    turned = [5, *[4] * 10, 5, 4, 4]  # as many points in all
    assert sum(turned) == NUM_POINTS
    with pytest.raises(
        DecodeError, match="polygons of 5 4 4 4 4 4 4 4 4 4 4 5 4 4 vertices; use a file of the"
    ):
        check_polygons(track(tmp_path / "turned.npz", turned))
    with pytest.raises(DecodeError, match="polygons of none vertices"):
        check_polygons(track(tmp_path / "landmarks.npz", None))


def test_polygons_of_another_picture_are_refused_with_their_place(tmp_path: Path) -> None:
    points = np.full((3, NUM_POINTS, 2), 5.0, np.float32)
    points[1] = np.nan  # absent
    points[:, 4] = -4.5, 14.5  # of a face at the edge
    path = tmp_path / "r.npz"

    def write() -> None:
        write_track(path, Track(points, np.array([0.0, 0.5, 1.0]), (10.0, 20.0), VERTICES))

    write()
    check_polygons(path)
    points[2, 40, 1] = 30.5
    write()
    region = REGIONS[int(np.searchsorted(np.cumsum(VERTICES), 40, side="right"))]
    words = (
        rf"at 1 s: y 30.5 of {region} is outside -10..30 px for a picture of 20 px \(1 such rows\)"
    )
    with pytest.raises(DecodeError, match=words):
        check_polygons(path)
