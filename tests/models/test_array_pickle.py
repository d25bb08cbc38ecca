import collections
import copyreg
import os
import pickle
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pdray.models.array_pickle import ArrayPickleError, read_arrays

ARRAYS = {
    "conv1.weight": np.arange(6.0).reshape(2, 3),
    "fortran": np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3)),
    "other byte order": np.arange(3, dtype=">f4"),
    "number": np.array(7),
    "half": np.ones(2, np.float16),
}


class Calls:
    """Pickles as a call of anything."""

    def __init__(self, function: Callable[..., Any], *arguments: object) -> None:
        self.function = function
        self.arguments = arguments

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[object, ...]]:
        return self.function, self.arguments


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("container", [dict, collections.OrderedDict])
def test_arrays_come_back_as_they_were(container: type, protocol: int) -> None:
    read = read_arrays(pickle.dumps(container(ARRAYS), protocol))
    assert list(read) == list(ARRAYS)
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(read[name], array)
        assert read[name].dtype == array.dtype.newbyteorder("=")
        assert read[name].flags.writeable


def test_a_pickle_of_python_2_is_read() -> None:
    # As Python 2 wrote it: names and numbers are byte strings (opcode U), the array is rebuilt
    # from an empty one.
    numbers = np.array([-1.5, 1e30], "<f4").tobytes()
    data = (
        b"\x80\x02}U\x05fc.bicnumpy.core.multiarray\n_reconstruct\n"
        b"cnumpy\nndarray\nK\x00\x85U\x01b\x87R(K\x01K\x02\x85cnumpy\ndtype\nU\x02f4K\x00K\x01\x87R"
        b"(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89U\x08" + numbers + b"tbs."
    )
    assert read_arrays(data)["fc.bi"].tolist() == [-1.5, float(np.float32(1e30))]


def test_a_pickle_of_python_2_in_text_is_read() -> None:
    data = (
        b"(dp0\nS'a'\np1\ncnumpy.core.multiarray\n_reconstruct\np2\n(cnumpy\nndarray\np3\n(I0\ntp4\n"
        b"S'b'\np5\ntp6\nRp7\n(I1\n(I1\ntp8\ncnumpy\ndtype\np9\n(S'f4'\np10\nI0\nI1\ntp11\nRp12\n"
        b"(I3\nS'<'\np13\nNNNI-1\nI-1\nI0\ntp14\nbI00\nS'\\x00\\x00\\x80\\xbf'\np15\ntp16\nbs."
    )
    assert read_arrays(data)["a"].tolist() == [-1.0]


def hostile(touch: str) -> dict[str, bytes]:
    """Return pickles that would create the file ``touch`` if anything of them ran."""
    command = f"touch {touch}"
    source = f"open({touch!r}, 'w').close()"
    evil = pickle.dumps(Calls(os.system, command))
    objects = {
        "system": Calls(os.system, command),
        "popen": Calls(subprocess.getoutput, command),
        "eval": Calls(eval, source),
        "exec": Calls(exec, source),
        "open": Calls(open, touch, "w"),
        "a pickle inside": Calls(pickle.loads, evil),
        "a torch file inside": Calls(torch.storage._load_from_bytes, evil),
        "numpy scalar of objects": Calls(np.empty(1, "f4")[0].__reduce__()[0], np.dtype("O"), evil),
        "numpy load": Calls(np.load, touch, None, True),
        "copyreg": Calls(copyreg._reconstructor, Calls, object, None),  # type: ignore[attr-defined]
        "getattr": Calls(getattr, Calls(__import__, "os"), "system"),
    }
    made = {name: pickle.dumps({"conv1.weight": item}) for name, item in objects.items()}
    made |= {f"{name}, protocol 2": pickle.dumps([item], 2) for name, item in objects.items()}
    text = command.encode()
    made["global and reduce"] = b"cos\nsystem\n(S'" + text + b"'\ntR."
    made["chain of calls"] = (
        b"c__builtin__\ngetattr\n(c__builtin__\n__import__\n(S'os'\ntRS'system'\ntR(S'"
        + text
        + b"'\ntR."
    )
    made["inst"] = b"(S'" + text + b"'\nios\nsystem\n."
    made["obj"] = b"(cos\nsystem\nS'" + text + b"'\no."
    made["newobj"] = b"\x80\x02cos\nsystem\n(S'" + text + b"'\nt\x81."
    made["attribute of an allowed name"] = (
        b"\x80\x04\x8c\x05numpy\x8c\x0cndarray.dump\x93\x8c\x01a\x85R."
    )
    made["allowed function reached through an array"] = b"cnumpy\nndarray\n(S'" + text + b"'\ntR."
    made["extension"] = b"\x80\x02\x82\x01."
    made["persistent name"] = b"Pos.system\n."
    return made


