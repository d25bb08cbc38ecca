"""The page of MLflow that compares the trials of a study: its filter, order, columns and charts.

MLflow keeps such a view as a tag of the experiment, whose key stands in the page's address. The
names of its fields are those of MLflow's own page (3.17), which ignores what it does not know.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlencode

from pdray.tracking.shown import PAPERS, metric_of

_TAG = "mlflow.sharedViewState."
_SECTION = "pdray-search"
_MOST_AXES = 8


def view_tag(study: Mapping[str, Any]) -> tuple[str, str]:
    """Return key and value of the experiment's tag that holds the view of a study.

    Args:
        study: The content of ``study.json``.
    """
    score = f"val/{metric_of(study)}"
    searched = list(study["settings"].get("space") or {})
    view = {
        "searchFilter": f"tags.`pdray.study_id` = '{study['study_id']}'",
        "orderByKey": f"metrics.`{score}`",
        "orderByAsc": False,
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
        "globalLineChartConfig": _LINES,
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


_LINES = {"xAxisKey": "step", "lineSmoothness": 0, "selectedXAxisMetricKey": ""}


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
