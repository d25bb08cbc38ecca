"""Every number of a report, as plain values for ``results.json``; the page prints these alone."""

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import pandas as pd

from pdray.data.cohort.settings import target_of
from pdray.evaluation.metrics import METRICS, predicted
from pdray.evaluation.numbers import COLUMNS
from pdray.evaluation.predictions import num_classes, probabilities, targets
from pdray.evaluation.printed_table import Count
from pdray.report.case import Reported
from pdray.report.flow import class_names, is_case_control
from pdray.report.methods import decides, learns_in_steps
from pdray.report.parts import Parts, parts_of
from pdray.report.small_cells import Shown

SCHEMA = 1
"""Version of ``results.json``; it grows when a key changes its meaning or is gone."""
PROCEDURE, SCORES = "procedure", "scores"


def results_of(case: Reported) -> dict[str, Any]:
    """Return every number of a report as plain values, which JSON can hold.

    Args:
        case: The study.

    Returns:
        The content of ``results.json``, whose keys docs/reference/results-json.md describes.
    """
    parts = parts_of(case)
    found = {
        "schema": SCHEMA,
        "study": _study(case),
        "cohort": None if parts is None else _cohort(parts),
        "classes": _classes(case, parts),
        "is_case_control": is_case_control(case),
        "has_subjects": case.names_people,
        "external": _external(case),
        "score": _score(case),
        "baselines": dict(case.baselines),
        "chance": dict(case.chance),
        "procedure": _procedure(case.numbers),
        "confusion": _confusion(case.units),
        "search": _search(case),
        "importance": dict(case.importance),
        "checks": [
            {name: getattr(one, name) for name in
             ("code", "title", "state", "looked_at", "found", "sure", "advice")}
            | {"numbers": dict(one.numbers)}
            for one in case.findings
        ],
        "numbers": [
            {name: row[name] for name in COLUMNS} for row in case.numbers.to_dict("records")
        ],
    }  # fmt: skip
    return cast("dict[str, Any]", _plain(found))


def _study(case: Reported) -> dict[str, Any]:
    settings, tags = case.settings, case.tags
    return {
        "name": case.name,
        "protocol": case.protocol,
        "metric": case.metric,
        "greater_is_better": METRICS[case.metric].greater_is_better,
        "model": settings.get("model", {}).get("name", "tsa"),
        "items": settings.get("data", {}).get("items"),
        "target": target_of(settings),
        "grade_cuts": settings.get("data", {}).get("grade_cuts"),
        "folds": {name: settings.get("folds", {}).get(name) for name in ("num_outer", "num_folds")},
        "repeats": settings.get("search", {}).get("repeats"),
        "decides": decides(case),
        "interval": settings.get("evaluation", {}).get("interval", "percentile"),
        "is_synthetic": case.is_synthetic,
        "seed": tags.get("seed"),
        "manifest_sha256": tags.get("manifest_digest"),
        "source": tags.get("source"),
        "versions": {
            name.removeprefix("version."): text
            for name, text in tags.items()
            if name.startswith("version.")
        },
    }


def _cohort(parts: Parts) -> dict[str, Any]:
    return {key: _shown(one) for key, one in parts.shown.items()}


def _shown(one: Shown) -> dict[str, str]:
    return {"people": one.people, "recordings": one.recordings}


def _classes(case: Reported, parts: Parts | None) -> list[dict[str, Any]]:
    """Return each class: its name, its grades, and who is scored of it."""
    if case.units.empty:
        return []
    names = class_names(case)
    found = []
    for k in range(num_classes(case.units)):
        some = case.units[case.units["target"] == k]
        one = parts and parts.shown.get(f"scored, class {k}")
        if parts is None:
            one = _alone(Count(some["recording_id"].nunique(), some["subject_id"].nunique()), case)
        found.append(
            {
                "class": k,
                "name": names.get(k, f"class {k}"),
                "grades": sorted({int(grade) for grade in some["grade"]}),
                **_shown(one or Shown("0", "0")),
            }
        )
    return found


def _alone(count: Count, case: Reported) -> Shown:
    """Return a count of a study without a table of recordings."""
    small = 0 < count.subjects < case.small_cells
    return Shown(
        f"<{case.small_cells}" if small else str(count.subjects),
        "hidden" if small else str(count.recordings),
    )


def _external(case: Reported) -> dict[str, Any] | None:
    """Return what an external validation is of; None: the recordings are those of the study."""
    one = case.external
    return None if one is None else {**vars(one), "score": dict(one.score) or None}


def _score(case: Reported) -> dict[str, Any] | None:
    """Return the number that the report is about; None: nobody was tested."""
    if case.units.empty or case.numbers.empty:
        return None
    of_all = case.numbers[(case.numbers["group"] == "") & (case.numbers["level"] == "recording")]
    for table in (PROCEDURE, SCORES):
        rows = of_all[(of_all["table"] == table) & (of_all["metric"] == case.metric)]
        if len(rows):
            found = {str(name): value for name, value in rows.iloc[0].items()}
            units = case.units
            return found | {
                "num_recordings": units["recording_id"].nunique(),
                "num_scorings": len(units),
                "is_procedure": table == PROCEDURE,
            }
    return None


def _procedure(numbers: pd.DataFrame) -> dict[str, float]:
    """Return the spread over outer folds and the optimism of the searches; empty: no such."""
    if numbers.empty:
        return {}
    rows = numbers[(numbers["table"] == PROCEDURE) & (numbers["group"] != "")]
    wanted = ("mean", "sd", "lowest", "highest", "inner", "outer", "optimism")
    return {
        str(row["metric"]): float(row["value"])
        for row in rows.to_dict("records")
        if row["metric"] in wanted
    }


def _confusion(units: pd.DataFrame) -> list[list[int]]:
    """Return how many scored recordings of each true class (row) got each class (column)."""
    if units.empty:
        return []
    k = num_classes(units)
    pairs = k * targets(units) + predicted(probabilities(units))
    return np.bincount(pairs, minlength=k * k).reshape(k, k).tolist()


def _search(case: Reported) -> dict[str, Any]:
    best = next((one for one in case.trials if one["number"] == case.best), None)
    epoch = case.chosen_epoch if learns_in_steps(case) else None
    return {
        "trials": len(case.trials),
        "states": dict(Counter(str(one["state"]) for one in case.trials)),
        "winner": case.best,
        "label": best and best.get("label"),
        "validation": best and best["value"],
        "chosen_epoch": None if epoch is None else epoch + 1,
        "params": {} if best is None else dict(best["params"]),
        "space": sorted(case.settings.get("space") or {}),
        "seconds": case.seconds.get("seconds"),
        "forecast": case.seconds.get("forecast"),
    }


def _plain(value: Any) -> Any:
    """Return a value with plain numbers; what is not finite becomes None, which JSON has."""
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
