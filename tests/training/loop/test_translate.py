import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import distributed as dist
from torch import multiprocessing

from pdray.data.batches import frames
from pdray.data.cohort.folds import Folds
from pdray.data.cohort.rated import FoldSides
from pdray.errors import DivergedError, FoldsError, StoreError, StudyError
from pdray.evaluation.translations import guide_probabilities
from pdray.models import MODELS
from pdray.training.loop import translate
from pdray.training.loop.launch import Workers, run_in_process
from pdray.training.loop.part import Notice, NoticeError
from pdray.training.loop.timing import can_measure, measure_pace
from pdray.training.loop.worker import Place, fit
from pdray.training.task import EpochResult, FitTask
from tests.fixtures.translator import ENTRY, Tiny, TinyConfig, known, make_translation, tiny_fit
from tests.training.loop.test_part import Saving
from tests.training.loop.test_worker import saved, scores
from tests.training.translators.test_guide import leave_study

ONE = Workers(num_workers=1, cpus_per_worker=1.0, gpus_per_worker=0.0)
STEPS = 2  # in an epoch: three pictures of each of two recordings, four in a step


@pytest.fixture(autouse=True)
def _known(monkeypatch: pytest.MonkeyPatch) -> None:
    known(monkeypatch)


@pytest.fixture
def task(tmp_path: Path, write_entry: Callable[..., Path]) -> FitTask:
    return make_translation(tmp_path, write_entry, tiny_fit())


def run(task: FitTask, resume: Mapping[str, Any] | None = None) -> list[EpochResult]:
    return [replace(one, state=saved(one.state)) for one in fit(task, resume=resume)]


def same(first: EpochResult, second: EpochResult) -> None:
    """Whether two results are equal bit for bit, but for the time they took."""
    assert (first.fold, first.epoch) == (second.fold, second.epoch)
    np.testing.assert_equal(scores(first), scores(second))
    assert (first.predictions is None) == (second.predictions is None)
    if first.predictions is not None:
        pd.testing.assert_frame_equal(first.predictions, second.predictions, check_exact=True)
    alike(first.state, second.state)


def alike(one: Any, other: Any) -> None:
    """Whether two states hold the same numbers."""
    if isinstance(one, Mapping):
        assert one.keys() == other.keys()
        for key, value in one.items():
            alike(value, other[key])
    elif isinstance(one, list | tuple):
        assert len(one) == len(other)
        for first, second in zip(one, other, strict=True):
            alike(first, second)
    elif isinstance(one, torch.Tensor):
        assert torch.equal(one, other)
    else:
        assert one == other


def test_each_epoch_has_losses_and_the_last_one_of_a_fold_a_row_per_held_out_picture(
    task: FitTask,
) -> None:
    results = run(task)
    assert [(one.fold, one.epoch) for one in results] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    names = {"train/generator", "train/discriminator", "train/spread"}
    times = {"time/epoch_seconds", "time/stall_fraction"}
    assert all(set(one.metrics) == names | times for one in results)
    assert all(math.isfinite(one.metrics[name]) for one in results for name in names)
    assert [one.predictions is None for one in results] == [True, False, True, False]
    table = results[1].predictions
    assert table is not None
    # Of the sources alone, three evenly spaced pictures of each, times at 25 Hz.
    assert table["recording_id"].tolist() == ["R4"] * 3 + ["R6"] * 3
    assert table["frame"].tolist() == [1, 3, 5, 0, 2, 4]
    np.testing.assert_allclose(table["seconds"], table["frame"] / 25)
    assert set(table["target_class"]) == {1}
    assert set(table["fold"]) == {0}
    assert not [name for name in table if name.startswith("guide_")]


def test_losses_fall_on_the_only_pictures_there_are(
    tmp_path: Path, write_entry: Callable[..., Path]
) -> None:
    config = tiny_fit({"optim": {"epochs": 30, "batch_size": 4}}, learning_rate=0.05)
    task = make_translation(tmp_path, write_entry, config, classes=(0, 1, 0, 1))
    results = run(replace(task, sides=task.sides[:1]))
    first, last = results[0].metrics, results[-1].metrics
    assert last["train/discriminator"] < 0.5 * first["train/discriminator"]


@pytest.mark.parametrize("done", [1, 2, 3])
def test_a_fit_resumed_after_an_epoch_ends_with_the_same_numbers(task: FitTask, done: int) -> None:
    whole = run(task)
    rest = run(task, resume=whole[done - 1].state)
    assert len(rest) == 4 - done
    for one, other in zip(whole[done:], rest, strict=True):
        same(one, other)


