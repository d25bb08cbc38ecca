from pathlib import Path

from pdray.tracking.scorings import Scoring, note_scoring, read_scorings

ONE = Scoring("tsa.table5", "tapping", 3, "abc", "cohort.csv", "a; b, c")


def test_lines_are_read_as_they_were_written(tmp_path: Path) -> None:
    assert read_scorings(tmp_path) == []
    other = ONE._replace(study='of "two"\nlines')
    note_scoring(tmp_path, ONE)
    note_scoring(tmp_path, other)
    assert read_scorings(tmp_path) == [ONE, other]


def test_a_damaged_line_is_left_out(tmp_path: Path) -> None:
    note_scoring(tmp_path, ONE)
    with (tmp_path / "tables" / "scorings.csv").open("a") as file:
        file.write("2026,cut\n")
    assert read_scorings(tmp_path) == [ONE]
