"""Methods that change recordings, by name; another method is one more entry.

An entry names a function ``fit(config, sets) -> editors``. It is called once, with what each set is
made of (:mod:`pdray.synthesis.people`), and returns the editor of each set.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from pdray.data.modalities import Modality
from pdray.synthesis.terms import Family

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pdray.data.cohort.manifest import Recording
    from pdray.data.media.marked import Mark
    from pdray.data.store.frame_store import FrameStore


class Example(NamedTuple):
    """A recording that a method may learn from, and its class, 0..K-1."""

    recording: "Recording"
    target: int


@dataclass(frozen=True)
class Edit:
    """What to make of a recording.

    Attributes:
        source: A real recording of class 0.
        target_class: The class that it is to show, 1..K-1.
        strength: Strength of the edit, 0 (none) to 1.
        mark: Words of the made files.
    """

    source: "Recording"
    target_class: int
    strength: float
    mark: "Mark"

    @property
    def text(self) -> str:
        """The mark of a track: SYNTHETIC, the method, the class, the strength and the date."""
        changed = f"class {self.target_class}, strength {self.strength:.2f}"
        return f"SYNTHETIC, {self.mark.method}, {changed}, {self.mark.date.isoformat()}"


class Faces(NamedTuple):
    """Portraits of a made recording and of its source, at the same frames.

    Attributes:
        made: (F, S, S, 3) uint8 RGB.
        sources: (F, S, S, 3) uint8 RGB.
    """

    made: "NDArray[np.uint8]"
    sources: "NDArray[np.uint8]"


@dataclass(frozen=True)
class Written:
    """A made recording.

    Attributes:
        files: Its files, by the column of the manifest that names them; the first is the one that
            tables name.
        flicker: The mean change between its frames over that of its source.
        cells: Cells of its row that differ from its source's, beside files and label.
        faces: At most 8 of its portraits at strength 1; None at others, and without pictures.
        num_unchanged: Frames that are those of the source, since they have no portrait.
    """

    files: Mapping[str, Path]
    flicker: float
    cells: Mapping[str, str] = field(default_factory=dict)
    faces: Faces | None = None
    num_unchanged: int = 0


class Editor(Protocol):
    """A method that is ready to change recordings.

    Attributes:
        learnt_subjects: Subjects that it learnt from, sorted; empty if it learns nothing.
        learnt_contents: SHA-256 of the files that it learnt from, sorted.
        weights: SHA-256 of what it learnt, hexadecimal; empty if it learns nothing.
        study: Name of the study that it was trained in; empty without one.
        seed: Of its training.
        told: What it learnt, in lines.
        notes: What must be known of whatever it makes, in lines.
        store: Where portraits of the manifest's people are; None of a method without pictures.
    """

    learnt_subjects: Sequence[str]
    learnt_contents: Sequence[str]
    weights: str
    study: str
    seed: int
    told: Sequence[str]
    notes: Sequence[str]
    store: "FrameStore | None"

    def write(self, edit: Edit, stem: Path) -> Written:
        """Write a made recording, each file whole or not at all.

        Args:
            edit: What to make.
            stem: Path of its files without their suffixes.

        Raises:
            DecodeError: If the source cannot be read, without its id.
        """


@dataclass(frozen=True)
class SynthesisMethod:
    """An entry of the registry.

    Attributes:
        description: In one line.
        modality: What it changes; a source must have it.
        columns: Columns of the manifest that name the files that it makes.
        fit: "module:function".
        learns: Whether it learns from others with these settings: "module:function".
        terms: The family of methods whose terms it has; None: it has none.
        needs_study: Whether it is trained before, in a study.
    """

    description: str
    modality: Modality
    columns: tuple[str, ...]
    fit: str
    learns: str
    terms: Family | None
    needs_study: bool = False


METHODS: dict[str, SynthesisMethod] = {
    "damp": SynthesisMethod(
        description="landmarks of a face whose movement is scaled; no network",
        modality="landmarks",
        columns=("landmarks",),
        fit="pdray.synthesis.damp:fit",
        learns="pdray.synthesis.damp:learns",
        terms=None,
    ),
}
for _name, _description in {
    "cyclegan": "pictures of faces, by a study of cyclegan",
    "cut": "pictures of faces, by a study of cut",
    "hrfae": "pictures of faces, by a study of hrfae, whose edits have a strength",
}.items():
    METHODS[_name] = SynthesisMethod(
        description=_description,
        modality="portraits",
        columns=("video", "landmarks"),
        fit="pdray.synthesis.trained:fit",
        learns="pdray.synthesis.trained:learns",
        terms="faces",
        needs_study=True,
    )
