"""Names, params and metrics of the runs that MLflow shows of a study, made from its log.

A trial's ``val/mcc`` is the one number that decided: the mean over the folds at the chosen epoch.
Curves are under the fold (``fold0/val/mcc`` at step epoch), their mean under ``mean/val/mcc``.

The view that compares the trials of a study (filter, order, columns and charts) is a tag of the
experiment, whose key stands in the address. The names of its fields are those of the page of MLflow
3.17, which ignores what it does not know.
"""

import csv
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlencode

from pdray.config import value_at
from pdray.tracking.address import shared_settings
from pdray.tracking.epoch_lines import EpochRecord
from pdray.tracking.run_log import FINDINGS, NUMBERS, StudyLog, flat_scores

PAPERS = {
    "model": "model.name",
    "epochs": "optim.epochs",
    "lambda": "optim.weight_decay",
    "gamma": "loss.gamma",
    "frames": "snippet.num_frames",
    "depth": "model.attention_depth",
}
"""Settings that are compared most, by their names in the papers."""

_TAG = "mlflow.sharedViewState."
_SECTION = "pdray-search"
_MOST_AXES = 8

_SPLITS = {"trial": "val", "fixed": "test", "winner": "test"}


def metric_of(study: Mapping[str, Any]) -> str:
    """Return the name of the metric that decides, such as ``mcc``."""
    return str(value_at(study["settings"], "search.metric") or "mcc")


def run_name(study: str, key: str, trial: Mapping[str, Any]) -> str:
    """Return the name of a trial's run: that of the study's run, number and label."""
    label = f" {trial['label']}" if trial.get("label") else ""
    told = "winner" if key == "winner" else f"trial {trial['number']}"
    return f"{study} {told}{label}"


def trial_params(trial: Mapping[str, Any]) -> dict[str, str]:
    """Return the searched settings by dotted key, and the papers' names of the most compared."""
    params = shared_settings(trial["params"])
    return {key: _told(value) for key, value in params.items()} | _named(trial)


def study_params(study: Mapping[str, Any]) -> dict[str, str]:
    """Return every setting of a study by dotted key, without folders and passwords."""
    flat = _flat(shared_settings(study["settings"]))
    return {key: _told(value) for key, value in flat} | _named(study)


def curve_points(record: EpochRecord, metric: str, role: str = "trial") -> dict[str, float]:
    """Return what is shown of one epoch of one fold: losses, the deciding score and the time.

    Of the winner only the training loss and the time: its test score stands at its end alone.
    """
    splits = () if role == "winner" else ("val", "test")
    scored = [f"{split}/{name}" for split in splits for name in ("loss", metric)]
    losses = ["train/loss"]
    if "train/loss" not in record.metrics:  # of a translator, which has several
        losses = [name for name in record.metrics if name.startswith("train/")]
    wanted = [*losses, *scored, "time/epoch_seconds"]
    return {
        f"fold{record.fold}/{name}": record.metrics[name]
        for name in wanted
        if name in record.metrics
    }


def mean_curve(
    records: Sequence[EpochRecord], trial: Mapping[str, Any], metric: str
) -> dict[int, dict[str, float]]:
    """Return the mean over folds of the deciding score by epoch, where all folds have it."""
    if trial["role"] == "winner":
        return {}
    name = f"{_SPLITS[trial['role']]}/{metric}"
    num_folds = len({record.fold for record in records})
    curve = {}
    for epoch in sorted({record.epoch for record in records}):
        found = [one.metrics.get(name, math.nan) for one in records if one.epoch == epoch]
        if len(found) == num_folds and not any(map(math.isnan, found)):
            curve[epoch] = {f"mean/{name}": math.fsum(found) / num_folds}
    return curve


def final_metrics(
    records: Sequence[EpochRecord], trial: Mapping[str, Any], metric: str
) -> dict[str, float]:
    """Return the numbers that stand for a trial at its end.

    Of a complete trial these are the validation scores at the chosen epoch, the mean over the
    folds; of a pruned one, ``pruned/val/mcc`` is the last mean, of fewer folds or epochs.
    """
    scores = flat_scores(trial)
    if trial["value"] is None or trial["role"] == "winner":
        return scores
    split = _SPLITS[trial["role"]]
    if trial["state"] != "complete":
        return {f"{trial['state']}/{split}/{metric}": trial["value"]}
    if trial["role"] == "fixed":
        return {f"mean/{split}/{metric}": trial["value"], **scores}
    at_end = [one.metrics for one in records if one.epoch == trial["chosen_epoch"]]
    names = [name for name in (at_end[0] if at_end else {}) if name.startswith("val/")]
    means = {
        name: math.fsum(values) / len(values)
        for name in names
        if (values := [v for one in at_end if not math.isnan(v := one.get(name, math.nan))])
    }
    return {**means, f"val/{metric}": trial["value"], **scores}


def study_scores(study: StudyLog) -> dict[str, float]:
    """Return the numbers that stand for a study at its end.

    ``val/mcc`` is that of the best trial, ``test/mcc`` that of the winner, and ``procedure/mcc``
    that of searches in outer folds, of which none took place on a subject that it scores.
    """
    facts = study.read()
    best, scores = facts["best"], _procedure(study)
    if best is not None and study.trial(best).exists():
        value = study.trial(best).read()["value"]
        scores |= {} if value is None else {f"val/{metric_of(facts)}": value}
    return scores | (flat_scores(study.winner.read()) if study.winner.exists() else {})


