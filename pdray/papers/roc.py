"""Draws the ROC curves of a paper's table: a panel for each place, a curve for each row.

TSA draws such curves of test predictions: Fig. 5 of all settings of Table III, Fig. 6 of the best
setting of each item in Table V. The best one is chosen by its test score, so here all settings are
drawn. TSA does not say how the folds become one curve. Here it is the mean true positive rate at
each false positive rate (vertical averaging, Fawcett 2006, section 8.1), so the area under it is
the mean AUROC of the folds. With more than two classes a curve is the mean of one class versus the
rest, over the classes that are present, like AUROC (``metrics.py``).
"""

import math
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from sklearn.metrics import roc_curve

from pdray.data.cohort.settings import SYNTHETIC
from pdray.evaluation.controls import as_binary
from pdray.evaluation.metrics import score, undefined_reason
from pdray.evaluation.plots import save_picture
from pdray.evaluation.predictions import num_classes, probabilities, targets
from pdray.evaluation.roc_curves import Points, vertical_mean
from pdray.evaluation.uncertainty import mean_se, normal_interval
from pdray.papers.detail_tables import Cells, place_label

Panels = Mapping[str, Mapping[str, Sequence[pd.DataFrame]]]
"""By title of a panel and label of a curve: one table per seed; rows as in ``Cells``."""

# Colours of Okabe and Ito, which colour-blind people can distinguish; without yellow.
_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#000000", "#D55E00", "#56B4E9")
_STYLES = ("-", "--", "-.", ":")
_LINE = 0.15  # height of a legend line [inch]
_LETTERS = 54  # letters of a title or legend line in the width of a panel


def cell_panels(cells: Cells) -> Panels:
    """Return a panel for each place of a table of cells."""
    panels: dict[str, dict[str, list[pd.DataFrame]]] = {}
    for row, found in cells.items():
        for place, table in found.items():
            panels.setdefault(place_label(place), {})[row] = [table]
    return panels


def severity_panels(seeds: Sequence[Mapping[str, pd.DataFrame]]) -> Panels:
    """Return a panel of healthy or ill, and one of all classes if there are more than two.

    Args:
        seeds: For each seed, a table by row label.
    """
    every = {row: [one[row] for one in seeds] for row in seeds[0]}
    classes = num_classes(next(iter(seeds[0].values())))
    panels = {"healthy or ill": {row: [*map(as_binary, some)] for row, some in every.items()}}
    return panels | (
        {f"{classes} classes, mean of each versus the rest": every} if classes > 2 else {}
    )


def mean_curve(tables: Sequence[pd.DataFrame], *, pooled: bool = False) -> Points | None:
    """Average ROC curves over classes, folds and seeds, each with equal weight.

    Args:
        tables: One per seed, with one row per (fold, recording).
        pooled: Whether the recordings of all folds are ranked together.

    Returns:
        The curve; None if no fold has two classes, so that AUROC is undefined.
    """
    curves: list[Points] = []
    weights: list[float] = []
    for table in tables:
        parts = _defined(table, pooled)
        for part in parts:
            found = _class_curves(part)
            curves += found
            weights += [1 / len(parts) / len(found)] * len(found)
    if not curves:
        return None
    return vertical_mean(curves, weights)


def area_text(tables: Sequence[pd.DataFrame], *, pooled: bool = False) -> str:
    """Return the AUROC of a curve with the uncertainty that its table prints.

    Args:
        tables: As in :func:`mean_curve`.
        pooled: Likewise.

    Returns:
        For one seed the mean over the folds and its 95% interval, mean -+ 1.96 SE as in TSA, cut at
        0 and 1; for several the mean over the seeds and its sample SD, as in YouTubePD; and the
        number of folds that are left out, since they have one class.
    """
    seeds = [[_area(part) for part in _defined(table, pooled)] for table in tables]
    if not all(seeds):
        return "no AUC: one class only"
    if len(seeds) > 1:
        means = [float(np.mean(areas)) for areas in seeds]
        return f"AUC {np.mean(means):.2f}+-{np.std(means, ddof=1):.2f}"
    mean, se = mean_se(seeds[0])
    low, high = np.clip(normal_interval(mean, se), 0, 1)
    lost = 0 if pooled else tables[0]["fold"].nunique() - len(seeds[0])
    return "".join(
        [
            f"AUC {mean:.2f}",
            "" if math.isnan(se) else f" [{low:.2f}, {high:.2f}]",
            f", {lost} folds of one class left out" if lost else "",
        ]
    )


