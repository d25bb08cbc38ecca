"""The plan of the code names what is there: folders, layers, files and functions."""

import ast
import re
import tomllib
from importlib import import_module

from tests.places import ROOT

PAGE = ROOT / "docs" / "explanation" / "architecture.md"
TEXT = PAGE.read_text(encoding="utf-8")
MAX_LINES = 150
_FILE = re.compile(r"`((?:pdray|jobs)/[\w/]+\.py)`")
_NAME = re.compile(r"`([a-z]\w*)\.(\w+(?:\.\w+)*)`")
# A numbered step, to the next one or the next heading.
STEPS = re.findall(r"^\d+\. .*?(?=^\d+\. |^#|\Z)", TEXT, re.MULTILINE | re.DOTALL)


def row_of(cells: str) -> tuple[str, str, str]:
    layer, place, purpose = (cell.strip() for cell in cells.strip("|").split("|"))
    return layer, place.strip("`"), purpose


TABLE = [row_of(line) for line in TEXT.splitlines() if re.match(r"\| \d* *\| `pdray/", line)]


def test_it_fits_two_screens_and_has_both_paths() -> None:
    assert len(TEXT.splitlines()) <= MAX_LINES
    assert len(STEPS) == 20


def test_every_folder_is_there_with_the_purpose_of_its_docstring() -> None:
    folders = {
        f"{path.parent.relative_to(ROOT).as_posix()}/": ast.get_docstring(
            ast.parse(path.read_text())
        )
        for path in (ROOT / "pdray").glob("*/**/__init__.py")
    }
    told = {place: purpose for _, place, purpose in TABLE if place.endswith("/")}
    assert told == {place: (text or "").splitlines()[0] for place, text in folders.items()}


def test_layers_are_those_of_the_contract() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    layers = contracts["contracts"][0]["layers"]
    told = {
        place.removeprefix("pdray/").removesuffix("/").removesuffix(".py"): int(layer)
        for layer, place, _ in TABLE
        if layer
    }
    assert told == {
        name.strip("() "): number
        for number, layer in enumerate(layers, 1)
        for name in layer.split("|")
    }


def test_every_file_is_there() -> None:
    files = _FILE.findall(TEXT)
    assert len(files) > 40
    assert [file for file in files if not (ROOT / file).is_file()] == []


def test_every_function_is_in_a_file_that_its_step_names() -> None:
    checked = 0
    for step in STEPS:
        files = {file.rpartition("/")[2]: file for file in _FILE.findall(step)}
        for module, name in _NAME.findall(step):
            file = files[f"{module}.py"]
            found: object = import_module(file.removesuffix(".py").replace("/", "."))
            for part in name.split("."):
                found = getattr(found, part)
            checked += 1
    assert checked > 40
