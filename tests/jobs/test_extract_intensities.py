from pathlib import Path

import pytest

from jobs.extract_intensities import main


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "is missing and has no default"),
        (["model=ensemble"], "model: "),
        (["output=m.txt"], "m.txt; give the name of a new .csv file"),
        (["expressions=[happiness,happiness]"], "a name is there twice"),
        ([], "which has no study.json"),
    ],
)
def test_mistakes_are_told_with_exit_code_2(
    words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = [f"study={tmp_path}", "manifest=m.csv", f"output={tmp_path / 'v.csv'}"]
    asked = {"study.json": whole, "default": []}
    start = next((some for end, some in asked.items() if end in message), whole)
    assert main([*start, *words]) == 2
    assert message in capsys.readouterr().err
