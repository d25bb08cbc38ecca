"""Plain values out of a pickle, without running anything that the pickle says.

The public release of YouTubePD holds its landmarks, boxes and annotations as pickles of dicts,
lists, texts and numbers. A pickle is a program: it names functions and calls them. Here the few
names that a number or an array of NumPy needs stand for objects of this file, which hold numbers
and do nothing else; any other name ends the reading before it is looked up, and an instruction
that makes objects of classes is not known at all.
"""

import io
import math
import pickle
import struct
from collections.abc import Callable
from reprlib import repr as short
from typing import Any, ClassVar

import numpy as np

_KINDS = {f"{kind}{size}" for kind in "iu" for size in (1, 2, 4, 8)} | {"f2", "f4", "f8", "b1"}
_ORDERS = {"<": "<", ">": ">", "|": "=", "=": "="}
_LEAVES = {type(None), bool, int, float, str, bytes}
_KEY = object()  # stands for the place of what is a key itself

# Numbers, texts, lists, tuples, dicts, what is remembered of them, and calls of a known name.
_KNOWN = (
    pickle.PROTO, pickle.FRAME, pickle.STOP, pickle.MARK, pickle.POP, pickle.POP_MARK,
    pickle.NONE, pickle.NEWTRUE, pickle.NEWFALSE,
    pickle.INT, pickle.BININT, pickle.BININT1, pickle.BININT2, pickle.LONG, pickle.LONG1,
    pickle.LONG4, pickle.FLOAT, pickle.BINFLOAT,
    pickle.STRING, pickle.BINSTRING, pickle.SHORT_BINSTRING, pickle.UNICODE, pickle.BINUNICODE,
    pickle.SHORT_BINUNICODE, pickle.BINUNICODE8, pickle.BINBYTES, pickle.SHORT_BINBYTES,
    pickle.BINBYTES8,
    pickle.EMPTY_LIST, pickle.LIST, pickle.APPEND, pickle.APPENDS, pickle.EMPTY_TUPLE,
    pickle.TUPLE, pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3, pickle.EMPTY_DICT, pickle.DICT,
    pickle.SETITEM, pickle.SETITEMS,
    pickle.PUT, pickle.BINPUT, pickle.LONG_BINPUT, pickle.MEMOIZE, pickle.GET, pickle.BINGET,
    pickle.LONG_BINGET, pickle.GLOBAL, pickle.STACK_GLOBAL,
)  # fmt: skip


class PlainPickleError(Exception):
    """The bytes are no pickle of plain values; the message is a clause that says why."""


class _Name:
    """A known name. A class is an argument only, a function can be called."""

    __slots__ = ("call", "text")

    def __init__(self, text: str, call: Callable[..., object] | None = None) -> None:
        self.text = text
        self.call = call


class _Dtype:
    """A number format: kind and size, then the order of its bytes."""

    __slots__ = ("format", "text")

    def __init__(self, text: str, order: str) -> None:
        self.text = text
        self.format = np.dtype(f"{_ORDERS[order]}{text}")

    def build(self, state: object) -> None:
        order = state[1] if isinstance(state, tuple) and len(state) > 1 else None
        if order not in _ORDERS:
            raise ValueError(f"a number format has byte order {short(order)}; expected '<' or '>'")
        self.format = np.dtype(f"{_ORDERS[order]}{self.text}")


class _Array:
    """An array; without numbers until it is built."""

    __slots__ = ("filled",)

    def __init__(self, filled: np.ndarray[Any, np.dtype[Any]] | None = None) -> None:
        self.filled = filled

    def build(self, state: object) -> None:
        if not isinstance(state, tuple) or len(state) != 5:
            raise TypeError("an array without its five parts")
        _, shape, dtype, is_fortran, data = state
        self.filled = _fill(data, dtype, shape, "F" if is_fortran is True else "C")


def read_plain(data: bytes) -> Any:
    """Read a pickle of plain values.

    Args:
        data: The whole file, any pickle protocol.

    Returns:
        None, booleans, integers, floats, texts, bytes, numbers of NumPy, and lists, tuples and
        dicts of such; arrays and dtypes of integers, floats or booleans too, if they stand alone,
        in a list or as a value of a dict. A list or dict may hold itself: walk as deep as you know.

    Raises:
        PlainPickleError: If the bytes are no pickle, are cut off, or name or hold anything else;
            nothing has run then either.
    """
    try:
        content = _Reader(data).load()
    except LookupError as error:
        raise PlainPickleError("it is no pickle of plain values") from error
    except (pickle.UnpicklingError, ValueError, TypeError, AttributeError) as error:
        raise PlainPickleError(f"it is no pickle of plain values: {error}") from error
    except (EOFError, OverflowError, MemoryError, RecursionError, struct.error) as error:
        raise PlainPickleError(f"it is a damaged pickle: {error}") from error
    box = [content]
    _settle(box)
    return box[0]


