import collections
import copyreg
import os
import pickle
import struct
import subprocess

import numpy as np
import pytest
import torch

from pdray.plain_pickle import PlainPickleError, read_arrays, read_plain

VALUES = {
    "nested": [1, -2.5, None, True, False, "text", b"bytes", (1, ("a",)), {"x": {}}, [], ()],
    ("tuple", 3): 10**30,
    None: 0,
    "scalars": [np.float64(2.5), np.float32(0.1), np.int16(-3), np.uint8(200), np.bool_(True)],
}
ARRAYS = {
    "conv1.weight": np.arange(6.0).reshape(2, 3),
    "fortran": np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3)),
    "integers of the other byte order": np.arange(3, dtype=">i4"),
    "floats of the other byte order": np.arange(3, dtype=">f4"),
    "one": np.array(7),
    "half": np.ones(2, np.float16),
}
EVERY_PROTOCOL = pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
BOTH = pytest.mark.parametrize("read", [read_plain, read_arrays])


class Calls:
    """Pickles as a call of anything."""

    def __init__(self, function, *arguments):
        self.function = function
        self.arguments = arguments

    def __reduce__(self):
        return self.function, self.arguments


class Plain:
    pass


def agree(read, expected):
    assert list(read) == list(expected)
    for name, array in expected.items():
        np.testing.assert_array_equal(read[name], array)
        assert read[name].dtype == array.dtype.newbyteorder("=")
        assert read[name].shape == array.shape
        assert read[name].flags.writeable


@EVERY_PROTOCOL
def test_values_come_back_as_they_were(protocol):
    read = read_plain(pickle.dumps(VALUES, protocol))
    assert read == VALUES
    assert [type(one) for one in read["scalars"]] == [type(one) for one in VALUES["scalars"]]
    assert list(map(type, read["nested"])) == list(map(type, VALUES["nested"]))


@EVERY_PROTOCOL
def test_arrays_among_values_come_back_as_they_were(protocol):
    arrays = ARRAYS | {"empty": np.zeros((0, 2)), "flags": np.array([True, False])}
    read = read_plain(pickle.dumps({"deep": [arrays], "kind": np.dtype(">f4")}, protocol))
    assert read["kind"] == np.dtype(">f4")
    agree(read["deep"][0], arrays)
    alone = read_plain(pickle.dumps(ARRAYS["fortran"], protocol))
    np.testing.assert_array_equal(alone, ARRAYS["fortran"])


@EVERY_PROTOCOL
@pytest.mark.parametrize("container", [dict, collections.OrderedDict])
def test_named_arrays_come_back_as_they_were(container, protocol):
    agree(read_arrays(pickle.dumps(container(ARRAYS), protocol)), ARRAYS)


@BOTH
def test_a_pickle_of_python_2_is_read(read):
    # As Python 2 wrote it: names and numbers are byte strings (opcode U), the array is rebuilt
    # from an empty one.
    numbers = np.array([-1.5, 1e30], "<f4").tobytes()
    data = (
        b"\x80\x02}U\x05fc.bicnumpy.core.multiarray\n_reconstruct\n"
        b"cnumpy\nndarray\nK\x00\x85U\x01b\x87R(K\x01K\x02\x85cnumpy\ndtype\nU\x02f4K\x00K\x01\x87R"
        b"(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89U\x08" + numbers + b"tbs."
    )
    assert read(data)["fc.bi"].tolist() == [-1.5, float(np.float32(1e30))]


@BOTH
def test_a_pickle_of_python_2_in_text_is_read(read):
    data = (
        b"(dp0\nS'a'\np1\ncnumpy.core.multiarray\n_reconstruct\np2\n(cnumpy\nndarray\np3\n(I0\ntp4\n"
        b"S'b'\np5\ntp6\nRp7\n(I1\n(I1\ntp8\ncnumpy\ndtype\np9\n(S'f4'\np10\nI0\nI1\ntp11\nRp12\n"
        b"(I3\nS'<'\np13\nNNNI-1\nI-1\nI0\ntp14\nbI00\nS'\\x00\\x00\\x80\\xbf'\np15\ntp16\nbs."
    )
    assert read(data)["a"].tolist() == [-1.0]


def test_a_value_that_stands_twice_is_read_once():
    shared = [np.ones(2)]
    read = read_plain(pickle.dumps({"a": shared, "b": [shared]}))
    assert read["a"] is read["b"][0]
    assert read["a"][0].tolist() == [1, 1]


