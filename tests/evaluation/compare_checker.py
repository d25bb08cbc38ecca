"""Recomputes every number of a comparison from the predictions tables, with code of its own.

Nothing of ``pdray`` is imported: scores, intervals, exchanges and tests are written again, slowly
and from their definitions; intervals of scores at 95% are those of the checker of evaluations.
:func:`check` compares ``comparison.csv`` with them, and every line of the report that holds a
number with ``comparison.csv``.
"""

import itertools
import math
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from tests.evaluation.recomputed_parts import score

Row = Mapping[str, Any]


class Rows:
    """Predictions of all models on the same rows."""

    def __init__(self, tables: Mapping[str, pd.DataFrame]) -> None:
        parts = {name: _by_row(table) for name, table in tables.items()}
        keys = sorted(set.intersection(*(set(part) for part in parts.values())))
        first = next(iter(parts.values()))
        self.subject = np.array([first[key]["subject"] for key in keys])
        self.y = np.array([first[key]["target"] for key in keys])
        networks = [tuple(part[key]["network"] for part in parts.values()) for key in keys]
        self.network = np.array([sorted(set(networks)).index(one) for one in networks])
        self.shares = {n: np.array([p[key]["shares"] for key in keys]) for n, p in parts.items()}
        self.people = sorted(set(self.subject))
        self.repetition = [repetition for repetition, _ in keys]

    def as_dictionaries(self, name: str) -> list[dict[str, Any]]:
        """Return the rows of one model as the checker of evaluations has them."""
        columns = self.subject, self.y, self.shares[name].tolist(), self.network, self.repetition
        names = ("subject", "target", "p", "network", "drawing")
        return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]

    def score(self, metric: str, shares: np.ndarray, rows: Any = slice(None)) -> float:
        """Return a score of some rows."""
        y, shares, network = self.y[rows], shares[rows], self.network[rows]
        if metric == "auroc":
            return _auroc(y, shares, network)
        return _SCORES[metric](y, shares.argmax(axis=1), shares.shape[1])

    def gap(self, metric: str, first: str, second: str, rows: Any = slice(None)) -> float:
        """Return the difference of two models on some rows."""
        one, other = self.shares[first], self.shares[second]
        return self.score(metric, one, rows) - self.score(metric, other, rows)


def check(
    tables: Mapping[str, pd.DataFrame],
    folder: Path,
    *,
    margin: float | None = None,
    level: float = 0.95,
    seed: int = 0,
) -> int:
    """Check all numbers in the files of a comparison.

    Args:
        tables: Predictions of each model, by its name in the report.
        folder: Folder of ``comparison.csv`` and ``comparison.txt``.
        margin: As it was asked for.
        level: As it was asked for.
        seed: As it was asked for.

    Returns:
        How many numbers were recomputed.

    Raises:
        AssertionError: If a number differs, or a printed number is not in ``comparison.csv``.
    """
    rows = Rows(tables)
    numbers = pd.read_csv(folder / "comparison.csv", keep_default_na=False, na_values=[""])
    numbers = numbers.to_dict("records")
    found = [_recomputed(rows, one, level, seed) for one in numbers]
    _adjust(numbers, found)
    counted = 0
    for number, expected in zip(numbers, found, strict=True):
        about = f"{number['table']} {number['group']} {number['metric']}"
        for name, value in expected.items():
            assert number[name] == _near(value), f"{about}: {name} {number[name]}, not {value}"
            counted += not _is_nan(value)
        for name in _NUMBERS - set(expected):
            assert _is_nan(number[name]), f"{about}: nobody checks {name} {number[name]}"
    _check_verdicts(numbers, margin, level)
    _check_text((folder / "comparison.txt").read_text(), numbers, rows, margin, level)
    return counted


_NUMBERS = {"value", "low", "high", "statistic", "p", "p_holm", "num_tests", "num_exchanges",
            "only_first", "only_second", "num_folds", "num_test", "num_train"}  # fmt: skip


def _by_row(table: pd.DataFrame) -> dict[tuple[int, str], dict[str, Any]]:
    """Return the rows of one model by repetition and recording; snippets are averaged."""
    shares = [name for name in table if str(name).startswith("probability_")]
    snippets: dict[tuple[Any, ...], list[Any]] = {}
    for row in table.to_dict("records"):
        network = tuple(row.get(name, 0) for name in ("seed", "outer_fold", "fold"))
        snippets.setdefault((row["recording_id"], network), []).append(row)
    found: dict[tuple[int, str], dict[str, Any]] = {}
    seen: dict[str, int] = {}
    for (recording, network), parts in sorted(snippets.items(), key=lambda item: item[0]):
        repetition = seen.get(recording, 0)
        seen[recording] = repetition + 1
        found[repetition, recording] = {
            "subject": parts[0]["subject_id"],
            "target": parts[0]["target"],
            "network": network,
            "shares": np.mean([[part[name] for name in shares] for part in parts], axis=0),
        }
    return found


