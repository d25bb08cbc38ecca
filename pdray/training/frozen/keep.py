"""Caches the outputs of a frozen computation in the frame store, next to the frames it reads.

The cached output is an entry of the store like any other: items along time. Its name is a digest
of the entries that it was computed from and of everything else that decides it, including weights.
It is written whole or not at all, and several processes may write it at once.
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
from pdray.data.store.entry import Entry, EntryWriter, is_whole
from pdray.data.store.settings import StoreConfig
from pdray.data.tables.features import Features
from pdray.errors import DecodeError, PdrayError, StoreError

HELD = 4096  # recordings whose descriptions (some kilobytes each) a process keeps in memory
_FORMAT = 1  # part of every name: raise it when the same settings give different items


class Frozen(Protocol):
    """A computation without training.

    Attributes:
        reads: The modalities that it reads; the first one decides the folder.
        decides: Everything that its items depend on beside the entries, as plain data; includes a
            digest of its weights.
    """

    reads: tuple[Modality, ...]
    decides: Mapping[str, Any]

    def items(self, entries: Mapping[Modality, Entry]) -> Iterator[tuple[float, NDArray[Any]]]:
        """Yield (seconds, item) of a recording in rising order, all of one shape and dtype.

        Raises:
            PdrayError: If the recording cannot be read; without its id.
        """


def frozen_path(frozen: Frozen, recording: RatedRecording) -> Path:
    """Return the path of a recording's cached items, which may not exist yet.

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
    """Return the entry of a recording's items; compute it if it is missing or has changed.

    Raises:
        PdrayError: If a source is not stored or cannot be read, or the store cannot be written;
            names the recording.
    """
    path = frozen_path(frozen, recording)
    if is_whole(path):
        return path
    try:
        entries = {
            modality: Entry(source) for modality, source in _sources(frozen, recording).items()
        }
        names, raw = [one.path.stem for one in entries.values()], StoreConfig(codec="raw")
        with replacing(path) as temporary, EntryWriter(temporary, raw, names) as out:
            for seconds, item in frozen.items(entries):
                out.append(seconds, np.ascontiguousarray(item))
            if not out.num_items:
                raise DecodeError("it has no frame to compute from")
    except PdrayError as error:
        raise type(error)(f"recording {recording.recording_id}: {error}") from error
    except OSError as error:
        raise StoreError(
            f"recording {recording.recording_id}: {path.parent} cannot be written: "
            f"{error.strerror or error}; free some space or choose another output"
        ) from error
    return path


@lru_cache(maxsize=HELD)
def read_items(path: Path) -> NDArray[Any]:
    """Return all items of an entry; a process keeps the last ones in memory."""
    entry = Entry(path)
    items: NDArray[Any] = entry.read(np.arange(len(entry)))
    return items


def read_vector(path: Path) -> NDArray[np.float64]:
    """Return the only item of an entry, (D,)."""
    vector: NDArray[np.float64] = read_items(path)[0].astype(np.float64)
    return vector


@lru_cache(maxsize=HELD)
def read_features(path: Path) -> Features:
    """Return the features of an entry of a table; a process keeps the last ones in memory."""
    return Features(Entry(path).names, read_items(path)[0])


def file_state(path: Path | None) -> tuple[int, ...]:
    """Return size and time of a file, as a cheap sign of its content; empty without a file."""
    if path is None or not path.exists():  # reading it will raise the error
        return ()
    facts = path.stat()
    return facts.st_size, facts.st_mtime_ns


def weights_digest(weights: Iterable[tuple[str, Tensor]]) -> str:
    """Return the SHA-256 digest of named tensors, in the given order."""
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
            f"recording {recording.recording_id}: its {', '.join(lacking)} is not in the frame "
            "store; run jobs/prepare.py"
        )
    return {modality: stored[modality] for modality in frozen.reads}
