"""A person in an output folder: their recordings, the rows of manifests, digests of their files."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from pdray.config import build
from pdray.data.cohort.digests import SOURCES, Digests
from pdray.data.cohort.manifest import Recording, load_manifest
from pdray.data.cohort.settings import DataConfig
from pdray.data.modalities import is_table
from pdray.data.tables.features import is_single
from pdray.errors import DecodeError, PdrayError
from pdray.tracking.run_log import OUTER, PERMUTED, StudyLog
from pdray.tracking.scorings import subject_marks


class Row(NamedTuple):
    """A row of a manifest.

    Attributes:
        manifest: The file.
        number: Of the row; the header is row 1.
        recording: Its content.
    """

    manifest: Path
    number: int
    recording: Recording

    @property
    def files(self) -> list[Path]:
        """Files that the row names and that are of this recording alone."""
        named = self.recording.files.items()
        return [file for name, file in named if not is_table(name) or is_single(file)]

    @property
    def tables(self) -> list[Path]:
        """Tables with rows of many recordings that the row names."""
        return [file for file in self.recording.files.values() if file not in self.files]


@dataclass(frozen=True)
class Person:
    """Somebody who withdraws.

    Attributes:
        subject: Their id.
        recordings: Ids of their recordings.
        rows: Of the manifests that the studies name.
        store: The frame store.
    """

    subject: str
    recordings: frozenset[str]
    rows: tuple[Row, ...]
    store: Path

    @property
    def key(self) -> str:
        """Digest of the id, as in marks and in the list of scorings."""
        return key_of(self.subject)

    @property
    def stand_in(self) -> str:
        """What stands in the place of the id where something must."""
        return f"withdrawn-{self.key}"

    @cached_property
    def digests(self) -> frozenset[str]:
        """SHA-256 of their files, as far as they were read."""
        notes = Digests(self.store / SOURCES, writes=False)
        noted = [notes.note(file) for row in self.rows for file in row.files]
        return frozenset(str(note["sha256"]) for note in noted if "sha256" in note)

    @cached_property
    def contents(self) -> frozenset[str]:
        """SHA-256 of their files: those that were noted, and those of the files that are there."""
        digests, found = Digests(self.store / SOURCES, writes=False), set(self.digests)
        for file in self.files:
            try:
                found.add(digests.digest(file))
            except (OSError, DecodeError):
                continue  # gone already
        return frozenset(found)

    @cached_property
    def words(self) -> frozenset[str]:
        """Their id, and their files as manifests may name them."""
        named = {
            word
            for row in self.rows
            for file in row.files
            for word in (str(file), os.path.relpath(file, row.manifest.parent))
        }
        return frozenset({self.subject, *named})

    @property
    def files(self) -> list[Path]:
        """Files that their rows name, each once."""
        return list(dict.fromkeys(file for row in self.rows for file in row.files))


def key_of(subject: str) -> str:
    """Return the digest of a subject's id, as in marks and in the list of scorings."""
    (key,) = subject_marks([subject])
    return key


def study_logs(output: Path) -> list[StudyLog]:
    """Return the logs of all studies of an output folder, and of the searches inside them."""
    inside = (OUTER, PERMUTED, f"{PERMUTED}/*/{OUTER}")
    folders = ["studies/*", *(f"studies/*/{one}/*" for one in inside), "assembling/*"]
    found = [file for one in folders for file in sorted(output.glob(f"{one}/study.json"))]
    return [StudyLog(file.parent) for file in found]


def whole_of(log: StudyLog) -> StudyLog:
    """Return the study that a search is part of, or itself."""
    folder = log.folder
    while folder.parent.name in (OUTER, PERMUTED):
        folder = folder.parents[1]
    return StudyLog(folder)


def rows_of_manifests(
    logs: Sequence[StudyLog], others: Sequence[Path], notes: list[str]
) -> Mapping[Path, tuple[Recording, ...]]:
    """Return the recordings of each manifest that studies name, and of others.

    Args:
        logs: The studies.
        others: Manifests.
        notes: Gets a line for each manifest of a study that cannot be read.

    Raises:
        PdrayError: If one of the others cannot be read.
    """
    found: dict[Path, tuple[Recording, ...]] = {}
    sections = list(_data_sections(logs))
    scale = next((data.scale for data in sections if data.scale), None)
    given = [DataConfig(manifest=path, scale=scale) for path in others]
    for data in (*given, *sections):
        path = data.manifest.absolute()
        if path in found:
            continue
        try:
            found[path] = load_manifest(
                path, check_files=False, subjects=data.subjects, scale=data.scale, allowed=None
            ).listed
        except PdrayError as error:
            if data in given:
                raise
            found[path] = ()
            told = str(error).splitlines()[0]
            notes.append(f"manifest {path} cannot be read, look into it yourself: {told}")
    return found


def _data_sections(logs: Sequence[StudyLog]) -> Iterator[DataConfig]:
    for log in logs:
        section: Any = log.read()["settings"].get("data")
        if section:
            yield build(DataConfig, section)
