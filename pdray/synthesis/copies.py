"""Copy check of the job: made faces that look like somebody whom their generator learnt from.

Each set is checked by itself (:mod:`pdray.evaluation.made_copies`), by a recogniser that knows
nobody of the manifest: the made portraits of strength 1 and those of their sources, the real ones
of the people whom the set's generator learnt from, and those of all other people of the manifest.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from pdray.atomic import write_text
from pdray.data.cohort.csv_table import table_text
from pdray.data.cohort.digests import SOURCES, Digests
from pdray.data.cohort.manifest import Manifest, Recording
from pdray.data.cohort.members import usable
from pdray.data.cohort.provenance import COPIES, NEAREST
from pdray.data.store.frame_store import FrameStore
from pdray.errors import refuse
from pdray.evaluation.made_copies import (
    LEAST_REAL,
    Copies,
    CopyError,
    Faces,
    find_copies,
    refuse_copies,
)
from pdray.predict.picture_groups import Groups, contents_of_rows, refuse_judges
from pdray.predict.picture_networks import MODALITY, PictureNetwork, open_network
from pdray.predict.portrait_pictures import read_portraits
from pdray.synthesis.made_folder import MadeRecording
from pdray.synthesis.methods import Editor
from pdray.synthesis.settings import SynthesizeConfig

KEY = "synthesis.identity"
_COLUMNS = ("recording_id", "set", "target_class", "file", "portrait", NEAREST)
_OF_EACH = (8, 32)  # portraits of a real recording; up to the second where few people are held out

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Side:
    """The real recordings of a set.

    Attributes:
        learnt: Those of people whom its generator learnt from.
        held_out: All others.
    """

    learnt: tuple[Recording, ...]
    held_out: tuple[Recording, ...]


@dataclass(frozen=True)
class Face:
    """A made portrait.

    Attributes:
        of: Its recording, without portraits.
        number: Which of its portraits it is.
        made: (D,) features.
        source: (D,) features of the portrait that it was made from.
    """

    of: MadeRecording
    number: int
    made: Numbers
    source: Numbers

    @property
    def id(self) -> str:
        """Its recording, and which of its portraits it is."""
        return f"{self.of.source.recording_id} class {self.of.target_class} portrait {self.number}"


@dataclass(frozen=True, eq=False)
class CopyCheck:
    """A check of made faces, which knows the real ones.

    Attributes:
        network: The recogniser.
        learnt: Portraits of the people whom each set's generator learnt from.
        held_out: Portraits of all other people, by set.
        notes: What is not known of the recogniser, in words.
        faces: The made portraits that were seen, by set.
    """

    network: PictureNetwork
    learnt: Mapping[str, Faces]
    held_out: Mapping[str, Faces]
    notes: Sequence[str]
    faces: dict[str, list[Face]] = field(default_factory=dict)

    def see(self, one: MadeRecording) -> None:
        """Take in the portraits of a made recording; one without them is left out.

        Raises:
            StudyError: If the recogniser learnt from portraits of another size.
        """
        if one.faces is None:
            return
        made, sources = (self.network.features(pictures) for pictures in one.faces)
        self.faces.setdefault(one.name, []).extend(
            Face(one, number, *features)
            for number, features in enumerate(zip(made, sources, strict=True))
        )

    def finish(self, folder: Path, most: float) -> list[str]:
        """Write the list of copies; return what was found, in lines.

        Args:
            folder: Of the made recordings.
            most: Largest share of a set's made faces that may be copies, 0..1.

        Raises:
            CopyError: If a set has more; names each set, the share and the first portraits.
        """
        found, faults, rows = {}, [], []
        for name in self.learnt:
            faces = self.faces.get(name, [])
            try:
                found[name] = copies = self._find(name, faces)
                rows += _rows(faces, copies)
                refuse_copies(copies, most)
            except CopyError as error:
                faults.append(f"set {name}: {error}")
        refuse(faults, CopyError, f"the copy check by {self.network.name} stops the job")
        write_text(folder / COPIES, table_text(_COLUMNS, rows))
        return [*map(str, self.notes), *(_line(name, one) for name, one in found.items())]

    def _find(self, name: str, faces: Sequence[Face]) -> Copies:
        features = [one.made for one in faces]
        made = Faces(
            tuple(one.id for one in faces),
            tuple(one.of.source.subject_id for one in faces),
            np.stack(features) if features else np.zeros((0, 1)),
        )
        sources = np.stack([one.source for one in faces]) if faces else made.features
        return find_copies(made, sources, self.learnt[name], self.held_out[name])


def open_check(
    config: SynthesizeConfig, manifest: Manifest, editors: Mapping[str, Editor]
) -> CopyCheck:
    """Open the recogniser and show it all real people, before anything is made.

    Args:
        config: Settings, with ``synthesis.identity``.
        manifest: Its real recordings are compared.
        editors: Of each set; those of pictures.

    Raises:
        PdrayError: If the recogniser cannot be used or knows somebody, or a set has too few real
            portraits of people whom its generator did not learn from.
    """
    assert config.synthesis.identity is not None, "settings were checked"
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network = open_network(config.synthesis.identity, KEY, device=device)
    rows, _ = usable(manifest, config.data, (MODALITY,))
    store = next(one.store for one in editors.values() if one.store is not None)
    digests = Digests(store.root / SOURCES)
    sides = find_sides(rows, editors, digests)
    known = {one.recording_id for side in sides.values() for one in side.learnt}
    groups = Groups(
        tuple(one for one in rows if one.recording_id not in known),
        tuple(one for one in rows if one.recording_id in known),
        manifest.digest,
        config.other_people,
        frozenset(one for editor in editors.values() for one in editor.learnt_contents),
    )
    notes = refuse_judges({KEY: network}, groups, digests)
    return check_of(network, sides, store, notes)


def find_sides(
    rows: Sequence[Recording], editors: Mapping[str, Editor], digests: Digests
) -> dict[str, Side]:
    """Return the real recordings of each set; people are told by id and by content of files."""
    contents, found = contents_of_rows(rows, digests), {}
    for name, editor in editors.items():
        subjects, learnt = set(editor.learnt_subjects), set(editor.learnt_contents)
        subjects |= {
            one.subject_id for one in rows if learnt & {*contents.get(one.recording_id, ())}
        }
        found[name] = Side(
            tuple(one for one in rows if one.subject_id in subjects),
            tuple(one for one in rows if one.subject_id not in subjects),
        )
    return found


def check_of(
    network: PictureNetwork, sides: Mapping[str, Side], store: FrameStore, notes: Sequence[str]
) -> CopyCheck:
    """Return a check that has seen the real people.

    Args:
        network: The recogniser.
        sides: The real recordings of each set.
        store: Where their portraits are.
        notes: What is not known of the recogniser, in words.

    Raises:
        CopyError: If a set has too few portraits of held-out people; names each set.
        DecodeError: If recordings have no portraits; names each.
        StudyError: If the recogniser learnt from portraits of another size.
    """
    fewest = min(len(side.held_out) for side in sides.values())
    low, high = _OF_EACH
    of_each = min(max(low, -(-LEAST_REAL // max(fewest, 1))), high)
    rows = {
        one.recording_id: one for side in sides.values() for one in (*side.learnt, *side.held_out)
    }
    read = read_portraits([*rows.values()], store, of_each)
    features, numbers = (
        network.features(read.pictures),
        dict(zip(rows, range(len(rows)), strict=True)),
    )

    def faces(side: Sequence[Recording]) -> Faces:
        places = [np.flatnonzero(read.rows == numbers[one.recording_id]) for one in side]
        owners = [one for one, some in zip(side, places, strict=True) for _ in some]
        chosen = np.concatenate(places) if places else np.zeros(0, np.int64)
        return Faces(
            tuple(one.recording_id for one in owners),
            tuple(one.subject_id for one in owners),
            features[chosen],
        )

    learnt = {name: faces(side.learnt) for name, side in sides.items()}
    held_out = {name: faces(side.held_out) for name, side in sides.items()}
    faults = [
        f"set {name}: {len(one.ids)} portraits of {len({*one.subjects})} people whom its generator "
        "did not learn from"
        for name, one in held_out.items()
        if len(one.ids) < LEAST_REAL
    ]
    headline = (
        f"the copy check needs {LEAST_REAL} real portraits of people whom a set's generator did "
        f"not learn from, at most {high} of a recording; hold out more people: fewer folds, or "
        "add people who agree to 'learn' to the manifest and train the study again"
    )
    refuse(faults, CopyError, headline)
    return CopyCheck(network, learnt, held_out, notes)


def _rows(faces: Sequence[Face], copies: Copies) -> list[dict[str, str | int]]:
    nearest = dict(zip(copies.ids, copies.nearest, strict=True))
    return [
        {
            "recording_id": one.of.source.recording_id,
            "set": one.of.name,
            "target_class": one.of.target_class,
            "file": next(iter(one.of.files.values())),
            "portrait": one.number,
            NEAREST: nearest[one.id],
        }
        for one in faces
        if one.id in nearest
    ]


def _line(name: str, copies: Copies) -> str:
    return (
        f"set {name}: {len(copies.ids)} of {copies.num_made} made faces ({copies.share:.1%}) look "
        f"like somebody else whom the generator learnt from ({COPIES})"
    )
