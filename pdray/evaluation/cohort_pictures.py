"""Pictures of a cohort, as PNG: lengths, grades, visit scores and the time between recordings.

They have the form of Fig. 4 of TSA and Fig. 9 of YouTubePD.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pdray.data.cohort.settings import SYNTHETIC
from pdray.evaluation.cohort_tables import Described, grade_table
from pdray.evaluation.plots import save_picture
from pdray.evaluation.printed_table import Count, without_small_cells

_DURATION_BINS, _SCORE_BINS = 80, 20  # TSA, Fig. 4a and 4c


def draw(cohort: Described, folder: Path, *, synthetic: bool) -> dict[str, str]:
    """Draw the pictures for which the cohort has data.

    Args:
        cohort: The cohort.
        folder: Folder of the pictures.
        synthetic: Whether the cohort is synthetic; each title then says so.

    Returns:
        For each file name an empty text, or the reason why the picture is not drawn. A picture of
        an earlier run that is not drawn now is removed.
    """
    found = {}
    for name, (plot, lack) in _PICTURES.items():
        figure = plot(cohort)
        path = folder / name
        found[name] = "" if figure else lack
        if figure is None:
            path.unlink(missing_ok=True)
            continue
        title = figure.get_suptitle()
        figure.suptitle(f"{SYNTHETIC}, {title}" if synthetic else title, fontsize=9)
        save_picture(figure, path)
    return found


def _lengths(cohort: Described) -> Figure | None:
    """Draw the lengths of all recordings (TSA, Fig. 4a)."""
    seconds = cohort.seconds(cohort.recordings)
    if not seconds:
        return None
    figure = _histogram(seconds, min(_DURATION_BINS, max(10, len(seconds))))
    figure.axes[0].set(xlabel="length [s]", ylabel="recordings")
    known = [one for one in cohort.recordings if cohort.seconds([one])]
    total = len(cohort.recordings)
    figure.suptitle(f"{cohort.count(known).sentence}\nlength known for {len(known)} of {total}")
    return figure


def _grades(cohort: Described) -> Figure | None:
    """Draw the number of recordings and subjects per grade, one panel per item (TSA, Fig. 4b)."""
    if not cohort.is_graded:
        return None
    table = without_small_cells(grade_table(cohort), cohort.small_cells)
    names = table.columns[1:-1]
    wide = min(3, len(table.rows))
    high = -(-len(table.rows) // wide)
    figure = Figure(figsize=(0.8 + 3.2 * wide, 0.6 + 2.4 * high), layout="constrained")
    panels = figure.subplots(high, wide, squeeze=False).ravel()
    counts = cohort.count(cohort.recordings)
    for panel, row in zip(panels, table.rows, strict=False):
        shown = [(name, cell) for name, cell in zip(names, row[1:-1], strict=True)
                 if isinstance(cell, Count)]  # fmt: skip
        # Of few people, the number stays untold.
        heights = [0 if cell.is_few else cell.recordings for _, cell in shown]
        bars = panel.bar([name for name, _ in shown], heights, color="tab:blue")
        panel.bar_label(bars, [str(cell) for _, cell in shown], fontsize=7)
        panel.set_xlabel(f"grade of {row[0]}", fontsize=8)
        panel.set_ylabel("recordings", fontsize=8)
        panel.tick_params(labelsize=8)
        panel.margins(y=0.15)
        panel.yaxis.set_major_locator(MaxNLocator(integer=True))
    for panel in panels[len(table.rows) :]:
        panel.set_axis_off()
    figure.suptitle(f"{counts.sentence}\nabove each bar: recordings/subjects")
    return figure


def _visit_scores(cohort: Described) -> Figure | None:
    """Draw the scores of all visits (TSA, Fig. 4c)."""
    scores = list(cohort.scores().values())
    if not scores:
        return None
    figure = _histogram(scores, _SCORE_BINS)
    people = len({subject for subject, _ in cohort.scores()})
    figure.axes[0].set(xlabel="visit score", ylabel="visits")
    figure.suptitle(f"{len(scores)} of {len(cohort.visits())} visits, {people} subjects")
    return figure


def _years(cohort: Described) -> Figure | None:
    """Draw the time between the recordings of each subject, without names (YouTubePD, Fig. 9)."""
    known = [one for one in cohort.recordings if one.age is not None and one.grade is not None]
    first: dict[str, float] = {}
    for one in known:
        first[one.subject_id] = min(first.get(one.subject_id, np.inf), one.age or 0.0)
    gaps: dict[str, list[tuple[float, int]]] = {}
    for one in known:
        since = (one.age or 0.0) - first[one.subject_id]
        gaps.setdefault(one.subject_id, []).append((since, cohort.class_of(one) or 0))
    several = [some for some in gaps.values() if max(some)[0] > 0]
    if not several:
        return None
    several.sort(key=lambda some: max(some)[0])
    points = np.array([(place, *one) for place, some in enumerate(several) for one in some])
    figure = Figure(figsize=(5.6, 3.6), layout="constrained")
    axes = figure.add_subplot()
    classes = np.unique(points[:, 2])
    for number in classes:
        chosen = points[points[:, 2] == number]
        aside = number / (classes[-1] + 1) / 2  # side by side, so that no point hides another
        axes.scatter(chosen[:, 0] + aside, chosen[:, 1], s=9, label=cohort.class_name(number))
    figure.legend(loc="outside lower center", ncols=len(classes), fontsize=7)
    axes.set(xlabel="subjects, by the time between", ylabel="years since the first recording")
    axes.set_xticks([])
    people = cohort.count(cohort.recordings).subjects
    figure.suptitle(f"{len(several)} of {people} subjects, with grades at several ages")
    return figure


def _histogram(values: list[float], bins: int) -> Figure:
    figure = Figure(figsize=(5.6, 3.4), layout="constrained")
    axes = figure.add_subplot()
    axes.hist(values, bins=bins, color="tab:blue")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    return figure


Plot = Callable[[Described], Figure | None]
_PICTURES: dict[str, tuple[Plot, str]] = {
    "lengths.png": (_lengths, "no recording has a known length"),
    "grades.png": (_grades, "classes of actions are not grades"),
    "visit_scores.png": (_visit_scores, "no visit has exactly one score"),
    "years.png": (_years, "no subject has grades at several ages"),
}
