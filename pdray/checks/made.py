"""Made recordings beside a split: those that were learnt from, and made files under real rows."""

import os
from collections.abc import Collection, Iterator
from pathlib import Path

from pdray.checks.case import Case, Split
from pdray.checks.finding import counted
from pdray.data.cohort.digests import SOURCES, Digests
from pdray.data.cohort.manifest import Recording
from pdray.data.cohort.provenance import folders_of_made, provenance_files, read_provenance
from pdray.data.modalities import is_table
from pdray.data.tables.features import is_single
from pdray.errors import DecodeError, ManifestError

_NOT_MADE = ("store", "studies", "mlflow_files", "ray")  # folders of an output folder
_SHOWN = 5


def made_faults(case: Case) -> list[str]:
    """Return what made recordings do on a side of a split where they must not be."""
    made = _made_contents(case)
    renamed = _with(case, made) if made else frozenset()
    return [fault for split in case.splits for fault in _split_faults(case, split, renamed)]


def made_words(case: Case) -> list[str]:
    """Return how many made recordings the study has, and from how many each split learnt."""
    if not case.made:
        return []
    each = ", ".join(f"{split.name} {len(split.made)}" for split in case.splits)
    return [f"{counted(len(case.made), 'made recording')}, learnt from: {each}; none is scored"]


def people_with(case: Case, contents: Collection[str]) -> frozenset[str]:
    """Return the subjects of the case with a recording of which a file has one of these contents.

    Args:
        case: The finished search.
        contents: SHA-256 of files.
    """
    places = _with(case, contents) if contents else ()
    return frozenset(case.recordings[place].subject_id for place in places)


def _split_faults(case: Case, split: Split, renamed: Collection[int]) -> Iterator[str]:
    held = {case.recordings[i].subject_id for i in split.held}
    carrying = [i for i in split.made if case.made[i].carries & held]
    if carrying:
        people = frozenset().union(*(case.made[i].carries for i in carrying)) & held
        yield (
            f"{split.name}: {counted(len(carrying), 'made recording')} that were learnt from carry "
            f"{counted(len(people), 'scored subject')}"
        )
    for told, places in (("scored", split.held), ("learnt from", split.training)):
        found = [case.number_of(i) for i in places if i in renamed]
        if found:
            more = f", and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
            yield (
                f"{split.name}: {counted(len(found), 'made recording')} {told} as if real "
                f"({', '.join(found[:_SHOWN])}{more}): a provenance file lists the same content"
            )


def _with(case: Case, contents: Collection[str]) -> frozenset[int]:
    """Return the positions of the recordings of which a file has one of these contents."""
    digests = Digests(case.output / "store" / SOURCES, writes=False)
    rows, wanted = {one.recording_id: one for one in case.cohort.recordings}, frozenset(contents)
    return frozenset(
        place
        for place, one in enumerate(case.recordings)
        if not wanted.isdisjoint(_contents(rows[one.recording_id], digests))
    )


def _contents(row: Recording, digests: Digests) -> Iterator[str]:
    for column, file in row.files.items():
        if not is_table(column) or is_single(file):
            try:
                yield digests.digest(file)
            except (OSError, DecodeError):  # moved since
                continue


def _made_contents(case: Case) -> frozenset[str]:
    """Return the contents that provenance files near the recordings list as made."""
    files = {one.made_by for one in case.cohort.manifest.listed if one.made_by is not None}
    files |= set(provenance_files(_folders(case)))
    found = set[str]()
    for file in files:
        try:
            found |= read_provenance(file).made.keys()
        except ManifestError:
            continue  # not one of pdray's, or changed: it proves nothing
    return frozenset(found)


def _folders(case: Case) -> set[Path]:
    """Return the folders where provenance files may be: of the recordings, and of made ones."""
    folders = {file.parent for one in case.cohort.recordings for file in one.files.values()}
    folders.add(case.cohort.manifest.path.parent)
    for folder, inner, _ in os.walk(case.output):
        inner[:] = [name for name in inner if name not in _NOT_MADE]
        folders.add(Path(folder))
    return folders_of_made(folders)
