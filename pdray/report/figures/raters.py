"""Agreement of each rater, and of the model, with the other raters."""

import re

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from pdray.evaluation.predictions import RATER
from pdray.report.case import Reported
from pdray.report.figures.print_style import (
    BLUE,
    LINE,
    RED,
    WIDE,
    Page,
    counted,
    shortened,
    width_of,
)

_METRICS = {"kappa": "quadratic weighted kappa", "mae": "mean absolute error [steps]"}
_GROUP = re.compile(
    r"(?:item=(?P<item>.+?): )?(?P<model>model, rows of )?(?P<rater>rater_[0-9]+),? against the "
    r"mean"
)
_ROW, _WIDEST, _MOST = 5.0, 46.0, 40  # [mm], [mm], pairs of rows
_NO_RATERS = "no recording has the grades of two raters or more"
_NO_CUTS = (
    "the grades at which classes begin do not follow from the predictions, so the model is not "
    "compared with single raters"
)


def draw(case: Reported) -> Figure | str:
    """Draw kappa and mean absolute error of each rater and of the model on the same recordings."""
    table = _agreement(case)
    if table.empty:
        return _why_absent(case)
    pairs = list(dict.fromkeys(zip(table["item"], table["rater"], strict=True)))[:_MOST]
    names = [shortened(_name(item, rater), _WIDEST) for item, rater in pairs]
    left = max(map(width_of, names)) + 3
    side = (WIDE - left) / len(_METRICS)
    high = _ROW * len(pairs) + 2
    page = Page(case, WIDE, 2 * LINE + high + 11)
    for place, (metric, label) in enumerate(_METRICS.items()):
        axes = page.panel(left + side * place, 2 * LINE, side - 5, high)
        _panel(axes, table[table["metric"] == metric], pairs)
        axes.set_yticks(range(len(pairs)), labels=names if place == 0 else [""] * len(pairs))
        axes.set_xlabel(label)
    page.figure.axes[0].legend(
        handles=[
            Line2D([], [], color=BLUE, marker="s", markerfacecolor="white", label="rater"),
            Line2D([], [], color=RED, marker="o", label="model"),
        ],
        loc="lower left", bbox_to_anchor=(0, 1.01), ncols=2, borderaxespad=0,
    )  # fmt: skip
    return page.figure


def _why_absent(case: Reported) -> str:
    if not case.numbers.empty and case.numbers["table"].eq("raters").any():
        return _NO_CUTS
    raters = [name for name in case.units if RATER.fullmatch(str(name))]
    if not case.units[raters].notna().sum(axis=1).gt(1).any():
        return _NO_RATERS
    return f"fewer than {case.small_cells} people were graded by the same two raters"


def caption(case: Reported) -> str:
    """Return what is compared, and where an interval is lacking."""
    table = _agreement(case)
    people = f"n = {counted(case, table['num_subjects'].max(), table['num_rows'].max())}"
    lacking = sorted(set(table.loc[table["low"].isna(), "reason"]) - {""})
    by_class = table["group"].str.contains("(classes)", regex=False).any()
    return (
        "Each rater beside the model, on the same recordings, against the mean "
        f"{'class' if by_class else 'grade'} of the other raters, with 95% intervals over "
        "subjects. Of kappa more is better, of the error less. "
        + (f"Without interval: {'; '.join(lacking)}. " if lacking else "")
        + f"{people} at most for a rater."
    )


def _agreement(case: Reported) -> pd.DataFrame:
    """Return the numbers of agreement with the other raters, with item, rater and who is rated."""
    if case.numbers.empty:
        return pd.DataFrame()
    numbers = case.numbers[case.numbers["table"].eq("raters") & case.numbers["value"].notna()]
    numbers = numbers[numbers["metric"].isin(list(_METRICS)) & numbers["level"].eq("recording")]
    parts = [_GROUP.match(group) for group in numbers["group"]]
    numbers = numbers[[part is not None for part in parts]]
    found = [part.groupdict("") for part in parts if part is not None]
    return numbers.assign(
        **{name: [one[name] for one in found] for name in ("item", "rater", "model")}
    )


def _name(item: str, rater: str) -> str:
    return f"{item}, {rater.replace('_', ' ')}" if item else rater.replace("_", " ")


def _panel(axes: Axes, table: pd.DataFrame, pairs: list[tuple[str, str]]) -> None:
    for one in table.to_dict("records"):
        if (one["item"], one["rater"]) not in pairs:
            continue
        is_model = bool(one["model"])
        height = pairs.index((one["item"], one["rater"])) + (0.18 if is_model else -0.18)
        color = RED if is_model else BLUE
        axes.hlines(height, one["low"], one["high"], color=color, linewidth=1)
        axes.plot(one["value"], height, "o" if is_model else "s", color=color,
                  markerfacecolor=color if is_model else "white")  # fmt: skip
    axes.set_ylim(len(pairs) - 0.5, -0.5)
    axes.margins(x=0.06)
    if table["metric"].eq("mae").all():
        axes.set_xlim(left=0)
    for height in range(1, len(pairs)):
        axes.axhline(height - 0.5, color="0.92", linewidth=0.4, zorder=0)
    axes.tick_params(axis="y", length=0)
