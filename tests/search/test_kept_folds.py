"""Which folds are trained again, and what is said of them; nothing is trained."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pdray.errors import StudyError
from pdray.search import kept_folds
from pdray.search.kept_folds import train_folds
from pdray.search.trial import APART
from pdray.tracking.run_log import StudyLog
from tests.search.test_trial import make_plan

Train = Callable[..., tuple[dict[str, Any], list[str]]]


@pytest.fixture
def train(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Train:
    """Train two folds of the winner, trial 0; return what Tune was given, and the lines."""
    study = StudyLog(tmp_path)

    def run(apart: tuple[float, ...], errors: tuple[Exception, ...] = ()) -> Any:
        asked: dict[str, Any] = {}
        plan = make_plan(tmp_path)
        for log, params in ((study.trial(0), {"a": 1}), (study.winner, {"a": 1})):
            log.start(number=0, num_epochs=2, params=params, settings={})
            log.finish(state="complete", chosen_epoch=1)

        def end(plan: Any, how: Any, *, param_space: dict[str, Any], **_: Any) -> SimpleNamespace:
            asked.update(param_space)
            for fold, value in enumerate(apart):
                log = study.kept_fold(fold)
                log.start(number=0, num_epochs=2, params={}, settings={}, role="fold")
                log.finish(state="complete", scores={APART: {"value": value}})
            return SimpleNamespace(errors=list(errors))

        monkeypatch.setattr(kept_folds, "run_trials", end)
        lines: list[str] = []
        mirror: Any = None
        train_folds(plan, study, 1, (mirror, lines.append))
        return asked, lines

    return run


def test_the_folds_are_those_of_the_winner_also_after_a_better_trial(
    train: Train, tmp_path: Path
) -> None:
    better = StudyLog(tmp_path).trial(1)
    better.start(number=1, num_epochs=2, params={"a": 2}, settings={})
    better.finish(state="complete", value=0.99, chosen_epoch=0)
    asked, lines = train((0.0, 0.0))
    assert (asked["number"], asked["params"]) == (0, {"a": 1})
    assert lines == [
        "folds: 2 folds of trial 0 again, 2 epochs",
        "folds: 2 kept; their validation predictions are those of trial 0",
    ]


@pytest.mark.parametrize("apart", [(0.25, float("nan")), (float("nan"), 0.25)])
def test_other_recordings_in_any_fold_are_told(train: Train, apart: tuple[float, ...]) -> None:
    assert "are of other recordings than those of trial 0" in train(apart)[1][-1]


def test_a_lost_process_is_a_fault_and_no_interruption(train: Train) -> None:
    with pytest.raises(StudyError, match=r"1 of 2 folds .* could not .*: the worker died"):
        train((0.0,), (RuntimeError("the worker died"),))
