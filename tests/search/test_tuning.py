import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pdray.search import study as running
from pdray.search.plan import StudyPlan
from pdray.search.study import StudyOutcome
from pdray.search.tuning import tune

Run = Callable[..., list[str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Tune with a search that ends at once; return what is printed."""

    def tuned(**outcome: object) -> list[str]:
        values = {"tracking_uri": "http://there", "is_mirrored": True, "page": "/#p", **outcome}
        parts = {"leaderboard": "board", "held_out": "held out", "checks": "checks"}
        done = StudyOutcome(Path("log"), **parts, **values)  # type: ignore[arg-type]
        monkeypatch.setattr(running, "run_plan", lambda plan, say: done)
        assert tune(["data.manifest=/x.csv"], about=None, settings=None) == 0
        return capsys.readouterr().out.splitlines()

    return tuned


def test_what_was_found_and_where_it_is(run: Run) -> None:
    found = ["", "board", "", "held out", "", "checks", ""]
    assert run() == [*found, "log        log", "compare    open http://there/#p"]


def test_a_local_store_is_shown_with_the_command_that_opens_it(run: Run) -> None:
    *_, command, page = run(tracking_uri="sqlite:///x.db")
    assert command.partition("run: ")[2].startswith("env MLFLOW_DISABLE_TELEMETRY=true ")
    assert command.endswith("mlflow ui --backend-store-uri sqlite:///x.db")
    assert page.endswith("then open http://127.0.0.1:5000/#p")


def test_what_mlflow_lacks_is_sent_later_by_the_command_that_is_told(run: Run) -> None:
    told = run(is_mirrored=False)[-1]
    # The server may be down, or lack one library: the line above says which.
    assert told.startswith("tracking   MLflow has not all of it; send the rest: ")
    assert "pdray sync-tracking study=log tracking.uri=http://there" in told


def test_help_shows_what_the_job_starts_from(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = tmp_path / "start.yaml"
    settings.write_text("model: {name: fusion}\noptim: {epochs: 43}\n", encoding="utf-8")
    shown = {}
    for start in (settings, None):
        assert tune(["--help-all"], about="About.\n", settings=start) == 0
        lines = capsys.readouterr().out.splitlines()
        assert lines[:3] == ["About.", "", f"  --resume       {lines[2][17:]}"]
        rows = [row.split() for row in lines if row.startswith("  ") and row[2] != " "]
        shown[start] = {row[0]: row[1] for row in rows}
    assert (shown[settings]["model.name"], shown[settings]["optim.epochs"]) == ("fusion", "43")
    assert shown[settings]["decode.height"] == "112"
    assert shown[None]["model.name"] == "tsa"


def test_a_new_study_starts_from_the_jobs_settings_under_the_words(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = tmp_path / "start.yaml"
    settings.write_text("search: {trials: 3}\noptim: {epochs: 4}\n", encoding="utf-8")
    plans = []

    def study(plan: StudyPlan, say: object) -> StudyOutcome:
        plans.append(plan)
        raise KeyboardInterrupt

    monkeypatch.setattr(running, "run_plan", study)
    job = tmp_path / "a job.py"
    job.touch()
    words = ["data.manifest=/Jos\u00e9's.csv", "optim.epochs=5"]
    monkeypatch.setattr(sys, "argv", [str(job), *words])
    assert tune(words, about=None, settings=settings) == 130
    config = plans[0].config
    assert (config.search.trials, config.optim.epochs) == (3, 5)
    told = capsys.readouterr().err.removeprefix("interrupted; continue: ")
    # Its name was made from the time: without it, the same words would begin another study.
    name = f"search.name={config.search.name}"
    assert shlex.split(told) == [sys.executable, str(job), *words, name]
    monkeypatch.setattr(sys, "argv", [str(job), *words, name])
    assert tune([*words, name], about=None, settings=settings) == 130
    assert capsys.readouterr().err == f"interrupted; continue: {told}"


def test_printed_commands_can_be_typed_as_they_are(run: Run) -> None:
    uri = "sqlite:////data/out of Jos\u00e9/mlflow.db"
    command = run(tracking_uri=uri)[-2].partition("run: ")[2]
    assert shlex.split(command)[-2:] == ["--backend-store-uri", uri]