class _Reader(pickle._Unpickler):
    """An unpickler of few instructions and few names.

    The one in Python, not the faster one in C, which takes memory for as many remembered parts as
    a single number in the file asks for.
    """

    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = {
        code[0]: pickle._Unpickler.dispatch[code[0]] for code in _KNOWN
    }
    stack: list[Any]
    read: Callable[[int], bytes]

    def __init__(self, data: bytes) -> None:
        super().__init__(io.BytesIO(data), encoding="latin1")  # Python 2 writes bytes as text

    def find_class(self, module: str, name: str) -> Any:
        """Return the stand-in of a known name; nothing is imported or looked up."""
        if (module, name) not in _NAMES:
            raise PlainPickleError(f"it names {module}.{name}, which no plain value needs")
        return _NAMES[module, name]

    def _call(self) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        if not isinstance(function, _Name) or function.call is None:
            raise TypeError(f"a call of {short(function)}")
        self.stack.append(function.call(*arguments))

    def _build(self) -> None:
        state, value = self.stack.pop(), self.stack[-1]
        if not isinstance(value, _Dtype | _Array):
            raise TypeError(f"a state for {short(value)}")
        value.build(state)

    def _bytearray(self) -> None:
        # Protocol 5 writes arrays so. pickle's own would take the memory before it reads.
        (size,) = struct.unpack("<Q", self.read(8))
        self.stack.append(self.read(size))

    dispatch[pickle.REDUCE[0]] = _call
    dispatch[pickle.BUILD[0]] = _build
    dispatch[pickle.BYTEARRAY8[0]] = _bytearray


def _make_dtype(text: object, *_: object) -> _Dtype:
    if not isinstance(text, str) or text.lstrip("<>|=") not in _KINDS:
        raise ValueError(f"a number format {short(text)}; expected up to 8 bytes")
    return _Dtype(text.lstrip("<>|="), text[0] if text[0] in _ORDERS else "=")


def _make_scalar(dtype: object, data: object = None) -> object:
    if isinstance(data, str):  # bytes of Python 2, read as latin1
        data = data.encode("latin1")
    if not isinstance(dtype, _Dtype) or type(data) is not bytes:
        raise TypeError("a number without its format or bytes")
    if len(data) != dtype.format.itemsize:
        raise ValueError(f"a number of {len(data)} bytes; its format has {dtype.format.itemsize}")
    return dtype.format.type(np.frombuffer(data, dtype.format)[0])


def _reconstruct(subtype: object, *_: object) -> _Array:
    if not isinstance(subtype, _Name) or subtype.text != "numpy.ndarray":
        raise TypeError("an array of another class than numpy.ndarray")
    return _Array()


def _from_buffer(data: object, dtype: object, shape: object, order: object) -> _Array:
    if order not in ("C", "F"):
        raise ValueError(f"an array of order {short(order)}; expected 'C' or 'F'")
    return _Array(_fill(data, dtype, shape, str(order)))


def _encode(text: object, encoding: object) -> bytes:
    if not isinstance(text, str) or encoding != "latin1":
        raise TypeError(f"bytes in the encoding {short(encoding)}; expected latin1")
    return text.encode("latin1")


def _fill(data: object, dtype: object, shape: object, order: str) -> np.ndarray[Any, np.dtype[Any]]:
    """Return the array, or refuse parts that do not fit each other."""
    if isinstance(data, str):
        data = data.encode("latin1")
    if not isinstance(data, bytes) or not isinstance(dtype, _Dtype):
        raise TypeError("an array without numbers")
    sizes = shape if isinstance(shape, tuple) else (-1,)
    if any(type(size) is not int or size < 0 for size in sizes):
        raise ValueError(f"an array of shape {short(shape)}")
    flat = np.frombuffer(data, dtype.format)
    if math.prod(sizes) != flat.size:
        raise ValueError(f"an array of shape {sizes} with {flat.size} numbers")
    native = flat.astype(dtype.format.newbyteorder("="))
    return native.reshape(sizes, order="F" if order == "F" else "C")


_NAMES: dict[tuple[str, str], _Name] = {
    ("numpy", "ndarray"): _Name("numpy.ndarray"),
    ("numpy", "dtype"): _Name("numpy.dtype", _make_dtype),
    ("_codecs", "encode"): _Name("_codecs.encode", _encode),  # bytes, written for Python 2
    ("__builtin__", "bytes"): _Name("bytes", lambda: b""),  # so it writes those of length 0
}
for _package in ("numpy.core", "numpy._core"):  # before and since NumPy 2
    _NAMES[f"{_package}.multiarray", "scalar"] = _Name("scalar", _make_scalar)
    _NAMES[f"{_package}.multiarray", "_reconstruct"] = _Name("_reconstruct", _reconstruct)
    _NAMES[f"{_package}.numeric", "_frombuffer"] = _Name("_frombuffer", _from_buffer)


def _settle(box: list[Any]) -> None:
    """Put arrays and dtypes where their stand-ins are, once in each container."""
    waiting: list[Any] = [box]
    seen = {id(box)}
    while waiting:
        holder = waiting.pop()
        keys = holder.keys() if type(holder) is dict else ()
        values = holder.items() if type(holder) is dict else enumerate(holder)
        found = [(key, value) for key, value in values if type(value) not in _LEAVES]
        found += [(_KEY, key) for key in keys if type(key) not in _LEAVES]
        for key, value in found:
            if type(value) in (list, tuple, dict):
                if id(value) not in seen:
                    seen.add(id(value))
                    waiting.append(value)
            elif not isinstance(value, np.generic):
                if key is _KEY or type(holder) is tuple:
                    raise PlainPickleError("it holds an array or a name where no value can be")
                holder[key] = _settled(value)


def _settled(value: object) -> object:
    if isinstance(value, _Array) and value.filled is not None:
        return value.filled
    if isinstance(value, _Dtype):
        return value.format
    raise PlainPickleError("it holds a name or an array without numbers, which are no values")
