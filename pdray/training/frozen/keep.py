"""Outputs of a frozen computation, computed once and kept beside the frames it reads.

A network without anything to learn gives the same numbers for a frame whenever it is asked, so its
output is an entry of the frame store like any other: items along time. The name of an entry is a
digest of the entries that it was made of and of everything that decides it, weights included; it
appears whole or not at all, and writers may race.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from pdray.atomic import replacing
from pdray.data.cohort.rated import RatedRecording
from pdray.data.modalities import Modality
from pdray.data.store.entry import Entry, EntryWriter
from pdray.data.store.settings import StoreConfig
from pdray.errors import DecodeError, PdrayError, StoreError

HELD = 4096  # recordings of whose description a process keeps some kilobytes each
_FORMAT = 1  # part of every name: raise it when the same settings give other items


class Frozen(Protocol):
    """A computation that has nothing left to learn.

    Attributes:
        reads: The modalities that it is made of, the first of which gives the folder.
        decides: Everything that its items depend on beside the entries, as plain data; the digest
            of its weights among it.
    """

    reads: tuple[Modality, ...]
    decides: Mapping[str, Any]

    def items(self, entries: Mapping[Modality, Entry]) -> Iterator[tuple[float, NDArray[Any]]]:
        """Yield (seconds, item) of a recording, rising, all items of one shape and dtype.

        Raises:
            PdrayError: Without the recording's id.
        """


def frozen_path(frozen: Frozen, recording: RatedRecording) -> Path:
    """Return where the items of a recording are or will be.

    Raises:
        DecodeError: If the recording is not stored; names it.
    """
    sources = _sources(frozen, recording)
    key = {
        "decides": frozen.decides,
        "entries": {modality: path.stem for modality, path in sources.items()},
        "format": _FORMAT,
    }
    name = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
    # <store>/ab/abc.arrow: beside the frames, in the same folders.
    return sources[frozen.reads[0]].parents[1] / name[:2] / f"{name}.arrow"


def keep_frozen(frozen: Frozen, recording: RatedRecording) -> Path:
    """Return the entry of a recording's items, making it when it is not there.

    Raises:
        PdrayError: If a source is not stored or cannot be read, or the store cannot be written;
            names the recording.
    """
    path = frozen_path(frozen, recording)
    if path.exists():
        return path
    try:
        entries = {
            modality: Entry(source) for modality, source in _sources(frozen, recording).items()
        }
        with replacing(path) as temporary, EntryWriter(temporary, StoreConfig(codec="raw")) as out:
            for seconds, item in frozen.items(entries):
                out.append(seconds, np.ascontiguousarray(item))
            if not out.num_items:
                raise DecodeError("nothing can be computed of it")
    except PdrayError as error:
        raise type(error)(f"recording {recording.recording_id}: {error}") from error
    except OSError as error:
        raise StoreError(
            f"recording {recording.recording_id}: {path.parent} cannot be written: "
            f"{error.strerror or error}"
        ) from error
    return path


@lru_cache(maxsize=HELD)
def read_items(path: Path) -> NDArray[Any]:
    """Return all items of an entry; a process keeps those of the last recordings."""
    entry = Entry(path)
    items: NDArray[Any] = entry.read(np.arange(len(entry)))
    return items


def read_vector(path: Path) -> NDArray[np.float64]:
    """Return the only item of an entry, (D,)."""
    vector: NDArray[np.float64] = read_items(path)[0].astype(np.float64)
    return vector


def file_state(path: Path | None) -> tuple[int, ...]:
    """Return what tells one content of a file from another at little cost; nothing of no file."""
    if path is None or not path.exists():  # whoever reads it says what is wrong
        return ()
    facts = path.stat()
    return facts.st_size, facts.st_mtime_ns


def weights_digest(weights: Iterable[tuple[str, Tensor]]) -> str:
    """Return the SHA-256 of named tensors, in the order given."""
    digest = hashlib.sha256()
    for name, tensor in weights:
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _sources(frozen: Frozen, recording: RatedRecording) -> dict[Modality, Path]:
    stored = recording.stored or {}
    lacking = [modality for modality in frozen.reads if modality not in stored]
    if lacking:
        raise DecodeError(
            f"recording {recording.recording_id}: its {', '.join(lacking)} is not stored"
        )
    return {modality: stored[modality] for modality in frozen.reads}
