"""Entry of the frame store: the items of a recording in one file, each readable by itself.

The file is Arrow IPC with one row per item: its time and its encoded bytes. The rows are in batches
of a few megabytes, each with the SHA-256 of its content. The file is mapped into memory, so only
the wanted items are read. Arrow writes its index last, so a file that was cut cannot be opened;
:func:`is_whole` finds every other changed byte.
"""

import hashlib
import json
import math
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, get_args

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pdray.data.store.codec import Item, decode_into, encode
from pdray.data.store.settings import CodecName, StoreConfig
from pdray.errors import StoreError

_BATCH_BYTES = 4 << 20  # of decoded items
_BATCH_ITEMS = 4096  # at most
_SCHEMA = pa.schema([("seconds", pa.float64()), ("data", pa.large_binary())])
_KINDS = "uifb"  # of numbers: never objects, whose bytes would be addresses in memory
_MOST_AXES = 8
_MOST_RATIO = 1024  # decoded to stored bytes: LZ4 reaches 255, a JPEG of one colour about 200
_ADVICE = "delete this file; the next run makes it again"


class EntryWriter:
    """Writer of an entry, which buffers a few megabytes; a context manager.

    Args:
        path: File to write; the caller renames it when it is whole.
        config: Codec.
        made_of: Digests of the files, or names of the entries, that the items are computed from.
    """

    def __init__(self, path: Path, config: StoreConfig, made_of: Sequence[str] = ()) -> None:
        self.num_items = 0
        self._config, self._made_of = config, made_of
        self._file = pa.OSFile(str(path), "wb")
        self._writer: Any = None
        self._shape: tuple[int, ...] = ()
        self._dtype = np.dtype(np.uint8)
        self._per_batch = 1
        self._seconds: list[float] = []
        self._offsets = [0]
        # One buffer for all batches, since new memory costs more than the copy.
        self._data = bytearray()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self._flush()
                if self._writer is not None:
                    self._writer.close()
        finally:
            self._file.close()

    def append(self, seconds: float, item: Item, names: Sequence[str] = ()) -> None:
        """Add an item.

        Args:
            seconds: Its time, not before that of the last item.
            item: Array with the shape and dtype of the first item.
            names: Of its numbers; those of the first item are kept.

        Raises:
            ValueError: If the shape or dtype differs.
        """
        if self._writer is None:
            self._begin(item, names)
        elif item.shape != self._shape or item.dtype != self._dtype:
            raise ValueError(
                f"item {self.num_items} is {item.shape} {item.dtype}, but the first is "
                f"{self._shape} {self._dtype}"
            )
        data = encode(item, self._config)
        start, end = self._offsets[-1], self._offsets[-1] + memoryview(data).nbytes
        if end > len(self._data):
            self._data.extend(bytes(end - len(self._data)))
        self._data[start:end] = data
        self._seconds.append(seconds)
        self._offsets.append(end)
        self.num_items += 1
        if len(self._seconds) == self._per_batch:
            self._flush()

    def _begin(self, item: Item, names: Sequence[str]) -> None:
        self._shape, self._dtype = item.shape, item.dtype
        self._per_batch = max(1, min(_BATCH_BYTES // max(item.nbytes, 1), _BATCH_ITEMS))
        if self._config.codec == "raw":
            self._data = bytearray(self._per_batch * item.nbytes)
        facts = {
            "shape": item.shape,
            "dtype": str(item.dtype),
            "codec": self._config.codec,
            "items_per_batch": self._per_batch,
            "made_of": list(self._made_of),
        }
        if names:
            facts["names"] = list(names)
        schema = _SCHEMA.with_metadata({"pdray": json.dumps(facts)})
        self._writer = pa.ipc.new_file(self._file, schema)

    def _flush(self) -> None:
        if not self._seconds:
            return
        offsets = pa.py_buffer(np.array(self._offsets, np.int64))
        held = pa.py_buffer(memoryview(self._data)[: self._offsets[-1]])
        data = pa.Array.from_buffers(pa.large_binary(), len(self._seconds), [None, offsets, held])
        seconds = pa.array(self._seconds, pa.float64())
        batch = pa.record_batch([seconds, data], schema=_SCHEMA)
        self._writer.write_batch(batch, custom_metadata={"sha256": _digest(batch)})
        self._seconds, self._offsets = [], [0]


class Entry:
    """A finished entry, mapped into memory.

    Attributes:
        path: The file.
        shape: Shape of an item.
        dtype: Data type of an item.
        codec: Codec of the items.
        made_of: Digests of the files, or names of the entries, that it was computed from; empty of
            an earlier version's entry.
        names: Names of the numbers of an item; empty if they have none.
    """

    def __init__(self, path: Path) -> None:
        """Open an entry; reads only its index and the header of its last batch.

        Raises:
            StoreError: If the file is missing, cut short or not an entry, or cannot hold as many
                items as it says.
        """
        self.path = path
        try:
            self._reader = pa.ipc.open_file(pa.memory_map(str(path)))
            facts = json.loads(self._reader.schema.metadata[b"pdray"])
            self.shape: tuple[int, ...] = tuple(facts["shape"])
            self.dtype = np.dtype(facts["dtype"])
            self.codec: CodecName = facts["codec"]
            self._per_batch: int = facts["items_per_batch"]
            self.made_of: tuple[str, ...] = tuple(facts.get("made_of", ()))
            self.names: tuple[str, ...] = tuple(facts.get("names", ()))
            last: int = self._reader.num_record_batches - 1
            num_last = int(self._reader.get_batch(last).num_rows)
            self._length: int = last * self._per_batch + num_last
            self._check(num_last, path.stat().st_size)
        except FileNotFoundError as error:
            raise StoreError(
                f"{path}: this file of the frame store is missing; run the command again to make it"
            ) from error
        except (OSError, pa.ArrowException, LookupError, TypeError, ValueError) as error:
            raise StoreError(
                f"{path}: is damaged or not an entry of the frame store: {error}; {_ADVICE}"
            ) from error

    def _check(self, num_last: int, num_bytes: int) -> None:
        """Refuse facts that no writer writes, before memory is taken for items of this size."""
        counts = (*self.shape, self._per_batch, num_last)
        if not self._reader.schema.equals(_SCHEMA):
            raise ValueError(f"its columns are {self._reader.schema.names}")
        if any(type(one) is not int or one < 0 for one in counts) or len(self.shape) > _MOST_AXES:
            raise ValueError(f"its items have the shape {self.shape}")
        if not 0 < num_last <= self._per_batch:
            raise ValueError(f"its last batch has {num_last} of {self._per_batch} items")
        if self.dtype.kind not in _KINDS or self.codec not in get_args(CodecName):
            raise ValueError(f"its items are {self.dtype} in codec {self.codec!r}")
        decoded = self._length * math.prod(self.shape) * self.dtype.itemsize
        if decoded > num_bytes * (1 if self.codec == "raw" else _MOST_RATIO):
            raise ValueError(f"{num_bytes} bytes cannot hold {self._length} items {self.shape}")

    def __len__(self) -> int:
        return self._length

    @property
    def seconds(self) -> npt.NDArray[np.float64]:
        """Time of every item, (N,) float64, never decreasing."""
        batches = map(self._reader.get_batch, range(self._reader.num_record_batches))
        return np.concatenate([batch.column(0).to_numpy() for batch in batches])

    def read(self, indices: npt.NDArray[np.int64], out: Item | None = None) -> Item:
        """Read some items.

        Args:
            indices: (T,) int64 in 0..N-1, in any order; repeats are allowed.
            out: ``(T, *shape)`` contiguous array to fill; None: a new one.

        Returns:
            ``(T, *shape)``, a writable copy.

        Raises:
            IndexError: If an index is outside 0..N-1.
            StoreError: If an item cannot be decoded.
        """
        if indices.size and (indices.min() < 0 or indices.max() >= len(self)):
            raise IndexError(
                f"indices {indices.min()}..{indices.max()} are outside 0..{len(self) - 1}"
            )
        if out is None:
            out = np.empty((len(indices), *self.shape), self.dtype)
        batches: dict[int, Any] = {}
        for target, index in zip(out, indices.tolist(), strict=True):
            number, row = divmod(index, self._per_batch)
            if number not in batches:
                batches[number] = self._reader.get_batch(number)
            try:
                decode_into(_payload(batches[number], row), self.codec, target)
            except ValueError as error:
                raise StoreError(
                    f"{self.path}: is damaged at item {index}: {error}; {_ADVICE}"
                ) from error
        return out

    def verify(self) -> None:
        """Read all items and compare them with the digests in the file.

        Raises:
            StoreError: If a byte has changed.
        """
        last = self._reader.num_record_batches - 1
        for number in range(last + 1):
            try:
                batch, metadata = self._reader.get_batch_with_custom_metadata(number)
                whole = metadata[b"sha256"].decode() == _digest(batch)
                whole &= number == last or batch.num_rows == self._per_batch
            except (pa.ArrowException, LookupError, TypeError, ValueError) as error:
                raise StoreError(f"{self.path}: is damaged: {error}; {_ADVICE}") from error
            if not whole:
                first = number * self._per_batch
                raise StoreError(
                    f"{self.path}: items {first} to {first + batch.num_rows - 1} have changed "
                    f"since they were written; {_ADVICE}"
                )


def is_whole(path: Path) -> bool:
    """Return whether an entry exists and has not changed since it was written.

    A process compares all digests of a file once, and again if the file is another one.
    """
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    state = (status.st_ino, status.st_mtime_ns, status.st_size)
    if _WHOLE.get(path) != state:
        try:
            Entry(path).verify()
        except StoreError:
            return False
        _WHOLE[path] = state
    return True


_WHOLE: dict[Path, tuple[int, int, int]] = {}


def _offsets(batch: Any) -> npt.NDArray[np.int64]:
    return np.frombuffer(batch.column(1).buffers()[1], np.int64)


def _payload(batch: Any, row: int) -> memoryview:
    first, last = _offsets(batch)[row : row + 2].tolist()
    return memoryview(batch.column(1).buffers()[2]).cast("B")[first:last]


def _digest(batch: Any) -> str:
    digest = hashlib.sha256(batch.column(0).to_numpy().tobytes())
    digest.update(_offsets(batch)[: batch.num_rows + 1].tobytes())
    digest.update(batch.column(1).buffers()[2] or b"")
    return digest.hexdigest()
