from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pdray.errors import StudyError
from pdray.evaluation.predictions import Origin
from pdray.evaluation.translations import (
    check_translations,
    guide_probabilities,
    read_translations,
    translations_table,
)

ORIGIN = Origin(study="cut", trial=2, fold=1, epoch=9, seed=4)
ROWS: dict[str, list[Any]] = {
    "recording_id": ["R1", "R1", "R2"],
    "subject_id": ["S1", "S1", "S2"],
    "item": ["face_interview"] * 3,
    "grade": [0, 0, 0],
    "frame": [0, 5, 0],
    "seconds": [0.0, 0.2, 0.0],
    "target_class": [1, 1, 1],
}
SHARES = np.array([[0.25, 0.75], [1.0, 0.0], [0.5, 0.5]])


def test_a_table_has_a_row_per_picture_and_what_the_guide_says(tmp_path: Path) -> None:
    table = translations_table(ORIGIN, ROWS, SHARES)
    assert table["frame"].tolist() == [0, 5, 0]
    assert set(table["trial"]) == {2}
    found = guide_probabilities(table)
    assert found is not None
    np.testing.assert_array_equal(found, SHARES)
    table.to_parquet(tmp_path / "translations.parquet", index=False)
    assert read_translations(tmp_path / "translations.parquet").equals(table)
    assert guide_probabilities(translations_table(ORIGIN, ROWS)) is None


def test_no_picture_is_a_table_too(tmp_path: Path) -> None:
    table = translations_table(ORIGIN, {name: [] for name in ROWS}, np.zeros((0, 2)))
    table.to_parquet(tmp_path / "empty.parquet", index=False)
    again = read_translations(tmp_path / "empty.parquet")
    assert len(again) == 0
    assert "guide_probability_1" in again


def test_what_is_no_table_is_refused_with_every_fault(tmp_path: Path) -> None:
    table = translations_table(ORIGIN, ROWS, SHARES)
    with pytest.raises(StudyError, match="column 'target_class' is missing"):
        check_translations(table.drop(columns="target_class"))
    wrong = table.assign(frame=0, target_class=0, guide_probability_0=0.5)
    with pytest.raises(StudyError) as caught:
        check_translations(wrong)
    assert "1 rows repeat the key of another" in str(caught.value)
    assert "3 rows have a target class below 1" in str(caught.value)
    assert "the guide's probabilities of 2 rows do not sum to 1" in str(caught.value)
    with pytest.raises(StudyError, match="cannot be read"):
        read_translations(tmp_path / "absent.parquet")
