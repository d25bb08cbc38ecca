"""The benchmark of the measures of changed faces, in its short form."""

from dataclasses import replace

import pytest

from benchmarks import translation
from benchmarks.translation import limits
from pdray.evaluation.translation_rows import HEALTHY, OTHERS, SOURCE, TRUE
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
