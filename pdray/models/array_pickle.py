"""Arrays out of a pickle, without running anything that the pickle says.

The VGGFace2 networks for PyTorch are published as pickles of name -> NumPy array, written by
Python 2 (github.com/cydonia999/VGGFace2-pytorch). A pickle is a program: it names functions and
calls them. Here each of the few names that an array needs stands for an object of this file, which
holds numbers and does nothing else; not even NumPy's own functions are called. Any other name ends
the reading before it is looked up.
"""

import io
import math
import pickle
import struct
from collections.abc import Sequence
from reprlib import repr as short
from typing import Any

import numpy as np

KINDS = {f"{kind}{size}" for kind in "iu" for size in (1, 2, 4, 8)} | {"f2", "f4", "f8"}
Array = np.ndarray[Any, np.dtype[Any]]


class ArrayPickleError(Exception):
    """The bytes are no pickle of arrays; the message is a clause that says why."""


class _Ndarray:
    """Stands for the class ``numpy.ndarray``, as an argument only."""

    __slots__ = ()


class _Dtype:
    """A number format: kind and size, then the order of its bytes."""

    __slots__ = ("order", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.order = "<"

    def __setstate__(self, state: Sequence[Any]) -> None:
        order = state[1]
        if order not in ("<", ">", "|", "="):
            raise ValueError(f"a number format has byte order {short(order)}; expected '<' or '>'")
        self.order = order


class _Pending:
    """An array between its name and its numbers."""

    __slots__ = ("array",)

    def __init__(self) -> None:
        self.array: Array | None = None

    def __setstate__(self, state: Sequence[Any]) -> None:
        _, shape, dtype, is_fortran, data = state
        if isinstance(data, str):  # bytes of Python 2, read as latin1
            data = data.encode("latin1")
        self.array = _make_array(data, dtype, shape, "F" if is_fortran else "C")


class _MakeDtype:
    """Stands for ``numpy.dtype``."""

    __slots__ = ()

    def __call__(self, text: object, *_: object) -> _Dtype:
        if not isinstance(text, str) or text.lstrip("<>|=") not in KINDS:
            raise ValueError(
                f"an array of {short(text)}; expected integers or floats of 1 to 8 bytes"
            )
        dtype = _Dtype(text.lstrip("<>|="))
        if text[0] in "<>":
            dtype.order = text[0]
        return dtype


class _Reconstruct:
    """Stands for ``_reconstruct`` of NumPy, which makes an empty array to be filled."""

    __slots__ = ()

    def __call__(self, subtype: object, *_: object) -> _Pending:
        if not isinstance(subtype, _Ndarray):
            raise TypeError("an array of another class than numpy.ndarray")
        return _Pending()


class _FromBuffer:
    """Stands for ``_frombuffer`` of NumPy, by which protocol 5 writes an array."""

    __slots__ = ()

    def __call__(self, data: object, dtype: object, shape: object, order: object) -> _Pending:
        if order not in ("C", "F"):
            raise ValueError(f"an array of order {short(order)}; expected 'C' or 'F'")
        pending = _Pending()
        pending.array = _make_array(data, dtype, shape, str(order))
        return pending


class _MakeDict:
    """Stands for ``collections.OrderedDict``; a dict keeps the order as well."""

    __slots__ = ()

    def __call__(self, pairs: Sequence[Any] = ()) -> dict[Any, Any]:
        return dict(pairs)


class _Encode:
    """Stands for ``_codecs.encode``, by which Python 3 writes bytes for Python 2."""

    __slots__ = ()

    def __call__(self, text: object, encoding: object) -> bytes:
        if not isinstance(text, str) or encoding != "latin1":
            raise TypeError(f"bytes in the encoding {short(encoding)}; expected latin1")
        return text.encode("latin1")


def _make_array(data: object, dtype: object, shape: object, order: str) -> Array:
    """Return the array, or refuse parts that do not fit each other."""
    if not isinstance(data, bytes | bytearray) or not isinstance(dtype, _Dtype):
        raise TypeError("an array without numbers")
    sizes = tuple(shape) if isinstance(shape, tuple) else (-1,)
    if any(type(size) is not int or size < 0 for size in sizes):
        raise ValueError(f"an array of shape {short(shape)}")
    swapped = ">" if dtype.order == ">" else "<"
    flat = np.frombuffer(bytes(data), f"{swapped}{dtype.text}")
    if math.prod(sizes) != flat.size:
        raise ValueError(f"an array of shape {sizes} with {flat.size} numbers")
    native = flat.astype(flat.dtype.newbyteorder("="))
    return native.reshape(sizes, order="F" if order == "F" else "C")


class _Reader(pickle._Unpickler):
    """An unpickler that knows the names of an array and no other.

    The one in Python, not the faster one in C, which takes memory for as many remembered parts as
    a single number in the file asks for.
    """

    def __init__(self, data: bytes) -> None:
        super().__init__(io.BytesIO(data), encoding="latin1")
        self.names: dict[tuple[str, str], object] = {
            ("numpy", "ndarray"): _Ndarray(),
            ("numpy", "dtype"): _MakeDtype(),
            ("collections", "OrderedDict"): _MakeDict(),
            ("_codecs", "encode"): _Encode(),
        }
        for package in ("numpy.core", "numpy._core"):  # before and since NumPy 2
            self.names[f"{package}.multiarray", "_reconstruct"] = _Reconstruct()
            self.names[f"{package}.numeric", "_frombuffer"] = _FromBuffer()

    def find_class(self, module: str, name: str) -> Any:
        """Return the stand-in of a known name; nothing is imported or looked up."""
        if (module, name) not in self.names:
            raise ArrayPickleError(f"it names {module}.{name}, which no array needs")
        return self.names[module, name]


def read_arrays(data: bytes) -> dict[str, Array]:
    """Read a pickle of name -> array.

    Args:
        data: The whole file, any pickle protocol.

    Returns:
        Arrays of integers or floats in the machine's byte order, in the order of the file.

    Raises:
        ArrayPickleError: If the bytes are no pickle, are cut off, hold anything else, or name
            anything that an array does not need; nothing has run then either.
    """
    try:
        content = _Reader(data).load()
    except LookupError as error:
        raise ArrayPickleError("it is no pickle") from error
    except (pickle.UnpicklingError, ValueError, TypeError, AttributeError) as error:
        raise ArrayPickleError(f"it is no pickle of arrays: {error}") from error
    except (EOFError, OverflowError, MemoryError, RecursionError, struct.error) as error:
        raise ArrayPickleError(f"it is a damaged pickle: {error}") from error
    if not isinstance(content, dict):
        raise ArrayPickleError("it is a pickle of something else than a dict of arrays")
    return {_text(name): _array(name, value) for name, value in content.items()}


def _text(name: object) -> str:
    if not isinstance(name, str):
        raise ArrayPickleError(
            f"it is a pickle with the key {short(name)}; expected names of arrays"
        )
    return name


def _array(name: str, value: object) -> Array:
    if not isinstance(value, _Pending) or value.array is None:
        raise ArrayPickleError(f"its {short(name)} is no array")
    return value.array