def _accuracy(y: Any, predicted: Any, classes: int) -> float:
    return float((y == predicted).mean())


def _mae(y: Any, predicted: Any, classes: int) -> float:
    return float(np.abs(y - predicted).mean())


def _mcc(y: Any, predicted: Any, classes: int) -> float:
    """Return the correlation of K indicator columns (Gorodkin 2004, eq. 8)."""
    truth, said = np.eye(classes)[y], np.eye(classes)[predicted]
    truth, said = truth - truth.mean(axis=0), said - said.mean(axis=0)
    spread = (truth**2).sum() * (said**2).sum()
    return float((truth * said).sum() / math.sqrt(spread)) if spread > 0 else 0.0


def _kappa(y: Any, predicted: Any, classes: int) -> float:
    observed = ((y - predicted) ** 2).mean()
    return float(1 - observed / ((y[:, None] - predicted[None, :]) ** 2).mean())


def _auroc(y: Any, shares: Any, network: Any) -> float:
    """Return the share of pairs of one network in the right order, averaged over classes."""
    areas = []
    for k in [1] if shares.shape[1] == 2 else range(shares.shape[1]):
        gaps = shares[y == k, k][:, None] - shares[y != k, k][None, :]
        meet = network[y == k][:, None] == network[y != k][None, :]
        if meet.any():
            areas.append(((gaps > 0) + 0.5 * (gaps == 0))[meet].mean())
    return float(np.mean(areas)) if areas else math.nan


_SCORES: Mapping[str, Callable[[Any, Any, int], float]] = {
    "accuracy": _accuracy, "mae": _mae, "mcc": _mcc, "kappa": _kappa,
}  # fmt: skip


def _recomputed(rows: Rows, number: Row, level: float, seed: int) -> dict[str, float]:
    """Return the numbers of one row of ``comparison.csv``."""
    table, metric, first, second = (number[k] for k in ("table", "metric", "first", "second"))
    assert number["num_subjects"] == len(rows.people)
    assert number["num_rows"] == len(rows.y)
    if _says(number["undefined"]):
        return {}
    if table == "score":
        one = score(rows.as_dictionaries(first), rows.shares[first].shape[1], metric)
        return {"value": rows.score(metric, rows.shares[first]), "low": one.low, "high": one.high}
    if table == "no worse":
        return _kept(number, "low")
    if table == "difference":
        value = rows.gap(metric, first, second)
        if _says(number["reason"]) and _is_nan(number["p"]):
            return {"value": value, **_kept(number, "num_tests")}
        p, count = exchanges(rows, metric, (first, second), abs(value), seed)
        low, high = jackknife(rows, metric, (first, second), value, level)
        ends = {} if _says(number["reason"]) else {"low": low, "high": high}
        return {"value": value, **ends, "p": p, "num_exchanges": count,
                **_kept(number, "num_tests", "p_holm")}  # fmt: skip
    if _says(number["reason"]):
        return {}
    return _TESTS[table](rows, metric, (first, second), level)


def _kept(number: Row, *names: str) -> dict[str, float]:
    """Return what is checked elsewhere."""
    return {name: number[name] for name in names}


def exchanges(
    rows: Rows, metric: str, pair: tuple[str, str], observed: float, seed: int
) -> tuple[float, int]:
    people, (first, second) = rows.people, (rows.shares[one] for one in pair)
    of_row = np.array([people.index(one) for one in rows.subject])
    if len(people) <= 14:
        choices: Any = list(itertools.product([False, True], repeat=len(people)))
    else:
        choices = np.random.default_rng(seed).random((9_999, len(people))) < 0.5
    reached = 0
    for choice in choices:
        swap = np.asarray(choice)[of_row][:, None]
        gap = rows.score(metric, np.where(swap, second, first)) - rows.score(
            metric, np.where(swap, first, second)
        )
        reached += abs(gap) >= observed - 1e-9
    extra = 0 if len(people) <= 14 else 1
    return (reached + extra) / (len(choices) + extra), len(choices) + extra


def jackknife(
    rows: Rows, metric: str, pair: tuple[str, str], value: float, level: float
) -> tuple[float, float]:
    """Return the t interval of the jackknife over subjects, with Satterthwaite's degrees."""
    without = np.array([rows.gap(metric, *pair, rows.subject != one) for one in rows.people])
    squares, n = (without - without.mean()) ** 2, len(without)
    spread = (squares**2).sum() / squares.sum() ** 2 - 1 / n
    degrees = min(max(2 / spread, 1), n - 1) if spread > 0 else n - 1
    half = stats.t.ppf((1 + level) / 2, degrees) * math.sqrt((n - 1) / n * squares.sum())
    return value - half, value + half


