"""Folds that train at once, here one after the other: tasks are run by a Ray that is none."""

from copy import deepcopy
from dataclasses import dataclass, field
from types import SimpleNamespace

import pandas as pd
import pytest

from pdray.training.loop import parallel_folds
from pdray.training.loop.launch import run_in_process
from pdray.training.loop.parallel_folds import run_folds
from pdray.training.loop.part import NoticeError
from pdray.training.loop.worker import fit
from tests.training.loop.test_launch import ONE, Notes


@dataclass
class Ray:
    """Runs a task when it is asked for; remembers what was begun, and what was cancelled."""

    begun: list[int] = field(default_factory=list)
    cancelled: int = 0

    def put(self, value):
        return value

    def get(self, value):
        return value

    def remote(self, function):
        def begin(task, resume, workers):
            self.begun.append(resume["step"])
            return function(task, resume, workers)

        return SimpleNamespace(options=lambda **_: SimpleNamespace(remote=begin))

    def cancel(self, task, *, force):
        self.cancelled += 1


@pytest.fixture
def cluster(monkeypatch):
    found = Ray()
    monkeypatch.setattr(parallel_folds, "ray", found)
    return found


@dataclass
class Tables(Notes):
    """The same, with the predictions."""

    def record(self, result):
        self.heard.append((result.fold, result.epoch, scores(result), result.predictions))
        return {"last": len(self.heard) == self.num_epochs}


def scores(result):
    return {name: one for name, one in result.metrics.items() if not name.startswith("time/")}


def test_the_results_are_those_of_one_process_in_the_same_order(make_task, cluster):
    task, alone, beside = make_task(), Tables(num_epochs=4), Tables(num_epochs=4)
    list(run_in_process(task, alone, ONE))
    reports = list(run_folds(task, beside, ONE, folds_at_once=2))
    assert [one["last"] for one in reports] == [False, False, False, True]
    for one, other in zip(alone.heard, beside.heard, strict=True):
        assert one[:3] == other[:3]
        pd.testing.assert_frame_equal(one[3], other[3])
    assert cluster.begun == [0, 2]


def test_a_fit_that_is_ended_cancels_the_folds_that_train_ahead(make_task, cluster):
    list(run_folds(make_task(), Notes(num_epochs=1), ONE, folds_at_once=2))
    assert cluster.cancelled == 2


def test_no_more_folds_train_at_once_than_asked(make_task, cluster):
    reports = run_folds(make_task(), Notes(num_epochs=4), ONE, folds_at_once=1)
    next(reports)
    assert cluster.begun == [0]
    list(reports)
    assert cluster.begun == [0, 2]


def test_it_resumes_inside_the_fold_of_the_state(make_task, cluster):
    task, states, expected = make_task(), [], []
    for result in fit(task):
        states.append(deepcopy(result.state))
        expected.append(scores(result))
    listener = Tables(num_epochs=1, state=states[2])
    list(run_folds(task, listener, ONE, folds_at_once=2))
    assert cluster.begun == [3]
    assert [one[:3] for one in listener.heard] == [(1, 1, expected[3])]


def test_a_diverging_fold_is_a_report_and_a_notice_ends_the_process(make_task, cluster):
    task = make_task({"optim": {"learning_rate": 1e30}})
    (report,) = run_folds(task, Notes(num_epochs=9), ONE, folds_at_once=2)
    assert report["reason"].startswith("fold 0, epoch 0: ")
    reports = run_folds(
        make_task(), Notes(num_epochs=4), ONE, folds_at_once=2, ends_soon=lambda: True
    )
    next(reports)
    with pytest.raises(NoticeError):
        next(reports)
