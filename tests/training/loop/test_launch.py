"""Fits in this process, in two processes of a gloo group, and in a Ray Train worker group."""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from torch import distributed as dist
from torch import multiprocessing

from pdray.data.cohort.rated import FoldSides
from pdray.errors import DivergedError
from pdray.training.loop import predicting, worker
from pdray.training.loop.launch import Workers, run_distributed, run_in_process
from pdray.training.loop.part import Notice, NoticeError
from pdray.training.loop.worker import Place, fit
from tests.training.loop.test_worker import RICH, same, saved

ONE = Workers(num_workers=1, cpus_per_worker=1.0, gpus_per_worker=0.0)

# Nothing in it depends on how a batch is shared: no batch norm, augmentation or dropout. And no
# clipping, under which the gradient's scale would make no difference.
ALIKE = {
    "model": {"norm": "group"},
    "augment": {"flip": 0.0, "brightness": 0.0, "contrast": 0.0, "max_shift": 0.0},
    "optim": {"learning_rate": 0.02, "weight_decay": 0.01},
}


@dataclass
class Notes:
    """A listener that keeps what it hears, and ends the fit after some epochs."""

    num_epochs: int
    state: dict[str, Any] | None = None
    heard: list[Any] = field(default_factory=list)

    def resume(self):
        return self.state

    def record(self, result):
        self.heard.append((result.fold, result.epoch, result.metrics))
        return {"number": len(self.heard), "value": 0.5, "last": len(self.heard) == self.num_epochs}

    def keep(self, state):
        raise AssertionError("nobody gave notice")

    def fail(self, reason):
        return {"number": -1, "value": math.nan, "last": True, "reason": reason}


class FileNotes(Notes):
    """The same in a worker of Ray Train, where only files come back."""

    def __init__(self, num_epochs, folder):
        super().__init__(num_epochs)
        self.folder = folder

    def record(self, result):
        torch.save(result.state["model"], self.folder / f"{len(self.heard)}.pt")
        return super().record(result)


def train(rank: int, task: Any, folder: Path, prepare: Callable[[int], None] | None) -> None:
    """Fit as one of two workers and leave what came of it in files."""
    torch.set_num_threads(1)
    if prepare:
        prepare(rank)
    method = f"file://{folder}/meeting"
    limit = timedelta(seconds=180)
    dist.init_process_group("gloo", init_method=method, rank=rank, world_size=2, timeout=limit)
    try:
        notice = Notice(bool, lambda _: None)  # which nobody gives
        for number, result in enumerate(fit(task, place=Place(rank, 2), notice=notice)):
            if rank == 0:
                torch.save(result.state["model"], folder / f"{number}.pt")
                result.predictions.to_parquet(folder / f"{number}.parquet")
                losses = {k: v for k, v in result.metrics.items() if k.endswith("/loss")}
                torch.save(losses, folder / f"{number}.losses")
            else:
                assert (result.metrics, result.predictions) == ({}, None)
    except DivergedError as error:
        (folder / f"diverged{rank}").write_text(str(error))
    finally:
        dist.destroy_process_group()


def train_twice(task: Any, folder: Path, prepare: Callable[[int], None] | None = None) -> None:
    """Fit in two processes; a worker that waits for ever is ended by the group's own limit."""
    folder.mkdir()
    multiprocessing.spawn(train, (task, folder, prepare), nprocs=2)


class BrokenLoss:
    """A loss that is never a number."""

    def loss(self, logits, target):
        return logits.sum(dim=1) * math.nan


def break_rank_one(rank: int) -> None:
    if rank == 1:
        worker._objective = lambda *_: BrokenLoss()


def explode_rank_one(rank: int) -> None:
    """Let only the second worker see logits that are not finite, in evaluation."""
    evaluate = predicting.evaluate_step

    def broken(*args, **settings):
        logits, loss = evaluate(*args, **settings)
        return logits * (math.nan if rank == 1 else 1.0), loss

    predicting.evaluate_step = broken


def agrees(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    # The same terms summed in another order: a unit in the last place of float32 (6e-8) for each
    # of a few hundred terms, grown over eight steps.
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, rtol=1e-4, atol=1e-5, msg=name)


def test_a_fit_in_this_process_reports_every_epoch(make_task):
    listener = Notes(num_epochs=4)
    reports = list(run_in_process(make_task(), listener, ONE))
    assert [report["number"] for report in reports] == [1, 2, 3, 4]
    assert [heard[:2] for heard in listener.heard] == [(0, 0), (0, 1), (1, 0), (1, 1)]


def test_a_listener_ends_a_fit(make_task):
    listener = Notes(num_epochs=2)
    assert [report["last"] for report in run_in_process(make_task(), listener, ONE)] == [
        False,
        True,
    ]
    assert len(listener.heard) == 2


def test_a_listener_says_from_where_to_go_on(make_task):
    task = make_task()
    results = fit(task)
    next(results)
    state = next(results).state
    listener = Notes(num_epochs=2, state=state)
    list(run_in_process(task, listener, ONE))
    assert [heard[:2] for heard in listener.heard] == [(1, 0), (1, 1)]


def test_a_diverging_fit_is_a_report_and_not_an_error(make_task):
    task = make_task({"optim": {"learning_rate": 1e30}})
    (report,) = run_in_process(task, Notes(num_epochs=9), ONE)
    assert report["last"]
    assert report["reason"].startswith("fold 0, epoch 0: ")


