import collections
import os
import pickle
import struct
import subprocess

import numpy as np
import pytest

from pdray.data.plain_pickle import PlainPickleError, read_plain

VALUES = {
    "nested": [1, -2.5, None, True, False, "text", b"bytes", (1, ("a",)), {"x": {}}, [], ()],
    ("tuple", 3): 10**30,
    None: 0,
    "scalars": [np.float64(2.5), np.float32(0.1), np.int16(-3), np.uint8(200), np.bool_(True)],
}
ARRAYS = {
    "plain": np.arange(6.0).reshape(2, 3),
    "fortran": np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3)),
    "other byte order": np.arange(3, dtype=">i4"),
    "empty": np.zeros((0, 2)),
    "one": np.array(7),
    "flags": np.array([True, False]),
}
PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)


class Calls:
    """Pickles as a call of anything."""

    def __init__(self, function, *arguments):
        self.function = function
        self.arguments = arguments

    def __reduce__(self):
        return self.function, self.arguments


class Plain:
    pass


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_values_come_back_as_they_were(protocol):
    read = read_plain(pickle.dumps(VALUES, protocol))
    assert read == VALUES
    assert [type(one) for one in read["scalars"]] == [type(one) for one in VALUES["scalars"]]
    assert list(map(type, read["nested"])) == list(map(type, VALUES["nested"]))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_arrays_come_back_as_they_were(protocol):
    read = read_plain(pickle.dumps({"deep": [ARRAYS], "kind": np.dtype(">f4")}, protocol))
    assert read["kind"] == np.dtype(">f4")
    assert list(read["deep"][0]) == list(ARRAYS)
    for name, array in ARRAYS.items():
        found = read["deep"][0][name]
        np.testing.assert_array_equal(found, array)
        assert found.dtype == array.dtype.newbyteorder("=")
        assert found.shape == array.shape
    alone = read_plain(pickle.dumps(ARRAYS["plain"], protocol))
    np.testing.assert_array_equal(alone, ARRAYS["plain"])


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
        "numpy scalar of objects": Calls(np.float32(1).__reduce__()[0], np.dtype("O"), evil),
        "numpy load": Calls(np.load, touch, None, True),
        "getattr": Calls(getattr, Calls(__import__, "os"), "system"),
    }
    made = {name: pickle.dumps({"video0": [item]}) for name, item in objects.items()}
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
        "state of a name": b"cnumpy\ndtype\n(N}S'call'\nS'x'\nstb.",
        "extension": b"\x80\x02\x82\x01.",
        "persistent name": b"Pos.system\n.",
    }
    return made


@pytest.mark.parametrize("name", sorted(hostile("x")))
def test_nothing_of_a_hostile_pickle_runs(name, tmp_path):
    touched = tmp_path / "touched"
    data = hostile(str(touched))[name]
    with pytest.raises(PlainPickleError, match="it "):
        read_plain(data)
    assert not touched.exists()


def test_the_payload_would_have_worked(tmp_path):
    touched = tmp_path / "touched"
    pickle.loads(hostile(str(touched))["system"])
    assert touched.exists()


def test_the_unknown_name_is_told():
    with pytest.raises(PlainPickleError, match=r"it names posix\.system, which no plain value"):
        read_plain(pickle.dumps(Calls(os.system, "true")))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.array([object]), "a number format 'O8'"),
        (np.array(["text"]), "a number format 'U4'"),
        (np.zeros(2, complex), "a number format 'c16'"),
        (np.zeros(2).view(np.recarray), r"names numpy\.rec\.recarray"),
        (Plain(), r"names copy_reg\._reconstructor|names .*Plain"),
        (collections.OrderedDict(a=1), r"names collections\.OrderedDict"),
        ({1, 2}, r"names __builtin__\.set"),
        (1 + 2j, r"names __builtin__\.complex"),
        (np.ndarray, r"names numpy\.ndarray|holds a name"),
        ((np.zeros(1),), "it holds an array or a name where no value can be"),
    ],
)
def test_what_is_no_plain_value_is_refused(value, message):
    with pytest.raises(PlainPickleError, match=message):
        read_plain(pickle.dumps({"a": value}, 2))


DTYPE = b"cnumpy\ndtype\nU\x02f4K\x00K\x01\x87R"
ARRAY = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
SCALAR = b"cnumpy.core.multiarray\nscalar\n"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (ARRAY + b"(K\x01K\x03\x85" + DTYPE + b"\x89C\x08" + bytes(8) + b"tb.",
         r"shape \(3,\) with 2 numbers"),
        (ARRAY + b"(K\x01J\xff\xff\xff\xff\x85" + DTYPE + b"\x89C\x08" + bytes(8) + b"tb.",
         r"shape \(-1,\)"),
        (ARRAY + b"(K\x01K\x02\x85" + DTYPE + b"\x89C\x07" + bytes(7) + b"tb.", "no pickle of"),
        (ARRAY + b"(K\x01tb.", "an array without its five parts"),
        (ARRAY + b".", "an array without numbers"),
        (SCALAR + DTYPE + b"C\x03abc\x86R.", "a number of 3 bytes; its format has 4"),
        (SCALAR + DTYPE + b"N\x86R.", "a number without its format or bytes"),
        (SCALAR + b"U\x02f4C\x04abcd\x86R.", "a number without its format or bytes"),
        (DTYPE + b"(K\x03U\x01!tb.", r"has byte order '!'"),
        (b"c_codecs\nencode\nU\x01aU\x04utf8\x86R.", "bytes in the encoding 'utf8'"),
    ],
)  # fmt: skip
def test_parts_that_do_not_fit_are_refused(body, message):
    with pytest.raises(PlainPickleError, match=message):
        read_plain(b"\x80\x03" + body)


def test_every_cut_of_a_pickle_is_refused():
    for protocol in (2, 5):
        data = pickle.dumps([VALUES, ARRAYS], protocol)
        for length in range(len(data)):
            with pytest.raises(PlainPickleError):
                read_plain(data[:length])


def test_a_flipped_byte_gives_a_value_or_a_message():
    data = pickle.dumps([VALUES, ARRAYS])
    rng = np.random.default_rng(0)
    num_refused = 0
    for place, change in zip(
        rng.integers(0, len(data), 400), rng.integers(1, 256, 400), strict=True
    ):
        flipped = bytearray(data)
        flipped[place] ^= change
        try:
            read_plain(bytes(flipped))
        except PlainPickleError:
            num_refused += 1
    assert 100 < num_refused < 400


def test_numbers_in_a_file_cost_no_memory():
    assert read_plain(b"\x80\x02}r" + struct.pack("<I", 2**32 - 1) + b".") == {}
    with pytest.raises(PlainPickleError):  # a bytearray of an exbibyte
        read_plain(b"\x80\x05\x96" + struct.pack("<Q", 2**60) + b"abc.")


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
