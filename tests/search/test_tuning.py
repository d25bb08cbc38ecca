from pathlib import Path

import pytest

from pdray.search import tuning as command
from pdray.search.settings import StudyPlan
from pdray.search.study import StudyOutcome
from pdray.search.tuning import tune


@pytest.fixture
def lines() -> list[str]:
    return []


def run(lines: list[str], monkeypatch: pytest.MonkeyPatch, *words: str, **outcome: object) -> int:
    """Tune with a search that ends at once."""

    def study(plan: StudyPlan, say: object) -> StudyOutcome:
        lines.append(plan.config.model.name)
        values = {"tracking_uri": "http://there", "is_mirrored": True, **outcome}
        return StudyOutcome(Path("log"), leaderboard="board", held_out="held out", **values)  # type: ignore[arg-type]

    monkeypatch.setattr(command, "run_study", study)
    return tune("job", ["data.manifest=/x.csv", *words], settings=None, say=lines.append)


def test_what_was_found_and_where_it_is(lines: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(lines, monkeypatch) == 0
    assert lines == ["tsa", "\nboard\n\nheld out\n", "log        log\ncompare    http://there"]


def test_a_local_store_is_shown_with_the_command_that_opens_it(
    lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run(lines, monkeypatch, tracking_uri="sqlite:///x.db")
    assert lines[-1].endswith("mlflow ui --backend-store-uri sqlite:///x.db")


def test_a_server_that_was_not_reached_is_told_with_the_way_out(
    lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run(lines, monkeypatch, is_mirrored=False)
    assert "not reached" in lines[-1]
    assert "jobs/sync_tracking.py study=log tracking.uri=http://there" in lines[-1]


def test_help_shows_what_the_job_starts_from(lines: list[str], tmp_path: Path) -> None:
    settings = tmp_path / "start.yaml"
    settings.write_text("model: {name: fusion}\noptim: {epochs: 43}\n", encoding="utf-8")
    assert tune("job", ["--help"], settings=settings, say=lines.append) == 0
    defaults = {line.split()[0]: line.split()[1] for line in lines[1].splitlines()}
    assert (defaults["model.name"], defaults["optim.epochs"]) == ("fusion", "43")
    assert defaults["decode.height"] == "112"
    assert tune("job", ["--help"], settings=None, say=lines.append) == 0
    plain = {line.split()[0]: line.split()[1] for line in lines[3].splitlines()}
    assert plain["model.name"] == "tsa"


def test_a_new_study_starts_from_the_jobs_settings_under_the_words(
    lines: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings = tmp_path / "start.yaml"
    settings.write_text("search: {trials: 3}\noptim: {epochs: 4}\n", encoding="utf-8")
    plans = []

    def study(plan: StudyPlan, say: object) -> StudyOutcome:
        plans.append(plan)
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "run_study", study)
    words = ["data.manifest=/x.csv", "optim.epochs=5"]
    assert tune("job", words, settings=settings, say=lines.append) == 130
    assert (plans[0].config.search.trials, plans[0].config.optim.epochs) == (3, 5)