def hostile(touch):
    """Return pickles that would create the file ``touch`` if anything of them ran."""
    command = f"touch {touch}"
    source = f"open({touch!r}, 'w').close()"
    evil = pickle.dumps(Calls(os.system, command))
    text = command.encode()
    objects = {
        "system": Calls(os.system, command),
        "popen": Calls(subprocess.getoutput, command),
        "eval": Calls(eval, source),
        "exec": Calls(exec, source),
        "open": Calls(open, touch, "w"),
        "a pickle inside": Calls(pickle.loads, evil),
        "a torch file inside": Calls(torch.storage._load_from_bytes, evil),
        "numpy scalar of objects": Calls(np.float32(1).__reduce__()[0], np.dtype("O"), evil),
        "numpy load": Calls(np.load, touch, None, True),
        "copyreg": Calls(copyreg._reconstructor, Calls, object, None),
        "getattr": Calls(getattr, Calls(__import__, "os"), "system"),
    }
    made = {name: pickle.dumps({"conv1.weight": item}) for name, item in objects.items()}
    made |= {f"{name} in a list": pickle.dumps({"a": [item]}) for name, item in objects.items()}
    made |= {f"{name}, protocol 2": pickle.dumps(item, 2) for name, item in objects.items()}
    made |= {
        "global and reduce": b"cos\nsystem\n(S'" + text + b"'\ntR.",
        "chain of calls": b"c__builtin__\ngetattr\n(c__builtin__\n__import__\n(S'os'\ntRS'system'"
        b"\ntR(S'" + text + b"'\ntR.",
        "inst": b"(S'" + text + b"'\nios\nsystem\n.",
        "inst of a known name": b"(inumpy\ndtype\n.",
        "obj": b"(cos\nsystem\nS'" + text + b"'\no.",
        "newobj": b"\x80\x02cos\nsystem\n(S'" + text + b"'\nt\x81.",
        "newobj of a known name": b"\x80\x02cnumpy\nndarray\n(t\x81.",
        "attribute of a known name": b"\x80\x04\x8c\x05numpy\x8c\x0cndarray.dump\x93"
        b"\x8c\x01a\x85R.",
        "call of a class": b"cnumpy\nndarray\n(S'" + text + b"'\ntR.",
        "call of a value": b"]" + b"(S'" + text + b"'\ntR.",
        "state of a value": b"]}S'append'\nS'x'\nsb.",
        "state of a name": b"cnumpy\ndtype\n(N}S'keywords'\nS'x'\nstb.",
        "text state of a name": b"cnumpy\ndtype\n}S'text'\nS'y'\nsb.",
        "state of a class": b"cnumpy\nndarray\n(N}S'text'\nS'y'\nstb.",
        "text state of a class": b"cnumpy\nndarray\n}S'text'\nS'y'\nsb.",
        "extension": b"\x80\x02\x82\x01.",
        "persistent name": b"Pos.system\n.",
    }
    return made


@BOTH
@pytest.mark.parametrize("name", sorted(hostile("x")))
def test_nothing_of_a_hostile_pickle_runs(name, read, tmp_path):
    touched = tmp_path / "touched"
    data = hostile(str(touched))[name]
    with pytest.raises(PlainPickleError, match="it "):
        read(data)
    assert not touched.exists()
    assert read(pickle.dumps({"one": ARRAYS["one"]})) == {"one": 7}  # no stand-in has changed


def test_the_payload_would_have_worked(tmp_path):
    touched = tmp_path / "touched"
    pickle.loads(hostile(str(touched))["system"])
    assert touched.exists()


@pytest.mark.parametrize(("read", "what"), [(read_plain, "plain value"), (read_arrays, "array")])
def test_the_unknown_name_is_told(read, what):
    with pytest.raises(PlainPickleError, match=rf"it names posix\.system, which no {what} needs"):
        read(pickle.dumps(Calls(os.system, "true")))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.array([object]), "a number format 'O8'; expected up to 8 bytes"),
        (np.array(["text"]), "a number format 'U4'"),
        (np.zeros(2, complex), "a number format 'c16'"),
        (np.zeros(2).view(np.recarray), r"names numpy\.rec\.recarray"),
        (Plain(), r"names copy_reg\._reconstructor|names .*Plain"),
        (collections.OrderedDict(a=1), r"names collections\.OrderedDict"),
        ({1, 2}, r"names __builtin__\.set"),
        (1 + 2j, r"names __builtin__\.complex"),
        (np.ndarray, "holds a name or an array without numbers"),
        ((np.zeros(1),), "its pickle holds an array or a name where no value can be"),
        ({(np.dtype("f4"),): 1}, "its pickle holds an array or a name where no value can be"),
    ],
)
def test_what_is_no_plain_value_is_refused(value, message):
    with pytest.raises(PlainPickleError, match=message):
        read_plain(pickle.dumps({"a": value}, 2))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"a": np.array([object])}, "an array of 'O8'; expected integers or floats of 1 to 8 b"),
        ({"a": np.array(["text"])}, r"an array of 'U4'"),
        ({"a": np.zeros(2, [("a", "f4")])}, r"an array of 'V4'"),
        ({"a": np.zeros(2, complex)}, r"an array of 'c16'"),
        ({"a": np.zeros(2, bool)}, r"an array of 'b1'"),
        ({"a": np.zeros(2).view(np.recarray)}, r"names numpy\.rec\.recarray"),
        ({"a": np.float32(1)}, r"names numpy\._core\.multiarray\.scalar"),
        ({"a": [1.0]}, "its value 'a' is not an array"),
        ({"a": [np.zeros(1)]}, "its value 'a' is not an array"),
        ({"a": None}, "its value 'a' is not an array"),
        ({1: np.zeros(1)}, "its pickle has the key 1, but every key must be the name of an array"),
        ([1], "its pickle holds no dict of arrays"),
    ],
)
def test_what_is_no_dict_of_arrays_of_numbers_is_refused(content, message):
    with pytest.raises(PlainPickleError, match=message):
        read_arrays(pickle.dumps(content, 2))


