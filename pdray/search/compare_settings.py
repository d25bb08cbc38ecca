"""Settings of ``jobs/compare.py``: the command line names studies and tables without a key."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from pydantic import Field, field_validator

from pdray.config import Settings, load
from pdray.evaluation.settings import CompareConfig
from pdray.rights import OutputMode
from pdray.search.settings import OutputFolder, default_output


class CompareStudiesConfig(Settings):
    """Settings of ``jobs/compare.py``."""

    help_groups: ClassVar = {
        "what is tested": ("compare.metrics", "compare.margin", "compare.level",
                           "compare.secondary"),
        "models and rows": ("compare.models", "compare.common_rows", "name", "output"),
    }  # fmt: skip
    studies: tuple[Path, ...] = Field(
        min_length=1,
        description="folders of studies or files of predictions tables; words without = in the "
        "command line",
    )
    compare: CompareConfig = CompareConfig()
    name: str | None = Field(
        None,
        min_length=1,
        description="name of the folder that the files go to; null: made of the names of the "
        "studies and tables",
    )
    output: OutputFolder = Field(
        default_factory=default_output,
        validate_default=True,
        description="comparison.csv and comparison.txt go to <output>/comparisons/<name>",
    )
    output_mode: OutputMode = "owner"

    @field_validator("name")
    @classmethod
    def _is_one_folder(cls, name: str | None) -> str | None:
        if name is not None and (name in (".", "..") or Path(name).name != name):
            raise ValueError(f"got '{name}'; write the name of one folder")
        return name


def load_comparison(argv: Sequence[str]) -> CompareStudiesConfig:
    """Read the command line of ``jobs/compare.py``.

    Args:
        argv: Folders and files, ``--config FILE`` and ``key=value``, in any order.

    Raises:
        SettingsError: Lists all faults.
    """
    places: list[str] = []
    words: list[str] = []
    for before, word in zip(["", *argv], argv, strict=False):
        is_place = "=" not in word and not word.startswith("-") and before != "--config"
        (places if is_place else words).append(word)
    if places:
        words.append(f"studies={json.dumps(places)}")
    return load(CompareStudiesConfig, words)
