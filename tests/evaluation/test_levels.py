from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pdray.errors import StudyError
from pdray.evaluation.levels import at_level, level_words
from pdray.evaluation.predictions import Origin, by_recording, predictions_table, probabilities
from pdray.evaluation.settings import Level, Rule

FACTS = ("visit_id", "side", "medication_state", "rater_1")


def table_of(
    rows: Sequence[dict[str, Any]], shares: Sequence[Sequence[float]], *, fold: int = 0
) -> pd.DataFrame:
    """Return a table of one network; each row may say less than everything."""
    default = {"snippet": 0, "subject_id": "S1", "item": "finger_tapping", "target": 0}
    full = [{**default, "grade": row.get("target", 0), **row} for row in rows]
    names = dict.fromkeys(name for row in full for name in row)
    columns = {name: [row.get(name) for row in full] for name in names}
    probability = np.asarray(shares)
    origin = Origin(study="s", trial=0, fold=fold, epoch=0)
    return predictions_table(origin, columns, np.log(probability.clip(1e-9)), probability)


def unit(name: str, **facts: Any) -> dict[str, Any]:
    return {"recording_id": name, "visit_id": "V1", "side": "left", **facts}


def test_recordings_are_those_of_all_other_scores(make_table: Any) -> None:
    table = make_table(num_snippets=3)
    whole = by_recording(table).rename(columns={"num_snippets": "num_rows"})
    pd.testing.assert_frame_equal(at_level(table, "recording"), whole)


def test_snippets_stay_as_they_are(make_table: Any) -> None:
    table = make_table(num_snippets=3)
    pd.testing.assert_frame_equal(at_level(table, "snippet"), table.assign(num_rows=1))


def test_only_repeats_of_one_rating_are_averaged() -> None:
    rows = [
        unit("a", medication_state="on", target=1, rater_1=1.0),
        unit("b", medication_state="on", target=0, rater_1=0.0),
        unit("c", medication_state="off", rater_1=1.0),
        unit("d", medication_state="on", side="right"),
        unit("e", medication_state="on", visit_id="V2"),
        unit("f", medication_state="on", subject_id="S2"),
        unit("g", medication_state="on", item="gait", side=None),
        unit("h", medication_state="on", item="gait", side=None, rater_1=2.0),
    ]
    units = at_level(table_of(rows, [[0.9, 0.1], [0.5, 0.5]] * 4), "visit")
    by_name = units.set_index("recording_id")
    assert sorted(by_name.index) == ["a + b", "c", "d", "e", "f", "g + h"]
    joined = by_name.loc["a + b"]
    assert (joined["probability_0"], joined["probability_1"]) == pytest.approx((0.7, 0.3))
    # Repeats of class 1 and 0 have the mean class, halves up, and the table tells them.
    assert (joined["target"], joined["grade"], joined["num_targets"]) == (1, 0.5, 2)
    assert (joined["num_rows"], joined["num_recordings"], joined["rater_1"]) == (2, 2, 0.5)
    assert (joined["side"], joined["medication_state"]) == ("left", "on")
    # A rater who graded one of two repeats has no grade of the unit; absent is not zero.
    assert np.isnan(by_name.loc["g + h", "rater_1"])
    assert not units["stands_alone"].any()


def test_what_is_not_known_repeats_nothing() -> None:
    rows = [
        unit("a", visit_id=None),
        unit("b", visit_id=None),
        unit("c", side=None),
        unit("d", side=None),
        unit("e"),
    ]
    table = table_of(rows, [[0.5, 0.5]] * 5)
    units = at_level(table, "visit")
    assert sorted(units["recording_id"]) == ["a", "b", "c", "d", "e"]
    assert units["stands_alone"].sum() == 4
    bare = at_level(table.drop(columns=["visit_id", "side"]), "visit")
    assert (len(bare), bare["stands_alone"].sum()) == (5, 5)
    assert "visit_id" not in bare
    # Over visits, sides and states nothing has to be known.
    assert at_level(table, "subject")["recording_id"].tolist() == ["a + b + c + d + e"]


def test_averaging_wider_is_asked_for_and_keeps_networks_and_items_apart() -> None:
    rows = [
        unit("a", target=1),
        unit("b", side="right"),
        unit("c", item="gait", side=None),
    ]
    tables = [table_of(rows, [[0.8, 0.2], [0.4, 0.6], [0, 1]], fold=fold) for fold in (0, 1)]
    units = at_level(pd.concat(tables, ignore_index=True), "visit", over=["side"])
    assert units["recording_id"].tolist() == ["a + b", "c"] * 2
    assert units["fold"].tolist() == [0, 0, 1, 1]
    assert units["side"].isna().all()
    assert units["probability_1"].tolist() == pytest.approx([0.4, 1.0] * 2)


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("mean", [0.6, 0.4]),
        ("median", [0.8, 0.2]),
        ("logit", None),
        ("vote", [2 / 3, 1 / 3]),
        ("max", [0.1, 0.9]),
    ],
)
def test_rules_join_snippets(rule: Rule, expected: list[float] | None) -> None:
    shares = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9]])
    rows = [unit("a", snippet=k) for k in range(3)]
    found = probabilities(at_level(table_of(rows, shares), "recording", rule))[0]
    if expected is None:
        powers = np.exp(np.log(shares).mean(axis=0))
        expected = (powers / powers.sum()).tolist()
    assert found == pytest.approx(expected)


@pytest.mark.parametrize("rule", ["mean", "median", "logit", "vote"])
def test_joined_probabilities_sum_to_one(rule: Rule) -> None:
    draws = np.random.default_rng(0)
    # Rows that are sure of different classes have a median of 0 for each class alone.
    shares = np.concatenate([draws.dirichlet([0.3] * 4, size=6), np.eye(4)[[0, 1, 3]]])
    rows = [unit(f"r{k // 3}", snippet=k % 3) for k in range(9)]
    for level in ("recording", "visit"):
        found = probabilities(at_level(table_of(rows, shares), level, rule))
        assert (found >= 0).all()
        np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-12)


def test_what_does_not_fit_is_refused(make_table: Any) -> None:
    with pytest.raises(StudyError, match=r"over: no 'site'; use side, visit_id"):
        at_level(make_table(), "visit", over=["site"])
    with pytest.raises(StudyError, match="over: level 'recording' does not take it"):
        at_level(make_table(), "recording", over=["side"])
    with pytest.raises(StudyError, match="rule 'max' is for 2 classes, not for 3"):
        at_level(make_table(num_classes=3), "recording", "max")


@pytest.mark.parametrize(
    ("level", "over", "words"),
    [
        (
            "recording",
            (),
            "level: recording: 4 recordings of 1 subjects; rated: each recording; averaged: mean "
            "of the class probabilities, over snippets of a recording; resampled: subjects",
        ),
        (
            "visit",
            ("side",),
            "level: visit: 2 units (one subject, item, side, visit and state) of 1 subjects; "
            "rated: each recording; averaged: mean of the class probabilities, over snippets of a "
            "recording, then recordings of a unit (1 units have more than one), also over "
            "sides; 1 units have recordings of different classes: the mean class counts, "
            "rounded, halves up; 1 recordings are units of their own, because their visit, side or "
            "state is not known; resampled: subjects",
        ),
    ],
)
def test_the_words_say_what_a_score_counts(level: Level, over: tuple[str, ...], words: str) -> None:
    rows = [
        unit("a", target=1),
        unit("b"),
        unit("c", side="right"),
        unit("d", visit_id=None),
    ]
    units = at_level(table_of(rows, [[0.5, 0.5]] * 4), level, over=over)
    assert level_words(units, level, over=over) == words
