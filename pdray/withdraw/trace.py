"""An artefact that holds data of a person: where it is, and how these are deleted."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Kind = Literal[
    "frames", "features", "reports", "pictures", "made", "runs", "scores", "tables", "keys"
]
KINDS: dict[Kind, str] = {
    "frames": "entries of the frame store, caches made of them, notes of files",
    "features": "features that checks or visits keep",
    "reports": "reports, which have running numbers and points of people",
    "pictures": "maps and pictures of explain",
    "made": "made recordings in the output folder",
    "runs": "Ray's state of trials, and checkpoints",
    "scores": "printed scores",
    "tables": "tables and lists",
    "keys": "keys of running numbers",
}
"""In the order of deletion: tables and keys come last, since they tell whose the rest is."""


@dataclass(frozen=True)
class Trace:
    """An artefact that holds data of a person.

    Attributes:
        kind: What it is.
        path: Where it is.
        told: What of it is the person's, such as "8 of 46 rows".
        erase: Deletes the data; the artefact may stay without them.
    """

    kind: Kind
    path: Path
    told: str
    erase: Callable[[], None]
