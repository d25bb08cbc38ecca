"""All numbers of an evaluation for the independent checker; raters, change and repeats are here."""

import math
import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

from tests.evaluation.recomputed import (
    NAN,
    Row,
    Rows,
    closeness,
    icc_a1,
    mean,
    measurement_error,
    per_subject,
    response_mean,
    top,
)
from tests.evaluation.recomputed_parts import (
    FACTS,
    MORE,
    STATES,
    TWO,
    Expected,
    Found,
    Key,
    at_level,
    calibrated,
    decide,
    entry,
    joined_scores,
    lacks,
    names_for,
    other_number,
    predictive,
    recordings,
    scored,
)

SCALES = {"face_interview": 5}  # other items: 4


def expected_numbers(
    table: Rows,
    inner: Rows | None,
    prevalences: Sequence[float],
    specificity: float,
    levels: Sequence[str],
) -> dict[Key, Expected]:
    """Return every number that an evaluation of a table has."""
    k = len(table[0]["p"])
    units = recordings(table)
    found = dict(scored(units, k, "scores", "", "recording", names_for(k)))
    found |= dict(joined_scores(units, k, found))
    for level in levels:
        some = at_level(table, units, level)
        if len(some) != len(units):
            found |= dict(scored(some, k, "levels", "", level, TWO if k == 2 else MORE))
    for name in ("item", *FACTS):
        known = sorted({row[name] for row in units if row[name] is not None})
        unknown = any(row[name] is None for row in units)
        if known and len(known) + unknown > 1 and len(known) <= 12:
            for value in known:
                some = [row for row in units if row[name] == value]
                names = TWO if k == 2 else MORE
                found |= dict(scored(some, k, "groups", f"{name}={value}", "recording", names))
    if k == 2:
        group = f"specificity {specificity:g} wanted"
        decided = decide(units, None if inner is None else recordings(inner), specificity)
        if decided:
            names = ("sensitivity", "specificity")
            found |= dict(scored(decided, k, "decision", group, "recording", names))
        found |= dict(predictive(found, prevalences))
    found |= dict(calibrated(units, k))
    found |= dict(rated(units, k))
    found |= dict(changed(units))
    return found


# --- raters --------------------------------------------------------------------------------------


def rated(units: Rows, k: int) -> Found:
    items = sorted({row["item"] for row in units})
    for item in items:
        rows = [row for row in units if row["item"] == item]
        label = f"item={item}: " if len(items) > 1 else ""
        names = [n for n in rows[0]["raters"] if any(row["raters"][n] is not None for row in rows)]
        if len(names) > 1:
            yield from of_raters(rows, names, label)
            yield from of_model(rows, names, label, k)


def of_raters(rows: Rows, names: Sequence[str], label: str) -> Found:
    def grades(row: Row) -> list[float]:
        return [row["raters"][name] for name in names]

    whole = [row for row in rows if None not in grades(row)]
    group = f"{label}{len(names)} raters, {len(rows) - len(whole)} incomplete recordings left out"
    classes = [math.floor(mean(grades(row)) + 0.5) for row in whole]
    found = other_number(whole, lambda some: icc_a1(list(map(grades, some))), "icc_a1", classes)
    yield ("raters", group, "recording", "icc_a1"), found
    for place, one in enumerate(names):
        for other in names[place + 1 :]:
            pairs = [
                {**row, "pair": (row["raters"][one], row["raters"][other])}
                for row in rows
                if None not in (row["raters"][one], row["raters"][other])
            ]
            if pairs:
                yield from close(pairs, f"{label}{one} with {other}")


def close(rows: Rows, group: str, highest: int | None = None, *, two: bool = False) -> Found:
    classes = [math.floor(row["pair"][1] + 0.5) for row in rows]
    for name in ("mae", "exact", "kappa") if two else ("mae", "exact", "within_one", "kappa"):

        def value(some: Rows, name: str = name) -> float:
            return closeness([row["pair"] for row in some], name)

        yield ("raters", group, "recording", name), other_number(rows, value, name, classes)
        if highest is not None and name != "kappa":
            always = [
                closeness([(float(grade), row["pair"][1]) for row in rows], name)
                for grade in range(highest + 1)
            ]
            best = min(always) if name == "mae" else max(always)
            yield ("constant", group, "recording", name), entry(rows, best)


