"""Layout of tables that tell ill people from healthy ones: one line per classifier.

Huang et al. 2025 (Table 3) print precision, recall and F1 of two kinds: weighted by the classes for
networks, of the healthy for the other classifiers. Here every line has both, and the recall of the
ill. Shares are of the recordings of all folds together, each of which was scored once. AUROC
compares recordings of one fold only, since other fits scored those of other folds.
"""

import textwrap
from collections.abc import Iterator

import numpy as np
import pandas as pd
from sklearn.metrics import precision_recall_fscore_support

from pdray.data.cohort.settings import LABELS, DataConfig
from pdray.evaluation.metrics import predicted
from pdray.evaluation.predictions import probabilities, targets
from pdray.evaluation.report import aligned, headline
from pdray.evaluation.score_intervals import Rows, rows_interval
from pdray.evaluation.statistics.intervals import TRUTHS, Interval
from pdray.papers.severity_table import CONTROLS, Printed, Seed, control_table, controls_of
from pdray.papers.table import DIAGNOSIS_COLUMNS

WIDTH = 110  # letters of a line below a table
_NOTHING = "-"


def diagnosis_table(printed: Printed, seed: Seed, data: DataConfig) -> str:
    """Return a table as text: a line per classifier, the paper's figures and baselines below.

    Args:
        printed: Title, figures of the paper, and whether the cohort is synthetic.
        seed: Tables of two classes by label, of which 0 stands for the healthy.
        data: What the two classes are.

    Returns:
        Lines of text; shares in 0..1.
    """
    body = [["", *DIAGNOSIS_COLUMNS]]
    for label, units in seed.tables.items():
        body.append([label, *_line(units)])
        if figures := printed.paper.get(label):
            body.append(["  paper", *(figures.get(one, _NOTHING) for one in DIAGNOSIS_COLUMNS)])
    first = next(iter(seed.tables.values()))
    for label, control in zip(CONTROLS, controls_of(seed), strict=False):
        body.append([label, *_line(control_table(seed, first, control))])
    lines = [headline(printed.title, printed.synthetic), "", *aligned(body), ""]
    legend = [part for line in _legend(first, data) for part in textwrap.wrap(line, WIDTH)]
    return "\n".join([*lines, *legend])


def line_scores(units: pd.DataFrame) -> dict[str, float]:
    """Return the shares of a line by heading; nan where undefined.

    A class that is never predicted counts as 0 in the weighted precision, as in ``metrics.py``.

    Args:
        units: One row per recording, of two classes.
    """
    y_true, y_pred = targets(units), predicted(probabilities(units))
    each = precision_recall_fscore_support(y_true, y_pred, labels=[0, 1], zero_division=np.nan)
    precision, recall, f1, counts = (np.asarray(one, np.float64) for one in each)
    weighted = [
        float(np.average(np.nan_to_num(one), weights=counts)) for one in (precision, recall, f1)
    ]
    values = [*weighted, precision[0], recall[0], f1[0], recall[1]]
    return dict(zip(DIAGNOSIS_COLUMNS[2:-2], map(float, values), strict=True))


def _line(units: pd.DataFrame) -> list[str]:
    rows = Rows.of(units)
    accuracy, auroc = rows_interval("accuracy", rows), rows_interval("auroc", rows)
    shares = map(_shown, line_scores(units).values())
    return [_shown(accuracy.value), _ends(accuracy), *shares, _shown(auroc.value), _ends(auroc)]


def _ends(one: Interval) -> str:
    return f"{_shown(one.low)} to {_shown(one.high)}" if one.exists else _NOTHING


def _shown(value: float) -> str:
    return _NOTHING if np.isnan(value) else f"{value:.3f}"


def _legend(first: pd.DataFrame, data: DataConfig) -> Iterator[str]:
    counts = [int((first["target"] == k).sum()) for k in (0, 1)]
    healthy, ill = LABELS
    yield (
        f"{len(first)} recordings of {first['subject_id'].nunique()} subjects in "
        f"{first['fold'].nunique()} folds: {counts[0]} {healthy}, {counts[1]} {ill}"
    )
    if data.target == "grade":
        yield f"{ill}: grade {data.grade_cuts[0]} and above; {healthy}: below"
    yield (
        "P precision, R recall; w: mean of both classes, weighted by their recordings; recall w is "
        f"the accuracy; {healthy}: of the healthy as the class to be found; R {ill}: the share of "
        "the ill who are found"
    )
    yield "95% intervals: by leaving out one subject at a time (jackknife)"
    for name in ("accuracy", "auroc"):
        one = rows_interval(name, Rows.of(first))
        yield f"{name}: {TRUTHS[one.truth] if one.exists else one.reason}"
