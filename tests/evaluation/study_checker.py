"""Checks the numbers of a finished search: its evaluation, report, winner's scores and MLflow."""

import json
import math
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from tests.evaluation.checker import check_evaluation, differs, read_rows
from tests.evaluation.compare_checker import Rows as Paired
from tests.evaluation.compare_checker import exchanges, jackknife
from tests.evaluation.recomputed import METRICS, Rows, mean, people
from tests.evaluation.recomputed_parts import Expected, names_for, recordings, score

SYNTHETIC = "SYNTHETIC data: a rendered cohort, not patients"
NUMBER = r"-?\d+(?:\.\d+)?(?:e-?\d+)?"


def check_study(folder: Path, mlflow: Path) -> list[str]:
    """Return every fault of the numbers of a finished search on a SYNTHETIC cohort.

    Args:
        folder: The folder of the study.
        mlflow: The database of MLflow, with this study alone.
    """
    study = json.loads((folder / "study.json").read_text(encoding="utf-8"))
    tested = read_rows(folder / "winner" / "predictions.parquet")
    inner = read_rows(folder / f"trials/{study['best']:04d}/predictions.parquet")
    title = f"study {study['name']}, winner, test set ({SYNTHETIC})"
    faults = check_evaluation(folder / "evaluation", tested, title=title, inner=inner)
    k = len(tested[0]["p"])
    units = recordings(tested)
    right = {name: score(units, k, name) for name in names_for(k)}
    winner = json.loads((folder / "winner" / "trial.json").read_text(encoding="utf-8"))
    for logged, numbers in winner["scores"].items():
        for end in ("value", "low", "high"):
            name = logged.removeprefix("test/")
            faults += _differs(f"{logged} {end}", float(numbers[end]), getattr(right[name], end))
    metric = study["settings"]["search"]["metric"]
    trials = [
        json.loads(path.read_text(encoding="utf-8"))
        for path in sorted(folder.glob("trials/*/trial.json"))
    ]
    scores, checks = (folder / "report.txt").read_text(encoding="utf-8").split("\n\nChecks: ")
    faults += [*_checks(checks, folder)]
    board, _, held_out = scores.rpartition("\n\n")
    faults += [*_board(board, trials, folder, metric), *_gain(board, trials, folder, metric)]
    faults += [*_held_out(held_out, units, right[metric], metric, inner)]
    return faults + list(_mlflow(mlflow, right, trials, metric))


def _differs(what: str, found: float, right: float) -> list[str]:
    return [f"{what}: {found}, expected {right}"] if differs(found, right) else []


def _value(trial: dict[str, Any], folder: Path, metric: str) -> float:
    """Return the mean over the folds of a complete trial; of another one, what it logged."""
    if trial["state"] != "complete":
        return math.nan if trial["value"] is None else float(trial["value"])
    rows = read_rows(folder / f"trials/{trial['number']:04d}/predictions.parquet")
    folds: dict[int, Rows] = {}
    for row in recordings(rows):
        folds.setdefault(row["fold"], []).append(row)
    return mean(METRICS[metric](some, len(rows[0]["p"])) for some in folds.values())


def _checks(text: str, folder: Path) -> Iterator[str]:
    """Check that every finding is printed: those in full of which a reader must know."""
    found = json.loads((folder / "checks.json").read_text(encoding="utf-8"))
    first, *lines = text.rstrip("\n").split("\n")
    states = [one["state"] for one in found]
    counts = [f"{states.count(state)} {state}" for state in dict.fromkeys(
        ["warning", "unknown", "passed", "muted"]) if state in states]  # fmt: skip
    if first != ", ".join(counts):
        yield f"checks: {first}, expected {counts}"
    told = re.split(r"\n(?=PDR)", "\n".join(lines))
    shown = {one[:6]: " ".join(one.split()) for one in told}
    if len(told) != len(found) or shown.keys() != {one["code"] for one in found}:
        yield f"checks: {sorted(shown)}, expected those of checks.json"
    for one in found:
        wanted = [f"{one['code']} {one['state']} ({one['title']})", one["found"]]
        if one["state"] == "warning":
            wanted += [one["looked_at"], one["sure"], one["advice"]]
        yield from (f"checks: {part!r} is missing" for part in wanted
                    if " ".join(part.split()) not in shown.get(one["code"], ""))  # fmt: skip


def _board(board: str, trials: list[dict[str, Any]], folder: Path, metric: str) -> Iterator[str]:
    """Check the leaderboard, whose lines start with the number of a trial."""
    first, _, *lines = board.split("\n")
    if first.partition(" ")[0] != str(len(trials)):
        yield f"leaderboard: {first}, expected {len(trials)} trials"
    shown = {int(line.split()[0]): line.split() for line in lines if line[:6].strip().isdigit()}
    for trial in trials:
        number, state, value, epoch, *params = shown.pop(trial["number"])
        right = _value(trial, folder, metric)
        yield from _differs(f"trial {number} {state}", round(right, 3), float(value))
        chosen = "-" if trial["chosen_epoch"] is None else str(trial["chosen_epoch"] + 1)
        wanted = [f"{one:.3g}" if isinstance(one, float) else str(one)
                  for one in trial["params"].values()]  # fmt: skip
        if (epoch, sorted(params[: len(wanted)])) != (chosen, sorted(wanted)):
            yield f"trial {number}: {epoch}, {params}, expected {chosen}, {wanted}"
    yield from (f"leaderboard: trial {number} is not known" for number in shown)


