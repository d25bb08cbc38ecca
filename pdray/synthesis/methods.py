"""Methods that change recordings, by name; another method is one more entry.

An entry names a function ``fit(config, name, learnt) -> Editor``. It is called once for each set,
with the set's name (:mod:`pdray.synthesis.sides`) and the recordings that it may learn from.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from pdray.data.modalities import Modality

if TYPE_CHECKING:
    from pdray.data.cohort.manifest import Recording


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
        mark: The text that the made file carries: SYNTHETIC, the method and the date.
    """

    source: "Recording"
    target_class: int
    strength: float
    mark: str


class Editor(Protocol):
    """A method that is ready to change recordings.

    Attributes:
        examples: The recordings that it learnt from; empty for a method that learns nothing.
        weights: SHA-256 of what it learnt, hexadecimal; empty for a method that learns nothing.
        study: Name of the study that it was trained in; empty without one.
        seed: Of its training.
        told: What is to be known of it, in lines.
    """

    examples: Sequence[Example]
    weights: str
    study: str
    seed: int
    told: Sequence[str]

    def write(self, edit: Edit, path: Path) -> float:
        """Write a made file, whole or not at all.

        Returns:
            Its flicker: the mean change between its frames over that of its source.

        Raises:
            DecodeError: If the source cannot be read, without its id.
        """


@dataclass(frozen=True)
class SynthesisMethod:
    """An entry of the registry.

    Attributes:
        description: In one line.
        modality: What it changes; a source must have it.
        column: Column of the manifest that names its files.
        suffix: Of its files.
        fit: "module:function".
        learns: Whether it learns from others with these settings: "module:function".
    """

    description: str
    modality: Modality
    column: str
    suffix: str
    fit: str
    learns: str


METHODS: dict[str, SynthesisMethod] = {
    "damp": SynthesisMethod(
        description="landmarks of a face whose movement is scaled; no network",
        modality="landmarks",
        column="landmarks",
        suffix=".npz",
        fit="pdray.synthesis.damp:fit",
        learns="pdray.synthesis.damp:learns",
    ),
}
