"""ROC curve with its confidence band: of class 1, or of each of several classes."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pdray.evaluation.drawing import class_names, draw_roc, frame_roc
from pdray.evaluation.metrics import predicted
from pdray.evaluation.predictions import num_classes
from pdray.evaluation.roc_curves import no_band, roc_band, roc_curve_of
from pdray.evaluation.score_intervals import Rows
from pdray.report.case import Reported
from pdray.report.figures.print_style import (
    BLUE,
    LINE,
    NARROW,
    SMALL,
    WIDE,
    Page,
    nothing_scored,
    sample,
    shortened,
    width_of,
)
from pdray.tracking.leaving import without_few

MOST_CLASSES = 9
_COLUMNS, _REST = 3, " against the rest"


def draw(case: Reported) -> Figure | str:
    """Draw a panel for each class that has a curve."""
    reason = nothing_scored(case) or _too_many(case)
    if reason:
        return reason
    rows = Rows.of(case.units, mean_of_runs=True)
    classes = _classes(case)
    curves = [roc_curve_of(rows, k) for k in classes]
    reasons = [one for one in curves if isinstance(one, str)]
    if len(reasons) == len(curves):
        return f"no ROC curve: {reasons[0]}"
    if len(classes) == 1:
        page = Page(case, NARROW, 84)
        _panel(page.panel(13, 3, 70, 70), case, rows, 1)
        return page.figure
    side, high = WIDE / _COLUMNS, -(-len(classes) // _COLUMNS)
    page = Page(case, WIDE, side * high + LINE)
    for place, k in enumerate(classes):
        row, column = divmod(place, _COLUMNS)
        axes = page.panel(side * column + 11, side * row + 2 * LINE, side - 14, side - 14)
        name = shortened(class_names(case.units)[k], side - 14 - width_of(_REST))
        axes.set_title(f"{name}{_REST}", fontsize=SMALL)
        _panel(axes, case, rows, k)
    return page.figure


def caption(case: Reported) -> str:
    """Return how the curve and its band are made."""
    rows = Rows.of(case.units, mean_of_runs=True)
    lacking = {one for k in _classes(case) if (one := no_band(rows, k))}
    words = [
        f"ROC curve of {case.event}" if len(_classes(case)) == 1 else "ROC curves, one versus rest"
    ]
    if rows.num_networks > 1:
        words.append(
            "only recordings of the same fold are ranked together; the curve is the mean over "
            f"{rows.num_networks} folds at each false positive rate (Fawcett 2006), weighted by "
            "their pairs of recordings"
        )
    if len(lacking) < len(_classes(case)):
        apart = rows.num_networks > 1
        words.append(
            "band: 95% interval of the true positive rate at each false positive rate, percentiles "
            "of 1,000 resamples of subjects (Rutter 2000); it does not cover the whole curve at "
            f"once{', and leaves out how trainings differ' if apart else ''}"
        )
    words += [f"no band for {'a class' if len(_classes(case)) > 1 else 'it'}: {one}"
              for one in sorted(without_few(one, case.small_cells) for one in lacking)]  # fmt: skip
    words.append("grey: chance; cross: the most probable class as prediction")
    return f"{'; '.join(words)}. {sample(case)}"


def _classes(case: Reported) -> list[int]:
    count = num_classes(case.units)
    return [1] if count == 2 else list(range(count))


def _too_many(case: Reported) -> str:
    count = num_classes(case.units)
    if count <= MOST_CLASSES:
        return ""
    return f"{count} classes do not fit on a page; see evaluation/roc.png of the study"


def _panel(axes: Axes, case: Reported, rows: Rows, positive: int) -> None:
    frame_roc(axes)
    axes.set(aspect="equal", xticks=[0, 0.5, 1], yticks=[0, 0.5, 1])
    curve = roc_curve_of(rows, positive)
    if isinstance(curve, str):
        axes.text(0.5, 0.75, curve, ha="center", fontsize=SMALL, backgroundcolor="white", zorder=2)
        return
    band = None if no_band(rows, positive) else roc_band(rows, positive)
    draw_roc(axes, curve, band, color=BLUE, zorder=3)
    is_class, found = rows.y_true == positive, predicted(rows.probability) == positive
    axes.plot(found[~is_class].mean(), found[is_class].mean(), "x", color="black", zorder=4)
    axes.text(1, 0.02, _area(case, curve.area), ha="right", fontsize=SMALL)


def _area(case: Reported, area: float) -> str:
    """Return the area under a curve; with its interval where the numbers have it."""
    shown = f"area {area:.2f}"
    numbers = case.numbers
    if numbers.empty or num_classes(case.units) > 2:
        return shown
    found = numbers[
        (numbers["metric"] == "auroc")
        & (numbers["group"] == "")
        & (numbers["level"] == "recording")
        & numbers["table"].isin(["procedure", "scores"])
        & (numbers["low"].notna() | numbers["high"].notna())
    ]
    if found.empty:
        return shown
    one = found.iloc[0]
    ends = {"lower": "at least {low:.2f}", "upper": "at most {high:.2f}"}
    told = ends.get(one["sides"], "{low:.2f} to {high:.2f}").format(**one)
    return f"{shown}\n95% interval {told}"