def _gain(board: str, trials: list[dict[str, Any]], folder: Path, metric: str) -> Iterator[str]:
    """Check the difference between the winner and the default, paired by subject."""
    (line,) = (one for one in board.split("\n") if one.startswith("note: winner minus default: "))
    winner = json.loads((folder / "winner" / "trial.json").read_text(encoding="utf-8"))["number"]
    default = min((one["number"] for one in trials if one["label"]), default=None)
    found = line.removeprefix("note: winner minus default: ")
    if default is None or default == winner:
        right = f"none, the winner is the default itself (trial {winner})"
        right = "not known, since no trial" if default is None else right
        if not found.startswith(right):
            yield f"{line!r}: expected {right}"
        return
    files = {name: folder / f"trials/{name:04d}/predictions.parquet" for name in (winner, default)}
    if not files[default].is_file():
        if f"trial {default}, the default, is " not in found:
            yield f"{line!r}: the default has no predictions"
        return
    rows = Paired({str(name): pd.read_parquet(file) for name, file in files.items()})
    pair = str(winner), str(default)
    value = rows.gap(metric, *pair)
    wanted = [f"{metric} {value:+.3f} (trial {winner} minus trial {default})"]
    wanted += [f"predictions of {len(rows.people)} subjects"]
    if len(rows.people) < 12:
        wanted += [f"not tested: too few subjects for an interval: {len(rows.people)}, 12 are"]
    elif "not tested: too few subjects for an interval: " not in found:
        p, _ = exchanges(rows, metric, pair, abs(value), 0)
        low, high = jackknife(rows, metric, pair, value, 0.95)
        wanted += [f"{low:.3f} to {high:.3f}", f"(p {p:.4f})"]
        wanted += ["; not shown (" if p > 0.05 or value < 0 else "; shown ("]
    yield from (f"{line!r}: expected {one}" for one in wanted if one not in found)


def _held_out(text: str, units: Rows, right: Expected, metric: str, inner: Rows) -> Iterator[str]:
    """Check the sentence on the test score, and the baseline below it."""
    first, *lines = text.strip().split("\n")
    found = [float(one) for one in re.findall(NUMBER, first.replace("95% interval", ""))]
    ends = [right.low, right.high]
    wanted = [right.value, *(end for end in ends if not math.isnan(end))]
    counts = [len(people(units)), len(units)]
    for number in (*wanted, *counts):
        near = [one for one in found if abs(one - number) <= 0.00051]
        if not near:
            yield f"headline {first!r}: {number} is missing"
        else:
            found.remove(near[0])
    if math.isnan(right.low):  # the reason: subjects, or those of a class, and how many are needed
        known = {len(people(units)), 12, 5, *right.of_class, *right.of_class.values()}
        found = [one for one in found if one not in known]
    if found:
        yield f"headline {first!r}: {found} are not known"
    k = len(units[0]["p"])
    counts = [sum(row["target"] == c for row in recordings(inner)) for c in range(k)]
    always = [{**row, "p": [one / sum(counts) for one in counts]} for row in units]
    guessing = "baseline (guessing by class frequency)"
    baselines = [line for line in lines if line.startswith(guessing)]
    if len(baselines) != 1 or len(lines) != 1:
        yield f"lines {lines} are not known"
        return
    baseline = float(re.findall(NUMBER, baselines[0])[-1])
    yield from _differs(baselines[0], baseline, round(METRICS[metric](always, k), 3))


def _mlflow(
    file: Path, right: dict[str, Expected], trials: list[dict[str, Any]], metric: str
) -> Iterator[str]:
    """Check the last value of each score of the test set, and the values of the trials.

    The loss is no score of a predictions table: it has weights and label smoothing of training.
    """
    with sqlite3.connect(file) as database:
        rows = database.execute("select key, value, is_nan from latest_metrics").fetchall()
    values = {one["value"] for one in trials if one["state"] == "complete"}
    seen = set()
    for key, value, is_nan in rows:
        found = math.nan if is_nan else float(value)
        match = re.fullmatch(r"test/(?!loss$)(\w+?)(?:_(low|high))?", key)
        if key == f"val/{metric}" and found not in values:
            yield f"MLflow {key}: {found}, expected one of {values}"
        elif match:
            name = f"{match[1]}_{match[2]}" if match[2] and match[1] not in right else match[1]
            seen.add((name, match[2] or "value"))
            yield from _differs(f"MLflow {key}", found, getattr(right[name], match[2] or "value"))
    lacking = {(name, "value") for name, one in right.items() if one.value == one.value} - seen
    yield from (f"MLflow: test/{name} is missing" for name, _ in lacking)