def roc_figure(
    title: str, panels: Panels, path: Path, *, synthetic: bool, pooled: bool = False
) -> None:
    """Draw all curves of a table.

    Args:
        title: Title of the table.
        panels: At least one, with at least one curve.
        path: The PNG to write.
        synthetic: Whether the cohort is synthetic; the title then says so.
        pooled: Whether the recordings of all folds are ranked together.
    """
    labels = list(dict.fromkeys(label for curves in panels.values() for label in curves))
    wide = len(panels) if len(panels) <= 3 else math.ceil(math.sqrt(len(panels)))
    high = math.ceil(len(panels) / wide)
    legends = {
        name: [_legend(label, tables, pooled) for label, tables in curves.items()]
        for name, curves in panels.items()
    }
    below = _LINE * max(sum(one.count("\n") + 1 for one in lines) for lines in legends.values())
    figure = Figure(figsize=(3.6 * wide, 0.7 + (3.8 + below) * high), layout="constrained")
    parts = figure.subfigures(high, wide, squeeze=False).ravel()
    for part, (name, curves) in zip(parts, panels.items(), strict=False):
        axes = part.add_subplot()
        axes.plot([0, 1], [0, 1], color="0.7", linewidth=1)
        for (label, tables), legend in zip(curves.items(), legends[name], strict=True):
            number = labels.index(label)
            rates, hits = mean_curve(tables, pooled=pooled) or ([], [])
            axes.plot(
                rates,
                hits,
                color=_COLOURS[number % len(_COLOURS)],
                linestyle=_STYLES[number % len(_STYLES)],
                label=legend,
            )
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
        axes.set_xlabel("false positive rate", fontsize=8)
        axes.set_ylabel("true positive rate", fontsize=8)
        axes.set_title(name, fontsize=9)
        axes.tick_params(labelsize=8)
        part.legend(loc="outside lower center", fontsize=7, handlelength=3.2)
    shown = next(iter(next(iter(panels.values())).values()))
    above = [f"{SYNTHETIC}: {title}" if synthetic else title, _caption(shown, pooled)]
    wrapped = [textwrap.fill(text, _LETTERS * wide) for text in above]
    figure.suptitle("\n".join(wrapped), fontsize=9)
    save_picture(figure, path)


def _legend(label: str, tables: Sequence[pd.DataFrame], pooled: bool) -> str:
    return textwrap.fill(f"{label}: {area_text(tables, pooled=pooled)}", _LETTERS)


def _caption(tables: Sequence[pd.DataFrame], pooled: bool) -> str:
    """Return the caption: the folds of the curves, and the meaning of the numbers."""
    folds, seeds = tables[0]["fold"].nunique(), len(tables)
    how = (
        f"all recordings of {folds} folds ranked together" if pooled else f"mean over {folds} folds"
    )
    area = "AUC [95% interval: -+1.96 SE over folds]" if not pooled else ""
    if folds == 1:
        how, area = "one split", ""
    if seeds > 1:
        area = f"AUC: mean+-SD over {seeds} seeds"
    classes = num_classes(tables[0])
    of = f"{classes} classes, each versus the rest" if classes > 2 else ""
    return "; ".join(filter(None, [how, of, area]))


def _defined(table: pd.DataFrame, pooled: bool) -> list[pd.DataFrame]:
    """Return the folds, or the whole table, with a defined AUROC."""
    parts = [table] if pooled else [rows for _, rows in table.groupby("fold", sort=True)]
    return [
        rows
        for rows in parts
        if undefined_reason("auroc", targets(rows), probabilities(rows)) is None
    ]


def _area(table: pd.DataFrame) -> float:
    return score("auroc", targets(table), probabilities(table))


def _class_curves(table: pd.DataFrame) -> list[Points]:
    """Return the curve of the positive class of two, or of each class that is present."""
    y, shares = targets(table), probabilities(table)
    classes = [1] if shares.shape[1] == 2 else np.unique(y).tolist()
    return [roc_curve(y == k, shares[:, k])[:2] for k in classes]