@pytest.mark.parametrize("name", sorted(hostile("x")))
def test_nothing_of_a_hostile_pickle_runs(name: str, tmp_path: Path) -> None:
    touched = tmp_path / "touched"
    data = hostile(str(touched))[name]
    with pytest.raises(ArrayPickleError, match="it "):
        read_arrays(data)
    assert not touched.exists()


def test_the_unknown_name_is_told() -> None:
    with pytest.raises(ArrayPickleError, match=r"it names posix\.system, which no array needs"):
        read_arrays(pickle.dumps(Calls(os.system, "true")))


@pytest.mark.parametrize("state", [b"}S'text'\nS'y'\ns", b"(N}S'text'\nS'y'\nst"])
@pytest.mark.parametrize("stand_in", [b"cnumpy\ndtype\n", b"cnumpy\nndarray\n"])
def test_a_pickle_cannot_change_what_stands_for_a_name(stand_in: bytes, state: bytes) -> None:
    with pytest.raises(ArrayPickleError):
        read_arrays(stand_in + state + b"b.")
    assert read_arrays(pickle.dumps(ARRAYS))["number"] == 7


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.array([object]), r"an array of 'O8'; expected integers or floats"),
        (np.array(["text"]), r"an array of 'U4'"),
        (np.zeros(2, [("a", "f4")]), r"an array of 'V4'"),
        (np.zeros(2, complex), r"an array of 'c16'"),
        (np.zeros(2).view(np.recarray), r"names numpy\.rec\.recarray"),
        (np.float32(1), r"names numpy\._core\.multiarray\.scalar"),
        ([1.0], r"'a' is no array"),
        (None, r"'a' is no array"),
    ],
)
def test_what_is_no_array_of_numbers_is_refused(value: object, message: str) -> None:
    with pytest.raises(ArrayPickleError, match=message):
        read_arrays(pickle.dumps({"a": value}, 2))


@pytest.mark.parametrize(
    ("content", "message"),
    [([1], "something else than a dict"), ({1: np.zeros(1)}, "with the key 1; expected names")],
)
def test_what_is_no_dict_of_names_is_refused(content: object, message: str) -> None:
    with pytest.raises(ArrayPickleError, match=message):
        read_arrays(pickle.dumps(content))


@pytest.mark.parametrize(
    ("shape", "message"),
    [(b"K\x03\x85", r"shape \(3,\) with 2 numbers"), (b"J\xff\xff\xff\xff\x85", r"shape \(-1,\)")],
)
def test_a_shape_that_its_numbers_do_not_fill_is_refused(shape: bytes, message: str) -> None:
    data = (
        b"\x80\x02}U\x01acnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        b"(K\x01" + shape + b"cnumpy\ndtype\nU\x02f4K\x00K\x01\x87R"
        b"(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89U\x08" + bytes(8) + b"tbs."
    )
    with pytest.raises(ArrayPickleError, match=message):
        read_arrays(data)


def test_every_cut_of_a_pickle_is_refused() -> None:
    data = pickle.dumps({"a": np.arange(3.0)})
    for length in range(len(data)):
        with pytest.raises(ArrayPickleError):
            read_arrays(data[:length])


def test_a_flipped_byte_gives_arrays_or_a_message() -> None:
    data = pickle.dumps(ARRAYS)
    rng = np.random.default_rng(0)
    num_refused = 0
    for place, change in zip(
        rng.integers(0, len(data), 300), rng.integers(1, 256, 300), strict=True
    ):
        flipped = bytearray(data)
        flipped[place] ^= change
        try:
            read = read_arrays(bytes(flipped))
        except ArrayPickleError:
            num_refused += 1
        else:
            assert all(isinstance(array, np.ndarray) for array in read.values())
    assert 100 < num_refused < 300


def test_a_large_number_of_a_remembered_part_costs_no_memory() -> None:
    assert read_arrays(b"\x80\x02}r" + struct.pack("<I", 2**32 - 1) + b".") == {}
