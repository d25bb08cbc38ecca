"""Measures how activation maps spread over a picture: share per region, and entropy.

The hypomimia abstract reports that a network uses few regions of a patient's face (eyes, nose,
mouth) and many of a control's, without a number. Here the share of a region is its part of the
whole picture's activation; its density is this share divided by the region's part of the picture
area (1 for a uniform map). Spread is exp(entropy) / n for n places: 1 / n if all activation is in
one place, 1 if it is uniform.

Missing values are NaN, never zero: regions with unknown corners or without a pixel, and shares of a
frame without activation.

Letters: F frame, R region, V corner of a polygon, P corner of all polygons, H height, W width.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pdray.evaluation.report import aligned

ELSEWHERE = "elsewhere"
_GRID = (
    *("top left", "top", "top right"),
    *("left", "centre", "right"),
    *("bottom left", "bottom", "bottom right"),
)
_MEASURES = ("picture_spread", "region_spread", "time_spread", "area_above_half")
_NAMED = 3  # regions in a line


@dataclass(frozen=True)
class Regions:
    """Polygons on the frames of a recording.

    Attributes:
        points: (F, P, 2) float x, y of the corners of all polygons, one polygon after the other,
            from the top left corner of the picture [px]; NaN where absent.
        vertices: (R,) number of corners of each polygon, at least 3; their sum is P.
        names: Name of each polygon.
        is_grid: Whether the polygons are a grid, because the recording has no regions.
    """

    points: NDArray[np.float32]
    vertices: NDArray[np.int64]
    names: tuple[str, ...]
    is_grid: bool = False

    def corners(self, region: int) -> NDArray[np.float32]:
        """Return the (F, V, 2) corners of one polygon."""
        end = int(self.vertices[: region + 1].sum())
        return self.points[:, end - int(self.vertices[region]) : end]


@dataclass(frozen=True)
class RegionShares:
    """Activation of a recording by region; the last column is the rest of the picture.

    Attributes:
        names: R names.
        inside: (F, R) float64 sum of the activation, NaN where the region is absent.
        area: (F, R) float64 part of the picture in 0..1, NaN where the region is absent.
        total: (F,) float64 sum over the picture.
    """

    names: tuple[str, ...]
    inside: NDArray[np.float64]
    area: NDArray[np.float64]
    total: NDArray[np.float64]


def grid(num_frames: int, *, height: int, width: int) -> Regions:
    """Return three by three equal parts of the picture, for recordings without regions."""
    steps = np.arange(3)
    left, top = (part.ravel() for part in np.meshgrid(steps, steps))
    x = np.stack([left, left + 1, left + 1, left], axis=1) * (width / 3)
    y = np.stack([top, top, top + 1, top + 1], axis=1) * (height / 3)
    points = np.stack([x, y], axis=2).reshape(1, -1, 2).astype(np.float32)
    every = np.repeat(points, num_frames, axis=0)
    return Regions(every, np.full(9, 4), _GRID, is_grid=True)


def region_mask(corners: NDArray[np.float32], *, height: int, width: int) -> NDArray[np.bool_]:
    """Return the mask of a polygon: pixels whose centre lies inside by the even-odd rule.

    Args:
        corners: (F, V, 2) x, y from the top left corner, in order along the outline [px].
        height: Rows [px].
        width: Columns [px].

    Returns:
        (F, height, width); all false in a frame where a corner is NaN.
    """
    known = np.asarray(np.isfinite(corners).all(axis=(1, 2)))
    x, y = np.where(known[:, None, None], corners, 0.0).transpose(2, 0, 1)
    rows, columns = np.arange(height) + 0.5, np.arange(width) + 0.5
    inside = np.zeros((len(corners), height, width), np.bool_)
    for here in range(corners.shape[1]):
        x0, y0, x1, y1 = (edge[:, None] for at in (here, here - 1) for edge in (x[:, at], y[:, at]))
        # An edge crosses a row if one end is above its centre; a level edge crosses none.
        crosses = ((y0 > rows) != (y1 > rows)) & known[:, None]
        rise = np.where(y1 == y0, 1.0, y1 - y0)
        at_x = np.where(crosses, x0 + (rows - y0) * (x1 - x0) / rise, -np.inf)
        inside ^= columns < at_x[:, :, None]
    return inside


def region_shares(activation: NDArray[np.float32], regions: Regions) -> RegionShares:
    """Sum the activation inside each region of each frame.

    The rest of the picture is one more column, known only in frames with all regions; a grid has
    no such column. Regions may overlap, so shares need not sum to 1.

    Args:
        activation: (F, H, W), at least 0.
        regions: On the same frames.
    """
    height, width = activation.shape[1:]
    total = activation.sum(axis=(1, 2), dtype=np.float64)
    inside, area, around = [], [], np.zeros(activation.shape, np.bool_)
    for number in range(len(regions.names)):
        mask = region_mask(regions.corners(number), height=height, width=width)
        around |= mask
        inside.append(np.where(mask, activation, 0).sum(axis=(1, 2), dtype=np.float64))
        area.append(mask.mean(axis=(1, 2)))
    names = regions.names
    if not regions.is_grid:
        names = (*names, ELSEWHERE)
        complete = np.logical_and.reduce([part > 0 for part in area])
        area.append(np.where(complete, 1 - around.mean(axis=(1, 2)), 0.0))
        inside.append(np.where(around, 0, activation).sum(axis=(1, 2), dtype=np.float64))
    parts, sums = (np.stack(column, axis=1) for column in (area, inside))
    absent = parts == 0
    parts[absent] = sums[absent] = np.nan
    return RegionShares(names, sums, parts, total)


def shares_by_frame(shares: RegionShares) -> pd.DataFrame:
    """Return one row per frame and region.

    Returns:
        ``position`` (of the frame, from 0), ``region``, ``share`` and ``area`` in 0..1; NaN where
        the region is absent, and ``share`` also where the frame has no activation.
    """
    num_frames, num_regions = shares.inside.shape
    total = np.where(shares.total > 0, shares.total, np.nan)
    return pd.DataFrame(
        {
            "position": np.repeat(np.arange(num_frames), num_regions),
            "region": list(shares.names) * num_frames,
            "share": (shares.inside / total[:, None]).ravel(),
            "area": shares.area.ravel(),
        }
    )


def shares_over_time(shares: RegionShares) -> pd.DataFrame:
    """Return one row per region: its share of the activation in the frames that have the region.

    Returns:
        ``region``, ``num_frames`` (with the region), ``share``, ``area`` (the mean) and
        ``density`` (share / area); NaN if no frame has the region, or without activation.
    """
    there = np.isfinite(shares.inside)
    count = there.sum(axis=0)
    area = np.where(there, shares.area, 0.0).sum(axis=0) / np.where(count, count, np.nan)
    total = (there * shares.total[:, None]).sum(axis=0)
    inside = np.where(there, shares.inside, 0.0).sum(axis=0)
    share = inside / np.where(total > 0, total, np.nan)
    columns = {"num_frames": count, "share": share, "area": area, "density": share / area}
    return pd.DataFrame({"region": list(shares.names), **columns})


def spread(activation: NDArray[np.float32], shares: RegionShares) -> dict[str, float]:
    """Measure how far the activation of a recording spreads; NaN without activation.

    Args:
        activation: (F, H, W), at least 0.
        shares: From :func:`region_shares` of the same activation.

    Returns:
        ``picture_spread``, over the pixels of the mean map; ``region_spread``, over the densities
        of the regions; ``time_spread``, over the frames; ``peak``, the highest activation; and
        ``area_above_half``, the share of pixels with at least half of it. All but the peak are in
        0..1, and NaN with fewer than two places.
    """
    peak = float(activation.max())
    regions = shares_over_time(shares)
    bodily = regions[regions["region"] != ELSEWHERE]["density"].dropna()
    return {
        "picture_spread": _even_part(activation.mean(axis=0, dtype=np.float64).ravel()),
        "region_spread": _even_part(bodily.to_numpy(np.float64)),
        "time_spread": _even_part(shares.total),
        "area_above_half": float((activation >= peak / 2).mean()) if peak > 0 else math.nan,
        "peak": peak,
    }


def spread_table(rows: pd.DataFrame, *, shown: str) -> str:
    """Return the spread of each layer by true class as a table: mean and SD over subjects.

    Args:
        rows: One per recording and layer, with ``subject_id``, ``target``, ``layer`` and the
            numbers of :func:`spread`; a subject's recordings are averaged, without NaN.
        shown: The explained class, in words.

    Returns:
        Lines of text, with the number of subjects of each mean and the number of empty maps.
    """
    head = (
        f"spread of the activation for {shown} (1: uniform), by true class: mean +- SD over "
        "subjects"
    )
    empty = rows[rows["peak"] == 0].groupby("layer", sort=False).size()
    notes = [
        f"{layer}: {count} of {int((rows['layer'] == layer).sum())} maps have no activation for "
        "the class and are left out"
        for layer, count in empty.items()
    ]
    return "\n".join([head, *means_by_class(rows, _MEASURES), *notes])


def means_by_class(rows: pd.DataFrame, measures: Sequence[str]) -> list[str]:
    """Return measures of each layer by true class as a table: mean and SD over subjects.

    Args:
        rows: One per recording and layer, with ``subject_id``, ``target``, ``layer`` and the
            measures; a subject's recordings are averaged, without NaN.
        measures: Names of columns.

    Returns:
        Lines of text, with the number of subjects of each mean.
    """
    keys = ["layer", "target", "subject_id"]
    people = rows.groupby(keys, sort=False)[list(measures)].mean().reset_index()
    lines = [["layer", "class", *measures]]
    for layer in people["layer"].unique():
        for target, group in people[people["layer"] == layer].groupby("target"):
            values = [group[name].dropna().to_numpy() for name in measures]
            lines.append([str(layer), str(target), *(_cell(one) for one in values)])
    return aligned(lines)


def regions_text(rows: pd.DataFrame, *, shown: str) -> str:
    """List the regions with most of each layer's activation.

    Args:
        rows: One per recording, layer and region, with ``subject_id``, ``item``, ``layer`` and the
            numbers of :func:`shares_over_time`; a subject's recordings are averaged, without NaN.
        shown: The explained class, in words.

    Returns:
        One line per layer and item: the three highest mean shares over subjects with their mean
        density, and the share outside all regions; "-" if nothing is known.
    """
    keys = ["layer", "item", "region", "subject_id"]
    people = rows.groupby(keys, sort=False)[["share", "density"]].mean().reset_index()
    means = people.groupby(keys[:3], sort=False)[["share", "density"]].mean().reset_index()
    lines = [
        f"regions with most activation for {shown}: mean share over subjects (density; 1: uniform);"
        " regions may overlap"
    ]
    several = rows["item"].nunique() > 1
    for (layer, item), found in means.groupby(["layer", "item"], sort=False):
        known = found.dropna()
        bodily = known[known["region"] != ELSEWHERE].nlargest(_NAMED, "share")
        parts = [f"{one.region} {one.share:.2f} ({one.density:.1f})" for one in bodily.itertuples()]
        parts += [
            f"outside all regions {share:.2f}"
            for share in known.loc[known["region"] == ELSEWHERE, "share"]
        ]
        lines.append(f"{layer}{f', {item}' if several else ''}: {', '.join(parts) or '-'}")
    return "\n".join(lines)


def _cell(values: NDArray[np.float64]) -> str:
    if not len(values):
        return "undefined"
    deviation = f" +- {values.std(ddof=1):.2f}" if len(values) > 1 else ""
    return f"{values.mean():.2f}{deviation} (n={len(values)})"


def _even_part(weights: NDArray[np.float64]) -> float:
    """Return exp(entropy) / n of n weights; NaN if all are 0 or there are fewer than two."""
    total = weights.sum()
    if len(weights) < 2 or not total > 0:
        return math.nan
    parts = weights[weights > 0] / total
    return math.exp(-float((parts * np.log(parts)).sum())) / len(weights)
