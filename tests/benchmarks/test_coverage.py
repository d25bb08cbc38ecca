import numpy as np
import pytest

from benchmarks import coverage
from benchmarks.coverage import Found, faults, measure, report, rows_of, truths
from benchmarks.coverage_cohorts import KINDS, NUM_FOLDS, Cell, draw
from pdray.evaluation.score_intervals import Rows, rows_interval
from pdray.evaluation.uncertainty import weighted_scores


@pytest.mark.parametrize("kind", KINDS)
def test_the_truth_of_a_cell_is_the_mean_score_of_its_models_on_new_people(kind: str) -> None:
    # Each cohort is scored by models that did not see it, so cohorts are new people on average.
    cohorts = draw(Cell(kind, 100, 0.2, 0.5), 150, seed=1)
    drawn: dict[str, list[float]] = {name: [] for name in coverage.METRICS[kind]}
    for place in range(len(cohorts.is_there)):
        rows = rows_of(cohorts, place)
        for name, values in drawn.items():
            values.append(rows.value(name))
    for name, values in drawn.items():
        truth = truths(cohorts, name, 0.5)
        error = np.subtract(values, truth)
        noise = error.std() / np.sqrt(len(error))
        # Pooled folds are a little biased, and the average precision of a small fold is too high.
        biased = 0.05 if name == "auprc" else 0.02
        limit = 4 * noise + (biased if "folds" in kind else 0)
        assert abs(error.mean()) < limit, name


def test_folds_hold_whole_subjects_and_both_classes() -> None:
    cohorts = draw(Cell("illness_folds", 40, 0.5, 0.5), 5, seed=0)
    for fold, y_true in zip(cohorts.fold, cohorts.y_true[:, :, 0], strict=True):
        sizes = [np.bincount(y_true[fold == k], minlength=2) for k in range(NUM_FOLDS)]
        assert np.ptp(sizes, axis=0).max() <= 1
    (counts,) = {len(np.unique(one)) for one in cohorts.fold}
    assert counts == NUM_FOLDS


@pytest.mark.parametrize("kind", ["illness", "grades_folds"])
def test_quick_rows_have_the_scores_and_intervals_of_ordinary_rows(kind: str) -> None:
    quick = rows_of(draw(Cell(kind, 16, 0.5, 0.5), 1, seed=2), 0)
    plain = Rows(quick.subject, quick.y_true, quick.probability, quick.network, is_apart=True)
    for name in coverage.METRICS[kind]:
        first, second = rows_interval(name, quick), rows_interval(name, plain)
        assert first.value == pytest.approx(second.value, nan_ok=True)
        assert (first.low, first.high) == pytest.approx((second.low, second.high), nan_ok=True)


def test_the_rival_is_the_percentile_interval_of_earlier_versions() -> None:
    rows = rows_of(draw(Cell("illness", 16, 0.5, 0.5), 1, seed=2), 0)
    times = np.random.default_rng(3).multinomial(
        rows.num_subjects, np.full(rows.num_subjects, 1 / rows.num_subjects), size=200
    )
    weights = times[:, rows.subject].astype(float)
    scores = weighted_scores("mcc", rows.y_true, rows.probability, weights)
    expected = np.nanpercentile(scores, [2.5, 97.5])
    assert coverage._rival("mcc", rows, 3) == pytest.approx(tuple(expected))


def test_coverage_is_counted_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coverage, "NUM_RIVALS", 2)
    cell = Cell("illness_folds", 40, 0.5, 0.5)
    found = measure(cell, 30)["mcc"]
    cohorts = draw(cell, 30, seed=0)
    shown = hits = above = none = 0
    for place, truth in enumerate(truths(cohorts, "mcc", 0.5)):
        one = rows_interval("mcc", rows_of(cohorts, place))
        none += not one.exists
        if one.exists and one.truth == "procedure":
            shown += 1
            hits += one.low <= truth <= one.high
            above += one.low > truth
    assert found.coverage == pytest.approx(hits / shown)
    assert found.above == pytest.approx(above / shown)
    assert (found.none, found.labelled) == pytest.approx((none / 30, 1 - (none + shown) / 30))


def test_what_is_missed_is_named() -> None:
    good = Found(0.95, 0.025, 0.0, 0.0, 1.1, 0.9)
    narrow = Found(0.91, 0.025, 0.0, 0.0, 1.3, 0.9)
    assert list(faults("illness", "mcc", {16: [good], 40: [good, good], 100: [good]})) == []
    told = list(faults("illness", "mcc", {16: [good], 40: [good, narrow], 100: [good]}))
    assert told == [
        "40 subjects: covers 91.0% in the worst cell, not 92%",
        "40 subjects: covers 93.0% on average, not 93.5% to 97%",
        "40 subjects: width 1.30 times that of the errors, not 1.25",
    ]
    cells = {
        Cell(kind, num, 0.5, 0.5): dict.fromkeys(names, good)
        for kind, names in coverage.METRICS.items()
        for num in coverage.SUBJECTS
    }
    text, missed = report(cells)
    assert missed == []
    assert len(text.splitlines()) == 1 + 3 * sum(map(len, coverage.METRICS.values()))