def study_tags(study: StudyLog) -> dict[str, str]:
    """Return the tags of an ended study: its state, best trial, and what each check found."""
    facts = study.read()
    tags = {"state": facts["state"], "pdray.best_trial": str(facts["best"])}
    try:
        findings = json.loads((study.folder / FINDINGS).read_text(encoding="utf-8"))
        return tags | {f"check.{one['code']}": one["state"] for one in findings}
    except (OSError, ValueError, TypeError, KeyError):  # not checked, or the file was damaged
        return tags


def _procedure(study: StudyLog) -> dict[str, float]:
    """Return the scores of the procedure, with their intervals, and the searches' optimism."""
    try:
        lines = (study.evaluation / NUMBERS).read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    found = {}
    for row in csv.DictReader(lines):
        # Other groups are naive pooling, and the spread over outer folds.
        if row["table"] == "procedure" and (not row["group"] or row["metric"] == "optimism"):
            for end in ("value", "low", "high"):
                name = row["metric"] if end == "value" else f"{row['metric']}_{end}"
                found[f"procedure/{name}"] = float(row[end] or "nan")
    return found


def leaderboard(trials: Sequence[Mapping[str, Any]], metric: str) -> dict[str, list[Any]]:
    """Return the trials as ``columns`` and rows of ``data``, in the order of their numbers."""
    params = [shared_settings(trial["params"]) for trial in trials]
    keys = list(dict.fromkeys(key for one in params for key in one))
    rows = [
        [
            trial["number"],
            trial["state"],
            trial["value"],
            None if trial["chosen_epoch"] is None else trial["chosen_epoch"] + 1,
            trial.get("label") or "",
            *(one.get(key) for key in keys),
        ]
        for trial, one in zip(trials, params, strict=True)
    ]
    return {"columns": ["trial", "state", f"val/{metric}", "epoch", "note", *keys], "data": rows}


def view_tag(study: Mapping[str, Any]) -> tuple[str, str]:
    """Return key and value of the experiment's tag that holds the view of a study.

    Args:
        study: The content of ``study.json``.
    """
    score = f"val/{metric_of(study)}"
    searched = list(study["settings"].get("space") or {})
    view = {
        # Not the study's own run, which repeats the best trial's score.
        "searchFilter": f"tags.`pdray.study_id` = '{study['study_id']}' "
        "and tags.`pdray.run` != 'study'",
        "orderByKey": f"metrics.`{score}`",
        "orderByAsc": study["tags"].get("maximise") == "false",
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": _columns(score, searched),
        "runsExpanded": {},
        "runsPinned": [],
        "runsHidden": [],
        "runsVisibilityMap": {},
        "runsHiddenMode": "SHOWALL",
        "runListHidden": False,
        "isAccordionReordered": True,
        "useGroupedValuesInCharts": True,
        "hideEmptyCharts": True,
        "autoRefreshEnabled": True,
        "globalLineChartConfig": {
            "xAxisKey": "step", "lineSmoothness": 0, "selectedXAxisMetricKey": "",
        },
        "compareRunSections": [
            {"uuid": _SECTION, "name": "search", "display": True, "isReordered": True,
             "deleted": False, "isGenerated": False}
        ],
        "compareRunCharts": [
            _chart("PARALLEL", selectedParams=searched[:_MOST_AXES], selectedMetrics=[score],
                   showAllRuns=False),
            _chart("BAR", metricKey=score),
            _chart("LINE", metricKey=f"mean/{score}", selectedMetricKeys=[f"mean/{score}"],
                   xAxisKey="step", xAxisScaleType="linear", scaleType="linear", lineSmoothness=0,
                   range={}, yAxisKey="metric", yAxisExpressions=[], ignoreOutliers=False,
                   useGlobalXaxisKey=True, useGlobalLineSmoothing=True, displayPoints=True),
        ],
    }  # fmt: skip
    return f"{_TAG}{_key(study)}", json.dumps(view)


def view_page(experiment_id: str, study: Mapping[str, Any]) -> str:
    """Return path and query of the page, below the server's address."""
    wanted = {
        "viewStateShareKey": _key(study),
        "workflowType": "machine_learning",
        "compareRunsMode": "CHART",
    }
    return f"/#/experiments/{experiment_id}/runs?{urlencode(wanted, quote_via=quote)}"


def _named(facts: Mapping[str, Any]) -> dict[str, str]:
    values = {name: value_at(facts["settings"], key) for name, key in PAPERS.items()}
    return {name: _told(value) for name, value in values.items() if value is not None}


def _flat(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _told(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _key(study: Mapping[str, Any]) -> str:
    return f"pdray-{study['study_id'][:12]}"


def _columns(score: str, searched: Sequence[str]) -> list[str]:
    named = [f"params.`{name}`" for name, key in PAPERS.items() if key not in searched]
    others = [f"params.`{key}`" for key in searched]
    return [f"metrics.`{score}`", "tags.`state`", *others, *named]


def _chart(kind: str, **more: object) -> dict[str, Any]:
    return {
        "type": kind, "uuid": f"pdray-{kind.lower()}", "metricSectionId": _SECTION,
        "runsCountToCompare": 100, "deleted": False, "isGenerated": False, **more,
    }  # fmt: skip
