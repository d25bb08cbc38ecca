"""A study that is killed before or after any write ends like one that was never killed."""

import shutil
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

from pdray.search.plan import plan_study
from pdray.search.study import run_plan
from tests.crash.states import State, put, watched
from tests.fixtures.outcome import differences, outcome
from tests.fixtures.without_ray import replace_ray

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


def run(output: Path, manifest: Path) -> dict[str, Any]:
    """Run or continue a small study; return its outcome."""
    tree = {**SETTINGS, "data": {"manifest": str(manifest)}, "output": str(output)}
    run_plan(plan_study(tree), say=lambda line: None)
    return outcome(output / "studies" / "study")


def record(
    output: Path, manifest: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[list[State], dict[str, Any]]:
    """Run the study; return every state that its output passed through, and its outcome.

    Most of the frame store has been filled, since one recording is as another.
    """
    run(output, manifest)
    shutil.rmtree(output / "studies")
    for path in sorted(path for path in output.rglob("*") if path.is_file())[::16]:
        path.unlink()
    with watched(output, monkeypatch) as states:
        whole = run(output, manifest)
    return states, whole


def faults_after_kills(
    output: Path, manifest: Path, chosen: Callable[[list[State]], list[State]]
) -> tuple[int, list[str]]:
    """Continue the study from chosen states; return their number and what did not end alike."""
    faults = []
    with pytest.MonkeyPatch.context() as monkeypatch:
        replace_ray(monkeypatch)
        states, whole = record(output, manifest, monkeypatch)
        for state in chosen(states):
            shutil.rmtree(output)
            put(state.tree, output)
            try:
                told = differences(run(output, manifest), whole)
            except BaseException as error:  # noqa: BLE001 - named with its place
                told = [f"{type(error).__name__}: {error}"]
            faults += [f"before {state.before}: {one}" for one in told]
    return len(chosen(states)), faults


def some(states: list[State]) -> list[State]:
    return states[7 :: len(states) // 5]


def even(states: list[State]) -> list[State]:
    return states[::2]


def odd(states: list[State]) -> list[State]:
    return states[1::2]


@pytest.mark.chaos
def test_a_study_killed_at_any_write_ends_like_one_never_killed(
    tmp_path: Path, tiny_manifest: Callable[..., Path]
) -> None:
    manifest = tiny_manifest(8, 6)
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        halves = [
            pool.submit(faults_after_kills, tmp_path / chosen.__name__, manifest, chosen)
            for chosen in (even, odd)
        ]
        numbers, faults = zip(*(one.result() for one in halves), strict=True)
    assert not any(faults), "\n".join([*faults[0], *faults[1]])
    assert sum(numbers) >= 200


@pytest.mark.integration
@pytest.mark.filterwarnings("ignore")  # Ray warns about itself
def test_a_study_killed_at_some_writes_ends_like_one_never_killed(
    tmp_path: Path, tiny_manifest: Callable[..., Path]
) -> None:
    number, faults = faults_after_kills(tmp_path / "output", tiny_manifest(8, 6), some)
    assert not faults, "\n".join(faults)
    assert number >= 5
