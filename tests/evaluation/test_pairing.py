"""Models are compared on the same rows and folds, or refused with the counts."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from pdray.errors import StudyError
from pdray.evaluation.pairing import Paired, Predicted, pair
from tests.fixtures.compared import predictions


def two(first: Any, second: Any, **said: Any) -> Paired:
    return pair([Predicted("A", first), Predicted("B", second)], **said)


def test_rows_meet_by_recording_whatever_their_order_snippets_and_fold_numbers() -> None:
    table = predictions(people=4, each=2, folds=2)
    other = predictions(people=4, each=2, folds=2, seed=1).sample(frac=1, random_state=3)
    other["fold"] = 7 - other["fold"]
    other["seed"] = 5
    split = other.assign(snippet=1, probability_1=0.5, probability_0=0.5)
    found = two(table, pd.concat([other, split]))
    assert found.rows["recording_id"].tolist() == sorted(table["recording_id"])
    assert (found.num_groups, found.same_folds) == (2, True)
    at = found.rows["recording_id"].tolist().index("S02_1")
    own = other.loc[other["recording_id"] == "S02_1", "probability_1"].item()
    assert found.shares["B"][at, 1] == pytest.approx((own + 0.5) / 2)
    assert found.digest == two(other, table).digest


def test_repeated_folds_meet_repetition_by_repetition() -> None:
    def repeated(seeds: tuple[int, int]) -> Any:
        parts = [predictions(people=4, folds=2, seed=one, again=one) for one in seeds]
        return pd.concat(parts)

    found = two(repeated((0, 1)), repeated((10, 11)))
    assert len(found.rows) == 24
    assert found.num_groups == 4
    assert found.people == "12 recordings, scored 2 times each at most, of 4 subjects"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda t: t.iloc[3:], "different rows: 57 in both, 3 only in A, 0 only in B"),
        (
            lambda t: t.assign(fold=np.arange(60) // 30),
            "different folds: the same 60 rows lie in 1",
        ),
    ],
)
def test_other_rows_or_folds_are_refused_unless_they_are_to_be_cut(change: Any, told: str) -> None:
    table = predictions()
    with pytest.raises(StudyError, match=told):
        two(table, change(table))
    found = two(table, change(table), common_rows=True)
    assert told in found.notes[0]
    assert len(found.rows) == len(change(table))


def test_folds_that_differ_are_never_ranked_together() -> None:
    table = predictions(people=8, each=1, folds=2)
    other = table.assign(fold=[0, 0, 0, 1, 0, 1, 1, 1])
    found = two(table, other, common_rows=True)
    assert not found.same_folds
    assert found.rows["group"].tolist() == [0, 0, 1, 2, 0, 3, 1, 2] or found.num_groups == 4
    assert "trained on different subjects" in found.notes[-1]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            lambda t: t.assign(target=[1 - t["target"].iloc[0], *t["target"].iloc[1:]]),
            "another class for 1 of 60 recordings, such as S00_0: 0 and 1",
        ),
        (
            lambda t: t.assign(subject_id=["S98", *t["subject_id"].iloc[1:]]),
            "another subject for 1 of 60 recordings, such as S00_0: S00 and S98",
        ),
        (
            lambda t: t.assign(recording_id=t["recording_id"] + "x"),
            "no held-out recording in common .60 recordings of 20 subjects and 60",
        ),
        (lambda t: t.assign(probability_2=0.0, logit_2=-9.0), "2 and 3 classes"),
    ],
)
def test_what_contradicts_is_refused_also_on_common_rows(change: Any, told: str) -> None:
    with pytest.raises(StudyError, match=told):
        two(predictions(), change(predictions()), common_rows=True)


def test_other_manifests_and_cuts_are_refused() -> None:
    table = predictions()
    with pytest.raises(StudyError, match="different manifests"):
        pair([Predicted("A", table, "a" * 64), Predicted("B", table, "b" * 64)])
    with pytest.raises(StudyError, match=r"data.grade_cuts \[1\] and \[2\]"):
        pair(
            [Predicted("A", table, cuts="[1]"), Predicted("B", table, cuts="[2]")],
            common_rows=True,
        )


def test_every_pair_that_differs_is_listed() -> None:
    table = predictions()
    parts = {"A": table, "B": table.iloc[1:], "C": table.iloc[5:]}
    with pytest.raises(StudyError, match="3 faults") as refused:
        pair([Predicted(name, one) for name, one in parts.items()])
    assert "59 in both, 1 only in A, 0 only in B" in str(refused.value)
    assert "55 in both, 4 only in B, 0 only in C" in str(refused.value)
    cut = pair([Predicted(name, one) for name, one in parts.items()], common_rows=True)
    assert len(cut.rows) == 55
