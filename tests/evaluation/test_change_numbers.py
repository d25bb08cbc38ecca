import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pdray.evaluation.change_numbers import change_numbers
from pdray.evaluation.numbers import Number
from pdray.evaluation.predictions import Origin, predictions_table

OFF_ON = "medication_state off to on"


def table_of(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Return a table of three classes; ``expected`` of a row is the model's expected class."""
    full = [{"snippet": 0, "item": "gait", "grade": row["target"], **row} for row in rows]
    names = dict.fromkeys(name for row in full for name in row if name != "expected")
    highest = np.array([row["expected"] for row in full]) / 2
    shares = np.stack([1 - highest, 0 * highest, highest], axis=1)
    origin = Origin(study="s", trial=0, fold=0, epoch=0)
    columns = {name: [row.get(name) for row in full] for name in names}
    return predictions_table(origin, columns, np.log(shares.clip(1e-9)), shares)


def pair(subject: str, rater: tuple[int, int], model: tuple[float, float], **facts: Any):
    return [
        {
            "recording_id": f"{subject}_{state}_{facts}", "subject_id": subject, "target": target,
            "medication_state": state, "visit_id": "V1", "expected": expected, **facts,
        }
        for state, target, expected in zip(("off", "on"), rater, model, strict=True)
    ]  # fmt: skip


def numbers_of(rows: list[dict[str, Any]]) -> tuple[dict[tuple[str, str, str], Number], list[str]]:
    notes: list[str] = []
    found = list(change_numbers(table_of(rows), notes, "model"))
    by_name = {(one.table, one.group, one.metric): one for one in found}
    assert len(by_name) == len(found)
    return by_name, notes


def test_changes_of_model_and_rater_are_compared_with_equal_weight_of_subjects() -> None:
    rows = [
        *pair("S1", (2, 1), (2.0, 1.5), side="left"),
        *pair("S1", (2, 0), (1.5, 1.5), side="right"),
        *pair("S2", (1, 2), (0.5, 1.5), side="left"),
        *pair("S2", (1, 1), (1.0, 0.0), side="right"),
    ]
    found, notes = numbers_of(rows)
    values = {metric: one.value for (part, _, metric), one in found.items() if part == "change"}
    # Model: S1 -0.5 and 0, S2 1 and -1; rater: S1 -1 and -2, S2 1 and 0.
    assert values["change_model"] == pytest.approx(-0.125)
    assert values["change_rater"] == pytest.approx(-0.5)
    assert values["srm_model"] == pytest.approx(-0.125 / np.std([-0.25, 0], ddof=1))
    assert values["srm_rater"] == pytest.approx(-0.5 / np.std([-1.5, 0.5], ddof=1))
    assert values["mae"] == pytest.approx(((0.5 + 2) / 2 + (0 + 1) / 2) / 2)
    # S1 has the right sign once (0 is wrong), S2 once of once: its other pair has no sign.
    assert values["right_sign"] == pytest.approx((0.5 + 1) / 2)
    signs = found["change", OFF_ON, "right_sign"]
    assert (signs.num_rows, signs.num_subjects, found["change", OFF_ON, "mae"].num_rows) == (
        3,
        2,
        4,
    )
    assert found["constant", OFF_ON, "mae"].value == pytest.approx((1.5 + 0.5) / 2)
    assert found["constant", OFF_ON, "right_sign"].value == pytest.approx(0.5)
    assert (
        "4 pairs of 2 subjects, who weigh equally; in 1 pairs the rater's change is 0" in notes[0]
    )
    assert signs.reason == "too few subjects for an interval: 2, 12 are needed"


def test_from_twelve_subjects_a_change_has_an_interval() -> None:
    draws = np.random.default_rng(0)
    rows = [
        row
        for k in range(12)
        for row in pair(f"S{k:02d}", (2, 1), (1.6 + 0.4 * draws.random(), draws.random()))
    ]
    found, _ = numbers_of(rows)
    change = found["change", OFF_ON, "change_model"]
    assert (change.reason, change.truth) == ("", "model")
    assert change.low < change.value < change.high < 0
    still = numbers_of([row for row in rows if row["subject_id"] != "S00"])[0]
    assert math.isnan(still["change", OFF_ON, "change_model"].low)
    # The rater's change is -1 for everybody: its mean in standard deviations is not defined.
    flat = found["change", OFF_ON, "srm_rater"]
    assert (math.isnan(flat.value), flat.undefined) == (
        True,
        "there is one subject, or all subjects change alike",
    )


def test_items_are_also_told_apart() -> None:
    rows = [*pair("S1", (2, 1), (2.0, 1.5)), *pair("S1", (2, 2), (1.5, 1.0), item="toe_tapping")]
    found, _ = numbers_of(rows)
    toes = found["change", f"{OFF_ON}: item=toe_tapping", "right_sign"]
    assert toes.undefined == "the rater's change is 0 in all pairs"
    assert found["change", f"{OFF_ON}: item=gait", "right_sign"].value == 1
    assert found["change", OFF_ON, "mae"].num_rows == 2


def test_repeats_give_the_error_of_the_model_and_of_each_rater() -> None:
    rows = [
        {
            "recording_id": f"S{k}_{take}", "subject_id": f"S{k}", "visit_id": "V1",
            "target": (k + take) % 3 if k else 0, "expected": 0.5 * ((k + take) % 4),
            "rater_1": float(k % 3), "rater_2": None,
        }
        for k in range(4)
        for take in (0, 1)
    ]  # fmt: skip
    found, notes = numbers_of(rows)
    model = np.array([[0.5 * ((k + take) % 4) for take in (0, 1)] for k in range(4)])
    sem = math.sqrt(np.mean(np.var(model, axis=1, ddof=1)))
    assert found["test_retest", "model", "sem"].value == pytest.approx(sem)
    assert found["test_retest", "model", "sdc"].value == pytest.approx(1.96 * math.sqrt(2) * sem)
    assert found["test_retest", "rater_1", "icc_a1"].value == pytest.approx(1)
    assert found["test_retest", "rater_1", "sem"].value == 0
    assert {group for part, group, _ in found if part == "test_retest"} == {
        "model",
        "rater",
        "rater_1",
    }
    assert notes == [
        "change: no subject has one item and side in two states or visits, so changes are not "
        "compared"
    ]


def test_a_table_without_states_or_repeats_says_so(make_table: Any) -> None:
    notes: list[str] = []
    assert list(change_numbers(make_table(), notes, "")) == []
    assert [note.partition(":")[0] for note in notes] == ["change", "test and retest"]
