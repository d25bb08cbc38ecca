"""README and docs: links lead somewhere, commands are accepted, tables are complete."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from docs.settings import PAGE, page
from jobs.reproduce import TABLES
from pdray.config import HELP
from pdray.data.modalities import named
from pdray.models import DEFAULT, MODELS, NETWORKS
from pdray.papers.table import table_names
from tests.fixtures.job_words import read_words
from tests.places import ROOT

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]
PAGES += sorted((ROOT / "docs").rglob("*.md"))
PATH = ROOT / "docs" / "explanation" / "how-a-trial-ends.md"
MAX_README_LINES = 150
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_JOB = re.compile(r" *\.venv/bin/(?:python|ray job submit .* -- python) jobs/(\w+)\.py(?: (.*))?$")


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def job_commands() -> Iterator[tuple[str, str, list[str]]]:
    """Yield (page, job, its words) of every command line of a page that starts a job."""
    for path in PAGES:
        for line in path.read_text().replace("\\\n", " ").splitlines():
            if found := _JOB.match(line):
                yield name_of(path), found[1], shlex.split(found[2] or "")


def test_there_is_something_to_check() -> None:
    assert len(PAGES) > 20
    assert len(list(job_commands())) > 30


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_every_relative_link_leads_to_a_file(path: Path) -> None:
    links = [link.partition("#")[0] for link in _LINK.findall(path.read_text())]
    inside = [link.replace("\\", "") for link in links if link and not link.startswith("http")]
    assert [link for link in inside if not (path.parent / link).exists()] == []


@pytest.mark.parametrize(("where", "job", "words"), list(job_commands()))
def test_every_command_that_starts_a_job_is_accepted(
    where: str, job: str, words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    if not set(HELP) & set(words):
        assert read_words(job, words, tmp_path) is not None, where


def test_the_readme_fits_a_screen_and_lists_every_job() -> None:
    lines = (ROOT / "README.md").read_text().splitlines()
    assert len(lines) <= MAX_README_LINES
    cells = [line.split("|")[1] for line in lines if re.match(r"\| `\w+`", line)]
    listed = [name for cell in cells for name in re.findall(r"`(\w+)`", cell)]
    assert sorted(listed) == sorted(path.stem for path in (ROOT / "jobs").glob("*.py"))


def test_the_page_on_the_papers_lists_every_table() -> None:
    text = (ROOT / "docs" / "how-to" / "paper-tables.md").read_text()
    assert [name for name in table_names(TABLES) if f"`{name}`" not in text] == []


def test_the_page_of_models_is_that_of_the_registry() -> None:
    text = (ROOT / "docs" / "reference" / "models.md").read_text()
    listed = [line for line in text.partition("## Losses")[0].splitlines() if line[:3] == "| `"]
    expected = [
        f"| `{name}`{' (default)' if name == DEFAULT else ''} | {entry.description} |"
        + ("" if name in NETWORKS else f" {', '.join(map('`{}`'.format, named(entry.sees)))} |")
        for name, entry in MODELS.items()
    ]
    assert [line for line in listed if "`model.name`" not in line] == expected


def test_make_and_benchmarks_have_what_pages_name() -> None:
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    text = "\n".join(path.read_text() for path in PAGES)
    named = re.findall(r"(?:`|^    )make (\w+)", text, re.MULTILINE)
    assert set(named) <= targets
    modules = set(re.findall(r"python -m benchmarks\.(\w+)", text))
    assert {name for name in modules if not (ROOT / f"benchmarks/{name}.py").exists()} == set()


def test_the_path_through_the_code_names_what_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    text = PATH.read_text()
    steps = re.split(r"^\d\. ", text.partition("Try the rule")[0], flags=re.MULTILINE)[1:]
    assert len(steps) == 5
    for step in steps:
        file = re.findall(r"\]\((\S+\.py)\)", step)[-1]
        code = (PATH.parent / file).read_text()
        names = re.findall(r"`(_?[A-Za-z]\w+)`", step)
        assert names
        assert [name for name in names if name not in code] == [], file
    example, printed = re.findall(r"```(?:python|text)\n(.*?)```", text, re.DOTALL)
    exec(example, {})
    assert capsys.readouterr().out == printed


def test_the_page_of_licences_names_every_package() -> None:
    text = (ROOT / "docs" / "reference" / "licences.md").read_text()
    named = set(re.findall(r"[\w.-]+", text.partition("## All packages")[2]))
    pinned = [line.partition("==")[0] for line in (ROOT / "constraints.txt").read_text().split()]
    assert [name for name in pinned if name not in named] == []


def test_the_page_of_settings_is_that_of_the_code() -> None:
    assert PAGE.read_text() == page(), "run: .venv/bin/python -m docs.settings"
