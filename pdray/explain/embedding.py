"""Plots test recordings by the features of a network, and measures how well groups separate.

The hypomimia abstract shows that patients and controls separate in such a plot, but a plot is not a
measure. Silhouettes (Rousseeuw 1987) are: for a recording, (b - a) / max(a, b), with a its mean
distance to its own group and b to the nearest other group; 1 separate, 0 mixed, -1 in the wrong
group. They are computed in the feature space, not in the plot. Recordings of one person are
similar whatever the grade, so silhouettes are also computed with people as groups: if these are
higher, the features show identity rather than severity.
Differs from Rousseeuw: a recording that is alone in its group has no silhouette and is left out of
means; he sets 0.
"""

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray
from sklearn.manifold import TSNE
from sklearn.metrics import silhouette_samples

from pdray.data.cohort.settings import SYNTHETIC
from pdray.evaluation.plots import save_picture
from pdray.explain.severity import SEVERITIES, Readout

TSNE_LEAST = 30  # recordings; with fewer, a t-SNE plot is mostly chance
_PERPLEXITY = 30.0
_MARKERS = "os^vDP*X<>phd8"
_SHOWN = 14  # subjects in the legend, as many as there are markers


@dataclass(frozen=True)
class Separation:
    """Mean silhouettes; nan with fewer than two groups, or if all groups have one recording.

    Attributes:
        by_class: With classes as groups, over all recordings that are not alone in their class.
        of_class: The same for the recordings of each class.
        by_subject: With subjects as groups.
    """

    by_class: float
    of_class: dict[int, float]
    by_subject: float


@dataclass(frozen=True)
class Embedding:
    """Coordinates of N recordings in the plots.

    Attributes:
        pca: (N, 2) first two principal components; 0 if there are fewer.
        variance: Their shares of the variance, 0..1.
        tsne: (N, 2), or None with fewer than 30 recordings.
    """

    pca: NDArray[np.float64]
    variance: tuple[float, float]
    tsne: NDArray[np.float64] | None


def separation(features: NDArray[np.float32], facts: pd.DataFrame) -> Separation:
    """Measure how well classes and people separate in the feature space.

    Args:
        features: (N, D) of test recordings.
        facts: N rows of ``target`` and ``subject_id``.
    """
    targets = facts["target"].to_numpy()
    samples = _silhouettes(features, targets)
    return Separation(
        by_class=_mean(samples),
        of_class={int(k): _mean(samples[targets == k]) for k in np.unique(targets)},
        by_subject=silhouette(features, facts["subject_id"].to_numpy()),
    )


def silhouette(features: NDArray[np.floating], groups: NDArray[np.generic]) -> float:
    """Return the mean silhouette of N recordings; nan where :class:`Separation` has nan.

    Args:
        features: (N, D).
        groups: (N,) group of each recording.
    """
    return _mean(_silhouettes(features, groups))


def separation_sentence(found: Separation, facts: pd.DataFrame) -> str:
    """Return the silhouettes, the numbers of recordings and subjects, and what is undefined."""
    classes = ", ".join(f"class {k}: {_number(value)}" for k, value in found.of_class.items())
    return (
        f"silhouette by class {_number(found.by_class)} ({classes}), by subject "
        f"{_number(found.by_subject)}; {len(facts)} test recordings of "
        f"{facts['subject_id'].nunique()} subjects, none used in training{_why_not(facts)}"
    )


def _why_not(facts: pd.DataFrame) -> str:
    """Return which groups have no silhouette; empty if all have one."""
    told = []
    for kind, groups, column in (
        ("class", "classes", "target"),
        ("subject", "subjects", "subject_id"),
    ):
        counts = facts[column].value_counts().sort_index()
        alone = counts.index[counts == 1]
        if len(counts) < 2:
            told.append(f"all are of one {kind}")
        elif len(alone) == len(counts):
            told.append(f"no {kind} has two recordings")
        elif len(alone):
            names = f"{kind} {alone[0]} of one recording"
            if len(alone) > 1:
                names = f"{len(alone)} {groups} of one recording each"
            told.append(f"{names} left out")
    return f"; {'; '.join(told)}" if told else ""


