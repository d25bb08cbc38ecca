"""PDR013: columns that tell the grade, and total scores that nobody gave.

A table of features may hold what the grade was made of: the grade itself, a rater's grade, the
diagnosis, or whether a number is there at all. A total of items is a whole number, so fractions
say that it was interpolated between visits.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from pdray.checks.case import Case
from pdray.checks.finding import Finding, counted
from pdray.checks.likeness import feature_values
from pdray.data.cohort.labels import with_labels
from pdray.data.cohort.manifest import Recording

Doubles = NDArray[np.float64]

_RANKS = 0.8  # rank correlation with grades; that of an expert with the median of three is 0.81
_AREA = 0.95  # area under the ROC curve, of two classes
_LEAST = 20  # recordings with both
_PER_VALUE = 5  # recordings per value of a column that may be a code of the grade
_FRACTIONS = 0.05  # share of total scores that are no multiple of a half
_SHOWN = 5


def run(case: Case) -> Finding:
    """Compare each column of the features with what is known of each recording."""
    rows = {one.recording_id: one for one in case.cohort.manifest.recordings}
    recordings = [rows[one.recording_id] for one in case.recordings]
    known = dict(_known(case, recordings))
    tables = feature_values(case.recordings)
    told = [
        f"{modality}: {told}"
        for modality, (names, values) in tables.items()
        for told in _telling(names, values, known)
    ]
    columns = sum(len(names) for names, _ in tables.values())
    found = [*told[:_SHOWN], *[f"and {len(told) - _SHOWN} more"] * (len(told) > _SHOWN)]
    if fractions := _fractions(recordings):
        found.append(fractions)
    looked = f"{counted(columns, 'column')} of features beside {', '.join(known)}"
    return Finding(
        state="warning" if found else "passed",
        looked_at=f"{looked}; total scores" if columns else "total scores; there are no features",
        found="; ".join(found)
        or ("no column tells the grade" if columns else "no total score was interpolated"),
        sure=f"a column is named from a rank correlation of {_RANKS:g} or an area under the ROC "
        f"curve of {_AREA:g}; a very good feature may reach that, too",
        advice="find out how these columns were made; remove what was made from the grade, and "
        "leave no cell zero or empty because of a diagnosis; scores between visits are no ratings",
        numbers={"columns": columns, "telling": len(told)},
    )


def _known(case: Case, recordings: Sequence[Recording]) -> Iterator[tuple[str, Doubles]]:
    """Yield what a column must not tell, NaN where it is not known."""
    yield "the label", np.array([one.grade for one in case.recordings], np.float64)
    ill = with_labels(recordings, "diagnosis")
    others = {"the diagnosis": [one.grade for one in ill]}
    for number in range(max((len(one.raters) for one in recordings), default=0)):
        others[f"rater_{number + 1}"] = [
            one.raters[number] if number < len(one.raters) else None for one in recordings
        ]
    for name, values in others.items():
        found = np.array([np.nan if one is None else one for one in values], np.float64)
        if len(np.unique(found[~np.isnan(found)])) > 1:
            yield name, found


def _telling(names: Sequence[str], values: Doubles, known: dict[str, Doubles]) -> Iterator[str]:
    for name, column in zip(names, values.T, strict=True):
        for about, right in known.items():
            if how := _relation(column, right):
                yield f"{name} {how} {about}"
                break
            absent = np.isnan(column)
            if absent.any() and _relation(absent.astype(np.float64), right):
                yield f"whether {name} is absent tells {about}"
                break


def _relation(column: Doubles, right: Doubles) -> str:
    """Return how a column is related with grades or classes; empty where it is not."""
    both = ~np.isnan(column) & ~np.isnan(right)
    x, y = column[both], right[both]
    levels = np.unique(y)
    if len(y) < _LEAST or len(levels) < 2 or len(np.unique(x)) < 2:
        return ""
    if np.array_equal(x, y):
        return "is equal to"
    if _is_code(x, y):
        return "is another way to write"
    ranks = rankdata(x)
    if len(levels) == 2:
        num_high = int((y == levels[1]).sum())
        area = (ranks[y == levels[1]].sum() - num_high * (num_high + 1) / 2) / (
            num_high * (len(y) - num_high)
        )
        return "nearly tells" if max(area, 1 - area) >= _AREA else ""
    return "nearly tells" if abs(np.corrcoef(ranks, rankdata(y))[0, 1]) >= _RANKS else ""


def _is_code(x: Doubles, y: Doubles) -> bool:
    """Return whether each of a few values stands for one grade or class."""
    values, places = np.unique(x, return_inverse=True)
    if len(values) * _PER_VALUE > len(x):
        return False
    return all(len(np.unique(y[places == place])) == 1 for place in range(len(values)))


def _fractions(recordings: Sequence[Recording]) -> str:
    totals = np.array([one.visit_score for one in recordings if one.visit_score is not None])
    odd = totals * 2 != np.round(totals * 2)
    if len(totals) < _LEAST or odd.mean() <= _FRACTIONS:
        return ""
    return (
        f"{int(odd.sum())} of {len(totals)} total scores (visit_score) are no whole or half "
        "numbers, so they were interpolated between visits or averaged: rows of a person share them"
    )
