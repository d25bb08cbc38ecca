"""Recordings among the features of a network that never learnt from them, as a picture.

The hypomimia abstract shows patients and controls apart in such a picture; a picture is no measure.
Silhouettes (Rousseeuw 1987) are: for a recording, (b - a) / max(a, b) with a its mean distance to
its own group and b to the nearest other one, 1 far apart, 0 mixed, -1 in the wrong group; taken in
the feature space, not in the picture. Recordings of one person are alike whatever the grade, so the
same number is given with persons as groups: where it is the higher one, features tell who it is
rather than how severe.
Differs from Rousseeuw: a recording that is alone in its group has no distance to its own, and where
he sets 0 it has no silhouette here and no part in a mean.
"""

import math
import textwrap
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray
from sklearn.manifold import TSNE
from sklearn.metrics import silhouette_samples

from pdray.data.cohort.settings import SYNTHETIC
from pdray.evaluation.plots import save_picture

TSNE_LEAST = 30  # recordings; of fewer, t-SNE shows its own chance
_PERPLEXITY = 30.0
_MARKERS = "os^vDP*X<>phd8"
_SHOWN = 14  # subjects in the legend, as many as there are markers


@dataclass(frozen=True)
class Separation:
    """Mean silhouettes; nan where there are fewer than two groups, or nobody is in company.

    Attributes:
        by_class: Over the recordings that are not alone in their group, groups being the classes.
        of_class: The same over the recordings of each class.
        by_subject: Groups being the subjects.
    """

    by_class: float
    of_class: dict[int, float]
    by_subject: float


@dataclass(frozen=True)
class Embedding:
    """Places of N recordings.

    Attributes:
        pca: (N, 2) first two principal components; 0 where there are fewer.
        variance: Their parts of the variance, 0..1.
        tsne: (N, 2), None of fewer than 30 recordings.
    """

    pca: NDArray[np.float64]
    variance: tuple[float, float]
    tsne: NDArray[np.float64] | None


def separation(features: NDArray[np.float32], facts: pd.DataFrame) -> Separation:
    """Measure how far classes, and persons, are apart in the feature space.

    Args:
        features: (N, D) of held-out recordings.
        facts: N rows of ``target`` and ``subject_id``.
    """
    targets = facts["target"].to_numpy()
    samples = _silhouettes(features, targets)
    return Separation(
        by_class=_mean(samples),
        of_class={int(k): _mean(samples[targets == k]) for k in np.unique(targets)},
        by_subject=_mean(_silhouettes(features, facts["subject_id"].to_numpy())),
    )


def separation_sentence(found: Separation, facts: pd.DataFrame) -> str:
    """Say how far the classes are apart, of whom that is known, and why where it is not."""
    classes = ", ".join(f"class {k}: {_number(value)}" for k, value in found.of_class.items())
    return (
        f"silhouette by class {_number(found.by_class)} ({classes}), by subject "
        f"{_number(found.by_subject)}; {len(facts)} held-out recordings of "
        f"{facts['subject_id'].nunique()} subjects, none learnt from{_why_not(facts)}"
    )


def _why_not(facts: pd.DataFrame) -> str:
    """Say which groups have no silhouette; empty where all have one."""
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


def embed(features: NDArray[np.float32], *, seed: int = 0) -> Embedding:
    """Place recordings in a plane: principal components, and t-SNE where there are enough.

    Args:
        features: (N, D), N at least 1.
        seed: Of t-SNE.
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
    embedding: Embedding, facts: pd.DataFrame, path: Path, *, title: str, synthetic: bool
) -> None:
    """Draw the plane or planes: colour is the class, the marker and a thin line the subject.

    Args:
        embedding: Of N recordings.
        facts: N rows of ``target`` and ``subject_id``.
        path: The PNG to write.
        title: What :func:`separation_sentence` says.
        synthetic: Whether the cohort is rendered; the title says so.
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
        planes.append((embedding.tsne, "t-SNE: who is near counts, how far does not", ""))
    figure = Figure(figsize=(2.0 + 4.4 * len(planes), 4.8), layout="constrained")
    for number, (plane, below, beside) in enumerate(planes):
        axes = figure.add_subplot(1, len(planes), number + 1)
        _draw(axes, plane, facts)
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_xlabel(below, fontsize=8)
        axes.set_ylabel(beside, fontsize=8)
    figure.legend(handles=_legend(facts), loc="outside right upper", fontsize=7)
    mark = f"{SYNTHETIC}; " if synthetic else ""
    lines = textwrap.wrap(f"{mark}{title}", 70 * len(planes), break_on_hyphens=False)
    figure.suptitle("\n".join(lines), fontsize=8)
    save_picture(figure, path)


def _draw(axes: Axes, places: NDArray[np.float64], facts: pd.DataFrame) -> None:
    targets, subjects = facts["target"].to_numpy(), facts["subject_id"].to_numpy()
    for number, subject in enumerate(sorted(set(subjects))):
        mine = subjects == subject
        centre = places[mine].mean(axis=0)
        for place in places[mine]:
            axes.plot(*zip(centre, place, strict=True), color="0.85", linewidth=0.6, zorder=1)
        axes.scatter(
            places[mine, 0],
            places[mine, 1],
            c=[_colour(facts, k) for k in targets[mine]],
            marker=_MARKERS[number % len(_MARKERS)],
            s=26,
            edgecolors="black",
            linewidths=0.4,
            zorder=2,
        )


def _colour(facts: pd.DataFrame, target: int) -> tuple[float, float, float, float]:
    # Grades are ordered, and so are the colours.
    red, green, blue, alpha = colormaps["viridis"](target / max(int(facts["target"].max()), 1))
    return float(red), float(green), float(blue), float(alpha)


def _legend(facts: pd.DataFrame) -> list[Line2D]:
    classes, counts = np.unique(facts["target"].to_numpy(), return_counts=True)
    handles = [
        Line2D([], [], color=_colour(facts, int(k)), marker="s", linestyle="",
               label=f"class {k} (n={count})")
        for k, count in zip(classes, counts, strict=True)
    ]  # fmt: skip
    subjects = sorted(set(facts["subject_id"]))
    if len(subjects) <= _SHOWN:
        handles += [
            Line2D([], [], color="0.4", marker=_MARKERS[number], linestyle="", label=subject)
            for number, subject in enumerate(subjects)
        ]
    return handles


def _silhouettes(features: NDArray[np.float32], groups: NDArray[np.generic]) -> NDArray[np.float64]:
    """Return the (N,) silhouettes, nan where they are not defined."""
    _, group, counts = np.unique(groups, return_inverse=True, return_counts=True)
    if not 2 <= len(counts) < len(groups):
        return np.full(len(groups), math.nan)
    found: NDArray[np.float64] = silhouette_samples(features.astype(np.float64), groups)
    found[counts[group] == 1] = math.nan  # scikit-learn says 0
    return found


def _mean(samples: NDArray[np.float64]) -> float:
    known = samples[np.isfinite(samples)]
    return float(known.mean()) if len(known) else math.nan


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.2f}"