@pytest.mark.parametrize("number", [1, 2, 4, 8, 10])  # each third one comes after an epoch
def test_a_fit_that_ends_after_any_step_goes_on_with_the_same_numbers(
    task: FitTask, number: int
) -> None:
    whole = run(task)
    listener = Saving()
    asked = iter([False] * (number - 1) + [True] * 3)
    with pytest.raises(NoticeError, match=r"^fold \d epoch \d: [12] of 2 steps are done$"):
        list(run_in_process(task, listener, ONE, partial(next, asked)))
    assert listener.state is not None
    assert "parts" in listener.state
    torch.manual_seed(99)
    rest = run(task, resume=listener.state)
    assert len(listener.results) + len(rest) == 4
    for one, other in zip(whole[len(listener.results) :], rest, strict=True):
        same(one, other)


def test_pictures_read_from_the_store_are_those_from_memory(
    task: FitTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run(task)
    assert frames._kept
    monkeypatch.setattr(frames, "MEMORY_BYTES", 10)
    for one, other in zip(whole, run(task), strict=True):
        same(one, other)
    assert not frames._kept


def test_made_recordings_are_not_learnt_from(task: FitTask) -> None:
    made = replace(task.recordings[4], carries=frozenset({"S0"}), subject_id="S0")
    recordings = (*task.recordings, made)
    sides = tuple(FoldSides((*one.training, 8), one.evaluation) for one in task.sides[:1])
    plain = run(replace(task, sides=task.sides[:1]))
    for one, other in zip(
        plain, run(replace(task, recordings=recordings, sides=sides)), strict=True
    ):
        same(one, other)


def test_a_fold_without_sources_to_learn_from_is_refused(task: FitTask) -> None:
    sides = (FoldSides((1, 3), (4, 5)),)
    message = "fold 0: 0 recordings of class 0 to learn from and 2 of other classes"
    with pytest.raises(FoldsError, match=message):
        run(replace(task, sides=sides))


def test_a_fold_that_holds_out_no_source_has_an_empty_table(task: FitTask) -> None:
    results = run(replace(task, sides=(FoldSides((0, 1, 2, 3), (5, 7)),)))
    table = results[-1].predictions
    assert table is not None
    assert len(table) == 0
    assert "target_class" in table


def test_a_loss_that_is_not_finite_ends_the_fit(
    task: FitTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = task.config.model_copy(update={"model": TinyConfig(learning_rate=1e36)})
    message = r"fold 0, epoch 0: the \w+ loss became (nan|inf); lower model.learning_rate"
    with pytest.raises(DivergedError, match=message):
        run(replace(task, config=config))


def test_pictures_that_are_all_alike_for_an_epoch_end_the_fit(
    task: FitTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(translate, "FEWEST_STEPS", 4)
    config = task.config.model_copy(update={"model": TinyConfig(gain=0.01)})
    results = []
    message = r"fold 0, epoch 1: collapsed: for 4 steps translated pictures have differed less than"
    with pytest.raises(DivergedError, match=message):
        results += list(fit(replace(task, config=config)))
    (first,) = [next(fit(replace(task, config=config)))]
    assert first.metrics["train/spread"] < 0.1


def test_a_recording_that_is_not_stored_is_named(task: FitTask) -> None:
    recordings = (replace(task.recordings[0], stored=None), *task.recordings[1:])
    with pytest.raises(StoreError, match="recording R0: its rgb is not in the frame store; run"):
        run(replace(task, recordings=recordings))


def test_a_state_of_another_fit_is_refused(task: FitTask) -> None:
    state = run(task)[0].state
    with pytest.raises(StudyError, match=r"fit with 4 \(fold, epoch\) pairs, but this fit has 2"):
        next(fit(replace(task, epochs=1), resume=state))


def test_a_guide_of_each_fold_scores_it_on_people_it_has_not_seen(
    task: FitTask, tmp_path: Path
) -> None:
    sides = [frozenset(f"S{n}" for n in half) for half in (range(4), range(4, 8))]
    study = leave_study(tmp_path / "guide", folds=Folds(frozenset({"T"}), (sides[1], sides[0])))
    synthesis = task.config.synthesis.model_copy(update={"guide": study.folder})
    guided = replace(task, config=task.config.model_copy(update={"synthesis": synthesis}))
    results, plain = run(guided), run(task)
    names = ["val/kernel_distance", "val/kernel_distance_source"]
    for one, other in zip(results, plain, strict=True):
        alike(one.state, other.state)  # it learns nothing from a guide
        assert set(names) <= one.metrics.keys() if one.epoch else True
        assert not set(names) & other.metrics.keys()
    for one in results[1::2]:
        assert all(math.isfinite(one.metrics[name]) for name in names)
        assert one.predictions is not None
        shares = guide_probabilities(one.predictions)
        assert shares is not None
        assert len(shares) == 6
    assert results[1].metrics[names[0]] != results[3].metrics[names[0]]
    study.kept_fold(1).model_path.unlink()
    message = "synthesis.guide: fold 1 holds out 4 subjects, and each model of study guide learnt"
    with pytest.raises(StudyError, match=message):
        run(guided)


def test_its_time_can_be_measured_before_there_are_pictures(task: FitTask) -> None:
    recordings = tuple(replace(one, stored=None) for one in task.recordings)
    blank = replace(task, recordings=recordings)
    assert can_measure(blank)
    assert measure_pace(blank, seconds=0.1).epoch > 0


def two(rank: int, task: FitTask, folder: Path, is_broken: bool, ends: int) -> None:
    """Fit as one of two workers, end inside an epoch and go on; leave the weights."""
    MODELS["tiny"] = ENTRY
    torch.set_num_threads(1)
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "GLOO_SOCKET_IFNAME": "lo"}
    dist.init_process_group("gloo", f"file://{folder / 'meet'}", rank=rank, world_size=2)
    place = Place(rank, 2)
    if is_broken:
        task = _with_a_nan(task, rank)
    try:
        states: list[Any] = [None]
        given = iter([False] * ends + [True] + [False] * 99)
        notice = Notice(lambda: next(given) if rank == 1 else False, states.append)
        results = []
        for _ in range(2):
            resume = [states[-1]]
            dist.broadcast_object_list(resume, src=0)
            try:
                for one in fit(task, place=place, resume=resume[0], notice=notice):
                    states.append(saved(one.state))
                    results.append(replace(one, state=states[-1]))
                break
            except NoticeError:
                if rank == 0:
                    states[-1] = saved(states[-1])
        torch.save([(one.metrics, one.state["model"]) for one in results], folder / f"{rank}.pt")
        if rank == 0:
            torch.save([one.predictions for one in results], folder / "tables.pt")
    except DivergedError as error:
        (folder / f"{rank}.txt").write_text(str(error))
    dist.destroy_process_group()


def _with_a_nan(task: FitTask, rank: int) -> FitTask:
    """Make the second worker's loss NaN."""
    if rank == 1:
        step = Tiny.step

        def broken(self: Tiny, source: torch.Tensor, *rest: Any) -> dict[str, float]:
            return step(self, source * math.nan, *rest)

        Tiny.step = broken  # type: ignore[method-assign]
    return task


@pytest.fixture
def workers(task: FitTask, tmp_path: Path) -> Callable[..., Path]:
    def start(name: str, is_broken: bool = False, ends: int = 99) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        multiprocessing.spawn(two, (task, folder, is_broken, ends), nprocs=2)  # type: ignore[no-untyped-call]
        return folder

    return start


def left(folder: Path, rank: int) -> Sequence[tuple[dict[str, float], dict[str, torch.Tensor]]]:
    found: Sequence[Any] = torch.load(folder / f"{rank}.pt", weights_only=False)
    return found


@pytest.mark.integration
def test_two_workers_have_equal_weights_and_end_and_go_on_together(
    workers: Callable[..., Path],
) -> None:
    whole = workers("whole")
    one, other = left(whole, 0), left(whole, 1)
    assert len(one) == len(other) == 4
    for (metrics, model), (nothing, model_of_other) in zip(one, other, strict=True):
        alike(model, model_of_other)
        assert metrics
        assert not nothing
    parted = workers("parted", ends=2)
    alike([model for _, model in left(parted, 0)], [model for _, model in one])
    tables = torch.load(whole / "tables.pt", weights_only=False)
    again = torch.load(parted / "tables.pt", weights_only=False)
    for first, second in zip(tables[1::2], again[1::2], strict=True):
        assert first["recording_id"].nunique() == 2
        pd.testing.assert_frame_equal(first, second, check_exact=True)


@pytest.mark.integration
def test_a_loss_that_is_not_finite_on_one_worker_ends_both(workers: Callable[..., Path]) -> None:
    folder = workers("broken", is_broken=True)
    for rank in range(2):
        assert "loss became nan" in (folder / f"{rank}.txt").read_text()
