from typing import Any

import numpy as np
import pandas as pd
import pytest

from pdray.evaluation.changes import changes, repeats
from pdray.evaluation.predictions import Origin, predictions_table


def table_of(rows: list[dict[str, Any]], *, classes: int = 3) -> pd.DataFrame:
    """Return a table; ``expected`` of a row is the expected class of the model."""
    default = {"snippet": 0, "subject_id": "S1", "item": "finger_tapping", "side": "left"}
    full = [{**default, "grade": row["target"], **row} for row in rows]
    names = dict.fromkeys(name for row in full for name in row if name != "expected")
    columns = {name: [row.get(name) for row in full] for name in names}
    highest = np.array([row["expected"] for row in full]) / (classes - 1)
    shares = np.zeros((len(rows), classes))
    shares[:, 0], shares[:, -1] = 1 - highest, highest
    origin = Origin(study="s", trial=0, fold=0, epoch=0)
    return predictions_table(origin, columns, np.log(shares.clip(1e-9)), shares)


def row(
    name: str, state: str | None, visit: str | None, target: int, expected: float, **facts: Any
):
    return {
        "recording_id": name, "medication_state": state, "visit_id": visit, "target": target,
        "expected": expected, **facts,
    }  # fmt: skip


def test_off_to_on_is_compared_inside_a_visit_that_has_both() -> None:
    rows = [
        row("a", "off", "V1", 2, 1.5),
        row("b", "off", "V1", 1, 1.3),  # a repeat of a
        row("c", "on", "V1", 1, 1.0),
        row("d", "off", "V2", 0, 0.0),  # V2 has no ON: it does not count
        row("e", "off", "V1", 0, 0.2, side="right"),  # the right side has one state
        row("f", "untreated", "V1", 0, 0.2, side="right"),
        row("g", None, "V1", 0, 0.2, side="right"),
    ]
    found, visits = changes(table_of(rows))
    assert (found.name, visits.name) == ("medication_state off to on", "first to last visit")
    assert visits.rows["rater"].tolist() == pytest.approx([0 - 1.5])  # in OFF
    assert found.rows[["subject_id", "item", "apart"]].values.tolist() == [
        ["S1", "finger_tapping", False]
    ]
    assert found.rows["model"].tolist() == pytest.approx([1.0 - 1.4])
    assert found.rows["rater"].tolist() == pytest.approx([1 - 1.5])


def test_off_to_on_is_compared_across_visits_where_no_visit_has_both() -> None:
    rows = [
        row("a", "off", "V1", 2, 1.5),
        row("b", "on", "V2", 1, 1.0),
        row("c", "on", "V3", 0, 0.0),
        row("d", "on", "V3", 1, 0.0),
        row("e", "off", None, 2, 2.0, subject_id="S2"),
        row("f", "on", None, 1, 2.0, subject_id="S2"),
    ]
    found = {one.name: one.rows for one in changes(table_of(rows))}
    rows_of = found["medication_state off to on"]
    assert rows_of["apart"].tolist() == [True, True]
    # Visits weigh equally: ON is the mean of 1 and of the mean of 0 and 1.
    assert rows_of["rater"].tolist() == pytest.approx([0.75 - 2, -1])
    assert rows_of["model"].tolist() == pytest.approx([0.5 - 1.5, 0])
    assert found["first to last visit"]["rater"].tolist() == pytest.approx([0.5 - 1])  # in ON


def test_visits_are_sorted_by_number_and_compared_in_one_state() -> None:
    rows = [
        row("a", "on", "V10", 2, 1.5),
        row("b", "on", "V2", 0, 0.5),
        row("c", "on", "V9", 1, 1.9),
        row("d", "off", "V11", 2, 2.0),
    ]
    found = {one.name: one.rows for one in changes(table_of(rows))}
    assert found["first to last visit"]["rater"].tolist() == [2]
    assert found["first to last visit"]["model"].tolist() == pytest.approx([1.0])


def test_what_lacks_a_side_or_a_state_is_not_compared() -> None:
    rows = [
        row("a", "off", "V1", 2, 1.5, side=None, stimulation_state="on"),
        row("b", "on", "V1", 1, 1.0, side=None, stimulation_state="on"),
        row("c", "off", "V1", 1, 1.0, stimulation_state="on"),
        row("d", "on", "V1", 1, 1.0, stimulation_state="off"),
        row("e", "off", "V1", 2, 2.0, item="gait", side=None),
        row("f", "on", "V1", 0, 1.0, item="gait", side=None),
    ]
    found = changes(table_of(rows))
    # Gait has no side and no stimulation, so nothing of it is unknown.
    assert [(one.name, one.rows["item"].tolist()) for one in found] == [
        ("medication_state off to on", ["gait"])
    ]
    assert changes(table_of(rows[4:]).drop(columns=["medication_state"])) == []


def test_the_first_two_recordings_of_a_unit_are_its_repeats() -> None:
    rows = [
        row("c", "on", "V1", 2, 0.3, rater_1=2.0, rater_2=1.0),
        row("a", "on", "V1", 1, 0.1, rater_1=1.0),
        row("b", "on", "V1", 0, 0.2, rater_1=0.0, rater_2=2.0),
        row("d", "off", "V1", 0, 0.4),
        row("e", "on", "V2", 0, 0.5),
        row("f", "on", None, 0, 0.6),
        row("g", "on", None, 0, 0.7),
    ]
    (found,) = repeats(table_of(rows)).to_dict("records")
    assert (found["model_first"], found["model_second"]) == pytest.approx((0.1, 0.2))
    assert (found["rater_first"], found["rater_second"]) == (1, 0)
    assert (found["rater_1_first"], found["rater_1_second"]) == (1, 0)
    assert np.isnan(found["rater_2_first"])
    # Grades of raters are on another scale than classes that join grades.
    assert "rater_1_first" not in repeats(table_of([{**one, "grade": 4} for one in rows]))
