from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.search.small_table import SMALL


@pytest.fixture
def write_table(tmp_path: Path) -> Callable[..., Path]:
    def write(**changes: Any) -> Path:
        path = tmp_path / "tables" / "9.9.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(yaml.safe_dump({**SMALL, **changes}), encoding="utf-8")
        return path

    return write


@pytest.fixture
def words(tiny_manifest: Callable[..., Path], tmp_path: Path) -> list[str]:
    return [f"data.manifest={tiny_manifest()}", f"output={tmp_path / 'out'}"]


@pytest.fixture
def rendered(words: list[str], tmp_path: Path) -> list[str]:
    manifest = tmp_path / "manifest.csv"
    lines = manifest.read_text(encoding="utf-8").splitlines()
    marked = [lines[0] + ",site", *(line + ",synthetic" for line in lines[1:])]
    manifest.write_text("\n".join(marked) + "\n", encoding="utf-8")
    return words
