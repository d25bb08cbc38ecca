"""The job makes the report of a study again from its folder alone, also of an earlier version."""

import json
import shutil
from pathlib import Path

import pytest

from jobs.report import main
from pdray.atomic import write_text
from tests.places import ROOT
from tests.report.fixture import make_study

LEFT = ROOT / "tests" / "earlier" / "left" / "output" / "studies"


def test_a_copied_study_has_the_same_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = make_study(tmp_path, protocol="nested")
    assert main([f"study={study.folder}"]) == 0
    assert capsys.readouterr().out == f"report     {study.folder / 'report' / 'report.html'}\n"
    copied = Path(shutil.copytree(study.folder, tmp_path / "from another machine" / "x"))
    shutil.rmtree(copied / "report")
    assert main([f"study={copied}"]) == 0
    names = {file.name for file in (study.folder / "report").iterdir()}
    assert names >= {"report.html", "results.json", "scores.csv", "cohort.csv", "figures"}
    for name in ("report.html", "results.json", "scores.csv", "cohort.csv"):
        assert (copied / "report" / name).read_bytes() == (
            study.folder / "report" / name
        ).read_bytes()


def test_a_study_of_an_earlier_version_has_a_report_that_says_what_is_unknown(
    tmp_path: Path,
) -> None:
    study = Path(shutil.copytree(LEFT / "finished", tmp_path / "finished"))
    assert main([f"study={study}"]) == 0
    text = (study / "report" / "report.html").read_text(encoding="utf-8")
    for told in ("did not note its protocol", "who was left out is not known", "SYNTHETIC",
                 "had no checks"):  # fmt: skip
        assert told in text
    results = json.loads((study / "report" / "results.json").read_text(encoding="utf-8"))
    assert (results["cohort"], results["checks"]) == (None, [])


@pytest.mark.parametrize(
    ("state", "told"),
    [
        ("running", "is running, so that it has no report; continue it with --resume"),
        ("failed", "is failed, so that it has no report; start a new study"),
        ("absent", "holds no study, whose folder has a study.json"),
        ("read-only", "nothing can be written into"),
    ],
)
def test_what_cannot_be_reported_is_refused_and_nothing_is_written(
    state: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = make_study(tmp_path)
    if state == "read-only":
        write_text(study.folder / "report", "a file is in the place of the folder")
    elif state == "absent":
        (study.folder / "study.json").unlink()
    else:
        study.finish(state=state)  # type: ignore[arg-type]
    before = sorted(study.folder.rglob("*"))
    assert main([f"study={study.folder}"]) == 2
    assert told in capsys.readouterr().err
    assert sorted(study.folder.rglob("*")) == before