DTYPE = b"cnumpy\ndtype\nU\x02f4K\x00K\x01\x87R"
ARRAY = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
BUFFER = b"cnumpy.core.numeric\n_frombuffer\n(C\x04\x00\x00\x80\x3f" + DTYPE + b"K\x01\x85"
FITTING = [
    (ARRAY + b"(K\x01K\x03\x85" + DTYPE + b"\x89C\x08" + bytes(8) + b"tb",
     r"shape \(3,\) with 2 numbers"),
    (ARRAY + b"(K\x01J\xff\xff\xff\xff\x85" + DTYPE + b"\x89C\x08" + bytes(8) + b"tb",
     r"shape \(-1,\)"),
    (ARRAY + b"(K\x01K\x02\x85" + DTYPE + b"\x89C\x07" + bytes(7) + b"tb", "not a pickle of"),
    (ARRAY + b"(K\x01K\x02\x85" + DTYPE + b"\x89Ntb", "an array without numbers"),
    (ARRAY + b"(K\x01tb", "an array without its five parts"),
    (ARRAY, "an array without numbers"),
    (b"cnumpy.core.multiarray\n_reconstruct\nNK\x00\x85U\x01b\x87R", "another class than numpy.nd"),
    (BUFFER + b"U\x01KtR", "an array of order 'K'; expected 'C' or 'F'"),
    (DTYPE + b"(K\x03U\x01!tb", "a number format has byte order '!'; expected '<' or '>'"),
    (DTYPE + b"(K\x03tb", "a number format has byte order None"),
    (b"c_codecs\nencode\nU\x01aU\x04utf8\x86R", "bytes in the encoding 'utf8'; expected latin1"),
]  # fmt: skip
SCALAR = b"cnumpy.core.multiarray\nscalar\n"


@BOTH
@pytest.mark.parametrize(("body", "message"), FITTING)
def test_parts_that_do_not_fit_are_refused(body, message, read):
    with pytest.raises(PlainPickleError, match=message):
        read(b"\x80\x03}U\x01a" + body + b"s.")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (DTYPE + b"C\x03abc\x86R.", "a number of 3 bytes; its format has 4"),
        (DTYPE + b"N\x86R.", "a number without its format or bytes"),
        (b"U\x02f4C\x04abcd\x86R.", "a number without its format or bytes"),
    ],
)
def test_parts_of_a_number_that_do_not_fit_are_refused(body, message):
    with pytest.raises(PlainPickleError, match=message):
        read_plain(b"\x80\x03" + SCALAR + body)


@pytest.mark.parametrize("protocol", [2, 5])
@pytest.mark.parametrize(("read", "value"), [(read_plain, [VALUES, ARRAYS]), (read_arrays, ARRAYS)])
def test_every_cut_of_a_pickle_is_refused(read, value, protocol):
    data = pickle.dumps(value, protocol)
    for length in range(len(data)):
        with pytest.raises(PlainPickleError):
            read(data[:length])


def num_refused(read, value, num_flips):
    """Return how many of a pickle's copies with one byte changed are refused with a message."""
    data = pickle.dumps(value)
    rng = np.random.default_rng(0)
    places, changes = rng.integers(0, len(data), num_flips), rng.integers(1, 256, num_flips)
    count = 0
    for place, change in zip(places, changes, strict=True):
        flipped = bytearray(data)
        flipped[place] ^= change
        try:
            content = read(bytes(flipped))
        except PlainPickleError:
            count += 1
        else:
            arrays = content.values() if read is read_arrays else ()
            assert all(isinstance(array, np.ndarray) for array in arrays)
    return count


def test_a_flipped_byte_gives_a_value_or_a_message():
    assert 100 < num_refused(read_plain, [VALUES, ARRAYS], 400) < 400
    assert 100 < num_refused(read_arrays, ARRAYS, 300) < 300


@BOTH
def test_numbers_in_a_file_cost_no_memory(read):
    assert read(b"\x80\x02}r" + struct.pack("<I", 2**32 - 1) + b".") == {}
    with pytest.raises(PlainPickleError):  # a bytearray of an exbibyte
        read(b"\x80\x05\x96" + struct.pack("<Q", 2**60) + b"abc.")


def test_what_holds_itself_ends():
    value = [np.ones(1)]
    value.append(value)
    read = read_plain(pickle.dumps(value))
    assert read[1] is read
    assert read[0].tolist() == [1]
    assert read_plain(b"(" * 5 + b"l" * 5 + b".") == [[[[[]]]]]


def test_values_that_multiply_are_walked_once():
    body = b"]q\x00" + b"".join(b"](h%ch%ceq%c" % (n, n, n + 1) for n in range(60))
    assert len(read_plain(b"\x80\x02" + body + b".")) == 2
