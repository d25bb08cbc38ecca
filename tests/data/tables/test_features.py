from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pdray.data.cohort.manifest import Recording, load_manifest
from pdray.data.store.entry import Entry
from pdray.data.store.frame_store import FrameStore
from pdray.data.store.settings import Recipe
from pdray.data.tables.features import Features, check_names, read_features, read_table
from pdray.errors import DecodeError, ManifestError

TABLE = "recording_id,speed,size\nr1,0.5,-2e3\nr2,,7\n"


def _written(folder: Path, text: str, name: str = "features.csv") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_an_empty_cell_is_absent_and_never_zero(tmp_path: Path) -> None:
    path = _written(tmp_path, TABLE)
    assert read_features((path, "r1")).names == ("speed", "size")
    np.testing.assert_array_equal(read_features((path, "r1")).values, [0.5, -2000])
    np.testing.assert_array_equal(read_features((path, "r2")).values, [np.nan, 7])


def test_parquet_semicolons_and_npz_say_the_same(tmp_path: Path) -> None:
    table = read_table(_written(tmp_path, TABLE))
    pd.read_csv(tmp_path / "features.csv").to_parquet(tmp_path / "features.parquet")
    european = TABLE.replace(",", ";").replace("0.5", "0,5")
    for path in (tmp_path / "features.parquet", _written(tmp_path, european, "european.csv")):
        other = read_table(path)
        assert (other.names, other.places) == (table.names, table.places)
        np.testing.assert_array_equal(other.values, table.values)
    np.savez(tmp_path / "r2.npz", names=np.array(table.names), values=[np.nan, 7.0])
    single = read_features((tmp_path / "r2.npz", "any"))
    assert single.names == table.names
    np.testing.assert_array_equal(single.values, table.values[1])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("id,speed\nr1,1\n", "required column recording_id is missing"),
        ("recording_id\nr1\n", "there is no column of numbers"),
        ("recording_id,a,a\nr1,1,2\n", "column 'a' stands 2 times"),
        ("recording_id,grade\nr1,1\n", "column 'grade' is one of the manifest's"),
        ("recording_id,a\nr1,1\nr1,2\n", "'r1' stands in 2 rows"),
        ("recording_id,a\n,1\n", "1 rows have no recording_id"),
        ("recording_id,a\nr1,nan\n", "row 2: column 'a' is 'nan', which is no number"),
        ("recording_id,a\nr1,1_0\n", "row 2: column 'a' is '1_0'"),
        ("recording_id,a\nr1,1e999\n", "column 'a' holds an infinite number"),
    ],
)
def test_a_wrong_table_says_what_is_wrong(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(ManifestError, match=told):
        read_table(_written(tmp_path, text))


def test_text_in_a_table_is_not_repeated(tmp_path: Path) -> None:
    path = _written(tmp_path, "recording_id,who\nr1,Jane Doe\n")
    with pytest.raises(ManifestError, match="'who' is text") as caught:
        read_table(path)
    assert "Jane" not in str(caught.value)


def test_a_recording_without_a_row_is_named(tmp_path: Path) -> None:
    with pytest.raises(DecodeError, match=r"features.csv has no row with this recording_id"):
        read_features((_written(tmp_path, TABLE), "r3"))


def test_a_changed_table_is_read_again(tmp_path: Path) -> None:
    assert read_table(_written(tmp_path, TABLE)).values[1, 1] == 7
    assert read_table(_written(tmp_path, TABLE.replace("7", "81"))).values[1, 1] == 81


@pytest.mark.parametrize(
    ("arrays", "told"),
    [
        ({"values": [1.0]}, "no .npz file with the arrays names and values"),
        ({"names": np.array(["a"]), "values": [1.0, 2.0]}, r"of shape \(2,\), not \(1,\) numbers"),
        ({"names": np.array(["a"]), "values": [np.inf]}, "a value is infinite"),
        ({"names": np.array(["grade"]), "values": [1.0]}, "'grade' is one of the manifest's"),
    ],
)
def test_a_wrong_npz_says_what_is_wrong(
    tmp_path: Path, arrays: dict[str, object], told: str
) -> None:
    np.savez(tmp_path / "r.npz", **{name: np.asarray(one) for name, one in arrays.items()})
    with pytest.raises(DecodeError, match=told):
        read_features((tmp_path / "r.npz", "r"))


def test_recordings_with_other_columns_are_named() -> None:
    first, other = (Features(names, np.zeros(2)) for names in (("a", "b"), ("a", "c")))
    with pytest.raises(ManifestError, match="recording r2 has other columns than r1: lacks b; ad"):
        check_names({"r1": first, "r2": other}, "features")
    with pytest.raises(ManifestError, match="the order differs"):
        check_names({"r1": first, "r2": Features(("b", "a"), np.zeros(2))}, "features")


def test_the_store_keeps_the_row_of_each_recording(tmp_path: Path) -> None:
    _written(tmp_path, TABLE)
    _written(tmp_path, TABLE.replace("speed", "loudness"), "speech.csv")
    manifest = _written(
        tmp_path,
        "recording_id,subject_id,item,grade,features.smile,features.speech\n"
        "r1,S1,finger_tapping,1,features.csv,\n"
        "r2,S2,finger_tapping,2,features.csv,speech.csv\n",
        "manifest.csv",
    )
    one, two = load_manifest(manifest).recordings
    assert one.given("features.speech") is None
    assert one.files == {"features.smile": tmp_path / "features.csv"}
    store = FrameStore(tmp_path / "store", Recipe())
    paths = store.add(two, ("features.smile", "features.speech")).paths
    entry = Entry(paths["features.speech"])
    assert entry.names == ("loudness", "size")
    np.testing.assert_array_equal(entry.read(np.arange(1)), [[np.nan, 7]])
    assert store.add(one, ("features.smile",)).paths["features.smile"] not in paths.values()
    with pytest.raises(DecodeError, match=r"recording r1: its row has no features.speech"):
        store.add(one, ("features.speech",))


def test_recordings_of_a_manifest_are_equal_and_hashable(tmp_path: Path) -> None:
    one = Recording("r", "S", "finger_tapping", features={"features": tmp_path})
    assert {one, Recording("r", "S", "finger_tapping", features={"features": tmp_path})} == {one}
