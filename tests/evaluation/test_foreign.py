"""Tables of other programs: read as they are, or refused with every fault and its row."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pdray.errors import StudyError
from pdray.evaluation.foreign import read_foreign
from pdray.evaluation.predictions import targets

TableMaker = Callable[..., pd.DataFrame]
ROWS = """subject_id,target,probability_0,probability_1
A,0,0.75,0.25
B,1,0.5,0.5
"""


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], Path]:
    def save(text: str) -> Path:
        path = tmp_path / "table.csv"
        path.write_text(text, encoding="utf-8")
        return path

    return save


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_few_columns_are_enough(write: Callable[[str], Path], delimiter: str) -> None:
    found = read_foreign(write(ROWS.replace(",", delimiter)))
    assert targets(found.table).tolist() == [0, 1]
    assert found.table["probability_0"].tolist() == [0.75, 0.5]
    assert found.table["recording_id"].tolist() == ["row 2", "row 3"]
    assert len(found.notes) == 2
    assert not found.is_synthetic
    assert read_foreign(write(f"# for research; SYNTHETIC data\n{ROWS}")).is_synthetic


def test_one_column_of_probabilities_is_that_of_class_1(write: Callable[[str], Path]) -> None:
    table = read_foreign(write("subject_id,target,probability\nA,1,0.75\nB,0,0\n")).table
    assert table[["probability_0", "probability_1"]].to_numpy().tolist() == [[0.25, 0.75], [1, 0]]


def test_a_parquet_table_of_pdray_is_read_to_the_last_digit(
    tmp_path: Path, make_table: TableMaker
) -> None:
    table = make_table(num_snippets=2, num_classes=3).assign(site="synthetic", sex=None)
    table.to_parquet(tmp_path / "predictions.parquet")
    found = read_foreign(tmp_path / "predictions.parquet")
    assert found.is_synthetic
    shared = [name for name in table.columns if name in found.table.columns and name != "sex"]
    assert {"grade", "epoch", "snippet", "probability_2"} <= set(shared)
    pd.testing.assert_frame_equal(found.table[shared], table[shared], check_dtype=False)


def test_words_for_states_are_brought_to_one(write: Callable[[str], Path]) -> None:
    text = "subject_id,target,probability,medication_state,rater_1\nA,1,1,On-Med,\nB,0,0,,2\n"
    table = read_foreign(write(text)).table
    assert table["medication_state"][0] == "on"
    assert table["medication_state"].isna().tolist() == [False, True]
    np.testing.assert_array_equal(table["rater_1"], [np.nan, 2])


def test_every_fault_is_listed_with_row_and_value(write: Callable[[str], Path]) -> None:
    path = write(
        "subject_id,target,probability_0,probability_1,item,rater_1,medication_state\n"
        "A,0.5,0.5,0.5,gait,1,on\n"
        "B,1,nan,0.5,gait,1,on\n"
        "C,2,0.5,0.5,gait,1,on\n"
        "D,1,0.5,0.4,gait,1,on\n"
        ",1,0.5,0.5,gait,1,on\n"
        'E,1,"0,5",0.5,gait,1,on\n'
        "F,1,-1.5,2.5,gait,1,on\n"
        "G,1,0.5,0.5,gait,27,on\n"
        "H,1,0.5,0.5,gait,1,high\n"
    )
    with pytest.raises(StudyError) as caught:
        read_foreign(path)
    told = str(caught.value)
    for words in (
        "table.csv",
        "row 2: target '0.5' is no whole number",
        "row 3: probability_0 'nan' is not finite",
        "row 4: target 2 is outside 0..1",
        "row 5: the probabilities sum to 0.9, not to 1",
        "row 6: subject_id is empty; write an id",
        "row 7: probability_0 '0,5' is no number",
        "a point in place of the comma",
        "row 8: probability_0 '-1.5' is outside 0..1",
        "row 9: rater_1 27 is outside 0..4, the scale of gait",
        "row 10: medication_state 'high' is unknown; write on, off, untreated",
    ):
        assert words in told


HEAD = "recording_id,subject_id,target,probability,split,fold,seed,snippet,epoch\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("subject,target,probability\nA,1,1\n", "did you mean 'subject_id'"),
        ("subject_id,target,probability_1\nA,1,1\n", "without a gap"),
        ("subject_id,target,probability,probability_0,probability_1\n", "leave one of them out"),
        ("subject_id,target,probability,target\n", "'target' stands twice"),
        ("subject_id,target,probability\n", "no row below the header"),
        ("subject_id,target,probability\nA,1\n", "row 2: 2 cells where the header has 3"),
        ("subject_id,target,probability,snippet\nA,1,1,0\n", "snippet needs recording_id"),
        (f"{HEAD}R,A,1,1,test,0,0,0,0\nR,A,1,0.5,test,0,0,0,0\n", "row 3: repeats the recording"),
        (f"{HEAD}R,A,1,1,test,0,0,0,0\nR,B,1,1,test,0,0,1,0\n", "row 3: subject_id differs from"),
        (f"{HEAD}R,A,1,1,train,0,0,0,0\n", "row 2: split 'train'"),
        (f"{HEAD}R,A,1,1,val,0,0,0,0\nQ,A,1,1,test,0,0,0,0\n", "nobody may be on two sides"),
        (f"{HEAD}R,A,1,1,test,0,0,0,0\nQ,A,1,1,test,1,0,0,0\n", "in the test part of fold 1"),
        (f"{HEAD}R,A,1,1,test,0,0,0,0\nQ,A,1,1,test,0,0,0,1\n", "several epochs"),
    ],
)
def test_a_table_that_cannot_be_scored_is_refused(
    write: Callable[[str], Path], text: str, words: str
) -> None:
    with pytest.raises(StudyError, match=words):
        read_foreign(write(text))


def test_repeated_drawings_of_folds_are_allowed_and_an_empty_fold_is_said(
    write: Callable[[str], Path],
) -> None:
    text = f"{HEAD}R,A,1,1,test,0,0,0,0\nQ,B,0,1,test,2,0,0,0\nR,A,1,1,test,2,1,0,0\n"
    assert "fold 1 has no row" in " ".join(read_foreign(write(text)).notes)


def test_a_file_that_is_no_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="No such file"):
        read_foreign(tmp_path / "absent.csv")
    (tmp_path / "text.parquet").write_text("no")
    with pytest.raises(StudyError, match="cannot be read as Parquet"):
        read_foreign(tmp_path / "text.parquet")


def test_an_item_of_the_users_own_may_have_any_grade(write: Callable[[str], Path]) -> None:
    text = "subject_id,item,target,probability,grade\nA,spiral,1,1,9\nB,gait,0,0,0\n"
    assert read_foreign(write(text)).table["grade"].tolist() == [9, 0]
    without = "subject_id,target,probability,grade\nA,1,1,9\nB,0,0,0\n"
    with pytest.raises(StudyError, match=r"row 2: grade 9 is outside 0\.\.5"):
        read_foreign(write(without))
