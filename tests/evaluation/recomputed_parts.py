"""Parts of an evaluation for the independent checker: which rows each number is computed from."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from tests.evaluation.recomputed import (
    METRICS,
    NAN,
    Row,
    Rows,
    calibration,
    calibration_error,
    enough,
    error_by_chance,
    exact_end,
    mean,
    people,
    subjects_of,
    symmetric,
    transform_of,
    used,
    value_of,
    widening,
    without_each,
)

FACTS = ("side", "visit_id", "medication_state", "stimulation_state", "site", "sex")
SCALES = {"face_interview": 5}  # other items: 4
TWO = ("mcc", "auroc", "balanced_accuracy", "sensitivity", "specificity")
MORE = ("mcc", "kappa", "mae", "accuracy", "within_one")
BEST = {"accuracy": max, "within_one": max, "mae": min, "mse": min}
Key = tuple[str, str, str, str]  # table, group, level, metric


class Expected(NamedTuple):
    """A number as it must be printed."""

    value: float
    low: float
    high: float
    num_subjects: int
    num_rows: int
    of_class: dict[int, int]  # subjects of each class


Found = Iterator[tuple[Key, Expected]]


def names_for(k: int) -> tuple[str, ...]:
    without = ("within_one",) if k == 2 else ("sensitivity", "specificity")
    return tuple(name for name in METRICS if name not in without)


def entry(rows: Rows, value: float, low: float = NAN, high: float = NAN) -> Expected:
    return Expected(value, low, high, len(people(rows)), len(rows), of_class(rows))


def of_class(rows: Rows, classes: Sequence[int] | None = None) -> dict[int, int]:
    found = defaultdict(set)
    for place, row in enumerate(rows):
        found[row.get("target", 0) if classes is None else classes[place]].add(row["subject"])
    return {one: len(some) for one, some in found.items()}


def scored(rows: Rows, k: int, table: str, group: str, level: str, names: Sequence[str]) -> Found:
    for name in names:
        yield (table, group, level, name), score(rows, k, name)
        if name in BEST:
            always = [
                METRICS[name]([{**row, "p": [float(c == j) for j in range(k)]} for row in rows], k)
                for c in range(k)
            ]
            yield ("constant", group, level, name), entry(rows, BEST[name](always))


def score(rows: Rows, k: int, name: str) -> Expected:
    value = value_of(rows, name, k)
    folds_are_few = len({row["network"] for row in rows}) > 1 and len(people(rows)) < 40
    few = not enough(rows, used(name, k), k) or (name == "auprc" and folds_are_few)
    if value != value or few:
        return entry(rows, value)
    _, factor = widening(rows, name, k)
    if bound := exact_end(rows, name, value, k):
        _, low, high = bound
        return entry(rows, value, low, high)
    return with_interval(rows, value, lambda some: value_of(some, name, k), name, factor)


def with_interval(
    rows: Rows, value: float, function: Callable[[Rows], float], name: str, factor: float = 1.0
) -> Expected:
    left = without_each(rows, function)
    if any(one != one for one in left) or max(left) - min(left) <= 1e-12:
        return entry(rows, value)
    return entry(rows, value, *symmetric(value, left, transform_of(name), factor))


def other_number(
    rows: Rows, function: Callable[[Rows], float], name: str, classes: Sequence[int] | None = None
) -> Expected:
    """A number that is not a metric; ``classes`` of the rows, of which two need five subjects."""
    value = function(rows)
    if value != value or len(people(rows)) < 12:
        return entry(rows, value)
    if classes is not None:
        sizes = of_class(rows, classes)
        if sum(size >= 5 for size in sizes.values()) < 2:
            return entry(rows, value)._replace(of_class=sizes)
    low, high = {"fisher": (-1.0, 1.0), "logit": (0.0, 1.0), "log": (0.0, math.inf)}.get(
        transform_of(name), (-math.inf, math.inf)
    )
    return with_interval(rows, value, function, name) if low < value < high else entry(rows, value)


# --- units ---------------------------------------------------------------------------------------


def recordings(table: Rows) -> Rows:
    """Return one row per network and recording: the mean of its snippets."""
    of: dict[Any, Rows] = defaultdict(list)
    for row in table:
        of[row["network"], row["recording"]].append(row)
    found = []
    for (_, _), some in sorted(of.items()):
        shares = [mean(one) for one in zip(*(row["p"] for row in some), strict=True)]
        found.append({**some[0], "p": shares})
    return found


def lacks(row: Row, rows: Rows, parts: Sequence[str]) -> bool:
    """Whether a part of the unit of a recording is unknown."""
    for name in parts:
        others = any(one[name] is not None for one in rows if one["item"] == row["item"])
        if row[name] is None and (name == "visit_id" or others):
            return True
    return False


STATES = ("side", "visit_id", "medication_state", "stimulation_state")


def at_level(table: Rows, units: Rows, level: str) -> Rows:
    if level == "snippet":
        return table
    apart = STATES if level == "visit" else ()
    of = defaultdict(list)
    for row in units:
        alone = row["recording"] if lacks(row, units, apart) else None
        parts = tuple(row[name] for name in apart)
        of[row["network"], row["subject"], row["item"], parts, alone].append(row)
    return [
        {
            **some[0],
            "p": [mean(one) for one in zip(*(row["p"] for row in some), strict=True)],
            "target": math.floor(mean(row["target"] for row in some) + 0.5),
            "size": len(some),
            "torn": len({row["target"] for row in some}) > 1,
            "alone": lacks(some[0], units, apart),
        }
        for some in of.values()
    ]


def joined_scores(units: Rows, k: int, found: dict[Key, Expected]) -> Found:
    """Join a class of fewer than five subjects with the neighbour of fewer subjects."""
    parts = [[c] for c in range(k)]
    while True:
        sizes = [len({row["subject"] for row in units if row["target"] in part}) for part in parts]
        if min(sizes) >= 5:
            break
        if len(parts) == 2:
            return
        at = sizes.index(min(sizes))
        near = [place for place in (at - 1, at + 1) if 0 <= place < len(parts)]
        other = min(near, key=lambda place: sizes[place])
        low, high = min(at, other), max(at, other)
        parts = [*parts[:low], parts[low] + parts[high], *parts[high + 1 :]]
    if len(parts) == k:
        return
    rows = [
        {
            **row,
            "p": [sum(row["p"][c] for c in part) for part in parts],
            "target": next(i for i, part in enumerate(parts) if row["target"] in part),
        }
        for row in units
    ]
    group = f"classes {', '.join('+'.join(map(str, part)) for part in parts)}"
    names = []
    for name in names_for(len(parts)):
        alone = found.get(("scores", "", "recording", name))
        if alone is not None and alone.value == alone.value and not enough(units, used(name, k), k):
            names.append(name)
    yield from scored(rows, len(parts), "joined", group, "recording", names)


# --- decisions, probabilities --------------------------------------------------------------------


def decide(units: Rows, inner: Rows | None, specificity: float) -> Rows:
    """Decide with the lowest threshold of the wanted specificity on other subjects."""
    if inner is not None:
        found = []
        for fold in sorted({row["outer_fold"] for row in units}):
            line = decision_of([row for row in inner if row["outer_fold"] == fold], specificity)
            if line is None:
                return []
            found += [sure(row, line) for row in units if row["outer_fold"] == fold]
        return found
    folds = sorted({row["fold_key"] for row in units})
    found = []
    for fold in folds if len(folds) > 1 else []:
        some = [row for row in units if row["fold_key"] == fold]
        own = set(people(some))
        line = decision_of([row for row in units if row["subject"] not in own], specificity)
        if line is None:
            return []
        found += [sure(row, line) for row in some]
    return found


def sure(row: Row, line: float) -> Row:
    ill = row["p"][1] > line
    return {**row, "p": [float(not ill), float(ill)]}


def thresholds(rows: Rows) -> list[float]:
    shares = sorted({row["p"][1] for row in rows})
    return [shares[0] / 2, *((one + two) / 2 for one, two in pairwise(shares)), 1.0]


def mcc_threshold(rows: Rows) -> float:
    """Return the threshold of highest MCC; of equal ones, the one nearest to a half."""
    found = {
        line: METRICS["mcc"]([sure(row, line) for row in rows], 2) for line in thresholds(rows)
    }
    best = [line for line, value in found.items() if value >= max(found.values()) - 1e-12]
    return min(best, key=lambda line: (abs(line - 0.5), line))


def decision_of(rows: Rows, specificity: float) -> float | None:
    if len({row["target"] for row in rows}) < 2:
        return None
    lines = thresholds(rows)
    healthy = [row["p"][1] for row in rows if row["target"] == 0]
    return next(
        line for line in lines if mean(share <= line for share in healthy) >= specificity - 1e-12
    )


def predictive(found: dict[Key, Expected], prevalences: Sequence[float]) -> Found:
    """Bayes; ends of the interval are those of both rates."""
    one, two = (found["scores", "", "recording", n] for n in ("sensitivity", "specificity"))

    def share(right: float, wrong: float) -> float:
        return right / (right + wrong) if right + wrong > 0 else NAN

    for prevalence in prevalences:
        for name in ("ppv", "npv"):
            ends = []
            for se, sp in zip(one[:3], two[:3], strict=True):
                ill, healthy = se * prevalence, sp * (1 - prevalence)
                wrong = (1 - sp) * (1 - prevalence) if name == "ppv" else (1 - se) * prevalence
                ends.append(share(ill if name == "ppv" else healthy, wrong))
            ends = ends if ends[0] == ends[0] else [NAN] * 3
            key = ("predictive_values", f"prevalence={prevalence:g}", "recording", name)
            yield key, one._replace(value=ends[0], low=ends[1], high=ends[2])


def calibrated(units: Rows, k: int) -> Found:
    for c in range(1, k):
        group = f"class {c}" if c == k - 1 else f"class {c} or higher"
        two = [{**row, "target": int(row["target"] >= c)} for row in units]
        both = all(subjects_of(two, one) >= 5 for one in (0, 1))
        for name in ("intercept", "slope"):

            def value(rows: Rows, c: int = c, name: str = name) -> float:
                return calibration(rows, c, name)

            found = other_number(units, value, name) if both else entry(units, value(units))
            yield ("calibration", group, "recording", name), found._replace(of_class=of_class(two))
        shares = [min(1.0, sum(row["p"][c:])) for row in units]
        errors = {
            "error": calibration_error(shares, [row["target"] >= c for row in units]),
            "error_if_perfect": error_by_chance(units, c, alike=False),
            "error_if_perfect_alike": error_by_chance(units, c, alike=True),
        }
        for name, error in errors.items():
            yield ("calibration", group, "recording", name), entry(units, error)
