"""A class does not learn the phrase of another expression without being told."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pdray.data.cohort.manifest import open_manifest
from pdray.data.cohort.members import make_cohort
from pdray.errors import SettingsError
from pdray.search.expression_checks import check_expressions
from pdray.search.plan import plan_study

# As import_actions.py writes them without classes=[...].
BY_NAME = ["anger", "happiness", "neutral"]


@pytest.fixture
def check(write_manifest: Callable[..., Path]) -> Callable[[dict[str, Any]], None]:
    rows = [
        {"recording_id": f"r{number}", "subject_id": f"S{number}", "item": "action",
         "grade": number % 3, "video": f"{number}.mp4"}
        for number in range(18)
    ]  # fmt: skip
    path = write_manifest(rows)
    path.with_suffix(".classes.json").write_text(json.dumps(BY_NAME), encoding="utf-8")

    def run(model: dict[str, Any]) -> None:
        data = {"manifest": str(path), "items": ["action"], "grade_cuts": [1, 2]}
        own = {"name": "expression_clip", **model}
        fit = {
            "model": own,
            "decode": {"height": 96, "width": 96},
            "snippet": {"num_frames": 16},
            "loss": {"kind": "cross_entropy"},
        }
        plan = plan_study({"data": data, **fit})
        config = plan.config
        manifest = open_manifest(config.data, check_files=False)
        cohort = make_cohort(manifest, config.data, config.folds, needs=plan.needs)
        check_expressions(plan.fits, cohort)

    return run


def test_phrases_in_another_order_than_the_names_of_classes_are_refused(
    check: Callable[[dict[str, Any]], None],
) -> None:
    with pytest.raises(SettingsError, match="class 0 is anger, and its phrase is that of neutral;"):
        check({})
    check({"phrases": BY_NAME})
    check({"phrases": ["red", "a smile", "neutral"]})
