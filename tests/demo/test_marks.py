import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pdray.data.cohort.manifest import load_manifest
from pdray.data.cohort.marks import Mark, read_marks
from pdray.data.face.points import REGIONS
from pdray.demo.cohort import draw_recording, make_cohort, marks_beside
from pdray.demo.face.interview import draw_face, draw_interview
from pdray.demo.illness.severity import DemoConfig, DemoRecording, plan_cohort
from pdray.demo.marks import SEEN, draw_marks
from pdray.errors import SettingsError
from pdray.importers.youtubepd.marks import is_whole, mark_faults

CONFIG = DemoConfig(items=("face_interview",), seed=4)


def face(subject: int, grade: int) -> DemoRecording:
    return DemoRecording(subject, 0, "face_interview", "", is_on=True, grade=grade)


@pytest.fixture(scope="module")
def by_grade() -> list[list[tuple[Mark, ...]]]:
    """Marks of 300 recordings of each grade."""
    return [
        [draw_marks(face(subject, grade), CONFIG, num_frames=90) for subject in range(300)]
        for grade in range(6)
    ]


def test_marks_are_whole_and_within_their_scales(by_grade: list[list[tuple[Mark, ...]]]) -> None:
    every = [mark for of_grade in by_grade for marks in of_grade for mark in marks]
    assert len(every) > 1000
    for mark in every:
        assert is_whole(mark)
        assert mark_faults(mark, "drawn") == []
        assert (mark.total, mark.note) == (90, "SYNTHETIC")
        assert mark.severity is not None
        assert mark.severity >= 1


def test_healthy_faces_and_other_items_have_none(by_grade: list[list[tuple[Mark, ...]]]) -> None:
    assert set(by_grade[0]) == {()}
    gait = DemoRecording(0, 0, "gait", "", is_on=True, grade=4)
    assert draw_marks(gait, CONFIG, num_frames=90) == ()


def test_marks_are_more_and_more_severe_with_the_grade(
    by_grade: list[list[tuple[Mark, ...]]],
) -> None:
    counts = [np.mean([len(marks) for marks in of_grade]) for of_grade in by_grade]
    severities = [
        np.mean([mark.severity for marks in of_grade for mark in marks])
        for of_grade in by_grade[1:]
    ]
    assert (np.diff(counts) > 0.5).all()
    assert (np.diff(severities) > 0.5).all()
    # A grade is about half of a mark, as in YouTubePD.
    assert np.abs(np.array(severities) / 2 - np.arange(1, 6)).max() < 0.75


def test_a_slightly_ill_face_may_have_no_mark_and_no_region_is_marked_twice(
    by_grade: list[list[tuple[Mark, ...]]],
) -> None:
    assert 0.1 < np.mean([not marks for marks in by_grade[1]]) < 0.5
    for marks in by_grade[5]:
        regions = [mark.region for mark in marks]
        assert regions == sorted(set(regions))


def test_regions_are_marked_unlike_and_some_never(by_grade: list[list[tuple[Mark, ...]]]) -> None:
    drawn = [mark.region for of_grade in by_grade for marks in of_grade for mark in marks]
    counts = {name: drawn.count(number) for number, name in enumerate(REGIONS)}
    assert {name for name, count in counts.items() if not count} == {
        "forehead", "left outer eye", "right outer eye",
    }  # fmt: skip
    assert counts["right eye"] > 1.5 * counts["between eyebrows"]
    assert counts["between eyebrows"] > 1.5 * counts["left nasolabial fold"]


def test_the_same_settings_give_the_same_marks_and_another_seed_others() -> None:
    config = CONFIG.model_copy(update={"seed": 5})
    first, again, other = (
        [draw_marks(face(subject, 3), one, num_frames=90) for subject in range(20)]
        for one in (CONFIG, CONFIG, config)
    )
    assert first == again
    assert first != other


def test_what_is_planned_has_marks_as_its_grade_allows() -> None:
    plan = plan_cohort(CONFIG)
    marked = {one.grade for one in plan if draw_marks(one, CONFIG, num_frames=90)}
    assert marked == {1, 2, 3, 4, 5}