def embed(features: NDArray[np.floating], *, seed: int = 0) -> Embedding:
    """Compute coordinates: principal components, and t-SNE if there are enough recordings.

    Args:
        features: (N, D), N at least 1.
        seed: Seed of t-SNE.
    """
    centred = features.astype(np.float64) - features.mean(axis=0, dtype=np.float64)
    left, size, _ = np.linalg.svd(centred, full_matrices=False)
    plane = np.zeros((len(features), 2))
    kept = min(2, len(size))
    plane[:, :kept] = (left * size)[:, :kept]
    variance = np.append(size**2, [0.0, 0.0])
    first, second = (variance[:2] / max(variance.sum(), 1e-300)).tolist()
    tsne = None
    if len(features) >= TSNE_LEAST:
        perplexity = min(_PERPLEXITY, (len(features) - 1) / 3)
        model = TSNE(perplexity=perplexity, init="pca", random_state=seed)
        tsne = model.fit_transform(centred).astype(np.float64)
    return Embedding(plane, (first, second), tsne)


def embedding_picture(
    embedding: Embedding,
    facts: pd.DataFrame,
    path: Path,
    *,
    readouts: Sequence[Readout] = (),
    title: str,
    synthetic: bool,
) -> None:
    """Draw one row per known severity: the plots of features, and the predicted severity.

    Colour shows the severity; markers and thin lines show the subject.

    Args:
        embedding: Coordinates of N recordings.
        facts: N rows of ``target``, ``subject_id`` and the columns of ``SEVERITIES``.
        path: The PNG to write.
        readouts: Predicted severities of the same recordings; each adds a panel.
        title: The text of :func:`separation_sentence`.
        synthetic: Whether the cohort is SYNTHETIC; the title says so.
    """
    first, second = embedding.variance
    planes = [
        (
            embedding.pca,
            f"principal component 1 ({first:.0%} of the variance)",
            f"principal component 2 ({second:.0%})",
        )
    ]
    if embedding.tsne is not None:
        planes.append((embedding.tsne, "t-SNE: only near neighbours mean something", ""))
    fields = [field for field in SEVERITIES if facts[field].notna().any()]
    wide = len(planes) + bool(readouts)
    figure = Figure(figsize=(2.2 + 4.4 * wide, 0.6 + 4.4 * len(fields)), layout="constrained")
    for row, field in zip(
        figure.subfigures(len(fields), 1, squeeze=False).ravel(), fields, strict=True
    ):
        marks = _Marks(facts, field)
        for number, (plane, below, beside) in enumerate(planes):
            axes = row.add_subplot(1, wide, number + 1)
            _draw_plane(axes, plane, marks)
            axes.set_xlabel(below, fontsize=8)
            axes.set_ylabel(beside, fontsize=8)
        for one in readouts:
            if one.field == field:
                _draw_readout(row.add_subplot(1, wide, wide), one, marks)
        row.legend(
            handles=_legend(marks, with_subjects=field == fields[0]),
            loc="outside right upper",
            fontsize=7,
        )
    mark = f"{SYNTHETIC}; " if synthetic else ""
    lines = textwrap.wrap(f"{mark}{title}", 70 * wide, break_on_hyphens=False)
    figure.suptitle("\n".join(lines), fontsize=8)
    save_picture(figure, path)


