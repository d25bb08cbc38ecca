"""Checks every number of ``results.json`` with code of its own, from the files of the study."""

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from tests.evaluation.checker import differs, read_rows, table_faults
from tests.evaluation.procedure_checker import procedure_numbers, read_outer
from tests.evaluation.recomputed import METRICS, Rows, mean
from tests.evaluation.recomputed_parts import Expected, Key, recordings
from tests.evaluation.recomputed_report import expected_numbers

SMALL = 5
LEVELS = ("snippet", "visit")
PREVALENCES = (0.01, 0.1, 0.5)
Results = Mapping[str, Any]


class Truth(NamedTuple):
    """What the files of a study say: its score, rows that are scored and learnt from, numbers."""

    metric: str
    units: Rows
    learnt: Rows
    numbers: dict[Key, Expected]


def check_results(study: Path) -> list[str]:
    """Return every fault of ``report/results.json`` in the folder of a study."""
    results = json.loads((study / "report" / "results.json").read_text(encoding="utf-8"))
    facts = json.loads((study / "study.json").read_text(encoding="utf-8"))
    metric, units, learnt, numbers = _truth(study)
    lines = [
        {name: "" if value is None else str(value) for name, value in one.items()}
        for one in results["numbers"]
    ]
    return [
        *table_faults(lines, numbers),
        *_score(results, metric, units),
        *_procedure(results),
        *_confusion(results, units),
        *_baselines(results, metric, units, learnt),
        *_search(results, facts, study),
        *_cohort(results, study),
        *_classes(results, units),
        *_copied(results, facts, study),
    ]


@cache  # intervals take seconds, and the files of a study stay
def _truth(study: Path) -> Truth:
    facts = json.loads((study / "study.json").read_text(encoding="utf-8"))
    metric = facts["settings"]["search"]["metric"]
    inner = read_rows(study / "trials" / f"{facts['best']:04d}" / "predictions.parquet")
    learnt, further = recordings(inner), {}
    if (study / "outer").is_dir():
        outer = read_outer(study)
        table, inner = outer.scored, outer.inner
        further = procedure_numbers(outer, metric, cut="highest")
    else:
        table = read_rows(study / "winner" / "predictions.parquet")
    expected = {**further, **expected_numbers(table, inner, PREVALENCES, 0.9, LEVELS)}
    told = {key: one for key, one in expected.items() if not key[1] or one.num_subjects >= SMALL}
    for fact in {key[1].split("=")[0] for key in expected if key[0] == "groups"}:
        sizes = {key[1]: one.num_subjects for key, one in expected.items()
                 if key[0] == "groups" and key[1].startswith(f"{fact}=")}  # fmt: skip
        few = [one for one, size in sizes.items() if size < SMALL]
        hidden = sorted(sizes, key=lambda one: sizes[one])[: len(few) + 1] if few else []
        told = {key: one for key, one in told.items()
                if key[0] not in ("groups", "constant") or key[1] not in hidden}  # fmt: skip
    return Truth(metric, recordings(table), learnt, told)


def _score(results: Results, metric: str, units: Rows) -> Iterator[str]:
    score, table = results["score"], "procedure" if results["procedure"] else "scores"
    (number,) = (one for one in results["numbers"] if (one["table"], one["group"], one["level"],
                 one["metric"]) == (table, "", "recording", metric))  # fmt: skip
    yield from (f"score: {name} {score[name]}, expected {value}"
                for name, value in number.items() if score[name] != value)  # fmt: skip
    counts = {"num_recordings": len({row["recording"] for row in units}),
              "num_scorings": len(units), "is_procedure": bool(results["procedure"])}  # fmt: skip
    yield from (f"score: {name}" for name, right in counts.items() if score[name] != right)


def _procedure(results: Results) -> Iterator[str]:
    rows = {one["metric"]: one["value"] for one in results["numbers"]
            if one["table"] == "procedure" and one["group"]}  # fmt: skip
    yield from (f"procedure: {name}" for name, value in results["procedure"].items()
                if rows[name] != value)  # fmt: skip


def _confusion(results: Results, units: Rows) -> Iterator[str]:
    k = len(units[0]["p"])
    counts = Counter((row["target"], row["p"].index(max(row["p"]))) for row in units)
    right = [[counts[true, called] for called in range(k)] for true in range(k)]
    if results["confusion"] != right:
        yield f"confusion: {results['confusion']}, expected {right}"


def _baselines(results: Results, metric: str, units: Rows, learnt: Rows) -> Iterator[str]:
    k = len(units[0]["p"])
    sites = {row["site"] for row in units}
    names = ["guessing by class frequency"]
    names += ["guessing by site"] * (len(sites) > 1 and None not in sites)
    if list(results["baselines"]) != names:
        yield f"baselines: {list(results['baselines'])}, expected {names}"
    for name, value in results["baselines"].items():
        guessed = []
        for row in units:
            some = [one for one in learnt if name != names[-1] or one["site"] == row["site"]]
            some = some if name == "guessing by site" and some else learnt
            shares = [sum(one["target"] == c for one in some) / len(some) for c in range(k)]
            guessed.append({**row, "p": shares})
        drawings: dict[int, Rows] = {}
        for row in guessed:
            drawings.setdefault(row["drawing"], []).append(row)
        right = mean(METRICS[metric](some, k) for some in drawings.values())
        if differs(value, right):
            yield f"baseline {name}: {value}, expected {right}"


