"""Draws the expressions of the ill and of the healthy: Fig. 2 to 4 of Huang et al. 2025, as PNG.

They show numbers, no pictures of people.
"""

import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pdray.data.cohort.settings import LABELS, SYNTHETIC
from pdray.evaluation.drawing import draw_confusion
from pdray.evaluation.plots import save_picture
from pdray.explain.embedding import embed
from pdray.papers.expression_groups import Expressions, silhouettes, subject_means

# Of Okabe and Ito, which colour-blind people can distinguish.
_GROUPS = ("#0072B2", "#E69F00")
_EXPRESSIONS = ("#000000", "#E69F00", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9")
_MARKERS = "os^DvPX"
_WIDE = 0.32  # of a box, where phrases are 1 apart


def draw_groups(found: Expressions, files: Mapping[str, Path], *, synthetic: bool) -> None:
    """Draw all figures.

    Args:
        found: The videos.
        files: The PNG to write of each figure of :data:`FIGURES`.
        synthetic: Whether the cohort is synthetic; titles then say so.
    """
    mark = f"{SYNTHETIC}: " if synthetic else ""
    for name, draw in FIGURES.items():
        draw(found, files[name], mark)


def _confusion_figure(found: Expressions, path: Path, mark: str) -> None:
    figure = Figure(figsize=(8.4, 4.6), layout="constrained")
    for axes, group in zip(figure.subplots(1, 2), (0, 1), strict=True):
        units = found.of_group(group)
        draw_confusion(axes, units)
        places = range(len(found.classes))
        axes.set_xticks(places, labels=found.classes, fontsize=8)
        axes.set_yticks(places, labels=found.classes, fontsize=8)
        axes.set_xlabel("likeliest phrase")
        axes.set_ylabel("asked expression")
        axes.set_title(_counted(found, group), fontsize=9)
    figure.suptitle(f"{mark}videos, and share of the asked expression", fontsize=10)
    save_picture(figure, path)


def _intensity_figure(found: Expressions, path: Path, mark: str) -> None:
    count = len(found.classes)
    columns = 2 if count == 4 else 3
    rows = -(-count // columns)
    figure = Figure(figsize=(0.6 + 4.2 * columns, 0.9 + 3 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False, sharey=True).ravel()
    for axes in panels[count:]:
        axes.set_axis_off()
    for video, axes in enumerate(panels[:count]):
        _draw_boxes(axes, found, video)
    for axes in panels[::columns]:
        axes.set_ylabel("log intensity (cosine / tau)", fontsize=8)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, fontsize=8, markerscale=3)
    text = "a point: mean of a subject; box: quartiles and median; grey: the asked expression"
    figure.suptitle(f"{mark}intensity of each phrase in each video\n{text}", fontsize=9)
    save_picture(figure, path)


def _draw_boxes(axes: Axes, found: Expressions, video: int) -> None:
    """Draw the log intensities of each phrase in the videos of one expression."""
    means = subject_means(found, video)
    places = np.arange(len(found.classes))
    axes.axvspan(video - 0.5, video + 0.5, color="0.92", zorder=0)
    draws = np.random.default_rng(0)
    for group, (name, colour) in enumerate(zip(LABELS, _GROUPS, strict=True)):
        values = means.loc[means["group"] == group, [*places]].to_numpy()
        if not len(values):
            continue
        middle = places + (group - 0.5) * 0.42
        axes.boxplot(
            values, positions=middle, widths=_WIDE, showfliers=False, manage_ticks=False,
            boxprops={"color": colour}, medianprops={"color": colour, "linewidth": 2},
            whiskerprops={"color": colour}, capprops={"color": colour},
        )  # fmt: skip
        aside = draws.uniform(-0.3 * _WIDE, 0.3 * _WIDE, values.shape)
        label = f"{name} ({found.of_group(group)['subject_id'].nunique()} subjects)"
        axes.scatter(
            (middle + aside).ravel(), values.ravel(), s=5, color=colour, alpha=0.5,
            linewidths=0, label=label,
        )  # fmt: skip
    axes.set_xticks(places, labels=found.classes, fontsize=8)
    axes.set_xlim(-0.6, len(places) - 0.4)
    axes.tick_params(axis="y", labelsize=8)
    axes.set_title(f"video: {found.classes[video]}", fontsize=9)


def _feature_figure(found: Expressions, path: Path, mark: str) -> None:
    embedding = embed(found.features)
    plane, how = embedding.tsne, "t-SNE: only near neighbours mean something"
    if plane is None:
        plane, how = embedding.pca, "first two principal components (too few videos for t-SNE)"
    figure = Figure(figsize=(9, 5.4), layout="constrained")
    panels = figure.subplots(1, 2, sharex=True, sharey=True)
    expression, of = (found.units[name].to_numpy() for name in ("target", "group"))
    for axes, group in zip(panels, (0, 1), strict=True):
        axes.scatter(*plane[of != group].T, s=8, color="0.88", zorder=1)
        for k, name in enumerate(found.classes):
            mine = plane[(of == group) & (expression == k)]
            axes.scatter(
                *mine.T, s=16, marker=_MARKERS[k], color=_EXPRESSIONS[k], label=name,
                edgecolors="white", linewidths=0.3, zorder=2,
            )  # fmt: skip
        axes.set(xticks=[], yticks=[])
        axes.set_title(_counted(found, group), fontsize=9)
        axes.set_xlabel("light grey: the other group", fontsize=8)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), fontsize=8)
    told = "; ".join(f"{name} {value:.2f}" for name, value in silhouettes(found))
    lines = textwrap.wrap(f"silhouettes in the feature space: {told}", 110)
    figure.suptitle("\n".join([f"{mark}features of the videos. {how}", *lines]), fontsize=9)
    save_picture(figure, path)


def _counted(found: Expressions, group: int) -> str:
    units = found.of_group(group)
    return f"{LABELS[group]}: {len(units)} videos of {units['subject_id'].nunique()} subjects"


FIGURES: dict[str, Callable[[Expressions, Path, str], None]] = {
    "confusion": _confusion_figure,
    "intensities": _intensity_figure,
    "features": _feature_figure,
}
"""Function that draws each figure."""
