import pickle
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ray.exceptions import RayActorError, RayTaskError
from ray.train import WorkerGroupError

from pdray.search.restarts import Restarts
from pdray.search.trial import Recorder
from pdray.training.loop.launch import MAX_RESTARTS
from pdray.training.loop.part import NoticeError
from tests.search.test_trial import make_plan, result

NODE = "The actor died because its node has died. Node Id: 4f"
NOTICE = NoticeError("fold 1 epoch 2: 2 of 5 batches are done")


def of_workers(**failures: Exception) -> RayTaskError:
    group = WorkerGroupError("text", dict(enumerate(failures.values())))
    return RayTaskError("train", "text of many lines", group)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (None, "its process was lost; it goes on from fold 1 epoch 2 in a new process"),
        (RayActorError(), "its process was lost; it goes on from fold 1 epoch 2 in a new process"),
        (
            RayActorError(error_msg=NODE),
            "its machine was lost; it goes on from fold 1 epoch 2 on another machine",
        ),
        (
            RayTaskError("step", "text of many lines", NOTICE),
            f"its process had notice to end ({NOTICE}); it goes on from fold 1 epoch 2 in a new "
            "process",
        ),
        (
            of_workers(first=RayActorError(error_msg=NODE), second=ValueError("alone")),
            "its machine was lost; it goes on from fold 1 epoch 2 on another machine",
        ),
        (
            of_workers(first=RayActorError(), second=NOTICE),
            f"its process had notice to end ({NOTICE}); it goes on from fold 1 epoch 2 in a new "
            "process",
        ),
        (
            RayTaskError("step", "text of many lines", RuntimeError("CUDA: no memory\nmore")),
            "RuntimeError: CUDA: no memory; it goes on from fold 1 epoch 2 in a new process",
        ),
    ],
)
def test_a_lost_process_is_one_line(
    error: Exception | None, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = make_plan(tmp_path / "x")
    recorder = Recorder(plan, 3, {})
    recorder.resume()
    recorder.record(result(plan, 0, 0.5))
    trial = make_trial(tmp_path, error)
    Restarts(plan).on_trial_recover(0, [], trial)
    assert capsys.readouterr().out == f"x trial 3: {said}\n"


def test_folds_that_train_at_once_begin_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = replace(make_plan(tmp_path / "x"), folds_at_once=2)
    recorder = Recorder(plan, 3, {})
    recorder.resume()
    recorder.record(result(plan, 0, 0.5))
    Restarts(plan).on_trial_recover(0, [], make_trial(tmp_path, RayActorError()))
    assert "goes on from fold 1 epoch 1 in a new process" in capsys.readouterr().out


def test_a_trial_may_be_lost_between_its_last_epoch_and_its_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = make_plan(tmp_path / "x")
    recorder = Recorder(plan, 3, {})
    recorder.resume()
    for step in range(2 * 2):  # two folds of two epochs
        plan.log(3).write_epoch(fold=step // 2, epoch=step % 2, metrics={})
    Restarts(plan).on_trial_recover(0, [], make_trial(tmp_path, RayActorError()))
    assert "it goes on after its last epoch in a new process" in capsys.readouterr().out


def test_losses_count_until_a_batch_is_saved_or_an_epoch_ends(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    restarts, lost = Restarts(make_plan(tmp_path / "x")), RayActorError()
    trial = make_trial(tmp_path, lost)
    for _ in range(2):
        restarts.on_trial_recover(0, [], trial)
        trial.num_failures += 1
    first, second = capsys.readouterr().out.splitlines()
    assert first.endswith("it starts again in a new process")
    assert second.endswith("; after 2 more such losses before it ends an epoch it is given up")
    notice = make_trial(tmp_path, RayTaskError("step", "text", NOTICE), num_failures=3)
    restarts.on_trial_recover(0, [], notice)
    assert notice.max_failures == 3 + MAX_RESTARTS
    restarts.on_trial_result(0, [], trial, {})
    assert trial.max_failures == trial.num_failures + MAX_RESTARTS


def make_trial(folder: Path, error: Exception | None, num_failures: int = 1) -> Any:
    """Return a trial of Tune as it is after an error."""
    path = folder / "error.pkl"
    if error is not None:
        path.write_bytes(pickle.dumps(error))
    return SimpleNamespace(
        config={"number": 3},
        num_failures=num_failures,
        max_failures=MAX_RESTARTS,
        pickled_error_file=str(path),
    )
