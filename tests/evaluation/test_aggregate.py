from collections.abc import Callable

import pandas as pd
import pytest

from pdray.errors import StudyError
from pdray.evaluation.predictions import by_recording

TableMaker = Callable[..., pd.DataFrame]


def test_a_recording_has_the_mean_probability_of_its_snippets(make_table: TableMaker) -> None:
    table = make_table(num_snippets=3)
    whole = by_recording(table)
    assert len(whole) == table["recording_id"].nunique()
    assert (whole["num_snippets"] == 3).all()
    for _, row in whole.iterrows():
        parts = table[table["recording_id"] == row["recording_id"]]
        assert row["probability_1"] == pytest.approx(sum(parts["probability_1"]) / 3)
        assert row["subject_id"] == parts["subject_id"].iloc[0]
        assert row["target"] == parts["target"].iloc[0]


def test_epochs_and_seeds_stay_apart_and_repeats_are_averaged(make_table: TableMaker) -> None:
    table = make_table(num_snippets=2)
    table.loc[table["snippet"] == 1, "repeat"] = 1
    assert (by_recording(table)["num_snippets"] == 2).all()
    table.loc[table["snippet"] == 1, "seed"] = 8
    assert (by_recording(table)["num_snippets"] == 1).all()


def test_snippets_that_disagree_on_the_grade_are_refused(make_table: TableMaker) -> None:
    table = make_table(num_snippets=2)
    table.loc[0, "grade"] = 4
    with pytest.raises(StudyError, match=r"'recording_id': 's0_r0'.* differ in grade"):
        by_recording(table)


def test_facts_are_kept_beside_rows_of_an_earlier_version_that_has_none(
    make_table: TableMaker,
) -> None:
    table = make_table(num_snippets=2)
    earlier = table[table["snippet"] == 0].assign(repeat=1)
    later = table[table["snippet"] == 1].assign(side="left", rater_1=2.0)
    whole = by_recording(pd.concat([earlier, later], ignore_index=True))
    assert (whole["side"] == "left").all()
    assert (whole["rater_1"] == 2).all()
    torn = pd.concat([earlier.assign(side="right"), later], ignore_index=True)
    with pytest.raises(StudyError, match=r"'recording_id': 's0_r0'.* differ in side"):
        by_recording(torn)