def _search(results: Results, facts: dict[str, Any], study: Path) -> Iterator[str]:
    trials = [json.loads(file.read_text(encoding="utf-8"))
              for file in sorted(study.glob("trials/*/trial.json"))]  # fmt: skip
    best = next(one for one in trials if one["number"] == facts["best"])
    spent = json.loads((study / "time.json").read_text(encoding="utf-8"))
    right = {
        "trials": len(trials),
        "states": dict(Counter(one["state"] for one in trials)),
        "winner": facts["best"],
        "label": best["label"],
        "validation": best["value"],
        "chosen_epoch": best["chosen_epoch"] + 1,
        "params": best["params"],
        "space": sorted(facts["settings"]["space"]),
        "seconds": spent["seconds"],
        "forecast": spent["forecast"],
    }
    yield from (f"search: {name} {results['search'].get(name)}, expected {value}"
                for name, value in right.items()
                if results["search"].get(name) != value)  # fmt: skip


def _cohort(results: Results, study: Path) -> Iterator[str]:
    table = pd.read_parquet(study / "private" / "recordings.parquet")
    used, scored = table[table["part"] != "left out"], table[table["part"] == "scored"]
    rows = {"listed": table, "analysed": used, "scored": scored,
            "training only": table[table["part"] == "training"],
            "left out": table[table["part"] == "left out"]}  # fmt: skip
    for number in used["class"].dropna().unique():
        rows[f"class {number}"] = used[used["class"] == number]
        rows[f"scored, class {number}"] = scored[scored["class"] == number]
    for key, shown in results["cohort"].items():
        if key.startswith("left out: "):
            reasons = key.removeprefix("left out: ").split(", ")
            some = table[table["reason"].isin(reasons)]
        elif key == "without any analysed recording":
            gone = table[~table["subject_id"].isin(used["subject_id"])]
            yield from _count(key, shown, gone["subject_id"].nunique(), len(rows["left out"]))
            continue
        else:
            some = rows[key]
        yield from _count(key, shown, some["subject_id"].nunique(), len(some))
    lacking = {key for key, some in rows.items() if len(some)} - results["cohort"].keys()
    yield from (f"cohort: {key} is missing" for key in lacking)


def _count(key: str, shown: dict[str, str], people: int, num: int) -> Iterator[str]:
    """Check a count that is right or, where it or another one is of few people, hidden."""
    small = 0 < people < SMALL
    allowed = {f"<{SMALL}", "hidden"} if small else {str(people), "hidden"}
    if shown["people"] not in allowed or shown["recordings"] not in {str(num), "hidden"}:
        yield f"cohort: {key} {shown}, expected {people} people, {num} recordings"
    if small and shown["recordings"] != "hidden":
        yield f"cohort: {key} {shown} are few people, whose recordings are counted"


def _classes(results: Results, units: Rows) -> Iterator[str]:
    for one in results["classes"]:
        rows = [row for row in units if row["target"] == one["class"]]
        if one["grades"] != sorted({row["grade"] for row in rows}):
            yield f"class {one['class']}: grades {one['grades']}"
        people, num = ({row[name] for row in rows} for name in ("subject", "recording"))
        yield from _count(f"class {one['class']}", one, len(people), len(num))
    if len(results["classes"]) != len(units[0]["p"]):
        yield f"{len(results['classes'])} classes"


def _copied(results: Results, facts: dict[str, Any], study: Path) -> Iterator[str]:
    """Check what is copied from the log."""
    found = json.loads((study / "checks.json").read_text(encoding="utf-8"))
    for shown, right in zip(results["checks"], found, strict=True):
        yield from (f"{right['code']}: {name}" for name in shown if shown[name] != right[name])
    if results["importance"] != json.loads((study / "importance.json").read_text()):
        yield "importance"
    chance = study / "permutations.json"
    if results["chance"] != (json.loads(chance.read_text()) if chance.is_file() else {}):
        yield "chance"
    settings, told = facts["settings"], results["study"]
    right = {
        "name": facts["name"], "protocol": settings["search"]["protocol"],
        "metric": settings["search"]["metric"], "seed": facts["tags"]["seed"],
        "repeats": settings["search"]["repeats"], "grade_cuts": settings["data"]["grade_cuts"],
        "folds": {name: settings["folds"][name] for name in ("num_outer", "num_folds")},
    }  # fmt: skip
    yield from (f"study: {name}" for name, value in right.items() if told[name] != value)
    if results["schema"] != 1:
        yield "schema"


def numbers_in(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Yield the place and value of each number in nested values."""
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from numbers_in(inner, (*path, key))
    elif isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        yield path, value
