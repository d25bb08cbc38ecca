import runpy
from collections.abc import Callable
from pathlib import Path

import pytest

JOB = Path(__file__).parents[2] / "jobs" / "make_demo.py"


@pytest.fixture
def main() -> Callable[[list[str]], int]:
    return runpy.run_path(str(JOB))["main"]


def test_it_draws_a_cohort_and_says_where(
    main: Callable[[list[str]], int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["num_subjects=1", "num_visits=1", "size=32", "min_seconds=1", "max_seconds=1"]
    assert main([f"folder={tmp_path}", "num_processes=1", "seed=2", *words]) == 0
    assert capsys.readouterr().out == f"manifest {tmp_path / 'manifest.csv'} (synthetic)\n"
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


def test_a_wrong_key_ends_with_status_two_and_the_nearest_key(
    main: Callable[[list[str]], int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([f"folder={tmp_path}", "sead=2"]) == 2
    assert "did you mean 'seed'?" in capsys.readouterr().err


def test_help_lists_every_setting(
    main: Callable[[list[str]], int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(key in shown for key in ("folder", "seed", "items", "face_interview", "fps", "[px]"))
