"""Traps that the data cards of public tables of features list, left in: the checks find them."""

import csv
from collections.abc import Sequence
from pathlib import Path

import pytest

from pdray.checks import (
    baselines,
    confounding,
    duplicates,
    identity,
    sides,
    subjects,
    telling,
)
from pdray.checks.case import Case, Split
from pdray.data.cohort.csv_table import table_text
from pdray.data.cohort.manifest import Manifest, load_manifest
from pdray.data.store.frame_store import FrameStore
from pdray.data.store.settings import Recipe
from pdray.errors import ManifestError
from pdray.importers.features.importing import import_features
from pdray.importers.features.settings import ImportConfig
from tests.checks.cases import make_case
from tests.places import SHARED, YOUTUBEPD

DATA = SHARED / "data"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (DATA / "ufnet_smile_speech").is_dir(), reason="the packs are not beside the project"
    ),
]
Rows = list[dict[str, str]]


def _read(path: Path, delimiter: str = ",") -> Rows:
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file, delimiter=delimiter))


def _write(path: Path, rows: Sequence[dict[str, str]]) -> Path:
    path.write_text(table_text(rows[0], rows))
    return path


def _manifest(folder: Path, rows: Rows, features: Sequence[str], **columns: str) -> Path:
    """Write a manifest, whose columns are taken from those of a table, and its features."""
    _write(
        folder / "features.csv",
        [{"recording_id": row["clip_id"]} | {one: row[one] for one in features} for row in rows],
    )
    given = {"recording_id": "clip_id", "subject_id": "subject_id"} | columns
    return _write(
        folder / "manifest.csv",
        [
            {name: row[column] for name, column in given.items()}
            | {"item": "finger_tapping", "features": "features.csv"}
            for row in rows
        ],
    )


def _case(folder: Path, manifest: Manifest, **settings: object) -> Case:
    store = FrameStore(folder / "store", Recipe())
    wanted = sorted({name for one in manifest.recordings for name in one.features})
    stored = {
        one.recording_id: store.add(one, [name for name in wanted if name in one.features])
        for one in manifest.recordings
    }
    rows = [one for one in manifest.recordings if one.grade is not None]
    return make_case(folder, rows, stored=stored, **settings)  # type: ignore[arg-type]


def test_ratings_and_a_dead_column_of_finger_tapping(tmp_path: Path) -> None:
    rows = _read(DATA / "rochci_finger_tapping" / "clips.csv")
    traps = ["expert1", "nonexpert1", "pd", "difficult_any", "rating"]
    manifest = load_manifest(
        _manifest(
            tmp_path, rows, [*traps, *list(rows[0])[14:20]], grade="rating", rater_1="expert1"
        )
    )
    facts, constant, *_ = manifest.notes
    assert "by their names, expert1, nonexpert1, pd, rating are no features" in facts
    assert "1 column is constant or empty and says nothing; remove it: difficult_any" in constant
    case = _case(tmp_path, manifest, settings={"data": {"grade_cuts": [1, 2, 3, 4]}})
    assert telling.run(case).found == (
        "features: expert1 nearly tells the label; features: rating is equal to the label"
    )
    few = subjects.run(case)  # five recordings of four people
    assert (few.state, "of class 4" in few.found) == ("warning", True)


def test_hands_of_a_person_on_both_sides_are_found(tmp_path: Path) -> None:
    rows = _read(DATA / "rochci_finger_tapping" / "clips.csv")
    manifest = load_manifest(_manifest(tmp_path, rows, list(rows[0])[14:20], grade="rating"))
    places = range(len(rows))
    by_rows = Split(
        "test set", tuple(i for i in places if i % 2), tuple(i for i in places if not i % 2)
    )
    found = sides.run(_case(tmp_path, manifest, splits=[by_rows]))
    assert (found.state, "on both sides" in found.found) == ("warning", True)


def test_people_with_both_diagnoses_are_refused(tmp_path: Path) -> None:
    rows = _read(DATA / "ufnet_smile_speech" / "speech.csv")
    named = [row | {"word": {"1.0": "pd", "0.0": "healthy"}.get(row["pd"], "")} for row in rows]
    with pytest.raises(ManifestError, match=r"diagnosis '(pd|healthy)', but subject R"):
        load_manifest(_manifest(tmp_path, named, ["f0m"], diagnosis="word"))


@pytest.mark.parametrize("name", ["smile", "speech"])
def test_ids_that_stand_for_two_people_are_noted(tmp_path: Path, name: str) -> None:
    rows = _read(DATA / "ufnet_smile_speech" / f"{name}.csv")
    manifest = load_manifest(_manifest(tmp_path, rows, list(rows[0])[8:9], age="age"))
    assert any("4 subjects have ages more than 2 years apart" in note for note in manifest.notes)


