"""Checks the numbers of a study with outer folds: those of its procedure, and its evaluation."""

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from tests.evaluation.checker import check_evaluation, read_rows
from tests.evaluation.recomputed import METRICS, RANKING, Rows, mean
from tests.evaluation.recomputed_parts import (
    Expected,
    Key,
    entry,
    mcc_threshold,
    names_for,
    recordings,
    scored,
    sure,
)

NAMES = ("mcc", "kappa", "mae", "accuracy", "balanced_accuracy", "sensitivity", "specificity",
         "auroc", "auprc")  # fmt: skip
LESS_IS_BETTER = ("mae", "mse", "brier")


@dataclass(frozen=True)
class Outer:
    """Rows of a study: those scored in its outer folds, and the inner ones of their searches."""

    scored: Rows
    inner: Rows
    values: list[float]


def check_procedure(study: Path, folder: Path, *, cut: str = "highest") -> list[str]:
    """Return every fault of the evaluation of a SYNTHETIC study with outer folds.

    Args:
        study: Folder of the study.
        folder: Folder of the evaluation.
        cut: ``decision.threshold`` of the evaluation: "highest" or "mcc".
    """
    facts = json.loads((study / "study.json").read_text(encoding="utf-8"))
    rows, metric = read_outer(study), facts["settings"]["search"]["metric"]
    title = (
        f"study {facts['name']}, its search and refit in {len(rows.values)} outer folds (SYNTHETIC "
        "data: a rendered cohort, not patients)"
    )
    return check_evaluation(
        folder, rows.scored, inner=rows.inner, title=title,
        further=procedure_numbers(rows, metric, cut=cut),
    )  # fmt: skip


def read_outer(study: Path) -> Outer:
    """Read the files of a study; outer folds are numbered on over its repeats."""
    table = pd.read_parquet(study / "outer" / "predictions.parquet")
    tested = read_rows(study / "outer" / "predictions.parquet")
    for row, repeat in zip(tested, table["repeat"], strict=True):
        row["repeat"] = int(repeat)
    size = int(table["outer_fold"].max()) + 1
    inner, values = [], []
    for file in sorted((study / "outer").glob("*/winner/trial.json")):
        repeat, _, fold = file.parents[1].name.rpartition("-")
        number = json.loads(file.read_text(encoding="utf-8"))["number"]
        trial = file.parents[1] / "trials" / f"{number:04d}"
        values.append(float(json.loads((trial / "trial.json").read_text())["value"]))
        for row in read_rows(trial / "predictions.parquet"):
            inner.append({**row, "repeat": int(repeat or 0), "outer_fold": int(fold)})
    several = len(set(table["repeat"])) > 1
    one_each = len(table.groupby(["repeat", "outer_fold", "subject_id"])) == len(values)
    for row in (*tested, *inner):
        fold = row["repeat"] * size + row["outer_fold"]
        row |= {"outer_fold": fold, "drawing": row["repeat"], "mean_of_drawings": several,
                "one_subject_each": one_each, "fold_key": (fold, row["fold"], row["repeat"]),
                "network": (row["trial"], fold, row["fold"], row["repeat"])}  # fmt: skip
    return Outer(tested, inner, values)


def procedure_numbers(rows: Outer, metric: str, *, cut: str) -> dict[Key, Expected]:
    """Return the numbers of the first part of the evaluation."""
    units, inner = recordings(rows.scored), recordings(rows.inner)
    k = len(units[0]["p"])
    decided = units
    if cut == "mcc":
        lines = {
            fold: mcc_threshold([row for row in inner if row["outer_fold"] == fold])
            for fold in {row["outer_fold"] for row in units}
        }
        decided = [sure(row, lines[row["outer_fold"]]) for row in units]
    names = [metric, *(one for one in NAMES if one in names_for(k) and one != metric)]
    found = {}
    for name in names:
        some = units if name in (*RANKING, "brier") else decided
        for key, number in scored(some, k, "procedure", "", "recording", [name]):
            if key[0] == "procedure":
                found[key] = number
    found |= dict(_beside(rows, units, metric, found["procedure", "", "recording", metric].value,
                          decided))  # fmt: skip
    return found