class _Marks:
    """Colour and marker of N recordings.

    Args:
        facts: N rows.
        field: Column of the severity that is the colour.
    """

    def __init__(self, facts: pd.DataFrame, field: str) -> None:
        self.facts, self.field = facts, field
        self.severity = np.asarray(facts[field], np.float64)
        self.levels = np.unique(self.severity[~np.isnan(self.severity)]).tolist()
        self.subjects = sorted(set(facts["subject_id"]))

    def colour(self, level: float) -> str:
        """Return the colour of a severity; colours are ordered like grades."""
        if math.isnan(level):
            return "white"
        return to_hex(colormaps["viridis"](level / max(self.levels[-1], 1)))

    def scatter(self, axes: Axes, x: NDArray[np.float64], y: NDArray[np.float64]) -> None:
        """Draw (N,) points, without those at nan."""
        colours = np.array([self.colour(float(level)) for level in self.severity])
        for number, subject in enumerate(self.subjects):
            mine = (self.facts["subject_id"] == subject).to_numpy()
            axes.scatter(
                x[mine],
                y[mine],
                c=colours[mine],
                marker=_MARKERS[number % len(_MARKERS)],
                s=26,
                edgecolors="black",
                linewidths=0.4,
                zorder=2,
            )


def _draw_plane(axes: Axes, places: NDArray[np.float64], marks: _Marks) -> None:
    for subject in marks.subjects:
        mine = places[(marks.facts["subject_id"] == subject).to_numpy()]
        for place in mine:
            axes.plot(*zip(mine.mean(axis=0), place, strict=True), color="0.85", linewidth=0.6)
    marks.scatter(axes, *places.T)
    axes.set_xticks([])
    axes.set_yticks([])


def _draw_readout(axes: Axes, readout: Readout, marks: _Marks) -> None:
    """Draw the predicted severity against the rated one."""
    place = marks.facts["subject_id"].map(marks.subjects.index).to_numpy()
    aside = 0.3 * ((place + 0.5) / len(marks.subjects) - 0.5)  # no subject hides another
    axes.axline((0, 0), slope=1, color="0.8", linewidth=0.8, linestyle="--", zorder=1)
    marks.scatter(axes, marks.severity + aside, readout.values)
    axes.set_xticks(marks.levels)
    axes.set_xlabel(f"{readout.name}, as rated (dashed: equal)", fontsize=8)
    axes.set_ylabel(f"{readout.name}, predicted from the features", fontsize=8)
    axes.tick_params(labelsize=8)
    found = readout.alignment
    axes.set_title(
        f"rank correlation {found.value:.2f} [{found.low:.2f}, {found.high:.2f}]", fontsize=8
    )


def _legend(marks: _Marks, *, with_subjects: bool) -> list[Line2D]:
    def dot(colour: str, marker: str, label: str) -> Line2D:
        return Line2D([], [], color=colour, marker=marker, linestyle="", label=label,
                      markeredgecolor="black", markeredgewidth=0.4)  # fmt: skip

    handles = []
    for level in [*marks.levels, math.nan]:
        rows = marks.facts[np.isclose(marks.severity, level, equal_nan=True)]
        name = f"{SEVERITIES[marks.field]} {level:g}"
        if marks.field == "grade":
            name += f", class {', '.join(map(str, sorted(set(rows['target']))))}"
        if len(rows):
            told = "not given" if math.isnan(level) else name
            handles.append(dot(marks.colour(level), "s", f"{told} (n={len(rows)})"))
    if with_subjects and len(marks.subjects) <= _SHOWN:
        handles += [dot("0.4", _MARKERS[n], name) for n, name in enumerate(marks.subjects)]
    return handles


def _silhouettes(
    features: NDArray[np.floating], groups: NDArray[np.generic]
) -> NDArray[np.float64]:
    """Return the (N,) silhouettes, nan where undefined."""
    _, group, counts = np.unique(groups, return_inverse=True, return_counts=True)
    if not 2 <= len(counts) < len(groups):
        return np.full(len(groups), math.nan)
    found: NDArray[np.float64] = silhouette_samples(features.astype(np.float64), groups)
    found[counts[group] == 1] = math.nan  # scikit-learn sets 0
    return found


def _mean(samples: NDArray[np.float64]) -> float:
    known = samples[np.isfinite(samples)]
    return float(known.mean()) if len(known) else math.nan


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.2f}"
