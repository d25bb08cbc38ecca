"""Reads plain values from a pickle without running its code.

YouTubePD's public release consists of pickles of dicts, lists, texts and numbers. The VGGFace2
networks for PyTorch are pickles of name -> NumPy array, written by Python 2
(github.com/cydonia999/VGGFace2-pytorch). A pickle is a program: it names functions and calls them.
Here the few names that NumPy numbers and arrays need are replaced by functions of this file, which
only make numbers. Any other name stops the reading before it is looked up, and instructions that
make objects are not implemented.
"""

import io
import math
import pickle
import struct
from collections.abc import Callable, Mapping
from functools import partial
from reprlib import repr as short
from types import FunctionType
from typing import Any, ClassVar

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

_NUMBERS = {f"{kind}{size}" for kind in "iu" for size in (1, 2, 4, 8)} | {"f2", "f4", "f8"}
_LEAVES = {type(None), bool, int, float, str, bytes}

# Instructions for numbers, texts, lists, tuples, dicts, the memo, and names.
_KNOWN = """
    PROTO FRAME STOP MARK POP POP_MARK NONE NEWTRUE NEWFALSE INT BININT BININT1 BININT2 LONG LONG1
    LONG4 FLOAT BINFLOAT STRING BINSTRING SHORT_BINSTRING UNICODE BINUNICODE SHORT_BINUNICODE
    BINUNICODE8 BINBYTES SHORT_BINBYTES BINBYTES8 EMPTY_LIST LIST APPEND APPENDS EMPTY_TUPLE TUPLE
    TUPLE1 TUPLE2 TUPLE3 EMPTY_DICT DICT SETITEM SETITEMS PUT BINPUT LONG_BINPUT MEMOIZE GET BINGET
    LONG_BINGET GLOBAL STACK_GLOBAL
"""


class PlainPickleError(Exception):
    """The bytes are not a pickle of the expected kind; the message is a clause that says why."""


def read_plain(data: bytes) -> Any:
    """Read a pickle of plain values.

    Args:
        data: The whole file, any pickle protocol.

    Returns:
        None, booleans, integers, floats, texts, bytes, numbers of NumPy, and lists, tuples and
        dicts of these; also arrays and dtypes of integers, floats or booleans, if they stand
        alone, in a list or as a value of a dict. A list or dict may contain itself, so limit the
        depth when you walk through it.

    Raises:
        PlainPickleError: If the bytes are not a pickle, are cut off, or contain anything else;
            no code of the pickle has run then.
    """
    return _read(data, "plain value", _PLAIN_NAMES)


def read_arrays(data: bytes) -> dict[str, Array]:
    """Read a pickle of name -> array.

    Args:
        data: The whole file, any pickle protocol.

    Returns:
        Arrays of integers or floats in the machine's byte order, in the order of the file.

    Raises:
        PlainPickleError: If the bytes are not a pickle, are cut off, or contain anything else; no
            code of the pickle has run then.
    """
    content = _read(data, "array", _ARRAY_NAMES)
    if not isinstance(content, dict):
        raise PlainPickleError("its pickle holds no dict of arrays")
    for name, value in content.items():
        if not isinstance(name, str):
            raise PlainPickleError(
                f"its pickle has the key {short(name)}, but every key must be the name of an array"
            )
        if not isinstance(value, np.ndarray):
            raise PlainPickleError(f"its value {short(name)} is not an array")
    return content


class _Dtype:
    """Replaces a NumPy dtype: first kind and size, then the order of its bytes."""

    __slots__ = ("content",)

    def __init__(self, content: np.dtype[Any]) -> None:
        self.content = content

    def build(self, state: object) -> None:
        order = state[1] if isinstance(state, tuple) and len(state) > 1 else None
        if order not in ("<", ">", "|", "="):
            raise ValueError(f"a number format has byte order {short(order)}; expected '<' or '>'")
        self.content = self.content.newbyteorder(order)


class _Array:
    """Replaces a NumPy array; it has no numbers until it is built."""

    __slots__ = ("content",)

    def __init__(self, content: Array | None = None) -> None:
        self.content = content

    def build(self, state: object) -> None:
        if not isinstance(state, tuple) or len(state) != 5:
            raise TypeError("an array without its five parts")
        _, shape, dtype, is_fortran, data = state
        self.content = _from_buffer(data, dtype, shape, "F" if is_fortran else "C").content


class _Reader(pickle._Unpickler):
    """An unpickler that knows few instructions and few names.

    It is the Python one: the faster one in C allocates as much memory as a single number in the
    file demands.
    """

    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = {
        code: pickle._Unpickler.dispatch[code]
        for code in (getattr(pickle, name)[0] for name in _KNOWN.split())
    }
    stack: list[Any]
    read: Callable[[int], bytes]

    def __init__(self, data: bytes, what: str, names: Mapping[tuple[str, str], object]) -> None:
        super().__init__(io.BytesIO(data), encoding="latin1")  # Python 2 writes bytes as text
        self.what = what
        self.names = names

    def find_class(self, module: str, name: str) -> Any:
        """Return the replacement of a known name; nothing is imported or looked up."""
        if (module, name) not in self.names:
            raise PlainPickleError(f"it names {module}.{name}, which no {self.what} needs")
        return self.names[module, name]

    def _call(self) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        if not isinstance(function, FunctionType | partial):  # only functions of this file
            raise TypeError(f"a call of {short(function)}")
        self.stack.append(function(*arguments))

    def _build(self) -> None:
        state, value = self.stack.pop(), self.stack[-1]
        if not isinstance(value, _Dtype | _Array):
            raise TypeError(f"a state for {short(value)}")
        value.build(state)

    def _bytearray(self) -> None:
        # Protocol 5 writes arrays this way. pickle's own code allocates before it reads.
        (size,) = struct.unpack("<Q", self.read(8))
        self.stack.append(self.read(size))

    dispatch[pickle.REDUCE[0]] = _call
    dispatch[pickle.BUILD[0]] = _build
    dispatch[pickle.BYTEARRAY8[0]] = _bytearray


