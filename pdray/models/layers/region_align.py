"""RoIAlign: reads the features of boxes on a picture from a feature map.

Source: He et al. 2017 (arXiv:1703.06870), section 3. Each box is cut into bins. A bin is the mean
of the map at regularly spaced points, interpolated bilinearly; nothing is rounded. The points form
a grid of rows and columns, and so does bilinear interpolation: a bin is ``rows . map . columns``
with a weight for each row and column of the map, and all boxes of a frame are one matrix product.
The results are those of ``torchvision.ops.roi_align(aligned=True)`` for boxes within the picture.
That operator is not used: if its compiled library does not load (see ``vision.py``), it compiles a
Python version of itself at its first call; and on a GPU it sums its gradient in no fixed order.
Differs: a cell lies at the centre of its receptive field, not where an even division of the
picture would put it (see :class:`Grid`); 4 points per bin along each axis, where the paper has 2,
so that a wide bin skips no cell of a small map.
Letters: B batch, T time step, R region, N picture, D feature, H and W height and width of a map,
P bin along an axis, S place of a map (H W), X bin or point, C cell along an axis.
"""

from typing import NamedTuple

import torch
from torch import Tensor

POINTS = 4  # of a bin, along each axis


class Grid(NamedTuple):
    """Positions of the cells of a map on the picture.

    Attributes:
        stride: From the centre of a cell to the next [px].
        first: From the picture's corner to the centre of the first cell [px].
    """

    stride: float
    first: float


def clip_boxes(boxes_BTR4: Tensor, *, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Cut boxes at the edges of their picture, and find the absent ones.

    A box with a NaN is absent, and so is one without width or height within the picture.

    Args:
        boxes_BTR4: (B, T, R, 4) float x0, y0, x1, y1 from the picture's corner [px]; any size.
        height: Of the picture [px].
        width: Of the picture [px].

    Returns:
        Boxes (B, T, R, 4) within 0..width and 0..height, zeros where absent; and (B, T, R) bool,
        whether the region is present.

    Raises:
        ValueError: If the axes are wrong, or a box has x0 > x1 or y0 > y1; names the first such
            box and how many there are.
    """
    got = f"got {tuple(boxes_BTR4.shape)} {boxes_BTR4.dtype}"
    if boxes_BTR4.ndim != 4 or boxes_BTR4.shape[3] != 4 or not boxes_BTR4.is_floating_point():
        raise ValueError(f"boxes need four axes (B, T, R, 4) of floating point numbers, {got}")
    inverted_BTR = (boxes_BTR4[..., 2:] < boxes_BTR4[..., :2]).any(dim=3)
    if inverted_BTR.any():
        batch, step, region = inverted_BTR.nonzero()[0].tolist()
        box = [round(edge, 2) for edge in boxes_BTR4[batch, step, region].tolist()]
        raise ValueError(
            f"box {box} of region {region} in frame {step} of snippet {batch} is inverted "
            f"({int(inverted_BTR.sum())} such boxes in all); give x0, y0, x1, y1 with x0 <= x1 and "
            "y0 <= y1"
        )
    limit_4 = boxes_BTR4.new_tensor([width, height, width, height])
    boxes_BTR4 = torch.minimum(boxes_BTR4.clamp(min=0), limit_4)
    # Both comparisons are false for NaN.
    is_there_BTR = (boxes_BTR4[..., 2:] > boxes_BTR4[..., :2]).all(dim=3)
    return boxes_BTR4.masked_fill(~is_there_BTR[..., None], 0.0), is_there_BTR


def align(x_NDHW: Tensor, boxes_NR4: Tensor, grid: Grid, num_bins: int) -> Tensor:
    """Return (N, R, D, P, P): the features of the bins of each box.

    Args:
        x_NDHW: (N, D, H, W) maps.
        boxes_NR4: (N, R, 4) x0, y0, x1, y1 within the picture [px].
        grid: Positions of the cells of the maps.
        num_bins: Bins P along each axis, at least 1.
    """
    high, wide = x_NDHW.shape[2:]
    x0_NR, y0_NR, x1_NR, y1_NR = boxes_NR4.to(_weight_dtype(x_NDHW)).unbind(2)
    rows_NRPH = _weights(y0_NR, y1_NR, grid, num_bins=num_bins, num_cells=high)
    columns_NRPW = _weights(x0_NR, x1_NR, grid, num_bins=num_bins, num_cells=wide)
    weights_NRPPHW = rows_NRPH[:, :, :, None, :, None] * columns_NRPW[:, :, None, :, None, :]
    weights_NXS = weights_NRPPHW.flatten(1, 3).flatten(2).to(x_NDHW.dtype)
    values_NXD = torch.bmm(weights_NXS, x_NDHW.flatten(2).transpose(1, 2))
    shape = (*boxes_NR4.shape[:2], num_bins, num_bins, x_NDHW.shape[1])
    return values_NXD.view(shape).permute(0, 1, 4, 2, 3)


def _weight_dtype(x: Tensor) -> torch.dtype:
    # Half precision would move a box by pixels.
    return torch.promote_types(x.dtype, torch.float32)


def _weights(
    low_NR: Tensor, high_NR: Tensor, grid: Grid, *, num_bins: int, num_cells: int
) -> Tensor:
    """Return (N, R, P, cells): each cell's weight in the mean over the points of each bin.

    A point between two cells is shared between them. A point beyond the outermost centre belongs
    to the outermost cell, as in torchvision.
    """
    num_points = num_bins * POINTS
    share_X = (
        torch.arange(num_points, device=low_NR.device, dtype=low_NR.dtype) + 0.5
    ) / num_points
    points_NRX = low_NR[..., None] + (high_NR - low_NR)[..., None] * share_X
    cell_NRX = ((points_NRX - grid.first) / grid.stride).clamp(0, num_cells - 1)
    cells_C = torch.arange(num_cells, device=low_NR.device, dtype=low_NR.dtype)
    weights_NRXC: Tensor = (1 - (cell_NRX[..., None] - cells_C).abs()).clamp(min=0)
    return weights_NRXC.view(*low_NR.shape, num_bins, POINTS, num_cells).mean(dim=3)
