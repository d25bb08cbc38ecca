"""Layout ``paired``: scores with intervals over subjects, and differences from one of the rows.

Each row has the score of each metric; the AUROC of pairs inside one site, where there are several
sites with healthy and ill people; of more than two classes the error and correlation of their mean;
of two the risk (share of wrong predictions) of the most confident 80%, and of a model that
withholds predictions its coverage and risk. Rows of different networks (folds, seeds) are never
ranked together. Intervals leave out one subject at a time (jackknife); with ``folds.alike`` one
group of recordings that are alike.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pdray.evaluation.controls import mixed_groups
from pdray.evaluation.metrics import METRICS
from pdray.evaluation.predictions import WITHHELD_BELOW, num_classes, probabilities, targets
from pdray.evaluation.report import aligned, headline
from pdray.evaluation.score_intervals import interval_of
from pdray.evaluation.statistics.intervals import Interval, Transform
from pdray.evaluation.uncertainty import RANKING, Numbers, weighted_scores
from pdray.evaluation.withheld_numbers import is_given, is_wrong, risk_at, share_of
from pdray.papers.table import NUMBERS, RISK, SET_COVERAGE, PaperTable

_NOTHING = "-"
_LEGEND = (
    "in brackets: 95% interval over {who} of these predictions; training not included",
    "{metrics}; {folds}",
)
_MEANINGS = {
    "auroc inside site": "auroc of pairs of one site",
    "auroc inside recording_protocol": "auroc of pairs of one recording protocol",
    RISK: f"share of wrong classes among the {SET_COVERAGE:.0%} most confident predictions",
    NUMBERS[0]: "mean absolute error of the mean of the class probabilities as a number",
    NUMBERS[1]: "correlation (Pearson) of the same number with the class",
    "coverage": "share of predictions that the model gives; the others it withholds, by a "
    "threshold from the training side",
    "risk": "share of wrong classes among those that it gives",
}


class Score(NamedTuple):
    """A number of each row of the table.

    Attributes:
        values: Computes (R,) values from (R, N) weights of the predictions.
        transform: Scale on which its interval is symmetric.
    """

    values: Callable[[Numbers], Numbers]
    transform: Transform


def paired_table(
    table: PaperTable,
    rows: Mapping[str, pd.DataFrame],
    *,
    places: Mapping[str, str | None],
    groups: Mapping[str, str],
    synthetic: bool,
) -> str:
    """Return a table as text.

    Args:
        table: Its definition: title, metrics, reference row and published figures.
        rows: By label, a predictions table with one row per recording and network; the same
            recordings in all.
        places: Site of each recording by id, or what else ``inside`` of the table names.
        groups: Subject of each recording by id, or what stands for it.
        synthetic: Whether the cohort is synthetic.
    """
    lines = paired_lines(table, rows, places=places, groups=groups)
    return "\n".join([headline(table.title, synthetic), "", *lines])


def paired_lines(
    table: PaperTable,
    rows: Mapping[str, pd.DataFrame],
    *,
    places: Mapping[str, str | None],
    groups: Mapping[str, str],
) -> list[str]:
    """Return :func:`paired_table` as lines, without its title."""
    sorted_rows = {label: _sorted(one) for label, one in rows.items()}
    first = next(iter(sorted_rows.values()))
    people = first["recording_id"].map(dict(groups)).to_numpy()
    scores = {label: _scores(table, one, places) for label, one in sorted_rows.items()}
    names = list(dict.fromkeys(name for found in scores.values() for name in found))
    bases = {label: table.references.get(label, table.reference) for label in scores}
    has_base = any(one in scores for one in bases.values())
    compared = [one for one in names if has_base and one in table.paired_headings and one != RISK]
    body = [["", *names, *(f"{name} - ref." for name in compared)]]
    for label, found in scores.items():
        cells = [_cell(found.get(name), people) for name in names]
        base = scores.get(bases[label], {}) if bases[label] != label else {}
        cells += [
            _cell(_difference(found[name], base[name]) if name in base else None, people)
            for name in compared
        ]
        body.append([label, *cells])
        if label in table.paper:
            body.append(_published(table.paper[label], names, len(compared)))
    for label in [name for name in table.paper if name not in scores]:
        body += [[label, *[_NOTHING] * (len(names) + len(compared))]]
        body += [_published(table.paper[label], names, len(compared))]
    return [*aligned(body), "", *_legend(table, first, people, names)]


def _sorted(table: pd.DataFrame) -> pd.DataFrame:
    return table.sort_values(["seed", "fold", "recording_id"]).reset_index(drop=True)


def _scores(
    table: PaperTable, rows: pd.DataFrame, places: Mapping[str, str | None]
) -> dict[str, Score]:
    """Return the numbers of a row by heading."""
    y, shares = targets(rows), probabilities(rows)
    network = np.asarray(rows.groupby(["seed", "fold"]).ngroup(), np.int64)
    found = {
        name: Score(partial(_score, name, (y, shares), network), METRICS[name].transform)
        for name in table.metrics
    }
    wrong = is_wrong(rows)
    if num_classes(rows) == 2 and "auroc" in table.metrics:
        mixed = mixed_groups(rows, places)
        if len(mixed) > 0:
            # Pairs of one network and one site; a recording of another site forms no pair.
            place = rows["recording_id"].map(dict(places))
            inside = np.asarray(rows.assign(n=network, site=place).groupby(["n", "site"]).ngroup())
            found[table.inside_heading] = Score(
                partial(_score, "auroc", (y, shares), inside), "logit"
            )
        risk = partial(risk_at, shares.max(axis=1), wrong, coverage=SET_COVERAGE)
        found[RISK] = Score(risk, "logit")
    if num_classes(rows) > 2:
        pair = shares @ np.arange(shares.shape[1]), y.astype(np.float64)
        transforms: tuple[Transform, ...] = ("log", "fisher")
        for name, of, transform in zip(
            NUMBERS, (_mean_error, _correlation), transforms, strict=True
        ):
            found[name] = Score(partial(of, *pair), transform)
    if WITHHELD_BELOW in rows and rows[WITHHELD_BELOW].notna().all():
        given = is_given(rows)
        found["coverage"] = Score(partial(share_of, given), "logit")
        found["risk"] = Score(lambda weights: share_of(wrong, weights * given), "logit")
    return found


def _score(
    name: str,
    rows: tuple[NDArray[np.int64], Numbers],
    network: NDArray[np.int64],
    weights: Numbers,
) -> Numbers:
    several = network if name in RANKING and len(np.unique(network)) > 1 else None
    return weighted_scores(name, *rows, weights, several)


def _mean_error(found: Numbers, true: Numbers, weights: Numbers) -> Numbers:
    return np.asarray(weights @ np.abs(found - true) / weights.sum(axis=1))


def _correlation(found: Numbers, true: Numbers, weights: Numbers) -> Numbers:
    """Return (R,) correlations (Pearson) of (N,) numbers; nan where one is constant."""
    share = weights / weights.sum(axis=1, keepdims=True)
    x, y = share @ found, share @ true
    spread = (share @ found**2 - x**2) * (share @ true**2 - y**2)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(spread > 1e-12, (share @ (found * true) - x * y) / np.sqrt(spread), np.nan)


def _difference(one: Score, other: Score) -> Score:
    return Score(lambda weights: one.values(weights) - other.values(weights), "none")


def _cell(score: Score | None, people: NDArray[np.object_]) -> str:
    """Return a number with its interval, or without one where there are too few people."""
    if score is None:
        return _NOTHING
    value = float(score.values(np.ones((1, len(people))))[0])
    if np.isnan(value):
        return _NOTHING
    interval: Interval = interval_of(people, value, score.values, transform=score.transform)
    ends = f" [{interval.low:.3f}, {interval.high:.3f}]" if interval.exists else ""
    return f"{value:.3f}{ends}"


def _published(figures: Mapping[str, str], names: Sequence[str], compared: int) -> list[str]:
    cells = [figures.get(name, _NOTHING) for name in names]
    return ["  published", *cells, *[_NOTHING] * compared]


def _legend(
    table: PaperTable, rows: pd.DataFrame, people: NDArray[np.object_], names: Sequence[str]
) -> Iterator[str]:
    ids = rows["subject_id"].to_numpy()
    who = "subjects" if (people == ids).all() else "groups of alike recordings"
    if (people == rows["recording_id"]).all() and rows["recording_id"].nunique() > 1:
        who = "recordings, each taken for a person,"
    folds, seeds = rows["fold"].nunique(), rows["seed"].nunique()
    split = "one split" if folds == 1 else f"{folds} folds, recordings of one fold are ranked"
    split += f", {seeds} seeds" if seeds > 1 else ""
    metrics = "; ".join(f"{name}: {METRICS[name].meaning}" for name in table.metrics)
    yield from (
        line.format(who=f"{len(set(people))} {who}", metrics=metrics, folds=split)
        for line in _LEGEND
    )
    yield from (f"{name}: {_MEANINGS[name]}" for name in names if name in _MEANINGS)
    if table.reference:
        others = [f"of {row}: {one}" for row, one in table.references.items() if row != one]
        told = "; ".join([table.reference, *others])
        yield f"ref.: {told}; differences are of the same predictions, paired"
    ill = int((rows["target"] > 0).sum())
    count = rows["recording_id"].nunique()
    yield f"scored on {count} recordings, {ill // max(seeds, 1)} of them above class 0"