def moved(grade: int) -> dict[str, float]:
    """Return how much the pixels of each region change over time, its head held still."""
    changes = np.zeros(len(REGIONS))
    for number in range(3):
        person = draw_face(
            np.random.default_rng(number), np.random.default_rng(9 + number), size=64
        )
        look = replace(person.look, noise=0.0, has_glasses=False)
        still = replace(person, sway_px=0.0, look=look)
        drawn = draw_interview(
            grade, still, np.random.default_rng(20 + number), num_frames=100, fps=25
        )
        spread = drawn.frames.mean(axis=3).std(axis=0)
        corners = np.split(
            drawn.regions.points.mean(axis=0), np.cumsum(drawn.regions.vertices)[:-1]
        )
        for region, places in enumerate(corners):
            (left, top), (right, bottom) = places.min(axis=0), places.max(axis=0)
            inside = spread[round(top) : round(bottom) + 1, round(left) : round(right) + 1]
            changes[region] += inside.mean()
    return dict(zip(REGIONS, changes.tolist(), strict=True))


def test_the_regions_that_are_marked_most_are_those_whose_pixels_lose_most(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("pdray.demo.face.movement.TURN_RAD", (0.0, 0.0, 0.0))
    healthy, severe = moved(0), moved(5)
    lost = {name: healthy[name] - severe[name] for name in REGIONS}
    plain = {name: SEEN[name].plainness if name in SEEN else 0.0 for name in REGIONS}
    most = sorted(REGIONS, key=lambda name: -lost[name])
    assert {name for name in REGIONS if plain[name] == 1} == set(most[:5])
    assert np.corrcoef(list(lost.values()), list(plain.values()))[0, 1] > 0.9


FACES = DemoConfig(
    items=("face_interview",), num_subjects=5, size=32, min_seconds=1.0, max_seconds=1.2, seed=3
)
HANDS = FACES.model_copy(update={"items": ("hand_opening",), "num_subjects": 1, "num_visits": 1})


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_cohort(tmp_path_factory.mktemp("faces"), FACES, num_processes=1)


def test_faces_come_with_marks_that_are_read_like_a_clinicians(faces: Path) -> None:
    table = read_marks(faces.with_name("manifest.marks.csv"))
    assert table.num_vague == 0
    grades = {one.recording_id: one.grade for one in load_manifest(faces).recordings}
    assert table.regions
    for name, marks in table.regions.items():
        assert grades[name]  # of ill recordings alone
        assert min(mark for mark in marks if mark is not None) >= 1
        assert None in marks  # absent is not zero
    with marks_beside(faces).open(encoding="utf-8") as opened:
        rows = list(csv.DictReader(opened))
    lengths = {
        one.recording_id: len(draw_recording(one, FACES).frames) for one in plan_cohort(FACES)
    }
    for row in rows:
        assert int(row["total_frames"]) == lengths[row["recording_id"]]
        assert (row["in_manifest"], row["note"]) == ("1", "SYNTHETIC")
    assert "no clinician made them" in (faces.parent / "README.txt").read_text()


def test_a_cohort_without_faces_has_no_marks(tmp_path: Path) -> None:
    manifest = make_cohort(tmp_path, HANDS, num_processes=1)
    assert not marks_beside(manifest).exists()
    assert "marks" not in (tmp_path / "README.txt").read_text()


def test_a_cohort_of_before_there_were_marks_gets_them_and_is_else_left_alone(
    faces: Path,
) -> None:
    marks = marks_beside(faces)
    text = marks.read_text()
    marks.unlink()
    files = [path for path in sorted(faces.parent.rglob("*.*")) if path.name != "README.txt"]
    before = [path.stat().st_mtime_ns for path in files]
    drawn: list[int] = []
    make_cohort(
        faces.parent, FACES, num_processes=1, progress=lambda done, total: drawn.append(done)
    )
    assert marks.read_text() == text
    assert [path.stat().st_mtime_ns for path in files] == before
    assert drawn == []


def test_marks_of_someone_else_are_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "manifest.marks.csv").write_text("precious")
    with pytest.raises(SettingsError, match=r"manifest\.marks\.csv exists and was not written by"):
        make_cohort(tmp_path, FACES)
    assert (tmp_path / "manifest.marks.csv").read_text() == "precious"
