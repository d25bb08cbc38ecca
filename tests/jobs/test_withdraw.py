from pathlib import Path

import pytest

from jobs.withdraw import main


@pytest.mark.parametrize("delete", ["true", "false"])
def test_a_folder_that_is_not_there_ends_with_one_line(
    delete: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([f"output={tmp_path / 'none'}", "subject=S03", f"delete={delete}"]) == 2
    told = capsys.readouterr().err
    assert told.startswith("error: output: got")
    assert "give the output folder of your jobs" in told
    assert not list(tmp_path.iterdir())


def test_a_folder_without_the_person_ends_with_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([f"output={tmp_path}", "subject=S03"]) == 2
    told = capsys.readouterr().err
    assert told.startswith("error: subject: got 'S03', of whom nothing is in")