@pytest.mark.parametrize(
    ("name", "facts", "told"),
    [
        ("smile", {"age": "age", "recording_protocol": "protocol"}, "recording protocol"),
        ("speech", {"age": "age", "sex": "gender"}, "age"),
    ],
)
def test_who_is_ill_is_told_by_age_sex_and_protocol(
    tmp_path: Path, name: str, facts: dict[str, str], told: str
) -> None:
    rows = [row for row in _read(DATA / "ufnet_smile_speech" / f"{name}.csv") if row["pd"]]
    sexes: dict[str, set[str]] = {}
    for row in rows:
        sexes.setdefault(row["subject_id"], set()).add(row.get("gender", ""))
    one = [row | {"grade": row["pd"][0]} for row in rows if len(sexes[row["subject_id"]]) == 1]
    manifest = load_manifest(_manifest(tmp_path, one, list(rows[0])[8:12], grade="grade", **facts))
    found = baselines.run(_case(tmp_path, manifest, settings={"data": {"grade_cuts": [1]}}))
    assert (found.state, told in found.found) == ("warning", True)


def test_speech_without_any_number_is_found(tmp_path: Path) -> None:
    rows = [row for row in _read(DATA / "ufnet_smile_speech" / "speech.csv") if row["pd"]]
    graded = [row | {"grade": row["pd"][0]} for row in rows]
    manifest = load_manifest(_manifest(tmp_path, graded, list(rows[0])[7:], grade="grade"))
    assert any("27 of 1655 recordings have no value" in note for note in manifest.notes)
    assert "all absent" in duplicates.run(_case(tmp_path, manifest)).found


def test_a_protocol_whose_missing_diagnoses_count_as_ill_is_found(tmp_path: Path) -> None:
    rows = _read(DATA / "ufnet_smile_speech" / "smile.csv")
    manifest = load_manifest(
        _manifest(tmp_path, rows, list(rows[0])[8:], grade="pd", recording_protocol="protocol")
    )
    assert any("columns are zero together in 119" in note for note in manifest.notes)
    assert any("differs by 10 times or more" in note for note in manifest.notes)
    found = confounding.run(_case(tmp_path, manifest, settings={"data": {"grade_cuts": [1]}}))
    assert (found.state, "recording protocol" in found.found) == ("warning", True)


def test_interpolated_scores_of_vowels_are_found(tmp_path: Path) -> None:
    rows = _read(DATA / "uci_telemonitoring" / "parkinsons_updrs.data", "\t")[::10]
    made = [
        row | {"clip_id": f"v{n}", "subject_id": f"T{row['subject#']}",
               "class": str(int(float(row["motor_UPDRS"]) > 20))}
        for n, row in enumerate(rows)
    ]  # fmt: skip
    manifest = load_manifest(
        _manifest(tmp_path, made, ["total_UPDRS", "PPE"], grade="class", visit_score="motor_UPDRS")
    )
    assert any("by their names, total_UPDRS are no features" in note for note in manifest.notes)
    found = telling.run(_case(tmp_path, manifest)).found
    assert "total_UPDRS nearly tells the label" in found
    assert "total scores (visit_score) are no whole or half numbers" in found


@pytest.mark.skipif(not YOUTUBEPD.is_dir(), reason="the YouTubePD pack is not beside the project")
def test_the_batch_of_clips_and_that_nobody_is_named_are_found(tmp_path: Path) -> None:
    rows = _read(YOUTUBEPD / "clips.csv")
    clips = _write(
        tmp_path / "clips.csv",
        [
            {"recording_id": row["clip_id"], "subject_id": "", "item": "face_interview",
             "grade": row["severity_0_5"], "site": row["collection_batch"]}
            for row in rows
        ],
    )  # fmt: skip
    config = ImportConfig(
        layout="youtubepd", folder=DATA / "youtubepd_modalities", manifest=clips,
        output=tmp_path / "features.csv",
    )  # fmt: skip
    (tmp_path / "clips.data.yaml").write_text("data: {items: [face_interview], subjects: none}\n")
    manifest = load_manifest(import_features(config).manifest, subjects="none")
    ill = {"data": {"subjects": "none", "items": ["face_interview"], "grade_cuts": [1]},
           "folds": {"from_split": True}}  # fmt: skip
    places = {
        side: tuple(place for place, row in enumerate(rows) if row["split"] == side)
        for side in ("train", "test")
    }
    split = Split("test set", places["train"], places["test"])
    case = _case(tmp_path, manifest, settings=ill, splits=[split])
    assert confounding.run(case).state == "warning"
    assert sides.run(case).state == "unknown"  # nobody knows whose voice is in which clip
    found = identity.run(case)
    assert found.looked_at.startswith("features.face, features.sound of 243 recordings")
