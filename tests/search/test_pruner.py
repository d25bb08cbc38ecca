from pathlib import Path

import numpy as np
import pytest
import ray
from ray.exceptions import ActorUnavailableError, GetTimeoutError, OutOfMemoryError

from pdray.search.pruner import Pruner, ask_pruner
from pdray.search.pruning import FoldRule
from pdray.tracking.run_log import StudyLog

FOLDS, EPOCHS = 3, 4


def new_rule() -> FoldRule:
    return FoldRule(
        num_trials=2, num_folds=FOLDS, num_epochs=EPOCHS, first_epoch=0, greater_is_better=True
    )


def test_a_pruner_that_starts_again_decides_as_the_one_that_saw_all_trials(tmp_path: Path) -> None:
    rng, saw_all = np.random.default_rng(0), new_rule()
    reasons = []
    for number, quality in enumerate([0.8, 0.82, 0.7, 0.1, 0.81, 0.05]):
        log = StudyLog(tmp_path).trial(number)
        log.start(number=number, num_epochs=EPOCHS, params={}, settings={})
        scores: list[list[float]] = []
        for fold in range(FOLDS):
            scores.append([])
            for epoch in range(EPOCHS):
                value = float(quality + 0.02 * rng.normal())
                scores[-1].append(value)
                log.write_epoch(fold=fold, epoch=epoch, metrics={"val/mcc": value})
                reason = saw_all.decide(number, scores)
                assert Pruner(new_rule(), tmp_path, "mcc").decide(number, scores) == reason
                reasons.append(reason)
    assert any(reasons)
    assert not all(reasons)


class Absent:
    """A handle of an actor that does not answer."""

    @property
    def decide(self) -> "Absent":
        return self

    def remote(self, *_: object) -> None:
        return None


@pytest.mark.parametrize("fault", [ActorUnavailableError("gone", None), GetTimeoutError("late")])
def test_while_nobody_answers_no_trial_ends(
    fault: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise fault

    monkeypatch.setattr(ray, "get", fail)
    assert ask_pruner(Absent(), 0, [[0.1]]) is None
    fault = OutOfMemoryError("another fault is not hidden")
    with pytest.raises(OutOfMemoryError):
        ask_pruner(Absent(), 0, [[0.1]])
