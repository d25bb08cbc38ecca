"""Scores of the expression benchmark, on made-up cosines."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks import expression_scores
from benchmarks.expression_scores import GRADES, Guesses, Report, Scored

CEILING = {f"accuracy, grade {grade}": 1.0 for grade in GRADES} | {
    "AUROC, grade >= 1 against 0": 0.8,
    "AUROC, grade >= 2 against 0": 0.9,
    "AUROC, the same from the neutral recording": 0.5,
}


@pytest.fixture(autouse=True)
def _few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expression_scores, "RESAMPLES", 40)
    for name in ("CLASSIFIERS", "JUDGED"):  # networks and forests take long
        monkeypatch.setattr(expression_scores, name, ("svm",))
    monkeypatch.setattr(expression_scores, "RANKED", ())


def people() -> Scored:
    """Visits of two cohorts; a share of the expression is shown that falls with the grade."""
    rng, grades = np.random.default_rng(3), np.tile(np.arange(5), 24)
    amplitude = (1 - grades / 4) + 0.3 * rng.standard_normal(len(grades))
    own = np.eye(4) * np.array([0.0, 1.0, 1.0, 1.0])
    cosines = 0.05 * amplitude[:, None, None] * own + 0.01 * rng.standard_normal(
        (len(grades), 4, 4)
    )
    cosines[:, :, 0] += 0.02  # a face without expression is neutral
    return Scored(
        vectors=rng.standard_normal((len(grades), 4, 8)), cosines=cosines, grades=grades,
        cohorts=np.repeat([0, 1], 60), first=rng.standard_normal((len(grades), 12)),
    )  # fmt: skip


def test_expressions_that_fade_with_the_grade_meet_every_target() -> None:
    report = Report()
    expression_scores.tell_expressions(people(), CEILING, report)
    assert report.missed == []


def test_expressions_that_know_no_grade_miss_the_drops_and_the_correlations() -> None:
    report, found = Report(), people()
    order = np.random.default_rng(1).permutation(len(found))
    expression_scores.tell_expressions(replace(found, grades=found.grades[order]), CEILING, report)
    assert len(report.missed) == 6  # grade 0, two drops, three expressions


def test_illness_is_told_by_what_the_grade_moves_and_not_by_controls() -> None:
    report, found = Report(), people()
    expression_scores.tell_illness(found, CEILING, report)
    expression_scores.tell_controls(found, CEILING, report)
    assert report.missed == []
    blind, noise = Report(), 0.05 * np.random.default_rng(2).standard_normal((120, 4, 4))
    expression_scores.tell_illness(replace(found, cosines=noise), CEILING, blind)
    assert "at least 0.8, interval above 0.7" in blind.missed


def test_only_pairs_of_one_fold_are_compared() -> None:
    is_ill = np.array([True, False, True, False])
    scores, folds = np.array([1.0, 0.0, 9.0, 8.0]), np.array([0, 0, 1, 1])
    found = Guesses(is_ill, scores, folds)
    assert found.auroc(np.arange(4)) == 1.0
    assert found.auroc(np.array([0, 0, 1, 2, 3])) == 1.0  # somebody twice
