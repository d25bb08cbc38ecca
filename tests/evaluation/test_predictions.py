from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pdray.errors import StudyError
from pdray.evaluation.predictions import (
    COLUMNS,
    Origin,
    check_predictions,
    num_classes,
    predictions_table,
    probabilities,
    read_predictions,
    softmax,
    targets,
    write_predictions,
)

TableMaker = Callable[..., pd.DataFrame]


def test_a_table_has_the_promised_columns_in_order(make_table: TableMaker) -> None:
    table = make_table(num_classes=3)
    numbers = [f"{kind}_{k}" for kind in ("logit", "probability") for k in range(3)]
    assert list(table.columns) == [*COLUMNS, *numbers]
    assert num_classes(table) == 3
    assert (table["trial"] == 3).all()
    assert (table["split"] == "val").all()


def test_facts_of_the_manifest_are_text_or_numbers_and_empty_where_unknown(tmp_path: Path) -> None:
    rows = {
        "recording_id": ["r1", "r2"],
        "snippet": [0, 0],
        "subject_id": ["S1", "S2"],
        "item": ["gait", "gait"],
        "grade": [1, 0],
        "target": [1, 0],
        "rater_10": [1.0, None],
        "rater_2": [None, None],
        "site": [None, "A"],
        "side": [None, None],
    }
    origin = Origin(study="demo", trial=0, fold=0, epoch=0)
    table = predictions_table(origin, rows, np.zeros((2, 2)))
    facts = table.columns[len(COLUMNS) : -4]
    assert facts.tolist() == ["side", "site", "rater_2", "rater_10"]
    assert table["site"].isna().tolist() == [True, False]
    assert (table["rater_10"].iloc[0], table["rater_2"].dtype) == (1.0, np.float64)
    write_predictions(table, tmp_path / "t.parquet")
    pd.testing.assert_frame_equal(read_predictions(tmp_path / "t.parquet"), table)
    with pytest.raises(StudyError, match="'rater_2' has str values, expected numbers"):
        check_predictions(table.assign(rater_2=["one", "two"]))


def test_probabilities_are_the_softmax_of_the_logits(make_table: TableMaker) -> None:
    table = make_table(num_classes=3)
    for _, row in table.iterrows():
        powers = [np.exp(row[f"logit_{k}"]) for k in range(3)]
        for k in range(3):
            assert row[f"probability_{k}"] == pytest.approx(powers[k] / sum(powers), abs=1e-12)


def test_softmax_survives_logits_of_plus_and_minus_a_thousand() -> None:
    np.testing.assert_array_equal(softmax(np.array([[1000.0, -1000.0]])), [[1.0, 0.0]])


def test_a_table_of_no_rows_can_be_built_and_read(tmp_path: Path) -> None:
    names = ("recording_id", "snippet", "subject_id", "item", "grade", "target")
    origin = Origin(study="demo", trial=0, fold=0, epoch=0)
    table = predictions_table(origin, {name: [] for name in names}, np.zeros((0, 2)))
    write_predictions(table, tmp_path / "t.parquet")
    assert len(read_predictions(tmp_path / "t.parquet")) == 0


def test_parquet_gives_back_the_same_table_and_leaves_no_other_file(
    make_table: TableMaker, tmp_path: Path
) -> None:
    table = make_table(num_snippets=2)
    write_predictions(table, tmp_path / "t.parquet")
    pd.testing.assert_frame_equal(read_predictions(tmp_path / "t.parquet"), table)
    assert [path.name for path in tmp_path.iterdir()] == ["t.parquet"]


def test_targets_and_probabilities_are_arrays_of_one_length(make_table: TableMaker) -> None:
    table = make_table()
    assert targets(table).dtype == np.int64
    assert probabilities(table).shape == (len(table), 2)


def test_all_faults_of_the_rows_are_listed_together(make_table: TableMaker) -> None:
    table = make_table(num_subjects=3)
    table.loc[1, "recording_id"] = table.loc[0, "recording_id"]
    table.loc[2, "probability_0"] = 0.9
    table.loc[2, "probability_1"] = 0.9
    table.loc[3, "logit_1"] = np.inf
    table.loc[4, "target"] = 2
    with pytest.raises(StudyError) as caught:
        check_predictions(table)
    message = str(caught.value)
    assert "4 faults" in message
    assert (
        "1 rows repeat the key of another, the first is {'fold': 1, 'epoch': 5, "
        "'recording_id': 's0_r0'" in (message)
    )
    assert (
        "the probabilities of 1 rows do not sum to 1, the first is recording s0_r2: [0.9, 0.9]"
        in message
    )
    assert "1 rows have numbers that are not finite, the first is recording s0_r3" in message
    assert "recording s1_r0: target 2 is outside 0..1" in message


def test_absent_columns_and_empty_cells_are_named(make_table: TableMaker) -> None:
    with pytest.raises(StudyError, match="column 'subject_id' is missing"):
        check_predictions(make_table().drop(columns=["subject_id"]))
    with pytest.raises(StudyError, match="column 'logit_1' is missing"):
        check_predictions(make_table().drop(columns=["logit_1"]))
    table = make_table()
    table.loc[0, "subject_id"] = None
    with pytest.raises(StudyError, match="column 'subject_id' has 1 empty cells"):
        check_predictions(table)
    with pytest.raises(StudyError, match="0 probability columns"):
        check_predictions(pd.DataFrame({"study": []}))


def test_a_file_that_is_no_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"absent\.parquet: cannot be read"):
        read_predictions(tmp_path / "absent.parquet")
    (tmp_path / "text.parquet").write_text("no")
    with pytest.raises(StudyError, match=r"text\.parquet: cannot be read"):
        read_predictions(tmp_path / "text.parquet")
    pd.DataFrame({"a": [1]}).to_parquet(tmp_path / "other.parquet")
    with pytest.raises(StudyError, match=r"other\.parquet: predictions table"):
        read_predictions(tmp_path / "other.parquet")
