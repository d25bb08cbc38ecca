from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pdray.search import winner
from pdray.search.winner import refit, report_winner
from pdray.tracking.run_log import StudyLog


class RefitBeginsError(Exception):
    """Says that the refit was about to start."""


@pytest.fixture
def study(tmp_path: Path) -> StudyLog:
    log = StudyLog(tmp_path)
    log.start(name="study", settings={}, tags={})
    return log


def begin(study: StudyLog, number: int) -> None:
    study.winner.start(number=number, num_epochs=2, params={}, settings={}, role="winner")
    (study.winner.folder / "checkpoint.pt").write_bytes(b"half-way")


def test_a_complete_winner_is_not_trained_again(study: StudyLog) -> None:
    begin(study, 7)
    study.winner.finish(state="complete")
    nothing: Any = None
    refit(nothing, (study, study.folder), (7, {}), nothing, (nothing, pytest.fail))
    assert study.winner.read()["number"] == 7


def test_a_refit_begun_for_another_trial_is_not_continued(
    study: StudyLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(study, 7)

    def stop(*_: object) -> None:
        raise RefitBeginsError

    monkeypatch.setattr(winner, "outer_sides", stop)
    trial = study.trial(9)
    trial.start(number=9, num_epochs=2, params={}, settings={})
    trial.finish(state="complete", value=0.5, chosen_epoch=1)
    nothing: Any = type("Plan", (), {"recordings": ()})()
    cohort: Any = type("Cohort", (), {"folds": None, "made_share": 0.0})()
    with pytest.raises(RefitBeginsError):
        refit(nothing, (study, study.folder), (9, {}), cohort, (nothing, lambda line: None))
    assert not study.winner.exists()
    assert not (study.winner.folder / "checkpoint.pt").exists()


def test_the_report_that_is_sent_holds_no_path(
    study: StudyLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial = study.trial(3)
    weights = {"pretrained": "/Roe/weights.pt"}
    trial.start(number=3, num_epochs=2, params=weights, settings={}, role="trial")
    trial.finish(state="failed", reason="/Roe/video.mp4 cannot be read")
    shown = []

    def stop(rows: list[dict[str, Any]], **_: object) -> None:
        shown.extend(rows)
        raise RefitBeginsError

    for name in ("read_predictions", "by_recording"):
        monkeypatch.setattr(winner, name, lambda given: given)
    monkeypatch.setattr(winner, "leaderboard", stop)
    plan: Any = SimpleNamespace(config=SimpleNamespace(search=SimpleNamespace(metric="mcc")))
    cohort: Any = SimpleNamespace(is_synthetic=True)
    with pytest.raises(RefitBeginsError):
        report_winner(plan, cohort, study)
    assert shown[0]["note"] == "the reason is in trials/0003/trial.json"
    assert shown[0]["params"] == {"pretrained": "weights.pt"}