def cuts_of(rows: Rows, k: int) -> list[int] | None:
    """Return the first grade of each class but the lowest; None if the rows leave it open."""
    if all(row["target"] == row["grade"] for row in rows):
        return list(range(1, k))
    ends = [[row["grade"] for row in rows if row["target"] == c] for c in range(k)]
    if not all(ends) or any(min(b) != max(a) + 1 for a, b in pairwise(ends)):
        return None
    return [min(some) for some in ends[1:]]


def of_model(rows: Rows, names: Sequence[str], label: str, k: int) -> Found:
    """Compare each rater, and the model on the same rows, with the mean of the other raters."""
    cuts = cuts_of(rows, k)
    if cuts is None:
        return
    in_classes = cuts != list(range(1, k))

    def grade(row: Row, name: str) -> float | None:
        one = row["raters"][name]
        return float(sum(one >= cut for cut in cuts)) if in_classes and one is not None else one

    highest = k - 1 if in_classes else SCALES.get(rows[0]["item"], 4)
    if rows[0]["item"] == "not given" and not in_classes:
        highest = k - 1
    end = f"the mean of the others{' (classes)' * in_classes}"
    for name in names:
        pairs = []
        for row in rows:
            others = [grade(row, one) for one in names if one != name]
            known = [one for one in others if one is not None]
            if known and grade(row, name) is not None:
                pairs.append((row, grade(row, name), mean(known)))
        if pairs:
            raters = [{**row, "pair": (own, target)} for row, own, target in pairs]
            model = [{**row, "pair": (float(top(row)), target)} for row, _, target in pairs]
            yield from close(raters, f"{label}{name} against {end}", highest, two=k == 2)
            yield from close(
                model, f"{label}model, rows of {name}, against {end}", highest, two=k == 2
            )


# --- change --------------------------------------------------------------------------------------


def changes_of(units: Rows) -> dict[str, Rows]:
    """Return the changes of each kind that a table has."""
    rows = graded(units)
    kinds = {
        f"{name} off to on": between_states(rows, name)
        for name in ("medication_state", "stimulation_state")
    }
    kinds["first to last visit"] = between_visits(rows)
    return {name: some for name, some in kinds.items() if some}


def graded(units: Rows) -> Rows:
    return [
        {**row, "model": sum(c * share for c, share in enumerate(row["p"])),
         "rater": float(row["target"])}
        for row in units
    ]  # fmt: skip


def changed(units: Rows) -> Found:
    for name, some in changes_of(units).items():
        yield from of_change(some, name)
        items = sorted({row["item"] for row in some})
        for item in items if len(items) > 1 else []:
            yield from of_change(
                [row for row in some if row["item"] == item], f"{name}: item={item}"
            )
    yield from retested(graded(units))


def key_of(row: Row, parts: Sequence[str]) -> Any:
    return row["network"], row["subject"], row["item"], tuple(row[name] for name in parts)


def differences(moments: dict[Any, dict[int, dict[Any, Rows]]], whole: set[Any]) -> Rows:
    """Return the second less the first grade: means per visit, then over visits."""
    found = []
    for key, of in moments.items():
        _, subject, item, _ = key
        if len(of) == 2:
            ends = {
                name: [
                    mean(mean(row[name] for row in some) for some in of[moment].values())
                    for moment in (0, 1)
                ]
                for name in ("model", "rater")
            }
            change = {name: second - first for name, (first, second) in ends.items()}
            found.append({"subject": subject, "item": item, **change,
                          "apart": key not in whole})  # fmt: skip
    return found


def nested() -> dict[Any, Any]:
    return defaultdict(lambda: defaultdict(lambda: defaultdict(list)))


