import math

import numpy as np
import pandas as pd
import pytest

from pdray.evaluation.statistics.intervals import t_interval
from pdray.explain.severity import Readout, alignment, read_out

PENALTIES = np.logspace(-2, 6, 17)


def cohort(seed: int, num_subjects: int = 9) -> tuple[np.ndarray, pd.DataFrame]:
    """Features of three recordings per person that lean towards the grade; one never varies."""
    draws = np.random.default_rng(seed)
    grades = draws.integers(0, 5, 3 * num_subjects)
    features = draws.normal(size=(len(grades), 6)) + 0.8 * grades[:, None] * [1, 0, 0, 1, 0, 0]
    features[:, 5] = 7
    subjects = np.repeat([f"S{n}" for n in range(num_subjects)], 3)
    return features.astype(np.float32), pd.DataFrame({"subject_id": subjects, "grade": grades})


def slow_ridge(x: np.ndarray, y: np.ndarray, new: np.ndarray) -> np.ndarray:
    """Hoerl and Kennard's estimate at the penalty of least leave-one-out error, by refitting."""

    def fitted(x: np.ndarray, y: np.ndarray, new: np.ndarray, penalty: float) -> np.ndarray:
        centre, level = x.mean(axis=0), y.mean()
        inner = (x - centre).T @ (x - centre) + penalty * np.eye(x.shape[1])
        return (new - centre) @ np.linalg.solve(inner, (x - centre).T @ (y - level)) + level

    errors = []
    for penalty in PENALTIES:
        rest = [np.arange(len(y)) != i for i in range(len(y))]
        out = [fitted(x[kept], y[kept], x[~kept], penalty)[0] for kept in rest]
        errors.append(np.mean((np.array(out) - y) ** 2))
    return fitted(x, y, new, PENALTIES[int(np.argmin(errors))])


def slow_spearman(first: np.ndarray, second: np.ndarray) -> float:
    """Pearson's correlation of mean ranks, counted."""
    ranks = [
        np.array([(one < v).sum() + ((one == v).sum() + 1) / 2 for v in one])
        for one in (first, second)
    ]
    return float(np.corrcoef(*ranks)[0, 1])


def test_a_readout_is_ridge_regression_on_what_the_network_learnt_from() -> None:
    learnt, held = cohort(0), cohort(1, 5)
    found = read_out("grade", learnt, held)
    assert isinstance(found, Readout)
    x = learnt[0].astype(np.float64)
    used = x.std(axis=0) > 0
    centre, scale = x[:, used].mean(axis=0), x[:, used].std(axis=0)
    y = learnt[1]["grade"].to_numpy(np.float64)
    expected = slow_ridge((x[:, used] - centre) / scale, y, (held[0][:, used] - centre) / scale)
    np.testing.assert_allclose(found.values, expected, atol=1e-6)
    truth = held[1]["grade"].to_numpy(np.float64)
    assert found.alignment.value == pytest.approx(slow_spearman(truth, expected), abs=1e-12)
    assert found.alignment.num_subjects == 5
    assert found.num_learnt == 27


def test_the_interval_is_over_subjects_with_all_of_their_recordings() -> None:
    _, facts = cohort(2, 13)
    truth = facts["grade"].to_numpy(np.float64)
    values = truth + np.random.default_rng(3).normal(size=len(truth))
    subjects = facts["subject_id"].to_numpy()
    found = alignment(truth, values, subjects)
    without = [
        slow_spearman(truth[subjects != name], values[subjects != name])
        for name in sorted(set(subjects))
    ]
    expected = t_interval(found.value, np.array(without), level=0.95, transform="fisher")
    assert (found.low, found.high) == pytest.approx(expected)
    assert found.low < found.value < found.high
    assert alignment(truth[:9], values[:9], subjects[:9]).reason.startswith("too few subjects")


def test_what_is_not_known_takes_no_part() -> None:
    learnt, held = cohort(0), cohort(1, 5)
    stages = [
        one[1].assign(hoehn_yahr=np.where(np.arange(len(one[1])) < 6, np.nan, one[1]["grade"]))
        for one in (learnt, held)
    ]
    found = read_out("hoehn_yahr", (learnt[0], stages[0]), (held[0], stages[1]))
    rest = read_out("grade", tuple(one[6:] for one in learnt), tuple(one[6:] for one in held))
    assert isinstance(found, Readout)
    assert isinstance(rest, Readout)
    assert (found.num_learnt, found.alignment) == (21, rest.alignment)
    assert "of the Hoehn and Yahr stage and its" in found.sentence
    assert ", too few subjects for an interval: 3, 12 are needed (3 test subj" in found.sentence


@pytest.mark.parametrize(
    ("side", "field", "values", "why"),
    [
        (0, "grade", 2, "all development recordings have the same grade, or none"),
        (0, "hoehn_yahr", None, "all development recordings have the same Hoehn and Yahr stage"),
        (1, "hoehn_yahr", None, "Hoehn and Yahr stage is known for fewer than two test subj"),
    ],
)
def test_why_nothing_can_be_read_out_is_told(
    side: int, field: str, values: float | None, why: str
) -> None:
    sides = [cohort(0), cohort(1, 5)]
    sides = [(x, facts.assign(hoehn_yahr=1.5 * facts["grade"])) for x, facts in sides]
    sides[side][1][field] = values
    found = read_out(field, *sides)
    assert isinstance(found, str)
    assert why in found


def test_a_constant_has_no_rank_correlation() -> None:
    subjects = np.array(["a", "a", "b", "b"], dtype=object)
    assert math.isnan(alignment(np.ones(4), np.arange(4.0), subjects).value)
