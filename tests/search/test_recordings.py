from pathlib import Path

from pdray.data.cohort.manifest import Recording
from pdray.search.recordings import parts_table


def test_a_row_of_a_table_of_features_has_no_length() -> None:
    known = {"subject_id": "S", "item": "speech", "grade": 1}
    rows = [
        Recording(recording_id="film", video=Path("film.mp4"), **known),
        Recording(recording_id="row", features={"features": Path("table.csv")}, **known),
    ]
    table = parts_table(rows, (1,), {}, {"film": 8.0, "row": 0.0})
    assert table["seconds"].isna().tolist() == [False, True]
