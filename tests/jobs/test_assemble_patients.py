from pathlib import Path

import pytest

from jobs.assemble_patients import main
from pdray.visits import run as assembling
from pdray.visits.run import Assembly
from pdray.visits.settings import load_assembly
from tests.places import ROOT


def test_help_says_how_nothing_leaks(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    told = capsys.readouterr().out
    assert "no feature ever comes from a\nnetwork that was trained on the same patient" in told
    assert "  heads.repeats " in told


def test_a_missing_manifest_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([f"data.manifest={tmp_path / 'no.csv'}", f"output={tmp_path / 'out'}"]) == 2
    assert "no.csv" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_shipped_settings_are_valid() -> None:
    file = ROOT / "search_spaces" / "assemble.yaml"
    config = load_assembly(["--config", str(file), "data.manifest=/x.csv"])
    assert len(config.data.items or ()) == 8
    assert config.heads.repeats == 20


def test_what_was_found_and_where_it_is_are_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "task_weights.png"
    done = Assembly(tmp_path, "the tables", picture)
    monkeypatch.setattr(assembling, "run_assembly", lambda config, say: done)
    assert main(["data.manifest=/x.csv"]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told == ["", "the tables", "", f"weights    {picture}", f"log        {tmp_path}"]


def test_an_output_that_cannot_be_made_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(assembling, "plan_visits", lambda config: None)
    (tmp_path / "file").write_text("kept")
    assert main(["data.manifest=/x.csv", f"output={tmp_path / 'file' / 'k'}"]) == 2
    told = capsys.readouterr().err
    assert f"output: nothing can be written into {tmp_path / 'file' / 'k' / 'assembling'}/" in told
