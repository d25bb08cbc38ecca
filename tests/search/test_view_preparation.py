import pickle
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pdray.config import dump
from pdray.errors import DecodeError, StoreError
from pdray.search import view_preparation
from pdray.search.cluster import Capacity
from pdray.search.plan import StudyPlan, plan_study
from pdray.search.view_preparation import prepare_views
from pdray.training.frozen.views import lacking_views
from pdray.training.task import FitTask
from tests.fixtures.region_task import UNCACHED, make_region_task

CAPACITY = Capacity(num_nodes=1, cpus=2.0, gpus=0.0)


@pytest.fixture
def task(tmp_path: Path, write_entry: Callable[..., Path]) -> FitTask:
    return make_region_task(tmp_path, write_entry)


def plan_of(task: FitTask, **space: Any) -> StudyPlan:
    return plan_study({**dump(task.config), "data": {"manifest": "/x.csv"}, "space": space})


class HereRay:
    """Runs tasks where they are asked for."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []

    def remote(self, function: Any) -> Any:
        def options(**asked: Any) -> Any:
            self.asked.append(asked)
            return SimpleNamespace(remote=function)

        return SimpleNamespace(options=options)

    def put(self, value: Any) -> Any:
        return pickle.loads(pickle.dumps(value))


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> HereRay:
    here = HereRay()
    monkeypatch.setattr(view_preparation, "ray", here)
    monkeypatch.setattr(view_preparation, "answers", lambda tasks, **words: tasks.items())
    return here


def test_all_views_are_there_afterwards_and_are_made_once(task: FitTask, ray: HereRay) -> None:
    said: list[str] = []
    plan = plan_of(task, **{"model.roi_size": {"choices": [1, 2]}})
    prepare_views(plan, task.recordings, CAPACITY, said.append)
    assert lacking_views(task.recordings, task.config) == []
    assert ray.asked == [{"num_cpus": 1, "num_gpus": 0}]
    assert "once for 16 views of recordings: 32 features at 2x2 places per frame" in said[0]
    assert said[-1] == "features: 8/8 recordings are computed"
    count = len(said)
    prepare_views(plan, task.recordings, CAPACITY, said.append)
    assert len(said) == count


def test_a_study_on_pictures_makes_none(
    tmp_path: Path, write_entry: Callable[..., Path], ray: HereRay
) -> None:
    task = make_region_task(tmp_path, write_entry, UNCACHED)
    prepare_views(plan_of(task), task.recordings, CAPACITY, pytest.fail)
    assert ray.asked == []


def test_a_recording_that_cannot_be_read_ends_it_in_its_own_words(
    task: FitTask, ray: HereRay
) -> None:
    lost = replace(task.recordings[3], stored={"regions": Path("/x/y.arrow")})
    with pytest.raises(
        DecodeError, match="recording R3: its rgb is not in the frame store; run jobs"
    ):
        prepare_views(plan_of(task), [*task.recordings[:3], lost], CAPACITY, lambda _: None)


def test_a_disk_without_room_is_found_before(
    task: FitTask, ray: HereRay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    with pytest.raises(
        StoreError, match=r"need about 0\.0 GB, but only 0\.0 GB are free; choose another"
    ):
        prepare_views(plan_of(task), task.recordings, CAPACITY, lambda _: None)
    assert ray.asked == []
