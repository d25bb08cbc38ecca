"""The search for words that tell who somebody is finds them wherever they are planted."""

import sqlite3
import zipfile
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from matplotlib.figure import Figure

from tests.fixtures.telltale import leaks


def _pdf(path: Path, word: str) -> None:
    figure = Figure()
    figure.text(0.5, 0.5, word)
    figure.savefig(path, format="pdf")


def _archive(path: Path, word: str) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("data", word * 9)


def _database(path: Path, word: str) -> None:
    with sqlite3.connect(path) as database:
        database.execute("create table if not exists params (value text)")
        database.execute("insert into params values (?)", (word,))


KINDS: dict[str, Callable[[Path, str], object]] = {
    "report.html": lambda path, word: path.write_text(f"<p>{word}</p>"),
    "scores.csv": lambda path, word: path.write_bytes(word.encode("utf-16")),
    "table.parquet": lambda path, word: pd.DataFrame({"a": [word] * 9}).to_parquet(path),
    "figure.pdf": _pdf,
    "model.pt": _archive,
    "mlflow.db": _database,
    "Quokka.txt": lambda path, word: path.write_text("nothing"),
}


@pytest.mark.parametrize("name", KINDS)
def test_a_planted_leak_is_found(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "report"
    folder.mkdir()
    KINDS[name](folder / name, "R001")
    assert bool(leaks(folder)) == name.startswith("Quokka")
    KINDS[name](folder / name, "of QUOKKA 7")
    assert leaks(folder) == [(f"report/{name}", "quokka")]
