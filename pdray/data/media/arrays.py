"""Arrays of an ``.npz`` file, read without pickle and refused if the file claims too much.

Messages carry no path and no name: whoever knows the recording's id puts it in front.
"""

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pdray.errors import DecodeError

Arrays = dict[str, npt.NDArray[Any]]

_SPARE = 16  # unknown arrays that are read, so that they can be named
_DAMAGE = (zipfile.BadZipFile, zlib.error, ValueError, OSError, EOFError, RuntimeError)
_TOO_MUCH = (MemoryError, OverflowError)  # shapes that a header only claims


def load_arrays(path: Path, what: str, *, num_known: int, max_bytes: int) -> Arrays:
    """Return every array of a file, after its directory has said how large they are.

    Args:
        path: An ``.npz`` file.
        what: What it holds, for messages, such as ``track``.
        num_known: Number of arrays that it may have; some more are read.
        max_bytes: Most bytes of all arrays.

    Raises:
        DecodeError: If it is no such file, cut short, packed otherwise, or too large.
    """
    try:
        with zipfile.ZipFile(path) as file:
            sizes = [one.file_size for one in file.infolist()]
            kinds = {one.compress_type for one in file.infolist()}
        if len(sizes) > num_known + _SPARE or sum(sizes) > max_bytes:
            raise DecodeError(
                f"its {what} holds {len(sizes)} arrays of {sum(sizes)} bytes in all: more than "
                f"{max_bytes} is no {what}"
            )
        if kinds - {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
            raise DecodeError(f"its {what} is packed in a way that numpy does not write")
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except (*_DAMAGE, *_TOO_MUCH) as error:
        # The error's own text may hold the path.
        raise DecodeError(
            f"its {what} is not an .npz file that can be read whole ({_reason(error)})"
        ) from error


def array_form(array: npt.NDArray[Any]) -> str:
    """Return the type and the shape of an array as text."""
    return f"{array.dtype} of shape {array.shape}"


def _reason(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if "allow_pickle" in str(error):
        return "it holds Python objects, not numbers"
    return "damaged" if isinstance(error, _DAMAGE) else "its shapes are impossible"
