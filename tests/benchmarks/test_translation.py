"""The benchmark of the measures of changed faces, in its short form."""

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import translation
from benchmarks.translation import SIGNS, Size, limits, measure
from pdray.evaluation.translation_rows import HEALTHY, OTHERS, REAL, SOURCE, TRUE
from pdray.evaluation.translation_scores import Measure, RowScores

NAMES = [name for name in RowScores.__dataclass_fields__ if name != "pictures"]


def scores(**values: float) -> RowScores:
    usual = dict.fromkeys(NAMES, Measure(0.0, 60))
    return RowScores(60, **{**usual, **{name: Measure(one, 60) for name, one in values.items()}})


def test_each_limit_is_missed_by_its_own_row_alone() -> None:
    absent = Measure(None, 0, 60)
    good = {
        SOURCE: replace(scores(called_ill=0.1), direction=absent),
        HEALTHY: scores(direction=0.25),
        TRUE: scores(called_ill=0.7, excess=0.4),
        OTHERS: scores(right_person=0.1),
    }
    assert [one.holds for one in limits(good)] == [True] * 8
    bad = {
        SOURCE: scores(called_ill=0.11, frechet_source=0.1),
        HEALTHY: scores(direction=0.24, excess=0.01),
        TRUE: scores(called_ill=0.69, excess=0.39),
        OTHERS: scores(right_person=0.11),
    }
    assert [one.holds for one in limits(bad)] == [False] * 8
    missing = {**good, TRUE: replace(good[TRUE], excess=absent)}
    assert [one.value for one in limits(missing) if not one.holds] == ["absent"]


def test_a_wrong_word_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert translation.main(["quik=true"]) == 2
    assert "unknown quik" in capsys.readouterr().out


@pytest.mark.integration
@pytest.mark.timeout(900)
@pytest.mark.usefixtures("one_thread")
def test_control_rows_show_what_they_must_in_a_short_training(tmp_path: Path) -> None:
    """On a seed that settings were chosen on, with fewer people than the benchmark."""
    size = Size(scored=24, learnt=24, judged=40, known=80, visits=3, known_visits=6,
                judge_epochs=25, known_epochs=20)  # fmt: skip
    rows = measure(400, SIGNS, size, tmp_path)
    source, healthy, true, others = (rows[name] for name in (SOURCE, HEALTHY, TRUE, OTHERS))
    assert source.frechet_source.value == pytest.approx(0, abs=1e-9)  # rounding of the norm
    assert source.direction.value is None
    assert source.direction.absent == source.pictures > 100
    assert source.called_ill.value < 0.25
    assert true.called_ill.value > source.called_ill.value + 0.4
    assert healthy.direction.value > 0.15
    assert healthy.excess.value < 0.05
    assert true.excess.low > 0.05
    assert others.right_person.value < 0.2
    assert true.error.value == 0.0 < source.error.value < others.error.value
    # Two sets of other people are farther apart than the same people a moment later.
    assert rows[REAL].frechet_source.value > healthy.frechet_source.value
