"""Keeps three groups of people apart: of a generator, of its judges, and those who are scored.

A judge that knows a person may tell who it is in place of what the face shows, and a judge that
guided a generator, or is built like that guide, calls ill whatever was made to fool it. So both are
refused, by subject and by content of files.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pdray.atomic import file_digest
from pdray.data.cohort.digests import Digests
from pdray.data.cohort.manifest import Recording
from pdray.data.cohort.rows import FILES
from pdray.errors import DecodeError, StudyError, refuse
from pdray.predict.learnt import Learnt, find_learnt
from pdray.predict.picture_networks import PictureNetwork
from pdray.predict.studied import Studied

_SHOWN = 3


@dataclass(frozen=True)
class Groups:
    """Recordings of the people whom no judge may know.

    Attributes:
        scored: Recordings of the people who are scored.
        learnt: Recordings that the generator learns from.
        manifest: Digest of the manifest that they are of.
        other_people: Whether an equal id in another manifest is another person; equal files are
            always the same person.
        contents: SHA-256 of all files that the generator learnt from, those of its guide included.
    """

    scored: tuple[Recording, ...]
    learnt: tuple[Recording, ...]
    manifest: str
    other_people: bool = False
    contents: frozenset[str] = frozenset()


def refuse_judges(
    networks: Mapping[str, PictureNetwork],
    groups: Groups,
    digests: Digests,
    guide: Studied | None = None,
) -> list[str]:
    """Refuse networks that know the people of a table, or guided its generator.

    Args:
        networks: By the setting that names each.
        groups: The people.
        digests: Of files that were read before.
        guide: The study of the classifier that guides the generator; None: there is none.

    Returns:
        What is not known of published weights, in words.

    Raises:
        StudyError: Names each network and what is wrong with it.
    """
    contents = contents_of_rows([*groups.scored, *groups.learnt], digests)
    faults, notes = [], []
    for key, network in networks.items():
        faults += [f"{key}: {one}" for one in _guide_faults(network, guide)]
        if network.studied is None or network.model is None:
            notes.append(f"{key}: whom {network.name} was trained on is not known")
            continue
        learnt = find_learnt(network.studied, network.model)
        if shared := groups.contents & learnt.files.keys():
            faults.append(
                f"{key}: study {network.name} learnt from {len(shared)} files that the generator "
                "or its guide learnt from"
            )
        for name, rows in (("scored", groups.scored), ("generator's", groups.learnt)):
            if told := _known(learnt, rows, contents, groups):
                faults.append(
                    f"{key}: study {network.name} learnt from {told} of the {name} people"
                )
    by_id = any("by its id" in fault for fault in faults)
    other = "; if only the ids are equal, write other_people=true" if by_id else ""
    refuse(
        faults,
        StudyError,
        "train networks that judge or recognise on other people, and of another architecture than "
        f"the generator's guide{other}",
    )
    return notes


def _known(
    learnt: Learnt,
    rows: Sequence[Recording],
    contents: Mapping[str, Sequence[str]],
    groups: Groups,
) -> str:
    """Return how many people of some recordings a network knows, and how; empty if none."""
    is_same = any(
        one.facts["tags"].get("manifest_digest") == groups.manifest for one, _ in learnt.studies
    )
    found: dict[str, str] = {}
    for row in rows:
        some = contents.get(row.recording_id, ())
        known = learnt.subject_of(row, some, other_people=groups.other_people and not is_same)
        if known is not None:
            found.setdefault(row.subject_id, known[1])
    if not found:
        return ""
    shown = ", ".join(f"{name} {how}" for name, how in list(found.items())[:_SHOWN])
    more = ", ..." if len(found) > _SHOWN else ""
    return f"{len(found)} ({shown}{more}) of {len({row.subject_id for row in rows})}"


def _guide_faults(network: PictureNetwork, guide: Studied | None) -> list[str]:
    if guide is None:
        return []
    if network.studied is None:
        start = guide.config.pretrained
        is_start = start is not None and start.is_file() and file_digest(start) == network.file
        return [f"the guide {guide.name} starts from the same file"] if is_start else []
    if network.studied.study.folder.absolute() == guide.study.folder.absolute():
        return [f"study {guide.name} is the guide itself"]
    if network.studied.config.model.name == guide.config.model.name:
        return [
            f"study {network.name} has the guide's architecture, {guide.config.model.name}; set "
            "another model.name"
        ]
    return []


def contents_of_rows(rows: Sequence[Recording], digests: Digests) -> dict[str, tuple[str, ...]]:
    """Return the SHA-256 of the files of each recording, by its id; of those that can be read.

    Args:
        rows: The recordings.
        digests: Of files that were read before.
    """
    found = {}
    for one in rows:
        files: list[Path] = [file for name in FILES if (file := getattr(one, name)) is not None]
        with suppress(OSError, DecodeError):
            found[one.recording_id] = tuple(digests.digest(file) for file in files)
    return found
