"""A study that is killed before or after any write ends like one that was never killed."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pdray.search.plan import plan_study
from pdray.search.study import run_plan
from tests.crash.states import State, put, watched
from tests.fixtures.outcome import differences, outcome
from tests.fixtures.without_ray import replace_ray

pytestmark = pytest.mark.filterwarnings("ignore")  # Ray warns about itself

SETTINGS: dict[str, Any] = {
    "decode": {"height": 17, "width": 17},
    "snippet": {"num_frames": 4},
    "model": {
        "depth": 10,
        "width_factor": 0.0625,
        "temporal_stride": "111111",
        "stem_time_kernel": 3,
        "num_heads": 2,
    },
    "optim": {"learning_rate": 0.01, "batch_size": 8, "epochs": 2},
    "stream": {"reader": "local"},
    "folds": {"num_folds": 2, "num_outer": 2},
    "search": {
        "name": "study",
        "seed": 3,
        "trials": 3,
        "startup_trials": 2,
        "prune_quantile": 0.25,
        "prune_after_trials": 1,
        "protocol": "holdout",
        "max_concurrent_trials": 1,
    },
    "tracking": {"uri": "http://127.0.0.1:9"},
    "space": {"optim.weight_decay": {"low": 1e-4, "high": 0.1, "log": True},
              "model.attention_depth": {"choices": [0, 1]}},
}  # fmt: skip


@pytest.fixture
def run(
    tmp_path: Path, tiny_manifest: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> Callable[[], dict[str, Any]]:
    """Return a function that runs or continues a small study, and returns its outcome."""
    replace_ray(monkeypatch)
    tree = {**SETTINGS, "data": {"manifest": str(tiny_manifest(8, 6))}}
    tree["output"] = str(tmp_path / "output")

    def run() -> dict[str, Any]:
        run_plan(plan_study(tree), say=lambda line: None)
        return outcome(tmp_path / "output" / "studies" / "study")

    return run


def record(
    output: Path, run: Callable[[], dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> tuple[list[State], dict[str, Any]]:
    """Run the study; return every state that its output passed through, and its outcome.

    The frame store has been filled but for every eighth file, since one recording is as another.
    """
    run()
    shutil.rmtree(output / "studies")
    for path in sorted(path for path in output.rglob("*") if path.is_file())[::8]:
        path.unlink()
    with watched(output, monkeypatch) as states:
        whole = run()
    return states, whole


def check(states: list[State], output: Path, run: Callable[[], Any], whole: Any) -> None:
    """Continue the study from each state; all must end alike."""
    faults = []
    for place, state in enumerate(states):
        shutil.rmtree(output)
        put(state.tree, output)
        try:
            told = differences(run(), whole)
        except BaseException as error:  # noqa: BLE001 - named with its place, like a difference
            told = [f"{type(error).__name__}: {error}"]
        faults += [f"{place}, before {state.before}: {one}" for one in told]
    assert not faults, "\n".join(faults)


@pytest.mark.chaos
def test_a_study_killed_at_any_write_ends_like_one_never_killed(
    tmp_path: Path, run: Callable[[], dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    states, whole = record(tmp_path / "output", run, monkeypatch)
    assert len(states) >= 200
    check(states, tmp_path / "output", run, whole)


@pytest.mark.integration
def test_a_study_killed_at_some_writes_ends_like_one_never_killed(
    tmp_path: Path, run: Callable[[], dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    states, whole = record(tmp_path / "output", run, monkeypatch)
    check(states[7 :: len(states) // 5], tmp_path / "output", run, whole)
