from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from pdray.errors import SettingsError
from pdray.papers.table import list_tables, read_table, table_file
from tests.fixtures.small_table import SMALL


def test_titles_are_listed_by_name_without_their_paper(write_table: Callable[..., Path]) -> None:
    folder = write_table().parent
    (folder / "8.8.yaml").write_text(
        yaml.safe_dump({**SMALL, "title": "A paper (2025), Table 8: one"}), encoding="utf-8"
    )
    assert list_tables(folder).splitlines() == ["  8.8  Table 8: one", "  9.9  a table"]


def test_a_table_that_does_not_exist_is_answered_with_those_that_do(
    write_table: Callable[..., Path],
) -> None:
    folder = write_table().parent
    with pytest.raises(SettingsError, match=r"there is no table 1\.1; use one of: 9\.9"):
        table_file(folder, "1.1")
    with pytest.raises(SettingsError, match=r"no table 9\.99; did you mean '9\.9'\? use one of"):
        table_file(folder, "9.99")


def test_what_does_not_stand_in_the_table_is_refused(write_table: Callable[..., Path]) -> None:
    path = write_table(
        layout="severity", paper={"One": {"F2": "1"}}, two_steps=["Three"], synthetic_runs={}
    )
    with pytest.raises(SettingsError) as told:
        read_table(path)
    assert "paper.One.F2: there is no such column; use some of: Top-1 2" in str(told.value)
    assert "two_steps: there is no row 'Three'" in str(told.value)
