"""The command that trains a study again without a person."""

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from pdray.atomic import write_text
from pdray.command import console
from pdray.tracking.run_log import StudyLog
from pdray.tracking.withdrawn import read_marks
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
    names = {folder: _new_name(study, person) for folder, study in wholes.items()}
    moved: dict[str, str] = {}
    for one in learnt:
        old = whole_of(one.log).folder
        new = old.with_name(names[old])
        moved |= {key: str(new / path.relative_to(old)) for key, path in one.digests.items()}
    return {
        folder: _again(study, names[folder], _Changes(moved, person, output))
        for folder, study in wholes.items()
    }


class _Changes(NamedTuple):
    """What is changed in settings: places of start weights, the person, the output folder."""

    moved: Mapping[str, str]
    person: Person
    output: Path


def _again(study: StudyLog, name: str, changes: _Changes) -> Again:
    tree = study.read()["settings"]
    if "fixed" in tree or "search" not in tree:
        return Again(study, {}, "")
    search = {key: value for key, value in tree["search"].items() if key != "name"}
    gone = changes.person.words | {changes.person.stand_in}
    data = dict(tree["data"])
    groups = data.get("different_subjects", [])
    left = [[one for one in group if one not in gone] for group in groups]
    data["different_subjects"] = [group for group in left if len(group) > 1]
    data["shared_files"] = [one for one in data.get("shared_files", []) if one not in gone]
    new = {**tree, "search": search, "data": data, "output": str(changes.output)}
    job = "assemble-patients" if study.folder.parent.name == "assembling" else "tune-tsa"
    words = ("--config", str(study.folder / SETTINGS), f"search.name={name}")
    return Again(study, _mapped(new, _starts(study, changes.moved)), console(job, *words))


def _new_name(study: StudyLog, person: Person) -> str:
    """Return the name of the study that is trained again, as an earlier call chose it."""
    before = read_marks(study.folder).get(person.key)
    if before is not None and before.again:
        return shlex.split(before.again)[-1].removeprefix("search.name=")
    ends = chain(("",), map(str, count(2)))
    names = (f"{study.folder.name}-again{end}" for end in ends)
    return next(name for name in names if not study.folder.with_name(name).exists())


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