def between_states(rows: Rows, column: str) -> Rows:
    others = [n for n in ("side", "medication_state", "stimulation_state") if n != column]
    some = [row for row in rows if row[column] in ("off", "on") and not lacks(row, rows, others)]
    states = defaultdict(set)
    for row in some:
        states[key_of(row, others), row["visit_id"]].add(row[column])
    whole = {place for place, seen in states.items() if len(seen) == 2 and place[1] is not None}
    keys = {key for key, _ in whole}
    moments = nested()
    for row in some:
        key = key_of(row, others)
        if key not in keys or (key, row["visit_id"]) in whole:
            moments[key][int(row[column] == "on")][row["visit_id"]].append(row)
    return differences(moments, keys)


def natural(name: str) -> list[tuple[int, str]]:
    parts = re.split(r"(\d+)", name)
    return [(int(part), "") if part.isdigit() else (-1, part) for part in parts]


def between_visits(rows: Rows) -> Rows:
    parts = ("side", "medication_state", "stimulation_state")
    some = [row for row in rows if not lacks(row, rows, (*parts, "visit_id"))]
    visits = defaultdict(set)
    for row in some:
        visits[key_of(row, parts)].add(row["visit_id"])
    moments = nested()
    for row in some:
        order = sorted(visits[key_of(row, parts)], key=natural)
        if len(order) > 1 and row["visit_id"] in (order[0], order[-1]):
            moment = int(row["visit_id"] == order[-1])
            moments[key_of(row, parts)][moment][row["visit_id"]].append(row)
    return differences(moments, set(moments))


def of_change(rows: Rows, group: str) -> Found:
    def average(value: Callable[[Row], float]) -> Callable[[Rows], float]:
        return lambda some: mean(per_subject(some, value))

    functions = {
        "change_model": average(lambda row: row["model"]),
        "change_rater": average(lambda row: row["rater"]),
        "srm_model": lambda some: response_mean(some, "model"),
        "srm_rater": lambda some: response_mean(some, "rater"),
        "mae": average(lambda row: abs(row["model"] - row["rater"])),
    }
    for name, function in functions.items():
        yield ("change", group, "pair", name), other_number(rows, function, name)
    still = average(lambda row: abs(row["rater"]))(rows)
    yield ("constant", group, "pair", "mae"), entry(rows, still)
    moved = [row for row in rows if row["rater"] != 0]
    if not moved:
        yield ("change", group, "pair", "right_sign"), entry(rows, NAN)
        return
    right = average(lambda row: row["model"] * row["rater"] > 0)
    yield ("change", group, "pair", "right_sign"), other_number(moved, right, "right_sign")
    worse = average(lambda row: row["rater"] > 0)(moved)
    yield ("constant", group, "pair", "right_sign"), entry(moved, max(worse, 1 - worse))


def retested(rows: Rows) -> Found:
    some = [row for row in rows if not lacks(row, rows, STATES)]
    of = defaultdict(list)
    for row in sorted(some, key=lambda one: str(one["recording"])):
        of[key_of(row, STATES)].append(row)
    pairs = [found[:2] for found in of.values() if len(found) > 1]
    if not pairs:
        return
    values: dict[str, Callable[[Row], float | None]] = {
        "model": lambda row: row["model"],
        "rater": lambda row: row["rater"],
    }
    if all(row["target"] == row["grade"] for row in some):
        for name in rows[0]["raters"]:
            values[name] = lambda row, name=name: row["raters"][name]  # type: ignore[misc]
    for who, value in values.items():
        known = [
            {"subject": one["subject"], "two": (value(one), value(two))}
            for one, two in pairs
            if value(one) is not None and value(two) is not None
        ]
        if not known:
            continue
        functions: dict[str, Callable[[Rows], float]] = {
            "icc_a1": lambda some: icc_a1([row["two"] for row in some]),
            "sem": lambda some: measurement_error([row["two"] for row in some]),
            "sdc": lambda some: 1.96 * math.sqrt(2) * measurement_error(
                [row["two"] for row in some]
            ),
        }  # fmt: skip
        for name, function in functions.items():
            yield ("test_retest", who, "pair", name), other_number(known, function, name)
