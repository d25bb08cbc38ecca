from collections.abc import Callable
from pathlib import Path

import pytest

from jobs import reproduce
from jobs.reproduce import TABLES, main
from pdray.papers.table import read_table, table_file, table_names

NAMES = table_names(TABLES)


def test_the_tables_of_the_papers_are_there() -> None:
    papers = {
        "youtubepd": "table2 table3 table4 table5 table7 table8 table9 table13 table14 landmarks "
        "fusion augmentation",
        "expressions": "groups table3",
        "tsa": "table2 table3 table5",
        "hypomimia": "frames",
        "motion_boundary": "table2 table3",
        "tapping": "severity",
        "ufnet": "smile speech fusion",
    }
    assert {f"{paper}.{one}" for paper, found in papers.items() for one in found.split()} == set(
        NAMES
    )


@pytest.mark.parametrize(
    ("earlier", "name"),
    [
        ("000.3", "youtubepd.table3"),
        ("000.landmarks", "youtubepd.landmarks"),
        ("001.3", "expressions.table3"),
        ("002.5", "tsa.table5"),
        ("003.frames", "hypomimia.frames"),
        ("004.2", "motion_boundary.table2"),
    ],
)
def test_a_table_is_found_by_its_name_and_by_its_earlier_one(earlier: str, name: str) -> None:
    assert table_file(TABLES, earlier) == table_file(TABLES, name) == TABLES / f"{name}.yaml"


@pytest.mark.parametrize("name", NAMES)
def test_every_cell_of_a_shipped_table_has_its_runs(name: str) -> None:
    table = read_table(TABLES / f"{name}.yaml")
    used = {run for row in table.rows.values() for names in row.values() for run in names}
    assert used == set(table.runs)
    assert len(table.rows) > 1 or table.layout in ("groups", "translation")


def test_help_names_the_tables_and_the_settings(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    told = capsys.readouterr().out
    lines = told.splitlines()
    titles = {line.split()[0]: line for line in lines if line.startswith("  ")}
    assert set(NAMES) <= set(titles)
    assert titles["youtubepd.table3"].endswith(" severity from faces, landmarks and voices")
    assert "  weights " in told


@pytest.mark.parametrize("words", [[], ["data.manifest=/x.csv"], ["--table"]])
def test_a_missing_name_is_answered_with_the_names(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    assert f"--table NAME is missing; there are: {NAMES[0]}" in capsys.readouterr().err


def test_an_unknown_table_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--table", "9.9", "data.manifest=/x.csv", f"output={tmp_path}"]) == 2
    assert "error: there is no table 9.9; use one of: youtubepd.fusion, " in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_an_output_that_cannot_be_made_is_refused(
    tmp_path: Path, tiny_manifest: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("kept")
    manifest = tiny_manifest(10)
    manifest.write_text(manifest.read_text().replace("finger_tapping", "gait"))
    words = [f"data.manifest={manifest}", "data.items=[gait]"]
    assert (
        main(["--table", "motion_boundary.table2", *words, f"output={tmp_path / 'file' / 'k'}"])
        == 2
    )
    told = capsys.readouterr().err
    assert f"output: nothing can be written into {tmp_path / 'file' / 'k' / 'tables'}: " in told
    assert "Not a directory" in told


def test_a_broken_table_is_named_by_help_and_breaks_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "9.9.yaml").write_text("titel: x\n", encoding="utf-8")
    monkeypatch.setattr(reproduce, "TABLES", tmp_path)
    assert main([]) == 2
    assert capsys.readouterr().err == "error: --table NAME is missing; there are: 9.9\n"
    assert main(["--help"]) == 2
    assert "unknown key 'titel'" in capsys.readouterr().err
