import csv
from pathlib import Path

import numpy as np
import pytest

from pdray.data.cohort.manifest import load_manifest
from pdray.data.cohort.members import split_subjects, usable
from pdray.data.cohort.settings import DataConfig
from pdray.data.face.points import INDEX
from pdray.data.media.tracks import read_track
from pdray.demo.cohort import (
    counterfactuals_beside,
    draw_recording,
    make_cohort,
    points_of,
)
from pdray.demo.counterfactual import USE, plan_counterfactuals
from pdray.demo.illness.severity import DemoConfig, plan_cohort
from pdray.errors import ManifestError

SMALL = DemoConfig(
    num_subjects=6, num_visits=1, size=48, min_seconds=1.0, max_seconds=1.2, missing=0.0, seed=3,
    items=("face_interview", "expression_neutral", "gait"), static_signs=1.0, counterfactual=True,
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_cohort(tmp_path_factory.mktemp("cohort"), SMALL, num_processes=1).parent


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as table:
        return list(csv.DictReader(table))


def test_each_healthy_face_has_one_of_a_grade_from_3_on_and_others_have_none() -> None:
    many = SMALL.model_copy(update={"num_subjects": 200, "num_visits": 2})
    plan = plan_counterfactuals(many)
    sources = [one for one in plan_cohort(many) if one.grade == 0 and one.item != "gait"]
    assert [one.key for one in plan] == [one.key for one in sources]
    grades = [one.grade for one in plan if one.item == "face_interview"]
    assert set(grades) == {3, 4, 5}
    assert grades.count(3) > grades.count(5)
    assert {one.grade for one in plan if one.item == "expression_neutral"} == {3, 4}
    assert not plan_counterfactuals(many.model_copy(update={"counterfactual": False}))


def test_the_table_says_of_whom_it_is_and_offers_nothing_to_learn(folder: Path) -> None:
    table = counterfactuals_beside(folder / "manifest.csv")
    told = rows(table)
    assert len(told) == len(plan_counterfactuals(SMALL)) > 1
    sources = {one["recording_id"]: one for one in rows(folder / "manifest.csv")}
    for one in told:
        source = sources[one["x_counterfactual_of"]]
        assert one["recording_id"] == f"{source['recording_id']}_counterfactual"
        assert one["subject_id"] == source["subject_id"]
        assert source["grade"] == "0"
        assert int(one["x_counterfactual_grade"]) >= 3
        assert one["x_use"] == USE
        for column in ("video", "landmarks", "regions"):
            assert one[column].startswith("counterfactual/")
            assert (folder / one[column]).is_file()
    manifest = load_manifest(table)  # pictures of it can be read
    for row in manifest.recordings:
        assert row.is_synthetic
        assert row.grade is row.diagnosis is row.consent_synthesis is row.visit_score is None
    for target in ("grade", "diagnosis"):
        settings = {"data.items": ["face_interview"], "data.target": target}
        with pytest.raises(ManifestError, match=rf"none of its 3 .* 1 have no {target}"):
            split_subjects(manifest, settings)


def test_the_same_person_is_filmed_with_the_same_chance(folder: Path) -> None:
    (one, *_) = plan_counterfactuals(SMALL)
    source = next(row for row in plan_cohort(SMALL) if row.key == one.key)
    other, own = draw_recording(one, SMALL), draw_recording(source, SMALL)
    assert other.frames.shape == own.frames.shape
    for corner in (slice(0, 5), slice(-5, None)):
        np.testing.assert_array_equal(other.frames[:, :5, corner], own.frames[:, :5, corner])
    assert other.landmarks is not None
    assert own.landmarks is not None
    opened = [
        np.median(track.points[:, INDEX["left_eye_bottom"], 1]
                  - track.points[:, INDEX["left_eye_top"], 1])
        for track in (own.landmarks, other.landmarks)
    ]  # fmt: skip
    assert opened[1] < 0.9 * opened[0]
    written = read_track(folder / one.track("landmarks"))
    np.testing.assert_array_equal(written.points, other.landmarks.points)


def test_recordings_of_the_cohort_are_the_same_without_counterfactuals(
    folder: Path, tmp_path: Path
) -> None:
    make_cohort(tmp_path, SMALL.model_copy(update={"counterfactual": False}), num_processes=1)
    names = [path.relative_to(tmp_path) for path in tmp_path.rglob("*.*")]
    assert not any("counterfactual" in str(name) for name in names)
    for name in names:
        if name.name not in ("demo.json", "README.txt"):
            assert (tmp_path / name).read_bytes() == (folder / name).read_bytes(), name
    assert "for scoring only" in (folder / "README.txt").read_text()


def test_a_lost_counterfactual_is_drawn_again_and_a_foreign_table_refused(
    tmp_path: Path,
) -> None:
    few = SMALL.model_copy(update={"num_subjects": 3, "items": ("face_interview",)})
    make_cohort(tmp_path, few, num_processes=1)
    (one, *_) = plan_counterfactuals(few)
    table = counterfactuals_beside(tmp_path / "manifest.csv")
    before = table.read_text()
    (tmp_path / one.video).unlink()
    table.unlink()
    make_cohort(tmp_path, few, num_processes=1)
    assert (tmp_path / one.video).is_file()
    assert table.read_text() == before


def test_rows_that_somebody_joined_are_not_learnt_from_and_carry_no_consent(folder: Path) -> None:
    joined = [*rows(folder / "manifest.csv"), *rows(folder / "manifest.counterfactual.csv")]
    table = folder / "joined.csv"
    columns = dict.fromkeys(name for row in joined for name in row)
    with table.open("w", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(columns), restval="")
        writer.writeheader()
        writer.writerows(joined)
    manifest = load_manifest(table)
    table.unlink()
    config = DataConfig(manifest=table, items=("face_interview",))
    recordings, _ = usable(manifest, config, ("rgb",))
    assert not any("counterfactual" in one.recording_id for one in recordings)
    healthy = {one["subject_id"] for one in rows(folder / "manifest.counterfactual.csv")}
    lacking = {one.subject_id for one in manifest.recordings if not one.consent_synthesis}
    assert lacking == healthy


def test_healthy_people_of_another_seed_have_static_signs_and_look_healthy() -> None:
    others = SMALL.model_copy(update={"healthy": True, "seed": 9, "counterfactual": False})
    assert {one.grade for one in plan_cohort(others)} == {0}
    first, second = (
        points_of(one, others.model_copy(update={"static_signs": strength})).points
        for strength in (0.0, 1.0)
        for one in [plan_cohort(others)[0]]
    )
    assert 0 < np.abs(first - second).max() < 2.5
