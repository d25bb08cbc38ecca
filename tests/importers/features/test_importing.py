from pathlib import Path

import pytest
import yaml

from pdray.data.cohort.manifest import load_manifest
from pdray.errors import ManifestError, SettingsError
from pdray.importers.features.importing import Imported, import_features
from pdray.importers.features.settings import ImportConfig
from tests.places import SHARED

MESH = ",".join(f"smile_mouth-open_{name}" for name in ("mean", "var"))
# SYNTHETIC rows in the layouts of UFNet and PARK.
SMILE = f"""ID,pd,protocol,age,smile_AU12_mean,{MESH}
A,no,Park,60,1,0.5,0.1
A,no,Park,60,2,0,0
B,yes,Park,61,3,0.4,0.2
C,Possible,Old,62,1,0.3,0.1
D,,Old,63,1,0.3,0.1
E,yes,Old,40,1,0.3,0.1
E,yes,Old,70,1,0.3,0.1
"""
SPEECH = """Filename,Participant_ID,gender,age,race,pd,f0m,ppe
a_2020.mp4,A,female,60,x,0.0,100,0.5
b_2020.mp4,B,male,61,x,1.0,,
f_2020.mp4,F,male,50,x,1.0,120,0.4
g_2020.mp4,G,male,50,x,1.0,120,nan
g_2021.mp4,G,female,50,x,1.0,120,0.2
"""


def _import(folder: Path, layout: str, **settings: object) -> Imported:
    (folder / "smile.csv").write_text(SMILE)
    (folder / "classical_fox_features.csv").write_text(SPEECH)
    output = folder / f"{layout}.csv"
    return import_features(ImportConfig(layout=layout, folder=folder, output=output, **settings))


def test_a_missing_diagnosis_is_not_taken_for_ill(tmp_path: Path) -> None:
    made = _import(tmp_path, "ufnet_smile")
    recordings = load_manifest(made.manifest).recordings
    assert [(one.subject_id, one.diagnosis) for one in recordings] == [
        *(("A", "healthy"), ("A", "healthy"), ("B", "pd"), ("C", "possible pd"), ("D", None))
    ]
    assert [*made.reasons] == [
        "its subject has ages more than 2 years apart, so the id may stand for two"
    ]
    assert any("1 of 7 recordings of features.smile have no diagnosis" in one
               for one in made.found.notes)  # fmt: skip


def test_uncertain_diagnoses_are_left_out_when_asked(tmp_path: Path) -> None:
    made = _import(tmp_path, "ufnet_smile", uncertain="left_out")
    assert load_manifest(made.manifest).recordings[3].diagnosis is None


def test_zeros_of_a_face_that_was_not_found_are_absent(tmp_path: Path) -> None:
    made = _import(tmp_path, "ufnet_smile")
    lines = made.tables["features.smile"].read_text().splitlines()
    assert lines[2] == "smile_0002,2,,"


def test_no_name_of_a_file_is_written(tmp_path: Path) -> None:
    made = _import(tmp_path, "ufnet_speech")
    assert made.reasons == {
        "every feature of features.speech is absent": 1,
        "its subject has two sexes, so the id stands for two people": 2,
    }
    assert "2020" not in made.manifest.read_text()
    assert made.tables["features.speech"].read_text() == (
        "recording_id,f0m,ppe\nspeech_0001,100,0.5\nspeech_0003,120,0.4\n"
    )


def test_smile_and_speech_are_joined_by_person(tmp_path: Path) -> None:
    made = _import(tmp_path, "ufnet")
    recordings = load_manifest(made.manifest, scale="0..4").recordings
    assert [(one.recording_id, sorted(one.features)) for one in recordings] == [
        ("A_1", ["features.smile", "features.speech"]),
        *((name, ["features.smile"]) for name in ("A_2", "B_1", "C_1", "D_1")),
        ("F_1", ["features.speech"]),
    ]
    assert recordings[0].sex == "female"
    assert yaml.safe_load(made.settings.read_text())["data"]["target"] == "diagnosis"


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"layout": "rochci", "uncertain": "left_out"}, "uncertain has no effect"),
        ({"layout": "youtubepd"}, "manifest is needed"),
        ({"layout": "ufnet", "output": Path("m.parquet")}, "is not a .csv file"),
    ],
)
def test_settings_without_an_effect_are_refused(settings: dict[str, object], told: str) -> None:
    with pytest.raises((ValueError, SettingsError), match=told):
        ImportConfig(**({"folder": Path("x"), "output": Path("m.csv")} | settings))


def test_another_table_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    (tmp_path / "clips.csv").write_text("clip_id,subject_id\nc,S\n")
    config = ImportConfig(layout="rochci", folder=tmp_path, output=tmp_path / "new" / "m.csv")
    with pytest.raises(ManifestError, match=r"clips.csv: column hand is missing; choose another"):
        import_features(config)
    assert not list((tmp_path / "new").glob("*"))


@pytest.mark.parametrize(
    ("layout", "pack", "counts"),
    [
        ("rochci", "rochci_finger_tapping", (489, 241, {"features": 489})),
        ("ufnet", "ufnet_smile_speech", (1911, 1396, {"features.smile": 1676,
                                                      "features.speech": 1781})),
    ],
)  # fmt: skip
def test_the_published_tables_are_read(
    tmp_path: Path, layout: str, pack: str, counts: tuple[int, int, dict[str, int]]
) -> None:
    folder = SHARED / "data" / pack
    if not folder.is_dir():
        pytest.skip(f"needs {pack} in shared data")
    made = import_features(ImportConfig(layout=layout, folder=folder, output=tmp_path / "m.csv"))
    found = made.found
    people = {row["subject_id"] for row in found.rows}
    rows = {one: sum(row["recording_id"] in table for row in found.rows)
            for one, table in found.tables.items()}  # fmt: skip
    assert (len(found.rows), len(people), rows) == counts
    if layout == "rochci":
        assert len(next(iter(found.tables["features"].values()))) == 116
        first = load_manifest(made.manifest).recordings[0]
        assert (first.grade, first.raters, first.diagnosis) == (2, (3, 2, 2, 2, 2), "pd")
