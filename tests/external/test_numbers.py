"""Calibration in the large has the interval of an independent computation, or a reason."""

import math

import numpy as np
import pandas as pd
import pytest

from pdray.evaluation.evaluate import evaluate
from pdray.evaluation.predictions import Origin, by_recording, predictions_table
from pdray.evaluation.settings import EvaluationSettings
from pdray.external.numbers import external_numbers
from tests.evaluation.recomputed import mean, symmetric, without_each


def table_of(classes: list[int], sites: list[str | None]) -> pd.DataFrame:
    """Return two SYNTHETIC recordings of each of N people, in three classes."""
    draws = np.random.default_rng(3)
    people = np.repeat(np.arange(len(classes)), 2)
    target = np.array(classes)[people]
    rows = {
        "recording_id": [f"R{place}" for place in range(len(people))],
        "snippet": [0] * len(people),
        "subject_id": [f"S{one}" for one in people],
        "item": ["gait"] * len(people),
        "grade": target.tolist(),
        "target": target.tolist(),
        "site": [sites[one] for one in people],
    }
    logits = draws.normal(size=(len(people), 3)) + np.eye(3)[target]
    origin = Origin(study="s", trial=0, fold=-1, epoch=0, split="test")
    return predictions_table(origin, rows, logits)


def test_each_class_has_its_shares_and_an_interval_over_people_or_a_reason() -> None:
    units = by_recording(table_of([0] * 10 + [1] * 9 + [2] * 3, ["Ulm"] * 22))
    found = {(one.group, one.metric): one for one in external_numbers(units, units, "platt", [])}
    rows = [
        {"subject": row["subject_id"], "target": row["target"],
         "p": [row[f"probability_{k}"] for k in range(3)]}
        for row in units.to_dict("records")
    ]  # fmt: skip
    for k in range(3):

        def gap(some: list[dict[str, object]], k: int = k) -> float:
            return mean([float(row["target"] == k) - row["p"][k] for row in some])

        one = found[f"class {k}", "observed_minus_expected"]
        assert one.value == pytest.approx(gap(rows), abs=1e-12)
        observed, expected = (found[f"class {k}", name].value for name in ("observed", "expected"))
        assert observed - expected == pytest.approx(one.value, abs=1e-12)
        after = found[f"class {k}, after platt", "observed_minus_expected"]
        assert after.value == one.value  # the same probabilities were given
        if k < 2:
            ends = symmetric(gap(rows), without_each(rows, gap), "none", 1.0)
            assert (one.low, one.high) == pytest.approx(ends, abs=1e-9)
        else:
            assert math.isnan(one.low)
            assert one.reason.endswith("fewer than 5 with a recording of class 2")


@pytest.mark.parametrize(
    ("sites", "groups"), [(["Ulm"] * 22, {"site=Ulm"}), (["Ulm"] * 21 + [None], set())]
)
def test_one_site_alone_has_its_scores_as_several_have(
    sites: list[str | None], groups: set[str]
) -> None:
    table = table_of([0] * 10 + [1] * 9 + [2] * 3, sites)
    units, usual = by_recording(table), evaluate(table, EvaluationSettings()).numbers
    more = [one for one in external_numbers(units, None, "none", usual) if one.table == "groups"]
    assert {one.group for one in more} == groups
    whole = {one.metric: one for one in usual if one.table == "scores"}
    assert all(one.value == whole[one.metric].value for one in more)
    assert {one.metric for one in more} in (
        {"mcc", "kappa", "mae", "accuracy", "within_one"},
        set(),
    )