def _read(data: bytes, what: str, names: Mapping[tuple[str, str], object]) -> Any:
    try:
        box = [_Reader(data, what, names).load()]
    except LookupError as error:
        raise PlainPickleError(f"it is not a pickle of {what}s") from error
    except (pickle.UnpicklingError, ValueError, TypeError, AttributeError) as error:
        raise PlainPickleError(f"it is not a pickle of {what}s: {error}") from error
    except (EOFError, OverflowError, MemoryError, RecursionError, struct.error) as error:
        raise PlainPickleError(f"it is a damaged pickle: {error}") from error
    _settle(box)
    return box[0]


def _settle(box: list[Any]) -> None:
    """Put arrays and dtypes in the place of their replacements, once per container."""
    waiting: list[Any] = [box]
    seen = {id(box)}
    while waiting:
        holder = waiting.pop()
        if type(holder) is dict:
            waiting.append(tuple(holder))  # its keys
        for place, value in holder.items() if type(holder) is dict else enumerate(holder):
            if type(value) in (list, tuple, dict):
                if id(value) not in seen:
                    seen.add(id(value))
                    waiting.append(value)
            elif type(value) not in _LEAVES and not isinstance(value, np.generic):
                holder[place] = _settled(value, is_movable=type(holder) is not tuple)


def _settled(value: object, *, is_movable: bool) -> np.dtype[Any] | Array:
    if not is_movable:
        raise PlainPickleError("its pickle holds an array or a name where no value can be")
    if not isinstance(value, _Dtype | _Array) or value.content is None:
        raise PlainPickleError("its pickle holds a name or an array without numbers")
    return value.content


def _make_dtype(text: object, *_: object, formats: set[str], fault: str) -> _Dtype:
    if not isinstance(text, str) or text.lstrip("<>|=") not in formats:
        raise ValueError(fault.format(short(text)))
    return _Dtype(np.dtype(f"{text[0] if text[0] in '<>' else '='}{text.lstrip('<>|=')}"))


def _make_scalar(dtype: object, data: object = None) -> object:
    data = _to_bytes(data)
    if not isinstance(dtype, _Dtype) or not isinstance(data, bytes):
        raise TypeError("a number without its format or bytes")
    if len(data) != dtype.content.itemsize:
        raise ValueError(f"a number of {len(data)} bytes; its format has {dtype.content.itemsize}")
    return dtype.content.type(np.frombuffer(data, dtype.content)[0])


def _reconstruct(subtype: object, *_: object) -> _Array:
    if subtype is not np.ndarray:
        raise TypeError("an array of another class than numpy.ndarray")
    return _Array()


def _from_buffer(data: object, dtype: object, shape: object, order: object) -> _Array:
    """Return the array in the machine's byte order; refuse parts that do not match."""
    if order not in ("C", "F"):
        raise ValueError(f"an array of order {short(order)}; expected 'C' or 'F'")
    data = _to_bytes(data)
    if not isinstance(data, bytes) or not isinstance(dtype, _Dtype):
        raise TypeError("an array without numbers")
    sizes = shape if isinstance(shape, tuple) else (-1,)
    if any(type(size) is not int or size < 0 for size in sizes):
        raise ValueError(f"an array of shape {short(shape)}")
    flat = np.frombuffer(data, dtype.content)
    if math.prod(sizes) != flat.size:
        raise ValueError(f"an array of shape {sizes} with {flat.size} numbers")
    native = flat.astype(dtype.content.newbyteorder("="))
    return _Array(native.reshape(sizes, order="F" if order == "F" else "C"))


def _encode(text: object, encoding: object) -> object:
    if not isinstance(text, str) or encoding != "latin1":
        raise TypeError(f"bytes in the encoding {short(encoding)}; expected latin1")
    return _to_bytes(text)


def _to_bytes(data: object) -> object:
    """Return the bytes of Python 2, which were read as a text; return anything else unchanged."""
    return data.encode("latin1") if isinstance(data, str) else data


_NAMES: dict[tuple[str, str], object] = {
    ("numpy", "ndarray"): np.ndarray,  # an argument only: a class is never called
    ("_codecs", "encode"): _encode,  # bytes, written for Python 2
}
_PLAIN_NAMES = _NAMES | {
    ("numpy", "dtype"): partial(
        _make_dtype,
        formats=_NUMBERS | {"b1"},
        fault="a number format {}; expected up to 8 bytes",
    ),
    ("__builtin__", "bytes"): lambda: b"",  # bytes of length 0, written for Python 2
}
_ARRAY_NAMES = _NAMES | {
    ("numpy", "dtype"): partial(
        _make_dtype,
        formats=_NUMBERS,
        fault="an array of {}; expected integers or floats of 1 to 8 bytes",
    ),
    ("collections", "OrderedDict"): lambda pairs=(): dict(pairs),  # keeps the order as well
}
for _package in ("numpy.core", "numpy._core"):  # before and since NumPy 2
    _PLAIN_NAMES[f"{_package}.multiarray", "scalar"] = _make_scalar
    for _names in (_PLAIN_NAMES, _ARRAY_NAMES):
        _names[f"{_package}.multiarray", "_reconstruct"] = _reconstruct
        _names[f"{_package}.numeric", "_frombuffer"] = _from_buffer
