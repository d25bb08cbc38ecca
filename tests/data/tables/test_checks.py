from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pdray.data.cohort.manifest import load_manifest
from pdray.errors import ManifestError

NUM = 40


@pytest.fixture
def tables(tmp_path: Path) -> dict[str, pd.DataFrame]:
    """Return SYNTHETIC tables and write a manifest that names them."""
    rng = np.random.default_rng(0)
    ids = [f"r{number}" for number in range(NUM)]
    rows = pd.DataFrame({"recording_id": ids, "subject_id": [f"S{n}" for n in range(NUM)]})
    rows = rows.assign(item="finger_tapping", site=["north", "south"] * (NUM // 2))
    rows["features.smile"], rows["features.speech"] = "smile.csv", "speech.csv"
    rows.to_csv(tmp_path / "manifest.csv", index=False)
    return {
        name: pd.DataFrame(rng.normal(size=(NUM, 3)), columns=columns).assign(recording_id=ids)
        for name, columns in (("smile", list("abc")), ("speech", list("def")))
    }


def _notes(tmp_path: Path, tables: dict[str, pd.DataFrame]) -> str:
    for name, table in tables.items():
        table.to_csv(tmp_path / f"{name}.csv", index=False)
    return "\n".join(load_manifest(tmp_path / "manifest.csv").notes)


def test_tables_without_a_fault_are_not_mentioned(
    tmp_path: Path, tables: dict[str, pd.DataFrame]
) -> None:
    assert _notes(tmp_path, tables) == ""


def test_rows_that_fit_no_other_are_counted(
    tmp_path: Path, tables: dict[str, pd.DataFrame]
) -> None:
    smile = tables["smile"]
    more = smile.iloc[:2].assign(recording_id=["r98", "r99"])
    told = _notes(tmp_path, tables | {"smile": pd.concat([smile, more])})
    assert "2 of 42 rows of smile.csv are of recordings that the manifest has not" in told
    assert "r98, r99" in told
    with pytest.raises(ManifestError, match=r"row 3: features.smile smile.csv has no row of rec"):
        _notes(tmp_path, tables | {"smile": smile.drop(index=1)})


def test_columns_that_look_wrong_are_named(tmp_path: Path, tables: dict[str, pd.DataFrame]) -> None:
    smile, speech = tables["smile"], tables["speech"]
    smile["c"], smile["nonexpert1"], smile["total_UPDRS"] = 7, smile["a"], smile["b"]
    smile["e"] = speech["e"]
    speech.loc[speech.index % 2 == 1, "d"] *= 1000
    speech.loc[3, ["d", "e", "f"]] = np.nan
    zeros = [f"z{number}" for number in range(6)]
    speech[zeros] = np.random.default_rng(1).normal(size=(NUM, 6))
    speech.loc[[4, 6], zeros] = 0
    speech.loc[3, zeros] = np.nan
    told = _notes(tmp_path, tables).splitlines()
    for part in (
        "features.smile: 1 column is constant or empty and says nothing; remove it: c",
        "features.smile: by their names, nonexpert1, total_UPDRS are no features",
        "features.speech: 1 of 40 recordings have no value in any column",
        "features.speech: the spread of 1 column differs by 10 times or more by site",
        "features.speech: 6 columns are zero together in 2 of 40 recordings (z0, z1, z2, z3, z4",
        "features.smile and features.speech both have the columns e",
    ):
        assert sum(part in line for line in told) == 1, part
    assert len(told) == 6


def test_tables_of_one_modality_have_the_same_columns(
    tmp_path: Path, tables: dict[str, pd.DataFrame]
) -> None:
    rows = pd.read_csv(tmp_path / "manifest.csv")
    rows.loc[5:, "features.smile"] = "other.csv"
    rows.to_csv(tmp_path / "manifest.csv", index=False)
    other = tables["smile"].rename(columns={"b": "B"})
    with pytest.raises(ManifestError, match=r"other.csv has other columns than smile.csv: lacks b"):
        _notes(tmp_path, tables | {"other": other})


def test_files_of_one_recording_have_the_columns_of_the_others(
    tmp_path: Path, tables: dict[str, pd.DataFrame]
) -> None:
    rows = pd.read_csv(tmp_path / "manifest.csv")
    rows.loc[5, "features.smile"], rows.loc[6, "features.speech"] = "r5.npz", "r6.npz"
    rows.to_csv(tmp_path / "manifest.csv", index=False)
    np.savez(tmp_path / "r5.npz", names=np.array(["a", "c"]), values=np.zeros(2))
    (tmp_path / "r6.npz").write_bytes(b"no archive")
    with pytest.raises(ManifestError) as told:
        _notes(tmp_path, tables)
    assert "row 7: features.smile r5.npz has other columns than smile.csv: lacks b" in str(
        told.value
    )
    assert "row 8: features.speech: its features r6.npz are no .npz file" in str(told.value)


def test_tables_of_two_sites_are_compared(tmp_path: Path, tables: dict[str, pd.DataFrame]) -> None:
    rows = pd.read_csv(tmp_path / "manifest.csv")
    rows.loc[rows["site"] == "south", "features.smile"] = "other.csv"
    rows.to_csv(tmp_path / "manifest.csv", index=False)
    smile = tables["smile"]
    smile["a"] = 7
    other = smile.assign(b=smile["b"] * 1000)
    used = {"smile": smile[rows["site"] == "north"], "other": other[rows["site"] == "south"]}
    told = _notes(tmp_path, tables | used)
    assert "features.smile: 1 column is constant or empty and says nothing; remove it: a" in told
    assert "features.smile: the spread of 1 column differs by 10 times or more by site" in told


def test_a_rater_of_few_recordings_is_named(tmp_path: Path) -> None:
    rows = pd.DataFrame({"recording_id": [f"r{number}" for number in range(NUM)]})
    rows["subject_id"], rows["item"] = rows["recording_id"], "finger_tapping"
    rows["rater_1"], rows["rater_2"] = 1, pd.array([2] * 5 + [None] * (NUM - 5), "Int64")
    rows.to_csv(tmp_path / "manifest.csv", index=False)
    (note,) = load_manifest(tmp_path / "manifest.csv").notes
    assert note.endswith("whose agreement says nothing: rater_2 (5)")
