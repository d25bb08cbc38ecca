"""Cohorts of rows without files: what the columns of a manifest alone tell."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pdray.checks.baselines import run
from pdray.data.cohort.rated import table_rows
from pdray.evaluation.predictions import Origin, by_recording, predictions_table
from tests.checks.cases import cohort_of, make_case

Fact = Callable[[int, int], Any]
COIN = np.random.default_rng(3).integers(0, 100, (40, 4))
NUMBER = np.random.default_rng(4).permutation(80).reshape(40, 2)


def odd(subject: int) -> bool:
    return bool(subject % 2)  # of the upper class


CLEAN: dict[str, Fact] = {
    "site": lambda s, r: "AB"[COIN[s, 0] % 2],
    "age": lambda s, r: 40.0 + COIN[s, 1] % 40,
    "sex": lambda s, r: ["female", "male"][COIN[s, 2] % 2],
    "side": lambda s, r: ["left", "right"][(COIN[s, 3] + r) % 2],
    "video": lambda s, r: Path(f"clip_{NUMBER[s, r]}.mp4"),
}
FACTS: dict[str, tuple[str, Mapping[str, Fact]]] = {
    "none": ("", {}),
    "site": ("technical", {"site": lambda s, r: "AB"[odd(s)]}),
    "who rated": ("technical", {"raters": lambda s, r: ((4, None), (None, 0))[odd(s)]}),
    "order of visits": (
        "technical",
        {"visit_id": lambda s, r: f"V{r + 1}", "grade": lambda s, r: 4 * r},
    ),
    "file names": ("technical", {"video": lambda s, r: Path(f"x{100 * odd(s) + s + r}.mp4")}),
    "age": ("clinical", {"age": lambda s, r: 50.0 + 10 * odd(s) + COIN[s, 1] % 10}),
    "medication": (
        "clinical",
        {"medication_state": lambda s, r: ["on", "off"][r], "grade": lambda s, r: 4 * r},
    ),
}


@pytest.mark.parametrize("fact", FACTS)
def test_a_fact_that_tells_the_class_is_named(tmp_path: Path, fact: str) -> None:
    kind, planted = FACTS[fact]
    found = run(make_case(tmp_path, cohort_of(40, 2, **{**CLEAN, **planted})))
    if fact == "none":
        assert found.state == "passed", found.found
    else:
        assert found.state == "warning"
        assert f"{kind} facts ({fact})" in found.found
        assert found.numbers[f"{kind}_p"] <= 0.025


def test_baselines_are_scored_on_the_rows_of_the_model(tmp_path: Path) -> None:
    cohort = cohort_of(40, 2, **{**CLEAN, "site": lambda s, r: "AB"[odd(s)]})
    case = make_case(tmp_path, cohort)
    held = [case.recordings[i] for i in case.splits[0].held]
    origin = Origin(study="made", trial=0, fold=-1, epoch=0, split="test")
    table = predictions_table(origin, table_rows(held), np.tile([1.0, 0.0], (len(held), 1)))
    found = run(replace(case, table=by_recording(table)))
    assert found.numbers["technical_score"] == 1.0
    assert found.numbers["technical_model"] == 0.0
    assert found.numbers["technical_difference"] == -1.0
    assert "this baseline scores 1.000, the model 0.000, -1.000 more" in found.found


def test_few_subjects_are_unknown(tmp_path: Path) -> None:
    assert run(make_case(tmp_path, cohort_of(6, 2))).state == "unknown"
