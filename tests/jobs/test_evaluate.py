"""The job reads a table or a study, prints the report, and leaves it with numbers and pictures."""

import json
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest

from jobs.evaluate import main
from pdray.checks.finding import Finding
from pdray.checks.run import write_findings
from tests.places import ROOT

LEFT = ROOT / "tests" / "earlier" / "left" / "output" / "studies"


def test_a_study_is_evaluated_and_the_scoring_is_noted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([f"study={LEFT / 'finished'}", f"output={tmp_path}"]) == 0
    told = capsys.readouterr().out
    folder = tmp_path / "evaluation" / "finished"
    assert (folder / "report.txt").read_text().rstrip() in told
    assert "SYNTHETIC" in told
    assert str(LEFT) not in (folder / "report.txt").read_text()
    names = {path.name for path in folder.iterdir()}
    assert names == {"report.txt", "numbers.csv", "confusion.png", "roc.png"}
    (line,) = pd.read_csv(tmp_path / "tables" / "scorings.csv").to_dict("records")
    assert (line["table"], line["study"], line["runs"]) == ("evaluate", "finished", "winner")


def test_a_copied_study_is_evaluated_inside_its_folder(tmp_path: Path) -> None:
    copied = Path(shutil.copytree(LEFT / "finished", tmp_path / "a" / "b" / "copied"))
    assert main([f"study={copied}"]) == 0
    assert (copied / "evaluation" / "finished" / "report.txt").is_file()
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_classes_of_a_diagnosis_are_healthy_and_ill(tmp_path: Path) -> None:
    study = Path(shutil.copytree(LEFT / "finished", tmp_path / "studies" / "finished"))
    facts = json.loads((study / "study.json").read_text())
    facts["settings"]["data"] |= {"target": "diagnosis", "grade_cuts": [1]}
    (study / "study.json").write_text(json.dumps(facts))
    for words in ([f"study={study}"], [f"table={study / 'winner' / 'predictions.parquet'}"]):
        assert main([*words, f"output={tmp_path}"]) == 0
    for name in ("finished", "finished-winner"):
        text = (tmp_path / "evaluation" / name / "report.txt").read_text()
        assert re.search(r"class 0: .* subjects, healthy\nclass 1: .* subjects, ill\n", text)


def test_what_the_checks_of_a_search_found_stands_below_the_scores(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = tmp_path / "studies" / "finished"
    shutil.copytree(LEFT / "finished", study)
    found = Finding(state="warning", found="3 of 8", code="PDR009", title="too few subjects")
    write_findings(study, [found])
    assert main([f"study={study}"]) == 0
    told = capsys.readouterr().out
    text = (tmp_path / "evaluation" / "finished" / "report.txt").read_text()
    assert "\n\nChecks: 1 warning\nPDR009 warning (too few subjects)\n" in text
    assert text.rstrip() in told


def test_the_predictions_file_of_a_study_is_known_as_such(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = LEFT / "finished" / "winner" / "predictions.parquet"
    assert main([f"table={table}", f"output={tmp_path}"]) == 0
    assert "SYNTHETIC" in capsys.readouterr().out
    assert len(pd.read_csv(tmp_path / "tables" / "scorings.csv")) == 1
    assert (tmp_path / "evaluation" / "finished-winner" / "report.txt").is_file()


def test_subjects_that_a_search_held_out_are_no_test_set(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([f"study={LEFT / 'unfinished'}", f"output={tmp_path}", "trial=0"]) == 0
    assert "trial 0, subjects that its folds held out" in capsys.readouterr().out
    assert not (tmp_path / "tables").exists()
    assert (tmp_path / "evaluation" / "unfinished-trial-0" / "report.txt").is_file()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "write table=FILE or study=FOLDER"),
        (["table=absent.csv"], "absent.csv: cannot be read"),
        (["study=absent"], ": holds no study"),
        ([f"study={LEFT / 'unfinished'}", "trial=1"], "0001 has no predictions"),
        ([f"study={LEFT / 'unfinished'}"], "has 2 trials and no winner yet"),
        (["table=two.csv"], "several models for the same subjects (trials 1, 2); write trial=1"),
        (["table=two.csv", "trial=3"], "no row is of this trial"),
        (["table=sides.csv"], "has rows of test and val; write split=test"),
        (["table=wrong.csv"], "row 2: target '0.5' is no whole number"),
    ],
)
def test_a_mistake_is_told_and_nothing_is_written(
    words: list[str],
    told: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    head = "recording_id,subject_id,target,probability,trial,split\n"
    (tmp_path / "two.csv").write_text(f"{head}R,A,1,1,1,test\nR,A,1,0.5,2,test\n")
    (tmp_path / "sides.csv").write_text(f"{head}R,A,1,1,1,val\nQ,B,1,0.5,1,test\n")
    (tmp_path / "wrong.csv").write_text(f"{head}R,A,0.5,1,1,val\n")
    monkeypatch.chdir(tmp_path)
    assert main([*words, f"output={tmp_path / 'out'}"]) == 2
    message = capsys.readouterr().err
    assert message.startswith("error: ")
    assert told in message
    assert not (tmp_path / "out").exists()
