import importlib
import inspect
import math
from typing import Any

import pytest
import torch
from torch import Tensor

from pdray.models.layers.region_align import POINTS, Grid, align, clip_boxes
from pdray.models.layers.vision import load_torchvision


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def boxes_within(num: int, regions: int, *, height: int, width: int) -> Tensor:
    """Random boxes, some of them as thin as a hair, and one of the whole picture."""
    generator = torch.Generator().manual_seed(1)
    corners = torch.rand(num, regions, 2, 2, generator=generator, dtype=torch.float64).sort(2)[0]
    corners[0, 0] = torch.tensor([[0.0, 0.0], [1.0, 1.0]])
    corners[0, 1, 1] = corners[0, 1, 0] + 1e-6
    return (corners * torch.tensor([width, height])).flatten(2)


def slow_align(x: Tensor, box: list[float], grid: Grid, num_bins: int) -> Tensor:
    """Each bin of one box on one map (D, H, W), point by point."""
    channels, high, wide = x.shape
    bins = torch.zeros(channels, num_bins, num_bins, dtype=x.dtype)
    x0, y0, x1, y1 = box

    def point(low: float, high: float, number: int) -> float:
        return low + (high - low) * (number + 0.5) / (num_bins * POINTS)

    def read(y: float, x_: float) -> Tensor:
        row = min(max((y - grid.first) / grid.stride, 0.0), high - 1.0)
        column = min(max((x_ - grid.first) / grid.stride, 0.0), wide - 1.0)
        top, left = int(row), int(column)
        down, right = min(top + 1, high - 1), min(left + 1, wide - 1)
        b, a = row - top, column - left
        return (
            (1 - b) * ((1 - a) * x[:, top, left] + a * x[:, top, right])
            + b * ((1 - a) * x[:, down, left] + a * x[:, down, right])
        )  # fmt: skip

    for j in range(num_bins * POINTS):
        for i in range(num_bins * POINTS):
            value = read(point(y0, y1, j), point(x0, x1, i))
            bins[:, j // POINTS, i // POINTS] += value / POINTS**2
    return bins


@pytest.mark.parametrize("grid", [Grid(32.0, 0.5), Grid(16.0, 2.5)])
@pytest.mark.parametrize("num_bins", [1, 3])
def test_bins_are_means_of_points_interpolated_one_by_one(grid: Grid, num_bins: int) -> None:
    maps = draw(2, 3, 4, 6)
    height, width = (int(side * grid.stride) - 3 for side in maps.shape[2:])
    boxes = boxes_within(2, 5, height=height, width=width)
    found = align(maps, boxes, grid, num_bins)
    assert found.shape == (2, 5, 3, num_bins, num_bins)
    for n in range(2):
        for r in range(5):
            expected = slow_align(maps[n], boxes[n, r].tolist(), grid, num_bins)
            torch.testing.assert_close(found[n, r], expected)


def torchvisions_align(maps: Tensor, rows: Tensor, scale: float, num_bins: int) -> Tensor:
    """Run torchvision's operator; without its library, the Python one that it would compile."""
    load_torchvision()
    module: Any = importlib.import_module("torchvision.ops.roi_align")
    if module._has_ops():
        found: Tensor = module.roi_align(maps, rows, num_bins, scale, POINTS, aligned=True)
    else:
        found = inspect.unwrap(module._roi_align)(
            maps, rows, scale, num_bins, num_bins, POINTS, True
        )
    return found


@pytest.mark.parametrize("num_bins", [1, 3])
def test_even_cells_give_what_torchvision_gives(num_bins: int) -> None:
    maps = draw(2, 3, 5, 7)
    boxes = boxes_within(2, 6, height=80, width=112)
    rows = torch.cat([torch.arange(2).repeat_interleave(6)[:, None], boxes.flatten(0, 1)], dim=1)
    theirs = torchvisions_align(maps, rows, 1 / 16, num_bins)
    ours = align(maps, boxes, Grid(16.0, 8.0), num_bins)
    torch.testing.assert_close(ours.flatten(0, 1), theirs)


def test_a_map_that_shows_its_own_places_reads_the_middle_of_each_bin() -> None:
    grid = Grid(32.0, 0.5)
    centres = grid.first + grid.stride * torch.arange(8, dtype=torch.float64)
    maps = torch.stack([centres.expand(8, 8), centres[:, None].expand(8, 8)])[None]
    found = align(maps, torch.tensor([[[40.0, 60.0, 160.0, 90.0]]]).double(), grid, 3)[0, 0]
    torch.testing.assert_close(found[0, 0], torch.tensor([60.0, 100.0, 140.0]).double())
    torch.testing.assert_close(found[1, :, 0], torch.tensor([65.0, 75.0, 85.0]).double())


def test_beyond_the_outermost_cells_stand_their_values() -> None:
    maps = torch.arange(4.0, dtype=torch.float64).view(1, 1, 2, 2)
    corner = torch.tensor([[[63.0, 63.0, 64.0, 64.0], [0.0, 0.0, 0.2, 0.2]]]).double()
    assert align(maps, corner, Grid(32.0, 0.5), 1).flatten().tolist() == [3.0, 0.0]


def test_boxes_of_half_precision_maps_keep_their_place() -> None:
    maps = draw(1, 2, 4, 4).to(torch.bfloat16)
    boxes = torch.tensor([[[101.0, 33.0, 103.0, 36.0]]])
    found = align(maps, boxes, Grid(32.0, 0.5), 1)
    assert found.dtype == torch.bfloat16
    exact = align(maps.double(), boxes.double(), Grid(32.0, 0.5), 1)
    torch.testing.assert_close(found.double(), exact, rtol=0.02, atol=0.02)  # two digits


def test_gradients_by_the_maps_are_those_of_finite_differences() -> None:
    boxes = boxes_within(2, 3, height=60, width=60)
    assert torch.autograd.gradcheck(
        lambda maps: align(maps, boxes, Grid(16.0, 0.5), 2), draw(2, 2, 4, 4).requires_grad_()
    )


def test_boxes_are_cut_at_the_edges_and_empty_ones_are_absent() -> None:
    nan = math.nan
    boxes = [
        [10.0, 20.0, 30.0, 40.0],
        [-62.0, -5.0, 30.0, 269.0],
        [nan, nan, nan, nan],
        [10.0, 20.0, nan, 40.0],
        [10.0, 20.0, 10.0, 40.0],
        [10.0, 20.0, 30.0, 20.0],
        [-9.0, 20.0, 0.0, 40.0],
        [100.0, 20.0, 130.0, 40.0],
    ]
    cut, is_there = clip_boxes(torch.tensor(boxes)[None, None], height=60, width=100)
    assert is_there[0, 0].tolist() == [True, True] + 6 * [False]
    assert cut[0, 0, :2].tolist() == [boxes[0], [0.0, 0.0, 30.0, 60.0]]
    assert not cut[0, 0, 2:].any()


def test_an_inverted_box_is_named() -> None:
    boxes = torch.zeros(2, 3, 14, 4)
    boxes[1, 2, 7] = torch.tensor([30.0, 5.0, 20.0, 9.0])
    boxes[1, 2, 9] = torch.tensor([3.0, 5.5, 20.0, 2.0])
    with pytest.raises(
        ValueError,
        match=r"box \[30.0, 5.0, 20.0, 9.0\] of region 7 in frame 2 of snippet 1 is inverted "
        r"\(2 such boxes in all\); give x0, y0, x1, y1 with x0 <= x1",
    ):
        clip_boxes(boxes, height=60, width=100)


@pytest.mark.parametrize(
    ("boxes", "got"),
    [
        (torch.zeros(3, 14, 4), r"\(3, 14, 4\) torch.float32"),
        (torch.zeros(1, 3, 29, 2), r"\(1, 3, 29, 2\) torch.float32"),
        (torch.zeros(1, 3, 14, 4, dtype=torch.int64), "torch.int64"),
    ],
)
def test_what_is_no_box_is_refused(boxes: Tensor, got: str) -> None:
    with pytest.raises(ValueError, match=rf"\(B, T, R, 4\) of floating point numbers, got .*{got}"):
        clip_boxes(boxes, height=60, width=100)
