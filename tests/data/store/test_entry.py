import json

import numpy as np
import pyarrow as pa
import pytest

from pdray.data.store.entry import Entry, EntryWriter, is_whole
from pdray.data.store.settings import StoreConfig
from pdray.errors import StoreError

ITEMS = np.random.default_rng(0).integers(0, 256, (23, 20, 30, 3), np.uint8)


@pytest.fixture(autouse=True)
def small_batches(monkeypatch):
    """Four items a batch, so that an entry has several and the last is not full."""
    monkeypatch.setattr("pdray.data.store.entry._BATCH_BYTES", 4 * ITEMS[0].nbytes)


@pytest.fixture
def path(tmp_path, write_entry):
    return write_entry(tmp_path / "a.arrow", ITEMS)


def batches_read(entry, indices, monkeypatch):
    """Return the batches that a read touches."""
    seen = []
    reader = entry._reader

    class Watched:
        def get_batch(self, number):
            seen.append(number)
            return reader.get_batch(number)

    monkeypatch.setattr(entry, "_reader", Watched())
    entry.read(np.array(indices))
    return seen


def test_any_items_in_any_order_with_repeats(path):
    entry = Entry(path)
    assert (len(entry), entry.shape, entry.dtype, entry.codec) == (23, (20, 30, 3), "uint8", "raw")
    indices = np.array([22, 0, 7, 7, 3, 21])
    picked = entry.read(indices)
    np.testing.assert_array_equal(picked, ITEMS[indices])
    assert picked.flags.writeable
    assert entry.read(np.array([], np.int64)).shape == (0, 20, 30, 3)
    np.testing.assert_allclose(entry.seconds, np.arange(23) / 25)


def test_items_are_read_into_given_memory(path):
    out = np.zeros((2, 20, 30, 3), np.uint8)
    assert Entry(path).read(np.array([5, 4]), out) is out
    np.testing.assert_array_equal(out, ITEMS[[5, 4]])


def test_only_the_batches_of_wanted_items_are_touched(path, monkeypatch):
    assert batches_read(Entry(path), [1, 2, 21], monkeypatch) == [0, 5]


@pytest.mark.parametrize("codec", ["raw", "lz4"])
@pytest.mark.parametrize("num_items", [1, 4, 5, 8])
def test_every_length_comes_back(tmp_path, codec, num_items):
    path = tmp_path / "a.arrow"
    with EntryWriter(path, StoreConfig(codec=codec)) as writer:
        for number in range(num_items):
            writer.append(number, ITEMS[number])
    assert writer.num_items == num_items
    entry = Entry(path)
    np.testing.assert_array_equal(entry.read(np.arange(len(entry))), ITEMS[:num_items])
    entry.verify()


@pytest.mark.parametrize("bad", [-1, 23])
def test_indices_outside_are_refused(path, bad):
    with pytest.raises(IndexError, match=r"indices (-1\.\.0|0\.\.23) are outside 0\.\.22"):
        Entry(path).read(np.array([0, bad]))


def test_an_item_of_another_shape_is_refused(tmp_path):
    with EntryWriter(tmp_path / "a.arrow", StoreConfig()) as writer:
        writer.append(0.0, np.zeros((3, 2), np.float32))
        with pytest.raises(
            ValueError, match=r"item 1 is \(2, 2\) float32, but the first is \(3, 2\)"
        ):
            writer.append(0.1, np.zeros((2, 2), np.float32))


def test_a_missing_entry_is_named(tmp_path):
    with pytest.raises(
        StoreError,
        match=r"none\.arrow: this file of the frame store is missing; run the command again",
    ):
        Entry(tmp_path / "none.arrow")


@pytest.mark.parametrize("keep", [0, 5, 1000, -1, -200])
def test_a_cut_entry_is_reported(path, keep):
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(
        StoreError,
        match=r"a\.arrow: is damaged or not an entry of the frame store: .*; delete this file",
    ):
        Entry(path)


@pytest.mark.parametrize("content", [b"text", np.arange(1000).tobytes()])
def test_another_file_is_reported(tmp_path, content):
    (tmp_path / "a.arrow").write_bytes(content)
    with pytest.raises(StoreError, match="is damaged or not an entry of the frame store"):
        Entry(tmp_path / "a.arrow")


def test_an_arrow_file_of_somebody_else_is_reported(tmp_path):
    table = pa.table({"a": [1, 2]})
    with pa.ipc.new_file(str(tmp_path / "a.arrow"), table.schema) as writer:
        writer.write_table(table)
    with pytest.raises(StoreError, match="is damaged or not an entry of the frame store"):
        Entry(tmp_path / "a.arrow")


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({"shape": [100_000, 100_000, 3]}, "bytes cannot hold 23 items"),
        ({"shape": [4] * 9}, "its items have the shape"),
        ({"shape": [-1, 4]}, "its items have the shape"),
        ({"dtype": "O"}, "its items are object in codec 'raw'"),
        ({"codec": "zip"}, "its items are uint8 in codec 'zip'"),
        ({"items_per_batch": 1}, "its last batch has 3 of 1 items"),
        ({"codec": "lz4", "shape": [9_000, 9_000, 3]}, "bytes cannot hold 23 items"),
    ],
)
def test_facts_that_no_writer_writes_are_refused_before_memory_is_taken(path, facts, reason):
    with pa.ipc.open_file(path.read_bytes()) as reader:
        batches = [reader.get_batch(n) for n in range(reader.num_record_batches)]
        known = json.loads(reader.schema.metadata[b"pdray"])
        schema = reader.schema.with_metadata({"pdray": json.dumps(known | facts)})
    with pa.ipc.new_file(str(path), schema) as writer:
        for batch in batches:
            writer.write_batch(batch.cast(schema))
    with pytest.raises(StoreError, match=f"is damaged or not an entry of the frame.*{reason}"):
        Entry(path)


@pytest.mark.parametrize("place", [0.2, 0.5, 0.8])
def test_one_changed_bit_is_found(path, place):
    assert is_whole(path)
    content = bytearray(path.read_bytes())
    content[int(len(content) * place)] ^= 1
    path.write_bytes(content)
    assert not is_whole(path)
    with pytest.raises(StoreError, match=r"items \d+ to \d+ have changed since they were written"):
        Entry(path).verify()


def test_a_changed_time_is_found(tmp_path):
    with EntryWriter(tmp_path / "a.arrow", StoreConfig()) as writer:
        writer.append(1234.5, np.zeros(3, np.float32))
    content = (tmp_path / "a.arrow").read_bytes()
    old, new = np.float64(1234.5).tobytes(), np.float64(1234.6).tobytes()
    assert content.count(old) == 1
    (tmp_path / "a.arrow").write_bytes(content.replace(old, new))
    with pytest.raises(StoreError, match="items 0 to 0 have changed"):
        Entry(tmp_path / "a.arrow").verify()


def test_a_damaged_jpeg_names_file_and_item(tmp_path):
    path = tmp_path / "a.arrow"
    with EntryWriter(path, StoreConfig(codec="jpeg")) as writer:
        writer.append(0.0, ITEMS[0])
    content = bytearray(path.read_bytes())
    start = content.index(b"\xff\xd8\xff")
    content[start : start + 3] = b"\0\0\0"
    path.write_bytes(content)
    with pytest.raises(StoreError, match=r"a\.arrow: is damaged at item 0: .*; delete this file"):
        Entry(path).read(np.array([0]))
