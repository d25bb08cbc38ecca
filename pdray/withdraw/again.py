"""The command that trains a study again without a person."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from pdray.atomic import write_text
from pdray.command import console
from pdray.tracking.run_log import StudyLog
from pdray.withdraw.models import Touched
from pdray.withdraw.person import Person, whole_of

SETTINGS = "again.yaml"


@dataclass(frozen=True)
class Again:
    """How a study is trained again.

    Attributes:
        study: The study.
        settings: Its settings without the person; empty if there is no such command.
        command: To paste, once the manifest is without the person.
    """

    study: StudyLog
    settings: Mapping[str, Any]
    command: str

    def write(self) -> None:
        """Write the settings that the command reads."""
        if self.settings:
            text = yaml.safe_dump(dict(self.settings), sort_keys=False)
            write_text(self.study.folder / SETTINGS, text)


def commands(touched: Sequence[Touched], person: Person, output: Path) -> dict[Path, Again]:
    """Return how each study whose models learnt is trained again, by its folder, in that order.

    A study that starts from the model of another one comes after it, and starts from the new one.
    """
    learnt = [one for one in touched if one.learnt]
    wholes = {whole_of(one.log).folder: whole_of(one.log) for one in learnt}
    moved = {
        key: str(_renamed(whole_of(one.log).folder) / path.relative_to(whole_of(one.log).folder))
        for one in learnt
        for key, path in one.digests.items()
    }
    return {folder: _again(study, moved, person, output) for folder, study in wholes.items()}


def _again(study: StudyLog, moved: Mapping[str, str], person: Person, output: Path) -> Again:
    tree = study.read()["settings"]
    if "fixed" in tree or "search" not in tree:
        return Again(study, {}, "")
    starts = _starts(study, moved)
    search = {key: value for key, value in tree["search"].items() if key != "name"}
    groups = tree["data"].get("different_subjects", [])
    kept = [[one for one in group if one != person.subject] for group in groups]
    data = {**tree["data"], "different_subjects": [group for group in kept if len(group) > 1]}
    settings = _mapped({**tree, "search": search, "data": data, "output": str(output)}, starts)
    job = "assemble-patients" if study.folder.parent.name == "assembling" else "tune-tsa"
    name = f"search.name={_renamed(study.folder).name}"
    return Again(study, settings, console(job, "--config", str(study.folder / SETTINGS), name))


def _starts(study: StudyLog, moved: Mapping[str, str]) -> dict[str, str]:
    """Return the new place of each weights file that a study started from and that learnt."""
    if not study.weights_path.is_file():
        return {}

    kept: dict[str, str] = json.loads(study.weights_path.read_text(encoding="utf-8"))
    return {
        path: moved.get(path, moved.get(digest, ""))
        for path, digest in kept.items()
        if path in moved or digest in moved
    }


def _mapped(plain: Any, places: Mapping[str, str]) -> Any:
    if isinstance(plain, Mapping):
        return {key: _mapped(value, places) for key, value in plain.items()}
    if isinstance(plain, list | tuple):
        return [_mapped(one, places) for one in plain]
    return places.get(plain, plain) if isinstance(plain, str) else plain


def _renamed(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}-again")
