from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from pdray.errors import StudyError
from pdray.evaluation.predictions import probabilities
from pdray.papers.fuse import fuse

TableMaker = Callable[..., pd.DataFrame]


def test_the_scores_are_the_mean_over_models_of_the_mean_over_snippets(
    make_table: TableMaker,
) -> None:
    many, few = make_table(num_snippets=4), make_table(num_snippets=1, seed=5)
    fused = fuse([many, few]).set_index("recording_id")
    assert len(fused) == 24
    for name, rows in many.groupby("recording_id"):
        own = probabilities(rows).mean(axis=0)
        other = probabilities(few[few["recording_id"] == name])[0]
        assert probabilities(fused.loc[[name]])[0] == pytest.approx((own + other) / 2, abs=1e-15)


def test_one_table_is_its_recordings(make_table: TableMaker) -> None:
    table = make_table(num_snippets=3)
    fused = fuse([table])
    means = [probabilities(rows).mean(axis=0) for _, rows in table.groupby("recording_id")]
    np.testing.assert_allclose(probabilities(fused.sort_values("recording_id")), means)


def test_facts_come_from_the_first_table_that_has_them(make_table: TableMaker) -> None:
    tables = [make_table(), make_table().assign(side="left"), make_table().assign(side="right")]
    assert (fuse(tables)["side"] == "left").all()


def test_the_order_of_rows_does_not_matter(make_table: TableMaker) -> None:
    first, second = make_table(), make_table(seed=1)
    shuffled = second.sample(frac=1, random_state=0)
    pd.testing.assert_frame_equal(fuse([first, second]), fuse([first, shuffled]))


def test_tables_of_other_recordings_or_folds_are_refused(make_table: TableMaker) -> None:
    table = make_table()
    with pytest.raises(StudyError, match=r"tables 1 and 2 .* 4 differ, the first is recording s5_"):
        fuse([table, table[table["subject_id"] != "s5"]])
    moved = table.assign(fold=2)
    with pytest.raises(StudyError, match="do not have the same recordings in the same folds"):
        fuse([table, moved])


def test_tables_that_disagree_on_the_truth_are_refused(make_table: TableMaker) -> None:
    table = make_table()
    other = table.assign(target=table["target"].where(table["recording_id"] != "s2_r1", 0))
    other.loc[other["recording_id"] == "s2_r1", "target"] = (
        1 - table.loc[table["recording_id"] == "s2_r1", "target"]
    )
    with pytest.raises(StudyError, match=r"have different facts .* for recording s2_r1"):
        fuse([table, other])


def test_tables_of_other_classes_are_refused(make_table: TableMaker) -> None:
    with pytest.raises(StudyError, match="table 2 has 3 classes and table 1 has 2"):
        fuse([make_table(), make_table(num_classes=3)])