def _obuchowski(rows: Rows, metric: str, pair: tuple[str, str], level: float) -> dict[str, float]:
    """Return the test by sums of placements inside subjects, pair by pair."""
    pos, neg = np.flatnonzero(rows.y == 1), np.flatnonzero(rows.y == 0)
    tens, ones, areas = [], [], []
    for name in pair:
        score = rows.shares[name][:, 1]
        wins = np.sign(score[pos][:, None] - score[neg][None, :]) / 2 + 0.5
        areas.append(wins.mean())
        above, below = wins.mean(axis=1) - areas[-1], wins.mean(axis=0) - areas[-1]
        tens.append([above[rows.subject[pos] == one].sum() for one in rows.people])
        ones.append([below[rows.subject[neg] == one].sum() for one in rows.people])
    a, b = np.subtract(*tens), np.subtract(*ones)
    m, n, people = len(pos), len(neg), len(rows.people)
    with_pos, with_neg = (len(set(rows.subject[one])) for one in (pos, neg))
    variance = (
        with_pos / (with_pos - 1) * (a @ a) / m**2
        + with_neg / (with_neg - 1) * (b @ b) / n**2
        + 2 * people / (people - 1) * (a @ b) / (m * n)
    )
    value, error = areas[0] - areas[1], math.sqrt(variance)
    half = stats.norm.ppf((1 + level) / 2) * error
    p = 2 * stats.norm.sf(abs(value / error))
    return {"value": value, "low": value - half, "high": value + half, "statistic": value / error,
            "p": p}  # fmt: skip


def _mcnemar(rows: Rows, metric: str, pair: tuple[str, str], level: float) -> dict[str, float]:
    first, second = (rows.shares[one].argmax(axis=1) == rows.y for one in pair)
    counts = {"only_first": int((first > second).sum()), "only_second": int((second > first).sum())}
    p = stats.binomtest(counts["only_first"], sum(counts.values())).pvalue
    return {**counts, "value": first.mean() - second.mean(), "p": p}


def _clustered(rows: Rows, metric: str, pair: tuple[str, str], level: float) -> dict[str, float]:
    found = _mcnemar(rows, metric, pair, level)
    gap = np.subtract(*(np.float64(rows.shares[one].argmax(axis=1) == rows.y) for one in pair))
    sums = [gap[rows.subject == one].sum() for one in rows.people]
    people = len(sums)
    chi = (people - 1) / people * sum(sums) ** 2 / sum(one**2 for one in sums)
    return {**found, "statistic": chi, "p": stats.chi2.sf(chi, 1)}


def _corrected(rows: Rows, metric: str, pair: tuple[str, str], level: float) -> dict[str, float]:
    folds = sorted(set(rows.network))
    gaps = [rows.gap(metric, *pair, rows.network == one) for one in folds]
    tested = np.mean([len(set(rows.subject[rows.network == one])) for one in folds])
    trained = len(rows.people) - tested
    error = math.sqrt((1 / len(folds) + tested / trained) * np.var(gaps, ddof=1))
    mean, degrees = float(np.mean(gaps)), len(folds) - 1
    half = stats.t.ppf((1 + level) / 2, degrees) * error
    return {"value": mean, "low": mean - half, "high": mean + half, "statistic": mean / error,
            "p": 2 * stats.t.sf(abs(mean / error), degrees), "num_folds": len(folds),
            "num_test": tested, "num_train": trained}  # fmt: skip


_TESTS = {"obuchowski": _obuchowski, "mcnemar": _mcnemar, "clustered_mcnemar": _clustered,
          "corrected_t": _corrected}  # fmt: skip


def _adjust(numbers: list[Row], found: list[dict[str, float]]) -> None:
    """Put the p of Holm 1979 into the differences, step by step from the smallest."""
    tested = [one for one in found if "num_exchanges" in one]
    highest = 0.0
    for place, one in enumerate(sorted(tested, key=lambda one: one["p"])):
        highest = max(highest, min(1.0, (len(tested) - place) * one["p"]))
        one["p_holm"] = highest
    for number, one in zip(numbers, found, strict=True):
        if number["table"] == "difference":
            one["num_tests"] = len(tested)


def _check_verdicts(numbers: list[Row], margin: float | None, level: float) -> None:
    differences = {(n["first"], n["second"], n["metric"]): n for n in numbers
                   if n["table"] == "difference"}  # fmt: skip
    for number in numbers:
        if number["table"] == "score":
            continue
        if number["table"] == "no worse":
            same = (number["first"], number["second"], number["metric"])
            turned = same not in differences
            key = (same[1], same[0], same[2]) if turned else same
            higher = number["metric"] not in ("mae", "mse", "brier")
            gap = differences[key]
            end = gap["low"] if turned != higher else -gap["high"]
            assert number["low"] == _near(end)
            assert number["margin"] == margin
            shown = None if _is_nan(end) else end > -margin  # type: ignore[operator]
        else:
            p = number["p_holm"] if number["table"] == "difference" else number["p"]
            shown = None if _is_nan(p) else p <= 1 - level + 1e-12
        words = {None: "", True: "shown", False: "not shown"}[shown]
        assert (number["verdict"] if _says(number["verdict"]) else "") == words, number


