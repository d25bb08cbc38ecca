import os
import sys
import time
from pathlib import Path

import pytest

from jobs.make_manifest import main
from pdray.data.cohort.manifest import load_manifest
from tests.fixtures.clinic import names_of, two_raters, write_workbook

PATTERN = "pattern={subject_id}_visit{visit_id}_{item}_{side}"


def words(tmp_path, *more):
    return [f"folder={tmp_path / 'videos'}", f"output={tmp_path / 'm.csv'}", PATTERN, *more]


def test_116_videos_and_an_excel_sheet_of_two_raters_are_one_command(film, tmp_path, capsys):
    pytest.importorskip("python_calamine", reason="pip install -e '.[sheets]'")
    sheet = two_raters(29)
    film(*names_of(sheet))
    path = write_workbook(tmp_path / "ratings.xlsx", {"Ratings": sheet})
    assert main(words(tmp_path, f"ratings={path}")) == 2
    asked = capsys.readouterr()
    assert "kappa (quadratic weights) 0.98, equal in 105 of 116 recordings" in asked.err
    assert [line.split(":")[0].strip() for line in asked.err.splitlines()[3:]] == [
        f"consensus={name}" for name in ("first", "median", "mean_rounded", "agreed")
    ]
    assert not (tmp_path / "m.csv").exists()
    assert main(words(tmp_path, f"ratings={path}", "consensus=median")) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert told[told.index("manifest ") :] == (
        f"manifest {tmp_path / 'm.csv'} 116 recordings of 29 subjects "
        "116 with a grade, 0 that could not be rated, 0 without a grade videos 116 in the folder "
        "rows 116 in ratings.xlsx, compared by subject_id, visit_id, item, side "
        "columns ratings.xlsx: Patient -> subject_id, Visit -> visit_id, Task -> item, Hand -> "
        "side, Rater A -> rater_1, Rater B -> rater_2, Age -> age "
        "ratings.xlsx: kept as they are: x_lab "
        "words ratings.xlsx, item: fingertap -> finger_tapping (116) "
        "ratings.xlsx, side: L -> left (58), R -> right (58) raters rater_1 and rater_2: kappa "
        "(quadratic weights) 0.98, equal in 105 of 116 recordings "
        "grade median: the grade in the middle; of two in the middle the lower "
        f"next {Path(sys.executable).with_name('pdray')} quick-look "
        f"data.manifest={tmp_path / 'm.csv'}"
    )
    recordings = load_manifest(tmp_path / "m.csv").recordings
    assert [one.grade for one in recordings[:3]] == [1, 1, 2]
    assert recordings[0].raters == (1, 1)


def test_names_with_dots_and_words_of_yaml_arrive_as_text(film, tmp_path, capsys):
    film("P1_visit1_gait_1.mp4")
    (tmp_path / "r.csv").write_text("Pat. ID,Med,Score\nP1,1,1.5\n")
    more = ["map.column.Pat. ID=subject_id", "map.medication_state.1=on", "map.grade.1.5=2",
            "map.side.1=left", f"ratings={tmp_path / 'r.csv'}"]  # fmt: skip
    assert main(words(tmp_path, *more)) == 0
    (recording,) = load_manifest(tmp_path / "m.csv").recordings
    assert (recording.medication_state, recording.grade, recording.side) == ("on", 2, "left")


def test_many_files_in_subfolders_are_quick(film, tmp_path, capsys):
    film(*(f"{n % 40}/a/P{n:04d}_visit1_gait_L.mp4" for n in range(1000)))
    started = time.process_time()
    assert main(words(tmp_path)) == 0
    assert time.process_time() - started < 10
    assert "1000 recordings of 1000 subjects" in capsys.readouterr().out


def test_an_output_that_cannot_be_made_is_refused(film, tmp_path, capsys):
    film("P1_visit1_gait_L.mp4")
    (tmp_path / "file").write_text("kept")
    assert main([*words(tmp_path), f"output={tmp_path / 'file' / 'm.csv'}"]) == 2
    assert f"output: nothing can be written into {tmp_path / 'file'}: " in capsys.readouterr().err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_without_permission_is_named(film, tmp_path, capsys):
    folder = film("a/P1_visit1_gait_L.mp4") / "a"
    folder.chmod(0)
    try:
        assert main(words(tmp_path)) == 2
    finally:
        folder.chmod(0o700)
    assert f"{folder}: cannot be read: Permission denied" in capsys.readouterr().err
