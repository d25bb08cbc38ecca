import runpy
from collections.abc import Callable
from pathlib import Path

import pytest

from jobs.correlate_marks import main as correlate
from tests.places import ROOT

JOB = ROOT / "jobs" / "make_demo.py"


@pytest.fixture
def main() -> Callable[[list[str]], int]:
    return runpy.run_path(str(JOB))["main"]


def test_it_draws_a_cohort_and_says_where(
    main: Callable[[list[str]], int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["num_subjects=1", "num_visits=1", "size=32", "min_seconds=1", "max_seconds=1"]
    assert main([f"folder={tmp_path}", "num_processes=1", "seed=2", *words]) == 0
    told = capsys.readouterr().out.splitlines()
    # No terminal: lines and no bar.
    assert told[:-1] == ["1/3 recordings", "2/3 recordings", "3/3 recordings"]
    assert told[-1] == f"manifest {tmp_path / 'manifest.csv'} (synthetic)"
    assert len(list((tmp_path / "videos").iterdir())) == 3


def test_items_are_chosen_on_the_command_line(
    main: Callable[[list[str]], int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["num_subjects=1", "num_visits=1", "size=32", "min_seconds=1", "max_seconds=1"]
    chosen = "items=[gait,toe_tapping]"
    assert main([f"folder={tmp_path}", "num_processes=1", "missing=0", chosen, *words]) == 0
    names = sorted(path.name for path in (tmp_path / "videos").iterdir())
    assert names == [
        "S001_V1_gait.mp4", "S001_V1_toe_tapping_left.mp4", "S001_V1_toe_tapping_right.mp4",
    ]  # fmt: skip
    assert main([f"folder={tmp_path}", "items=[gate]"]) == 2
    assert "item 'gate' is not drawn: did you mean 'gait'?" in capsys.readouterr().err


def test_the_marks_of_faces_can_be_correlated_with_their_grades(
    main: Callable[[list[str]], int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["num_subjects=15", "missing=0", "size=32", "min_seconds=1", "max_seconds=1"]
    items = "items=[face_interview]"
    assert main([f"folder={tmp_path}", "num_processes=1", items, *words]) == 0
    told = capsys.readouterr().out.splitlines()
    marks = tmp_path / "manifest.marks.csv"
    assert told[-1] == f"marks    {marks} (synthetic)"
    assert len(told) == 12  # a line each tenth, and two paths
    words = [f"data.manifest={tmp_path / 'manifest.csv'}", f"data.marks={marks}", "repeats=2"]
    words.append(f"output={tmp_path}")
    cuts = ["data.items=[face_interview]", "data.grade_cuts=[1,2,3,4,5]", "folds.num_outer=2"]
    assert correlate([*words, *cuts, "folds.num_folds=2"]) == 0
    told = capsys.readouterr().out
    assert "SYNTHETIC data" in told.splitlines()[0]
    # The weights of the model come last and have the same regions: the first line counts.
    scores = {line.split("  ")[0]: line for line in reversed(told.splitlines())}
    right = {
        name: float(scores[name].removeprefix(name).split("+-")[0])
        for name in ("patients only: marks", "patients only, control: marks shuffled")
    }
    assert right["patients only: marks"] > right["patients only, control: marks shuffled"]
    shares = {name: scores[name].removeprefix(name).split() for name in ("forehead", "right eye")}
    assert shares["forehead"] == ["0"] * 5
    assert int(shares["right eye"][-1]) > int(shares["right eye"][0])


def test_counterfactuals_are_said_to_be_for_scoring(
    main: Callable[[list[str]], int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["num_subjects=4", "num_visits=1", "missing=0", "size=32", "min_seconds=1"]
    words += ["max_seconds=1", "items=[face_interview]", "static_signs=1", "counterfactual=true"]
    assert main([f"folder={tmp_path}", "num_processes=1", *words]) == 0
    told = capsys.readouterr().out.splitlines()
    table = tmp_path / "manifest.counterfactual.csv"
    assert told[-1] == f"scoring  {table} (synthetic; do not train on it)"
    videos = list((tmp_path / "counterfactual" / "videos").iterdir())
    assert [path.name for path in videos] == ["S004_V1_face_interview_counterfactual.mp4"]


def test_a_folder_that_cannot_be_made_is_refused(
    main: Callable[[list[str]], int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("kept")
    assert main([f"folder={tmp_path / 'file' / 'k'}", "num_subjects=1"]) == 2
    told = capsys.readouterr().err
    assert f"folder: nothing can be written into {tmp_path / 'file' / 'k'}: " in told
