import importlib.util
from collections.abc import Callable
from pathlib import Path

import pytest

from pdray.tracking.run_log import StudyLog
from tests.places import ROOT

JOB = ROOT / "jobs" / "sync_tracking.py"


@pytest.fixture
def main() -> Callable[[list[str]], int]:
    spec = importlib.util.spec_from_file_location("sync_tracking", JOB)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found: Callable[[list[str]], int] = module.main
    return found


@pytest.fixture
def study(tmp_path: Path) -> Path:
    log = StudyLog(tmp_path / "output" / "studies" / "demo")
    log.start(name="demo", settings={"seed": 0}, tags={"synthetic": "true"})
    trial = log.trial(0)
    trial.start(number=0, num_epochs=1, params={"loss.gamma": 2.0}, settings={})
    trial.write_epoch(fold=0, epoch=0, metrics={"val/mcc": 0.5})
    trial.finish(state="complete", value=0.5, chosen_epoch=0)
    log.finish(state="complete", best=0)
    return log.folder


def test_a_study_is_sent_once_and_a_second_time_there_is_nothing_to_send(
    main: Callable[[list[str]], int], study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([f"study={study}"]) == 0
    told = capsys.readouterr().out
    assert told.startswith("sent 4 metric values and 4 files; the server has 2 runs of this study;")
    assert (study.parents[1] / "mlflow.db").is_file()
    assert main([f"study={study}", f"tracking.uri=sqlite:///{study.parents[1]}/mlflow.db"]) == 0
    assert "sent 0 metric values and 0 files" in capsys.readouterr().out


def test_a_study_that_was_copied_elsewhere_needs_a_place_for_mlflow(
    main: Callable[[list[str]], int],
    study: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    copied = study.rename(tmp_path / "output" / "copied")
    assert main([f"study={copied}"]) == 2
    assert f"tracking.uri is missing: {copied} lies in no folder" in capsys.readouterr().err
    assert [one.name for one in tmp_path.iterdir()] == ["output"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "'study' is missing"),
        (["study=nowhere"], "nowhere: holds no study"),
        (["study=x", "tracking.ur=http://h"], "did you mean 'tracking.uri'"),
        (["study=x", "tracking.uri=mlruns"], "MLflow no longer stores runs in a folder"),
    ],
)
def test_mistakes_are_told_without_a_traceback(
    main: Callable[[list[str]], int],
    words: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(words) == 2
    assert message in capsys.readouterr().err


def test_a_dead_server_is_an_error_of_one_line(
    main: Callable[[list[str]], int], study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([f"study={study}", "tracking.uri=http://127.0.0.1:9"]) == 2
    error = capsys.readouterr().err
    assert "nothing is lost" in error
    assert len(error.splitlines()) == 1


def test_a_study_that_may_not_be_written_is_refused(
    main: Callable[[list[str]], int],
    study: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def forbidden(path: str, mode: int = 0o777) -> None:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr("os.mkdir", forbidden)
    assert main([f"study={study}"]) == 2
    told = capsys.readouterr().err
    assert f"study: nothing can be written into {study}: " in told
    assert "Permission denied" in told
