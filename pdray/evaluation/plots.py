"""Pictures of a predictions table: the confusion matrix and ROC curves, as PNG."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from sklearn.metrics import confusion_matrix, roc_auc_score, roc_curve

from pdray.atomic import replacing
from pdray.evaluation.metrics import predicted
from pdray.evaluation.predictions import num_classes, probabilities, targets


def confusion_picture(table: pd.DataFrame, path: Path, *, synthetic: bool) -> None:
    """Draw how many rows of each true class are predicted as each class.

    Args:
        table: A predictions table, or one row a recording.
        path: The PNG to write.
        synthetic: Whether the cohort is rendered; the title says so.
    """
    classes = num_classes(table)
    counts = confusion_matrix(
        targets(table), predicted(probabilities(table)), labels=list(range(classes))
    )
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure = Figure(figsize=(4.2, 4.0), layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(counts):
        color = "white" if shares[row, column] > 0.5 else "black"
        axes.text(column, row, str(count), ha="center", va="center", color=color)
    names = _class_names(table)
    axes.set_xticks(range(classes), labels=names)
    axes.set_yticks(range(classes), labels=names, rotation=90, va="center")
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    axes.set_title(_title(table, "shade: share of the true class", synthetic), fontsize=9)
    _save(figure, path)


def roc_picture(table: pd.DataFrame, path: Path, *, synthetic: bool) -> None:
    """Draw ROC curves: of all rows and of each item for two classes, else of each class.

    A curve whose rows are all of one side of its question is left out and named in the title.

    Args:
        table: A predictions table, or one row a recording.
        path: The PNG to write.
        synthetic: Whether the cohort is rendered; the title says so.
    """
    figure = Figure(figsize=(4.6, 4.4), layout="constrained")
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=1)
    left_out = []
    for label, rows, positive in _curves(table):
        is_class, share = targets(rows) == positive, probabilities(rows)[:, positive]
        if is_class.all() or not is_class.any():
            left_out.append(label)
            continue
        false_rate, true_rate, _ = roc_curve(is_class, share)
        area = roc_auc_score(is_class, share)
        axes.plot(false_rate, true_rate, label=f"{label} (area {area:.2f}, n={len(rows)})")
    if left_out:
        axes.plot([], [], " ", label=f"one class only, no curve: {', '.join(left_out)}")
    axes.legend(loc="lower right", fontsize=7)
    axes.set_xlabel("false positive rate")
    axes.set_ylabel("true positive rate")
    axes.set_title(_title(table, "ROC, one versus rest", synthetic), fontsize=9)
    _save(figure, path)


def _curves(table: pd.DataFrame) -> list[tuple[str, pd.DataFrame, int]]:
    """List (label, rows, positive class) of the curves to draw."""
    if num_classes(table) > 2:
        return [(name, table, k) for k, name in enumerate(_class_names(table))]
    items = [(str(item), rows, 1) for item, rows in table.groupby("item", sort=True)]
    return [("all", table, 1), *(items if len(items) > 1 else [])]


def _class_names(table: pd.DataFrame) -> list[str]:
    """Name each class by the grades that its rows carry."""
    grades = {k: sorted(rows.unique()) for k, rows in table.groupby("target")["grade"]}
    return [
        f"{k}: grade {', '.join(map(str, grades[k]))}" if k in grades else f"{k}: absent"
        for k in range(num_classes(table))
    ]


def _title(table: pd.DataFrame, text: str, synthetic: bool) -> str:
    size = f"{len(table)} rows of {table['subject_id'].nunique()} subjects"
    return f"{'SYNTHETIC data, ' if synthetic else ''}{size}\n{text}"


def _save(figure: Figure, path: Path) -> None:
    FigureCanvasAgg(figure)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=120)
