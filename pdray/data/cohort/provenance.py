"""Provenance file of made recordings: who made them, from what, and who was learnt from.

A picture that was made from a person's, or by a generator that learnt from that person, carries the
person into each fold that learns from it. So each set of made recordings has one JSON file that
names these people, and a fold takes a made recording only if all of them are on its training side
(:mod:`pdray.data.cohort.made`).
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pdray.atomic import write_text
from pdray.errors import ManifestError

VERSION = 1
# Tables in a folder of made recordings: of all files, and of faces that are like another person's.
PROGRESSION, COPIES = "progression.csv", "copies.csv"
NEAREST = "nearest_recording_id"  # a column of the second: whose face it is like
_SHA256 = r"^[0-9a-f]{64}$"
_DIGEST = "digest"
_START = f'{{\n "version": {VERSION},\n "method": '.encode()  # of a file that was written here


class Source(BaseModel):
    """What one file was made from.

    Attributes:
        recording_id: The real recording whose pictures were changed.
        target_class: The class that it is to show, 0..K-1.
        strength: Strength of the edit, 0 (none) to 1.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    recording_id: str = Field(min_length=1)
    target_class: int = Field(ge=0)
    strength: float = Field(ge=0, le=1)


class Provenance(BaseModel):
    """The content of a provenance file.

    Attributes:
        version: Of the format.
        method: What made the recordings, such as "cut".
        study: Name of the study whose generator it was; empty for a method that learns nothing.
        commit: Of the source code.
        weights: SHA-256 of the generator's weights; empty for a method that learns nothing.
        seed: Of its training.
        learnt_subjects: Subjects that the generator learnt from.
        learnt_contents: SHA-256 of the files that it learnt from.
        made: What each made file was made from, by the file's SHA-256.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int = Field(VERSION, ge=VERSION, le=VERSION)
    method: str = Field(min_length=1)
    study: str = ""
    commit: str = ""
    weights: str = Field("", pattern=rf"{_SHA256}|^$")
    seed: int = Field(0, ge=0)
    learnt_subjects: tuple[str, ...] = ()
    learnt_contents: tuple[str, ...] = ()
    made: Mapping[str, Source] = Field(min_length=1)

    @property
    def maker(self) -> str:
        """SHA-256 of all but ``made``: what a made file can say of this one, which lists it."""
        return _digest(self.model_dump(mode="json", exclude={"made"}))


def write_provenance(path: Path, provenance: Provenance) -> None:
    """Write a provenance file, whole or not at all."""
    tree = provenance.model_dump(mode="json")
    write_text(path, json.dumps(tree | {_DIGEST: _digest(tree)}, indent=1) + "\n")


def read_provenance(path: Path) -> Provenance:
    """Read a provenance file.

    Raises:
        ManifestError: If it is absent, no such file, of another version, or was changed after it
            was written; the message names no folder.
    """
    try:
        tree = json.loads(path.read_bytes())
    except OSError as error:
        raise ManifestError(f"{path.name} cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise ManifestError(f"{path.name} is no JSON file: {error}") from error
    if not isinstance(tree, dict) or not isinstance(tree.get("made"), dict):
        raise ManifestError(f"{path.name} is no provenance file: it does not say what was made")
    said = tree.pop(_DIGEST, None)
    try:
        found = Provenance.model_validate(tree)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise ManifestError(f"{path.name}: {where}: {first['msg']}") from error
    if said != _digest(found.model_dump(mode="json")):
        raise ManifestError(
            f"{path.name} was changed after it was written (its digest differs); restore the file, "
            "or make the recordings again"
        )
    return found


def folders_of_made(roots: Iterable[Path]) -> set[Path]:
    """Return folders, and those of made recordings in them: ``<root>/<name>.made/<set>``."""
    found = set(roots)
    inner = {path for root in found for path in root.glob("*.made/*") if path.is_dir()}
    return found | inner | {path.parent for path in inner}


def provenance_files(folders: Iterable[Path]) -> Iterator[Path]:
    """Yield the provenance files in folders, by how they begin; folders inside are not searched."""
    for folder in folders:
        for path in sorted(folder.glob("*.json")):
            try:
                with path.open("rb") as file:
                    start = file.read(len(_START))
            except OSError:
                continue
            if start == _START:
                yield path


def _digest(tree: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(tree, sort_keys=True).encode()).hexdigest()