def _beside(
    rows: Outer, units: Rows, metric: str, outer: float, decided: Rows
) -> Iterator[tuple[Key, Expected]]:
    k, one_each = len(units[0]["p"]), units[0]["one_subject_each"]
    drawings = sorted({row["drawing"] for row in units})
    for name in () if one_each else sorted(RANKING):
        one_network = [{**row, "network": 0} for row in units]
        runs = [[row for row in one_network if row["drawing"] == one] for one in drawings]
        value = mean(METRICS[name](run, k) for run in runs)
        key = ("procedure", "pooled over outer folds (naive)", "recording", name)
        yield key, entry(units, value)
    folds = sorted({row["outer_fold"] for row in units})
    of_fold = [METRICS[metric]([row for row in decided if row["outer_fold"] == one], k)
               for one in folds]  # fmt: skip
    values = [one for one in of_fold if one == one]
    group = f"{metric} of single outer folds"
    spread = dict.fromkeys(("mean", "sd", "lowest", "highest"), math.nan)
    if not one_each:
        group += f" ({len(values)} of {len(folds)} have one)"
        if len(values) > 1:
            spread = {"mean": mean(values), "sd": float(np.std(values, ddof=1)),
                      "lowest": min(values), "highest": max(values)}  # fmt: skip
    for name, value in spread.items():
        yield ("procedure", group, "recording", name), entry(units, value)
    inner = mean(rows.values)
    gap = outer - inner if metric in LESS_IS_BETTER else inner - outer
    group = f"{metric} of the winners in their own searches"
    for name, value in {"inner": inner, "outer": outer, "optimism": gap}.items():
        yield ("procedure", group, "recording", name), entry(units, value)


def report_faults(study: Path, lines: list[str]) -> Iterator[str]:
    """Yield every line of the scores in a study's report that is not as it must be.

    Args:
        study: Folder of the study, whose classes are two; nothing is chosen by its decision.
        lines: The lines after the leaderboard, without the checks.
    """
    facts = json.loads((study / "study.json").read_text(encoding="utf-8"))
    rows, metric = read_outer(study), facts["settings"]["search"]["metric"]
    found = procedure_numbers(rows, metric, cut="highest")
    of = {(group, name): one for (_, group, _, name), one in found.items()}
    right, units = of["", metric], recordings(rows.scored)
    ends = "" if math.isnan(right.low) else f", 95% interval {right.low:.3f} to {right.high:.3f} of"
    people = len({row["subject"] for row in units})
    counts = f"({people} test subjects, {len({row['recording'] for row in units})} recordings)"
    spread = next(group for group, name in of if name == "lowest")
    low, high, sd = (of[spread, name].value for name in ("lowest", "highest", "sd"))
    told = "each outer fold has one subject"
    if low == low:
        told = f"{low:.3f} to {high:.3f}, SD {sd:.3f}"
    winners = next(group for group, name in of if name == "optimism")
    inner, gap = of[winners, "inner"].value, of[winners, "optimism"].value
    side = "better" if gap >= 0 else "worse"
    wanted = [
        (f"test/{metric} {right.value:.3f}{ends}", counts),
        (f"this is the number of the procedure (the search in each of {len(rows.values)} outer ",
         "not of this model.pt"),
        (spread, told),
        ("optimism: ", f"winners {inner:.3f} on average, {abs(gap):.3f} {side} than test/{metric}"),
    ]  # fmt: skip
    for name in ("auroc", "auprc"):
        naive = of.get(("pooled over outer folds (naive)", name))
        words = "each network scored one subject"
        if naive is not None:
            words = f"{of['', name].value:.3f} from pairs inside one outer fold; "
            shown = [float(n) for line in lines if line.startswith(f"test/{name}")
                     for n in re.findall(r"; (\d\.\d+) pooled over outer folds", line)]  # fmt: skip
            if len(shown) != 1 or abs(shown[0] - naive.value) > 0.00051:
                yield f"naive {name}: {shown}, expected {naive.value}"
        wanted.append((f"test/{name}", words))
    shares = [mean(row["target"] == k for row in units) for k in range(2)]
    guess = METRICS[metric]([{**row, "p": shares} for row in units], 2)
    wanted.append(("baseline (guessing by class frequency)", f"test/{metric} {guess:.3f}"))
    if len(lines) != len(wanted):
        yield f"{len(lines)} lines, expected {len(wanted)}: {lines}"
    for line, (start, words) in zip(lines, wanted, strict=False):
        if not line.startswith(start) or words not in line:
            yield f"{line!r}: expected {start!r} and {words!r}"
