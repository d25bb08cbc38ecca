"""Traps that the data cards of two public data sets list, left in: the checks find them."""

import csv
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pdray.checks import baselines, confounding, duplicates, identity, sides
from pdray.checks.case import Case, Split
from pdray.data.cohort.manifest import Recording, load_manifest
from pdray.data.store.frame_store import FrameStore
from pdray.data.store.settings import Recipe
from pdray.importers.youtubepd.importing import import_youtubepd
from pdray.importers.youtubepd.settings import ImportConfig
from tests.checks.cases import make_case
from tests.places import SHARED, YOUTUBEPD

VOWELS = SHARED / "data" / "uci_telemonitoring" / "parkinsons_updrs.data"
needs_clips = pytest.mark.skipif(
    not YOUTUBEPD.is_dir(), reason="the YouTubePD pack is not beside the project"
)
needs_vowels = pytest.mark.skipif(
    not VOWELS.is_file(), reason="the telemonitoring vowels are not beside the project"
)
ILL = {
    "data": {"subjects": "none", "items": ["face_interview"], "grade_cuts": [1]},
    "folds": {"from_split": True},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder for the store, which all tests share."""
    return tmp_path_factory.mktemp("clips")


@pytest.fixture(scope="module")
def clips(folder: Path) -> Sequence[Recording]:
    """Import the pack."""
    config = ImportConfig(layout="pack", folder=YOUTUBEPD, output=folder / "clips.csv")
    return load_manifest(import_youtubepd(config).manifest, subjects="none").recordings


def split_of(folder: Path, rows: Sequence[Recording]) -> Case:
    """Return the published split; landmarks are stored."""
    store = FrameStore(folder / "store", Recipe())
    stored = {one.recording_id: store.add(one, ("landmarks",)) for one in rows}
    places = {
        side: tuple(place for place, one in enumerate(rows) if one.split == side)
        for side in ("train", "test")
    }
    split = Split("test set", places["train"], places["test"])
    return make_case(folder, rows, settings=ILL, splits=[split], stored=stored)


@pytest.mark.slow
@needs_clips
def test_the_collection_batch_is_found_with_and_without_its_column(
    folder: Path, clips: Sequence[Recording]
) -> None:
    case = split_of(folder, clips)
    assert "site" in confounding.run(case).found
    assert confounding.run(case).state == "warning"
    known = baselines.run(case)
    assert known.state == "warning"
    assert "site" in known.found
    without = [replace(one, site=None) for one in clips]
    numbered = baselines.run(split_of(folder, without))
    assert numbered.state == "warning"
    assert "file names" in numbered.found  # batch B begins at clip 134


@pytest.mark.slow
@needs_clips
def test_a_clip_that_is_listed_twice_is_found(folder: Path, clips: Sequence[Recording]) -> None:
    assert duplicates.run(split_of(folder, clips)).state == "passed"
    (twice,) = (one for one in clips if one.recording_id == "video136")
    other = {"test": "train", "train": "test"}[str(twice.split)]
    copy = replace(twice, recording_id="video900", subject_id="video900", split=other)
    found = duplicates.run(split_of(folder, [*clips, copy]))
    assert (found.state, found.numbers["copies"]) == ("warning", 1)
    (key,) = folder.glob("**/private/subjects.csv")
    numbers = dict(line.split(",")[::-1] for line in key.read_text().splitlines())
    assert all(numbers[name] in found.found for name in ("video136", "video900"))


@pytest.mark.slow
@needs_clips
def test_people_without_ids_are_put_into_clusters(folder: Path, clips: Sequence[Recording]) -> None:
    found = identity.run(split_of(folder, clips))
    assert found.state in ("passed", "warning")
    assert 20 < found.numbers["clusters"] < 240


@needs_vowels
def test_rows_of_a_person_on_both_sides_are_found_where_age_and_sex_tell_the_grade(
    tmp_path: Path,
) -> None:
    with VOWELS.open(encoding="utf-8") as file:
        table = list(csv.DictReader(file, delimiter="\t"))[::10]
    middle = np.median([float(row["motor_UPDRS"]) for row in table])
    numbers = np.random.default_rng(0).permutation(len(table))  # else they follow the people
    rows = [
        Recording(
            recording_id=f"vowel{number}", subject_id=f"P{row['subject#']}", item="speech",
            age=float(row["age"]), sex=row["sex"], grade=4 * (float(row["motor_UPDRS"]) > middle),
        )
        for number, row in zip(numbers, table, strict=True)
    ]  # fmt: skip
    places = range(len(rows))
    by_rows = Split(
        "test set", tuple(i for i in places if i % 5), tuple(i for i in places if i % 5 == 0)
    )
    people = make_case(tmp_path, rows)
    by_row = replace(people, splits=(by_rows,))
    assert sides.run(by_row).state == "warning"
    assert sides.run(people).state == "passed"
    assert baselines.run(people).state == "passed"  # by people, age and sex tell nothing