def test_closing_the_reports_closes_the_fit(make_task, monkeypatch):
    closed = []

    def endless(task, **how):
        try:
            yield from fit(task, **how)
        finally:
            closed.append(True)

    monkeypatch.setattr("pdray.training.loop.launch.fit", endless)
    reports = run_in_process(make_task(), Notes(num_epochs=4), ONE)
    next(reports)
    reports.close()
    assert closed == [True]


@pytest.mark.integration
def test_two_workers_train_what_one_trains(make_task, tmp_path):
    task = make_task(ALIKE)
    # Batches of three: two recordings for one worker, one for the other.
    alone = [replace_state(result) for result in fit(task)]
    train_twice(task, tmp_path / "two")
    for number, expected in enumerate(alone):
        agrees(torch.load(tmp_path / f"two/{number}.pt"), expected.state["model"])
        table = pd.read_parquet(tmp_path / f"two/{number}.parquet")
        pd.testing.assert_frame_equal(table, expected.predictions, rtol=1e-3, atol=1e-5)
        for name, loss in torch.load(tmp_path / f"two/{number}.losses").items():
            assert loss == pytest.approx(expected.metrics[name], rel=1e-4)


@pytest.mark.integration
@pytest.mark.parametrize(
    ("prepare", "reason"),
    [(break_rank_one, "training loss became nan"), (explode_rank_one, "logits are not finite")],
)
def test_a_worker_that_diverges_takes_the_other_along(make_task, tmp_path, prepare, reason):
    train_twice(make_task(ALIKE), tmp_path / "two", prepare)
    told = {(tmp_path / f"two/diverged{rank}").read_text() for rank in range(2)}
    assert len(told) == 1
    assert reason in told.pop()


@pytest.mark.integration
def test_a_worker_without_a_share_of_the_evaluation_waits_for_nobody(make_task, tmp_path):
    # Batch norm: the workers' statistics are made the same before they evaluate.
    sides = (FoldSides(training=tuple(range(6)), evaluation=(6,)),)
    train_twice(replace(make_task(), sides=sides), tmp_path / "two")
    table = pd.read_parquet(tmp_path / "two/1.parquet")
    assert table["recording_id"].tolist() == ["R6"]


def end_and_go_on(rank: int, task: Any, folder: Path) -> None:
    """Fit as one of two workers, whole and in parts; the second worker alone gets the notices."""
    torch.set_num_threads(1)
    method = f"file://{folder}/meeting"
    dist.init_process_group("gloo", init_method=method, rank=rank, world_size=2)
    place, asked, states = Place(rank, 2), itertools.count(), []
    notice = Notice(lambda: rank == 1 and next(asked) % 2 == 1, states.append)
    whole = [replace_state(result) for result in fit(task, place=place)]
    parts: list[Any] = []
    while len(parts) < len(whole):
        state = states[-1:] or [None]
        dist.broadcast_object_list(state, src=0)
        try:
            for result in fit(task, place=place, resume=state[0], notice=notice):
                parts.append(replace_state(result))
                states.append(saved(result.state))
        except NoticeError:
            states[-1:] = map(saved, states[-1:])
    for one, other in zip(whole, parts, strict=True):
        if rank == 0:
            same(one, other)
    (folder / f"notices{rank}").write_text(str(next(asked)))
    dist.destroy_process_group()


@pytest.mark.integration
def test_two_workers_end_together_inside_an_epoch_and_go_on_with_the_same_numbers(
    make_task, tmp_path
):
    task = make_task({**RICH, "optim": {**RICH["optim"], "batch_size": 2}})
    multiprocessing.spawn(end_and_go_on, (task, tmp_path), nprocs=2)
    assert int((tmp_path / "notices1").read_text()) > 6


@pytest.mark.integration
@pytest.mark.filterwarnings("ignore")  # Ray warns about itself
def test_a_ray_train_group_inside_a_tune_function_does_the_same(make_task, tmp_path):
    import ray
    from ray import tune

    task = make_task(ALIKE, epochs=1)
    folder = tmp_path / "states"
    folder.mkdir()

    def trial(config):
        torch.set_num_threads(1)
        workers = Workers(num_workers=2, cpus_per_worker=1.0, gpus_per_worker=0.0)
        make_listener = partial(FileNotes, 2, folder)
        run_distributed(task, make_listener, workers, folder=tmp_path / "train" / "trial")

    ray.init(address="local", num_cpus=3, include_dashboard=False, log_to_driver=False)
    try:
        run = tune.RunConfig(storage_path=str(tmp_path / "tune"), verbose=0)
        tuner = tune.Tuner(tune.with_resources(trial, {"CPU": 0.01}), run_config=run)
        (result,) = tuner.fit()
    finally:
        ray.shutdown()
    assert result.error is None
    assert (result.metrics["number"], result.metrics["last"]) == (2, True)
    for number, expected in enumerate(replace_state(result) for result in fit(task)):
        agrees(torch.load(folder / f"{number}.pt"), expected.state["model"])


def replace_state(result):
    """Return a result whose tensors will not move with the model."""
    model = {name: tensor.clone() for name, tensor in result.state["model"].items()}
    return replace(result, state={**result.state, "model": model})
