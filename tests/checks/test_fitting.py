from pathlib import Path

import pytest

from pdray.checks.case import Case
from pdray.checks.fitting import Curve, judge, run
from tests.checks.cases import cohort_of, make_case

DOWN = [1.0, 0.8, 0.7, 0.6, 0.5, 0.45, 0.4, 0.35]


@pytest.mark.parametrize(
    ("training", "validation", "fault"),
    [
        (DOWN, [1.0, 0.9, 0.8, 0.7, 0.6, 0.6, 0.55, 0.5], ""),
        (DOWN, [1.0, 0.9, 0.8, 3.0, 0.6, 0.6, 0.55, 0.5], ""),  # one bad epoch
        ([1, 1, 1, 1, 1, 1, 0.95, 0.93], [1.0] * 8, "underfitting"),
        (DOWN, [1.0, 0.7, 0.7, 0.8, 0.9, 0.9, 1.0, 1.0], "overfitting, validation loss rose"),
        (DOWN, [1.0, 1.0, 0.95, 0.95, 0.95, 0.95, 0.95, 1.0], "overfitting, training loss fell"),
    ],
)
def test_curves_are_judged(training: list[float], validation: list[float], fault: str) -> None:
    found = judge(Curve("fold 0", training, validation))
    assert found.startswith(fault)
    assert bool(found) == bool(fault)


def trained(output: Path, curves: list[tuple[list[float], list[float]]], chosen: int) -> Case:
    case = make_case(output, cohort_of(24))
    trial = case.study.trial(3)
    trial.start(number=3, num_epochs=8, params={}, settings={})
    for fold, (training, validation) in enumerate(curves):
        for epoch, losses in enumerate(zip(training, validation, strict=True)):
            metrics = dict(zip(("train/loss", "val/loss"), losses, strict=True))
            trial.write_epoch(fold=fold, epoch=epoch, metrics=metrics)
    trial.finish(state="complete", value=0.5, chosen_epoch=chosen)
    case.study.winner.start(number=3, num_epochs=8, params={}, settings={}, role="winner")
    return case


GOOD = (DOWN, [1.0, 0.9, 0.8, 0.7, 0.6, 0.6, 0.55, 0.5])
OVER = (DOWN, [1.0, 0.6, 0.6, 0.6, 0.8, 1.0, 1.2, 1.4])


def test_a_third_of_the_folds_makes_a_warning(tmp_path: Path) -> None:
    found = run(trained(tmp_path / "a", [GOOD, OVER, GOOD], 7))
    assert found.state == "warning"
    assert found.found.startswith("fold 1: overfitting, validation loss rose from 0.6 to 1.2")
    assert run(trained(tmp_path / "b", [GOOD, OVER, GOOD, GOOD], 7)).state == "passed"


def test_epochs_after_the_chosen_one_do_not_count(tmp_path: Path) -> None:
    found = run(trained(tmp_path, [OVER], 3))
    assert (found.state, found.numbers) == ("passed", {"folds": 1, "flagged": 0})


def test_a_model_of_one_step_has_no_curve(tmp_path: Path) -> None:
    found = run(trained(tmp_path, [([1.0], [1.0])], 0))
    assert found.state == "unknown"
