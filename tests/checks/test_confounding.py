"""Classes that go with a fact are named, and clean cohorts are not."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pdray.checks.confounding import looks, run
from pdray.checks.exchange import exchange_classes
from tests.checks.cases import cohort_of, make_case

ILL: dict[str, Callable[[int, int], Any]] = {
    "site": lambda s, r: "AB"[s % 2],
    "recording_protocol": lambda s, r: "xy"[(s + (s % 10 == 0)) % 2],
    "raters": lambda s, r: (4, None) if s % 2 else (None, 0),
    "video": lambda s, r: Path(f"batch{s % 2}/{s}_{r}.mp4"),
    "visit_id": lambda s, r: f"V{1 + s % 2}",
}
NAMES = {
    "site": "site",
    "recording_protocol": "recording protocol",
    "raters": "who rated",
    "video": "folder of the files",
    "visit_id": "number of the visit, between subjects",
}


@pytest.mark.parametrize("column", ILL)
def test_a_fact_that_goes_with_the_classes_is_named(tmp_path: Path, column: str) -> None:
    found = run(make_case(tmp_path, cohort_of(24, **{column: ILL[column]})))
    assert found.state == "warning"
    assert f"classes go with {NAMES[column]} (it explains" in found.found


def test_dates_and_the_order_of_visits_of_each_subject_are_seen(tmp_path: Path) -> None:
    dates = {"visit_id": lambda s, r: f"20{20 + s % 2}-05-{1 + s % 28:02d}"}
    found = run(make_case(tmp_path, cohort_of(24, **dates)))
    assert "classes go with date of the visit, between subjects" in found.found
    rising = {"visit_id": lambda s, r: f"V{r + 1}", "grade": lambda s, r: 4 * (r >= 2)}
    found = run(make_case(tmp_path, cohort_of(12, 4, **rising)))
    assert "classes go with number of the visit, within subjects" in found.found
    # The same where the second half of the visits was recorded with the medication off.
    states = {**rising, "medication_state": lambda s, r: "off" if r >= 2 else "on"}
    assert "within" not in run(make_case(tmp_path, cohort_of(12, 4, **states))).found


def test_classes_are_exchanged_inside_a_block_alone() -> None:
    facts, classes = np.zeros((22, 1)), np.zeros((22, 2))
    facts[0] = classes[0, 0] = 1  # in a block of two, an exchange changes only the sign
    found = exchange_classes(facts, classes, [0] * 2 + [1] * 20, np.random.default_rng(0))
    assert found is not None
    assert found.p == 1


def test_a_value_per_person_and_a_single_value_are_no_batch() -> None:
    facts = {"site": lambda s, r: f"home of {s}", "recording_protocol": lambda s, r: "one"}
    assert list(looks(cohort_of(20, **facts))) == []


def test_without_such_facts_nothing_is_known(tmp_path: Path) -> None:
    found = run(make_case(tmp_path, cohort_of(20)))
    assert (found.state, found.looked_at) == ("unknown", "facts of the manifest that say nothing "
                                              "about the disease")  # fmt: skip


def test_of_clean_cohorts_at_most_about_five_percent_are_named(tmp_path: Path) -> None:
    """Sites, raters and visits are drawn at random; subjects have unequal numbers of recordings."""
    draws = np.random.default_rng(3)
    named = 0
    for _ in range(40):
        ill = draws.random(30) < 0.5
        sites, raters = draws.integers(3, size=30), draws.integers(2, size=30)
        whole = cohort_of(
            30,
            4,
            grade=lambda s, r: int(4 * (ill[s] ^ (r == 3))),  # noqa: B023 - used at once
            site=lambda s, r: "ABC"[sites[s]],  # noqa: B023
            raters=lambda s, r: (1, None) if raters[s] else (None, 1),  # noqa: B023
            visit_id=lambda s, r: f"V{1 + int(draws.integers(3))}",
        )
        kept = [one for one in whole if draws.random() < 0.8]
        named += run(make_case(tmp_path, kept)).state == "warning"
    assert named <= 6  # P(more than 6 of 40 at 5%) = 0.3%