def _check_text(
    text: str, numbers: list[Row], rows: Rows, margin: float | None, level: float
) -> None:
    """Find every line that holds a number among the lines that the numbers give."""
    allowed = {_cells(line) for number in numbers for line in _lines(number)}
    allowed |= {
        (line,)
        for line in (
            f"Holm over all {sum(not _is_nan(n['p_holm']) for n in numbers)} tests",
            *(
                f"{n['num_folds']:.0f} folds; {n['num_test']:.1f} test and {n['num_train']:.1f} "
                "training subjects in each, on average"
                for n in numbers
                if not _is_nan(n["num_folds"])
            ),
        )
    }
    head, _, body = text.partition("\n\n")
    counts = f"on the same {len(rows.y)} recordings of {len(rows.people)} subjects"
    again = f" of {len(rows.people)} subjects"
    assert counts in " ".join(head.split()) or again in " ".join(head.split())
    names = "|".join(sorted(map(re.escape, rows.shares), key=len, reverse=True))
    for line in body.split("\nnote: ")[0].splitlines():
        if not re.search(r"\d", re.sub(names, "", line)) or _cells(line) in allowed:
            continue
        if "%" in line or "by more than" in line or line.startswith("secondary: "):
            assert f"{100 * level:g}%" in line or "secondary" in line
            assert "more than" not in line or f"{margin:g}" in line
            continue
        reasons = {str(n["undefined"]) for n in numbers} | {str(n["reason"]) for n in numbers}
        told = line.strip().partition(": ")[2] or line.strip()
        is_reason = any(told in reason for reason in reasons)
        is_count = line.startswith("Each model has the predictions of ")
        assert is_reason or is_count, f"not in comparison.csv: {line}"


def _lines(number: Row) -> Iterator[str]:
    """Yield the printed forms of one number, cells apart by two spaces."""
    first, second, verdict = (
        number[name] if _says(number[name]) else "" for name in ("first", "second", "verdict")
    )
    said, value, ends = verdict or "not tested", _text(number["value"]), _ends(number)
    if number["table"] == "difference":
        p, adjusted = _p(number["p"]), _p(number["p_holm"])
        yield "  ".join([first, second, value, ends, p, adjusted, said])
    elif number["table"] == "no worse":
        yield "  ".join([first, second, ends, said])
    elif number["table"] == "score":
        yield "  ".join([first, value, ends])
    else:
        counts = [f"{number[name]:.0f}" for name in ("only_first", "only_second")
                  if not _is_nan(number[name])]  # fmt: skip
        middle = counts or [ends]
        last = [] if number["table"] == "mcnemar" else [_text(number["statistic"])]
        yield "  ".join([first, second, number["metric"], value, *middle, *last,
                         _p(number["p"]), said])  # fmt: skip


def _cells(line: str) -> tuple[str, ...]:
    """Return the cells of a printed line; of a score's line, without the models that are better."""
    cells = tuple(re.split(r" {2,}", line.strip()))
    is_score = len(cells) == 4 and re.fullmatch(r"-?\d\.\d{3}|-", cells[1])
    return cells[:3] if is_score and cells[3] not in ("shown", "not shown", "not tested") else cells


def _ends(number: Row) -> str:
    low, high = _text(number["low"]), _text(number["high"])
    if number["sides"] == "both":
        return "-" if low == "-" else f"{low} to {high}"
    return (
        "-"
        if "-" in (low, high)[:1]
        else (f"at least {low}" if number["sides"] == "lower" else f"at most {high}")
    )


def _text(value: float) -> str:
    return "-" if _is_nan(value) else f"{value:.3f}"


def _p(value: float) -> str:
    return "-" if _is_nan(value) else "<0.0001" if value < 0.00005 else f"{value:.4f}"


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _says(value: Any) -> bool:
    return isinstance(value, str) and value != ""


class _near:  # noqa: N801 - reads as a function
    """Equal to a number up to rounding; nan equals nan."""

    def __init__(self, value: float) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        if _is_nan(self.value) or _is_nan(other):
            return _is_nan(self.value) and _is_nan(other)
        return math.isclose(float(other), float(self.value), rel_tol=1e-9, abs_tol=1e-9)  # type: ignore[arg-type]

    __hash__ = None  # type: ignore[assignment]
