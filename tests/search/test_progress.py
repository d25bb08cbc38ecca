import pickle
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pdray.errors import ClusterError, StudyError, TrackingError
from pdray.search import progress
from pdray.search.course import Course, Work
from pdray.search.progress import Extent, Mirror, Progress
from pdray.tracking.run_log import StudyLog


class StillMirror:
    def __init__(self) -> None:
        self.updates: list[bool] = []

    def update(self, *, now: bool = False) -> None:
        self.updates.append(now)


class AtOnce:
    """A thread that has ended when it has started."""

    def __init__(self, target: Callable[[], None], **_: object) -> None:
        self.start = target

    def is_alive(self) -> bool:
        return False

    def join(self) -> None:
        pass


WORK = Work(3, steps=6, num_whole=3, share=1.0, at_once=1, refit_steps=0.0)
TIMES = [divmod(10 * (17 - step), 60) for step in range(1, 17)]


def make(folder: Path, lines: list[str]) -> tuple[Progress, StillMirror]:
    mirror = StillMirror()
    extent = Extent(num_trials=4, num_ended=1, num_folds=2, num_epochs=3)
    told = Progress(
        StudyLog(folder),
        mirror,  # type: ignore[arg-type]
        lines.append,
        extent=extent,
        course=Course(WORK),
        direction=("val/mcc", True),
    )
    return told, mirror


def result(number: int, step: int, state: str, value: float) -> dict[str, Any]:
    return {
        "number": number,
        "step": step,
        "fold": step // 3,
        "epoch": step % 3,
        "state": state,
        "value": value,
    }


