from dataclasses import replace
from pathlib import Path

import pytest

from pdray.data.cohort.marks import NO_MARKS, Mark, add_marks, marks_text, read_marks
from pdray.data.cohort.rated import RatedRecording
from pdray.errors import ManifestError

ILL = RatedRecording("a", "A", "face_interview", 3, 1, None)
HEALTHY = replace(ILL, recording_id="h", subject_id="H", grade=0, target=0)


def table(folder: Path, *rows: str) -> Path:
    path = folder / "m.marks.csv"
    path.write_text("recording_id,region_index,mark_0_10\n" + "".join(f"{one}\n" for one in rows))
    return path


def test_the_table_of_the_importer_is_read(tmp_path: Path) -> None:
    marks = [
        Mark("a", 1, 5, 10, 7, 9),
        Mark("a", 1, 6, 10, 3, 9),
        Mark("a", 13, 6, 10, 0, 9),
        Mark("b", None, 1, 9, 4, 4, "all of them"),
        Mark("c", 2, None, 9, None, None, "incomplete"),
    ]
    path = tmp_path / "m.marks.csv"
    path.write_text(marks_text(marks, ["a"]))
    found = read_marks(path)
    assert found.regions["a"] == (None, 7, *[None] * 11, 0)
    assert found.regions["b"] == found.regions["c"] == NO_MARKS
    assert found.num_vague == 2


def test_recordings_get_their_marks_and_the_others_none(tmp_path: Path) -> None:
    found = read_marks(table(tmp_path, "a,4,2", "elsewhere,3,1"))
    marked, left = add_marks((ILL, replace(ILL, recording_id="b")), found)
    assert marked.marks == (None, None, None, None, 2, *[None] * 9)
    assert left.marks is None


def test_every_fault_is_named_with_its_row(tmp_path: Path) -> None:
    path = table(tmp_path, "a,14,3", "a,2,11", ",2,3", "a,-1,x")
    with pytest.raises(ManifestError) as refused:
        read_marks(path)
    told = str(refused.value)
    assert "row 2: region_index '14' is not 0..13" in told
    assert "row 3: mark_0_10 '11' is not 0..10" in told
    assert "row 4: recording_id is empty" in told
    assert "row 5: region_index '-1'" in told
    assert "row 5: mark_0_10 'x'" in told


@pytest.mark.parametrize("total", ["148", "", "all", "\u0665\u0660\u0660", "9" * 5000])
def test_a_frame_behind_its_total_is_refused(tmp_path: Path, total: str) -> None:
    path = tmp_path / "m.csv"
    columns = "recording_id,region_index,mark_0_10,frame,total_frames"
    path.write_text(f"{columns}\na,1,2,148,148\na,2,2,500,{total}\n")
    if not total:  # nothing is said of where it ends
        assert read_marks(path).regions["a"][1:3] == (2, 2)
        return
    words = f"row 3: frame '500' is not within its total of '{total}'"
    with pytest.raises(ManifestError, match=words):
        read_marks(path)


def test_a_table_without_its_columns_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    path.write_text("recording_id,region\na,1\n")
    with pytest.raises(ManifestError, match="column region_index is missing"):
        read_marks(path)


def test_a_mark_on_a_healthy_recording_is_refused_with_its_name(tmp_path: Path) -> None:
    found = read_marks(table(tmp_path, "h,4,2", "h,5,6"))
    with pytest.raises(ManifestError, match="recording h: grade 0, and a mark of 6 on a region"):
        add_marks((ILL, HEALTHY), found)
    assert add_marks((HEALTHY,), read_marks(table(tmp_path, "h,4,0")))[0].marks is not None
