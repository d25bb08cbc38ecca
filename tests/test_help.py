from pathlib import Path
from typing import Annotated, ClassVar, Literal

import pytest
from pydantic import Discriminator, Field, Tag

from pdray.config import Settings
from pdray.errors import SettingsError
from pdray.help import columns, help_text


class Small(Settings):
    name: Literal["small"] = Field("small", description="architecture")
    depth: int = Field(1, description="layers")


class Large(Settings):
    name: Literal["large"] = Field("large", description="architecture")
    depth: int = Field(50, description="layers of the large one")
    heads: int = Field(2, description="heads")


Model = Annotated[
    Annotated[Small, Tag("small")] | Annotated[Large, Tag("large")],
    Discriminator(lambda section: section.get("name", "small")),
]


class Job(Settings):
    help_groups: ClassVar = {"training": ("epochs", "cuts"), "the model": ("model.*",)}
    manifest: Path = Field(description="table of recordings")
    epochs: int = Field(3, description=" ".join(f"word{number}" for number in range(40)))
    cuts: tuple[str, ...] = Field(("a_long_name", "another_name"), description="groups")
    limit: float | None = Field(None, description="longest")
    model: Model = Small()


@pytest.fixture(autouse=True)
def _narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


def test_required_keys_and_groups_stand_under_titles_in_three_columns() -> None:
    lines = help_text(Job, ["--help"], about="About.\n").splitlines()
    assert lines[:5] == [
        "About.",
        "",
        "required keys:",
        "  manifest           table of recordings",
        "training:",
    ]
    assert lines[5].startswith("  epochs      3      word0 word1 ")
    assert lines[8].endswith(" ...")  # four lines of a meaning
    assert lines[9:] == [
        "  cuts        [a_long_name, another_name]",
        "                     groups",
        "the model:",
        "  model.name  small  architecture: small, large",
        "",
        "--help-all lists all 7 settings with their full descriptions.",
        "Add model.name=NAME to either option to list the settings of that model only.",
    ]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["model.name=large"], ["model.name large", "model.depth 50", "model.heads 2"]),
        (["model.name=large", "model.depth=8"], ["model.name large", "model.depth 8",
                                                 "model.heads 2"]),
        (["model.name=none_such"], ["model.name none_such"]),
        ([], ["model.name small"]),
        (["--help-all"], ["model.name small", "model.depth 1", "model.heads 2"]),
        (["--help-all", "model.name=small"], ["model.name small", "model.depth 1"]),
    ],
)  # fmt: skip
def test_a_model_that_is_named_is_the_only_one(words: list[str], found: list[str]) -> None:
    lines = help_text(Job, words, about="").splitlines()
    assert [" ".join(line.split()[:2]) for line in lines if line.startswith("  model.")] == found


def test_all_settings_come_with_their_whole_meaning() -> None:
    text = help_text(Job, ["--help-all"], about="")
    assert "limit" in text
    assert " ..." not in text
    assert "word39" in text


def test_files_and_words_are_read_and_options_of_the_job_are_not(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("epochs: 9\nmanifest: m.csv\n")
    words = ["--table", "x", "--config", str(file), "limit=2", "--resume", "--help-all", "odd"]
    rows = [line.split()[:2] for line in help_text(Job, words, about="").splitlines()]
    assert {("epochs", "9"), ("manifest", "m.csv"), ("limit", "2")} <= {tuple(row) for row in rows}
    with pytest.raises(SettingsError, match="--config has no file"):
        help_text(Job, ["--config", "--help"], about="")


@pytest.mark.parametrize(("width", "used"), [("40", 80), ("90", 90), ("200", 100)])
def test_lines_are_as_long_as_the_terminal_within_bounds(
    width: str, used: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", width)
    assert columns() == used