def test_the_time_left_is_told_from_the_pace_after_the_first_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, lines = 0.0, []
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    told, _ = make(tmp_path, lines)
    # A minute until the first result, then 10 s each of the 18 of three trials.
    for step in range(18):
        now = 60.0 + 10 * step
        state = "complete" if step % 6 == 5 else "running"
        told.on_trial_result(0, [], None, result(1 + step // 6, step % 6, state, 0.1))
    left = [line.split(" spent, ")[1].split(" left")[0] for line in lines]
    assert left == ["-", *(f"about {m}m{s:02d}s" for m, s in TIMES), "-"]


def test_an_epoch_line_tells_trials_fold_epoch_and_best(tmp_path: Path) -> None:
    lines: list[str] = []
    told, mirror = make(tmp_path, lines)
    told.on_trial_result(0, [], None, result(1, 4, "running", 0.25))
    assert lines[0].startswith("[1/4 trials, 0m00s spent, - left")
    assert lines[0].endswith("best -] trial 1 fold 2/2 epoch 2/3: val/mcc 0.250")
    told.on_trial_result(0, [], None, result(1, 5, "complete", 0.5))
    assert "[2/4 trials" in lines[1]
    assert "best 0.500 (trial 1)] trial 1 complete: val/mcc 0.500" in lines[1]
    assert mirror.updates == [False, True]


def test_a_failed_trial_says_why(tmp_path: Path) -> None:
    lines: list[str] = []
    told, _ = make(tmp_path, lines)
    log = StudyLog(tmp_path).trial(1)
    log.start(number=1, num_epochs=3, params={}, settings={}, role="trial", label=None)
    log.finish(state="failed", reason="fold 0, epoch 1: the logits are not finite")
    told.on_trial_result(0, [], None, result(1, 0, "failed", float("nan")))
    assert lines[0].endswith("trial 1 failed: fold 0, epoch 1: the logits are not finite")


def test_the_best_never_gets_worse_and_a_pruned_trial_is_not_best(tmp_path: Path) -> None:
    told, _ = make(tmp_path, [])
    for number, (state, value) in enumerate(
        [("complete", 0.3), ("pruned", 0.9), ("complete", 0.2), ("complete", float("nan"))]
    ):
        told.on_trial_result(0, [], None, result(number, 5, state, value))
    assert told.best == (0.3, 0)


def test_a_lost_trial_waits_for_a_resume_and_fails_without_progress(tmp_path: Path) -> None:
    log = StudyLog(tmp_path).trial(2)
    cause = tmp_path / "error.pkl"
    cause.write_bytes(pickle.dumps(ImportError("no module named 'spam'")))
    place = {"error_file": "error.txt", "pickled_error_file": str(cause)}
    lost = SimpleNamespace(config={"number": 2}, **place)
    for num_epochs, state in ((1, "running"), (2, "running"), (2, "failed")):
        lines: list[str] = []
        told, _ = make(tmp_path, lines)
        log.start(number=2, num_epochs=3, params={}, settings={})  # of each session
        log.write_epoch(fold=0, epoch=num_epochs - 1, metrics={})
        told.on_trial_error(0, [], lost)
        assert log.read()["state"] == state
        assert "error.txt" in log.read()["reason"]
        if state == "failed":
            assert "trial 2 failed" in lines[0]
            told.refuse_lost()
            break
        assert "trial 2 is given up until --resume" in lines[0]
        with pytest.raises(
            ClusterError, match=r"trials 2 were given up.*spam.*error\.txt.*--resume"
        ):
            told.refuse_lost()


def test_the_machine_is_measured_at_intervals_where_it_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    for wanted, lines in ((True, 3), (False, 0), (None, 0)):
        study = StudyLog(tmp_path / str(wanted))
        tracking = {} if wanted is None else {"system_metrics": wanted}
        study.start(name="study", settings={"tracking": tracking}, tags={})
        mirror = Mirror(study, uri="http://x", experiment="e", say=pytest.fail)
        told = Progress(
            study,
            mirror,
            pytest.fail,
            extent=Extent(4, 1, 2, 3),
            course=Course(WORK),
            direction=("val/mcc", True),
        )
        for _ in range(70):
            told.on_step_end(0, [])
            now += 1.0
        assert len(study.system_metrics()) == lines


def test_a_dead_server_is_told_once_and_tried_again_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[Path] = []
    alive = False

    def mirror_study(folder: Path, uri: str, experiment: str) -> SimpleNamespace:
        calls.append(folder)
        if not alive:
            raise TrackingError("no server")
        return SimpleNamespace(page="/#there", notes=("the winner is there",))

    monkeypatch.setattr("pdray.tracking.mlflow_log.mirror_study", mirror_study)
    monkeypatch.setattr(progress, "Thread", AtOnce)
    lines: list[str] = []
    mirror = Mirror(StudyLog(tmp_path), uri="http://x", experiment="e", say=lines.append)
    mirror.update()
    mirror.update()  # too soon
    mirror.update(now=True)  # dead a moment ago: the search does not wait for it again
    assert len(calls) == 1
    mirror.finish()
    assert len(calls) == 2
    assert lines == ["tracking: no server; the study continues and sends it later"]
    assert mirror.error is not None
    alive = True
    mirror.finish()
    assert lines[1:] == ["tracking: MLflow is up to date again", "tracking: the winner is there"]
    assert (mirror.error, mirror.page) == (None, "/#there")


def test_a_slow_server_takes_a_fifth_of_the_time_at_most(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    calls: list[float] = []

    def mirror_study(folder: Path, uri: str, experiment: str) -> SimpleNamespace:
        nonlocal now
        calls.append(now)
        now += 3.0
        return SimpleNamespace(page="", notes=())

    monkeypatch.setattr("pdray.tracking.mlflow_log.mirror_study", mirror_study)
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    monkeypatch.setattr(progress, "Thread", AtOnce)
    mirror = Mirror(StudyLog(tmp_path), uri="http://x", experiment="e", say=pytest.fail)
    mirror.update(now=True)
    for _ in range(12):  # a trial ends every second
        now += 1.0
        mirror.update(now=True)
    assert calls == [100.0, 115.0]
    mirror.finish()
    assert len(calls) == 3


def test_trials_do_not_wait_for_a_server_that_hangs_and_it_gets_all_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, answers, calls = threading.Event(), threading.Event(), []

    def mirror_study(folder: Path, uri: str, experiment: str) -> SimpleNamespace:
        calls.append(folder)
        asked.set()
        assert answers.wait(60)
        return SimpleNamespace(page="", notes=())

    monkeypatch.setattr("pdray.tracking.mlflow_log.mirror_study", mirror_study)
    mirror = Mirror(StudyLog(tmp_path), uri="http://x", experiment="e", say=pytest.fail)
    mirror.update(now=True)
    assert asked.wait(60)
    mirror.update(now=True)
    assert len(calls) == 1
    pickle.dumps(mirror)  # as Ray Tune does with what listens to its trials
    answers.set()
    mirror.finish()
    assert len(calls) == 2


def test_a_log_that_cannot_be_read_ends_the_study(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def mirror_study(folder: Path, uri: str, experiment: str) -> None:
        raise StudyError("epochs.jsonl line 2: cannot be read")

    monkeypatch.setattr("pdray.tracking.mlflow_log.mirror_study", mirror_study)
    monkeypatch.setattr(progress, "Thread", AtOnce)
    mirror = Mirror(StudyLog(tmp_path), uri="http://x", experiment="e", say=pytest.fail)
    mirror.update()
    mirror.update()  # inside Ray Tune, which would make a page of it
    with pytest.raises(StudyError, match="line 2"):
        mirror.finish()
