from pathlib import Path

import pytest

from pdray.config import build
from pdray.data.face.points import REGIONS
from pdray.errors import ManifestError, SettingsError
from pdray.papers.marks import correlate_marks
from pdray.papers.settings import MarksConfig

ROWS = 60


@pytest.fixture
def tables(tmp_path: Path) -> dict[str, str]:
    """60 unnamed clips, two of three healthy, and marks of the ill."""
    manifest = ["recording_id,subject_id,item,grade,split"]
    marks = ["recording_id,region_index,mark_0_10"]
    for number in range(ROWS):
        grade = number % 3
        side = "test" if number % 2 else "train"
        manifest.append(f"v{number},,face_interview,{grade},{side}")
        marks += [f"v{number},{region},4" for region in range(14) if grade and region % grade == 0]
    paths = {"manifest": tmp_path / "m.csv", "marks": tmp_path / "m.marks.csv"}
    for name, lines in (("manifest", manifest), ("marks", marks)):
        paths[name].write_text("\n".join(lines) + "\n", encoding="utf-8")
    return {name: str(path) for name, path in paths.items()}


def config_of(tables: dict[str, str], **folds: object) -> MarksConfig:
    data = {"items": ["face_interview"], "subjects": "none", "grade_cuts": [1, 2], **tables}
    return build(MarksConfig, {"data": data, "folds": folds, "repeats": 2})


def test_the_owners_split_or_folds_in_words_decide_who_is_held_out(tables) -> None:
    text = correlate_marks(config_of(tables, from_split=True))
    assert "the manifest's column split says who is held out" in text
    assert f"{ROWS} recordings, 40 ill, 0 of them without a mark" in text
    marks = next(line for line in text.splitlines() if line.startswith("marks ")).split()
    assert marks[1].startswith("100.0")  # the number of marks tells the class
    assert "name no subject" in text.splitlines()[-1]
    assert REGIONS[0] in text
    crossed = correlate_marks(config_of(tables, of_recordings=True, num_outer=3))
    assert "each of 3 folds is held out in turn" in crossed


def test_a_random_split_of_unnamed_people_is_refused(tables) -> None:
    with pytest.raises(SettingsError, match="a random split: a person may be on both sides"):
        correlate_marks(config_of(tables))


def test_the_table_of_marks_is_needed(tables) -> None:
    config = config_of({"manifest": tables["manifest"]}, from_split=True)
    with pytest.raises(SettingsError, match=r"'data.marks' is missing; give the table of marks"):
        correlate_marks(config)


def test_a_table_of_other_recordings_is_refused(tables, tmp_path: Path) -> None:
    other = tmp_path / "other.csv"
    other.write_text("recording_id,region_index,mark_0_10\nw1,2,5\n", encoding="utf-8")
    config = config_of({**tables, "marks": str(other)}, from_split=True)
    with pytest.raises(SettingsError, match="none of its 1 recordings is among the 60"):
        correlate_marks(config)


def test_a_healthy_recording_with_a_mark_is_refused(tables, tmp_path: Path) -> None:
    other = tmp_path / "other.csv"
    other.write_text("recording_id,region_index,mark_0_10\nv0,2,5\n", encoding="utf-8")
    config = config_of({**tables, "marks": str(other)}, from_split=True)
    with pytest.raises(ManifestError, match="recording v0: grade 0, and a mark of 5"):
        correlate_marks(config)
