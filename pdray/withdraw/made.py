"""Finds what was made of a person, and what generators that learnt from the person made of others.

Made recordings lie beside a manifest of their owner, who deletes them. Those that lie in the output
folder are deleted like all else there.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pdray.atomic import file_digest
from pdray.data.cohort.manifest import Recording
from pdray.data.cohort.provenance import (
    COPIES,
    PROGRESSION,
    Provenance,
    folders_of_made,
    provenance_files,
    read_provenance,
    write_provenance,
)
from pdray.errors import ManifestError
from pdray.withdraw.person import Person
from pdray.withdraw.tables import table_traces
from pdray.withdraw.trace import Trace

Rows = Mapping[Path, Sequence[Recording]]


@dataclass(frozen=True)
class MadeSet:
    """Made recordings of one provenance file that carry a person.

    Attributes:
        path: The provenance file.
        provenance: Its content.
        own: SHA-256 of the files that were made of the person.
        files: Those of them that lie beside the provenance file.
        has_learnt: Whether their generator learnt from the person; it then carries the person into
            all files of the set.
        rows: Rows of others that name the provenance file, by manifest.
        tables: Tables of its folder with rows of the person.
    """

    path: Path
    provenance: Provenance
    own: frozenset[str]
    files: tuple[Path, ...]
    has_learnt: bool
    rows: Mapping[Path, tuple[int, ...]]
    tables: tuple[Path, ...]

    @property
    def num_others(self) -> int:
        """Number of files that were made of other people."""
        return len(self.provenance.made) - len(self.own)


def made_sets(person: Person, known: Rows, output: Path, notes: list[str]) -> list[MadeSet]:
    """Return the sets of made recordings that carry a person.

    Args:
        person: The person.
        known: Rows of manifests.
        output: The output folder.
        notes: Gets a line for each provenance file that cannot be read.
    """
    named = {one.made_by for rows in known.values() for one in rows if one.made_by is not None}
    folders = folders_of_made([output, *(path.parent for path in known)])
    found = []
    for path in sorted(named | set(provenance_files(folders))):
        try:
            provenance = read_provenance(path)
        except ManifestError as error:
            notes.append(f"provenance file {path}: look into it yourself: {error}")
            continue
        own = {
            content
            for content, source in provenance.made.items()
            if source.recording_id in person.recordings
        }
        has_learnt = person.subject in provenance.learnt_subjects or not person.contents.isdisjoint(
            provenance.learnt_contents
        )
        if own or has_learnt:
            files = tuple(_files(path.parent, own))
            rows = _others(path, person, known) if has_learnt else {}
            own_files, tables = frozenset(own), tuple(_tables(path.parent, person))
            found.append(MadeSet(path, provenance, own_files, files, has_learnt, rows, tables))
    return found


def made_traces(sets: Sequence[MadeSet], person: Person, output: Path) -> Iterator[Trace]:
    """Yield the made files of a person in the output folder, then the files that name the person.

    Args:
        sets: Of the person.
        person: The person.
        output: The output folder; what lies elsewhere is its owner's.
    """
    for one in sets:
        if one.path.is_relative_to(output):
            for file in one.files:
                yield Trace("made", file, "made of the person", partial(file.unlink, True))
            yield Trace("made", one.path, "names the person", partial(_without, one, person))


def _files(folder: Path, contents: set[str]) -> Iterator[Path]:
    if contents:
        for path in sorted(folder.iterdir()):
            if path.is_file() and file_digest(path) in contents:
                yield path


def _tables(folder: Path, person: Person) -> Iterator[Path]:
    """Yield the tables of a set and of its folder that name a person."""
    for path in (one / name for one in (folder, folder.parent) for name in (PROGRESSION, COPIES)):
        if path.is_file() and any(table_traces(path, person)):
            yield path


def _others(path: Path, person: Person, known: Rows) -> dict[Path, tuple[int, ...]]:
    """Return the rows of other people that name a provenance file, by manifest; row 1 is header."""
    found = {
        manifest: tuple(
            number
            for number, one in enumerate(rows, start=2)
            if one.made_by == path and one.subject_id != person.subject
        )
        for manifest, rows in known.items()
    }
    return {manifest: numbers for manifest, numbers in found.items() if numbers}


def _without(one: MadeSet, person: Person) -> None:
    """Write a provenance file again with a stand-in for the person, who no manifest has."""
    old = one.provenance
    made = {content: source for content, source in old.made.items() if content not in one.own}
    if not made:
        one.path.unlink(missing_ok=True)
        return
    subjects = (person.stand_in if name == person.subject else name for name in old.learnt_subjects)
    new = {
        "made": made,
        "learnt_subjects": tuple(subjects),
        "learnt_contents": tuple(
            content for content in old.learnt_contents if content not in person.contents
        ),
    }
    write_provenance(one.path, old.model_copy(update=new))
