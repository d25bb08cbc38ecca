from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pdray.checks.edges import run
from pdray.config import dump
from pdray.tracking.run_log import StudyLog
from pdray.training.settings import FitConfig
from tests.checks.cases import cohort_of, make_case

FIT = dump(FitConfig())


def won(study: StudyLog, params: dict[str, Any], fit: dict[str, Any] = FIT) -> None:
    study.trial(3).start(number=3, num_epochs=1, params=params, settings=fit)
    study.winner.start(number=3, num_epochs=1, params=params, settings=fit, role="winner")


@pytest.mark.parametrize(
    ("entry", "value", "end"),
    [
        ({"low": 1e-5, "high": 0.1, "log": True}, 0.09, "upper end, 0.1"),
        ({"low": 1e-5, "high": 0.1, "log": True}, 1.2e-5, "lower end, 1e-05"),
        ({"low": 1e-5, "high": 0.1, "log": True}, 0.05, ""),
        ({"low": 0.001, "high": 0.1}, 0.05, ""),
        ({"low": 0.001, "high": 0.1}, 0.098, "upper end, 0.1"),
        ({"low": 0.0, "high": 0.1}, 0.001, ""),  # there is no weight decay below 0
        ({"low": 1e-5, "high": 0.1, "log": True}, 0.2, "upper end, 0.1"),  # the default
        ({"choices": [0.1, 0.01, 0.001]}, 0.001, "lower end, 0.001"),
        ({"choices": [0.1, 0.01, 0.001]}, 0.01, ""),
        ({"choices": [0.1, 0.01]}, 0.01, ""),
    ],
)
def test_a_winner_at_an_end_of_a_range_is_named(
    entry: dict[str, Any], value: float, end: str, tmp_path: Path
) -> None:
    case = make_case(tmp_path, cohort_of(8))
    case = replace(case, config={**case.config, "space": {"optim.weight_decay": entry}})
    won(case.study, {"optim.weight_decay": value})
    found = run(case)
    if not end:
        assert found.state == "passed"
    else:
        assert found.state == "warning"
        assert found.found == f"optim.weight_decay = {value:.3g} is at the {end}"


@pytest.mark.parametrize(
    ("key", "entry", "value", "state"),
    [
        ("loss.gamma", {"low": 0.0, "high": 4.0, "step": 0.5}, 4.0, "warning"),
        ("loss.gamma", {"low": 0.0, "high": 4.0, "step": 0.5}, 0.0, "passed"),
        ("loss.gamma", {"low": 1.0, "high": 4.0, "step": 3.0}, 1.0, "passed"),
        ("model.attention_depth", {"choices": [0, 1, 2]}, 2, "warning"),
        ("snippet.num_frames", {"low": 8, "high": 32}, 32, "warning"),
        ("snippet.num_frames", {"low": 16, "high": 64}, 64, "passed"),  # of model.max_frames
        ("optim.nesterov", {"choices": [True, False]}, True, "passed"),
        ("loss.kind", {"choices": ["focal", "cross_entropy", "ordinal"]}, "focal", "passed"),
    ],
)
def test_only_ordered_numbers_that_can_go_on_have_an_edge(
    key: str, entry: dict[str, Any], value: Any, state: str, tmp_path: Path
) -> None:
    case = make_case(tmp_path, cohort_of(8))
    case = replace(case, config={**case.config, "space": {key: entry}})
    won(case.study, {key: value})
    assert run(case).state == state


@pytest.mark.parametrize(
    ("model", "key", "state"),
    [
        ({"name": "feature_head", "classifier": "svm"}, "strength", "passed"),
        ({"name": "feature_head", "classifier": "svm+linear"}, "strength", "warning"),
        ({"name": "feature_head", "classifier": "forest"}, "num_components", "passed"),
        ({"name": "feature_head", "classifier": "mlp"}, "mlp.num_hidden", "warning"),
        ({"name": "intensity_head", "classifier": "gru"}, "strength", "passed"),
        ({"name": "intensity_head", "classifier": "svm"}, "strength", "warning"),
        ({"name": "fusion", "rule": "l1"}, "stack_strength", "passed"),
        ({"name": "fusion", "rule": "stacking"}, "stack_strength", "warning"),
        (
            {"name": "fusion", "branches": "features", "head": {"classifier": "svm"}},
            "head.strength",
            "passed",
        ),
    ],
)
def test_a_setting_that_the_winner_does_not_use_has_no_edge(
    model: dict[str, Any], key: str, state: str, tmp_path: Path
) -> None:
    names = {"feature_head": "features", "intensity_head": "intensities", "fusion": "several"}
    fit = {"modality": names[model["name"]], "model": model, "optim": {"epochs": 1}}
    case = make_case(tmp_path, cohort_of(8))
    space = {f"model.{key}": {"low": 1, "high": 100}}
    won(case.study, {f"model.{key}": 100}, fit)
    assert run(replace(case, config={**case.config, "space": space})).state == state


def test_searches_in_outer_folds_that_end_at_the_same_place_are_counted(tmp_path: Path) -> None:
    case = make_case(tmp_path, cohort_of(8))
    space = {"optim.weight_decay": {"low": 1e-5, "high": 0.1, "log": True}}
    won(case.study, {"optim.weight_decay": 0.1})
    outer = [StudyLog(case.study.folder / "outer" / str(k)) for k in range(2)]
    won(outer[0], {"optim.weight_decay": 0.1})
    won(outer[1], {"optim.weight_decay": 0.01})
    config = {**case.config, "space": space}
    found = run(replace(case, config=config, searches=(*outer, case.study)))
    assert found.found.endswith("upper end, 0.1, as in 1 of 2 searches in outer folds")
