from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from pdray.config import build
from pdray.data.cohort.manifest import load_manifest
from pdray.data.face.points import LANDMARKS, REGIONS, VERTICES
from pdray.data.media.part import Box
from pdray.data.media.tracks import read_track
from pdray.data.store.entry import Entry
from pdray.data.store.frame_store import FrameStore
from pdray.data.store.settings import Recipe
from pdray.errors import ManifestError, SettingsError
from pdray.importers.mediapipe.landmarker import open_landmarker
from pdray.importers.mediapipe.landmarks import Extracted, extract
from pdray.importers.mediapipe.points import NUM_MESH, to_landmarks, to_regions
from pdray.importers.mediapipe.settings import ExtractConfig

MESH = np.random.default_rng(3).uniform(0.3, 0.7, (NUM_MESH, 2))  # SYNTHETIC
NUM_FRAMES = 10


class Fake:
    """Finds the same face in every bright picture; remembers what it was shown."""

    def __init__(self) -> None:
        self.shown: list[list[tuple[tuple[int, ...], int]]] = []

    @contextmanager
    def opens(self, *, still: bool = False) -> Iterator["Fake"]:
        if still:
            yield Blind()
        else:
            self.shown.append([])
            yield self

    def detect(self, picture: np.ndarray, milliseconds: int) -> np.ndarray | None:
        assert picture.flags.c_contiguous
        assert picture.dtype == np.uint8
        self.shown[-1].append((picture.shape, milliseconds))
        return MESH.copy() if picture.mean() > 128 else None


class Blind:
    """Finds nothing; closer looks have their own tests."""

    def detect(self, picture: np.ndarray, milliseconds: int) -> None:
        return None


@pytest.fixture
def cohort(write_video: Callable[..., Path], write_manifest: Callable[..., Path]) -> Path:
    """Interviews, 64 x 32 px at 25 Hz: bright but for two frames, dark, without video; a gait."""
    bright = np.full((NUM_FRAMES, 32, 64, 3), 255, np.uint8)
    blinking = bright.copy()
    blinking[[2, 7]] = 0
    write_video("videos/a.mp4", blinking)
    write_video("videos/b.mp4", 0 * bright)
    write_video("videos/d.mp4", bright)
    rows = [
        {"recording_id": name, "subject_id": f"S{name}", "item": item, "grade": 1, "video": video,
         "age": 60}
        for name, item, video in (
            ("a", "face_interview", "videos/a.mp4"),
            ("b:x", "face_interview", "videos/b.mp4"),
            ("d", "gait", "videos/d.mp4"),
            ("e", "face_interview", ""),
        )
    ]  # fmt: skip
    return write_manifest(rows)


def run(
    manifest: Path, output: Path, fake: Fake, **settings: object
) -> tuple[Extracted, list[str]]:
    tree = {"manifest": manifest, "output": output, "model": "x.task", "size": 128, **settings}
    said: list[str] = []
    return extract(build(ExtractConfig, tree), fake.opens, said.append), said


def test_faces_become_tracks_and_a_manifest_that_names_them(cohort: Path, tmp_path: Path) -> None:
    fake = Fake()
    output = tmp_path / "new" / "m.csv"
    done, said = run(cohort, output, fake)
    assert (done.manifest, done.num_done, done.num_kept) == (output, 1, 0)
    assert (done.num_frames, done.num_seen, done.num_closer) == (NUM_FRAMES, NUM_FRAMES - 2, 0)
    assert said[-1] == "recordings 3/3"
    # A picture of 64 x 32 fills the width of the canvas; each recording has its own landmarker.
    # The first is opened to see that it can be.
    assert [len(one) for one in fake.shown] == [0, NUM_FRAMES, NUM_FRAMES]
    assert fake.shown[1] == [((64, 128, 3), 40 * number) for number in range(NUM_FRAMES)]
    manifest = load_manifest(output)
    first, *others = manifest.recordings
    assert first.video == cohort.parent / "videos" / "a.mp4"
    assert (first.grade, first.age) == (1, 60.0)
    assert first.landmarks == tmp_path / "new" / "m.tracks" / "a_landmarks.npz"
    assert all((one.landmarks, one.regions) == (None, None) for one in others)
    assert [one.recording_id for one in others] == ["b:x", "d", "e"]
    landmarks, regions = read_track(first.landmarks), read_track(first.regions)
    assert landmarks.names == LANDMARKS
    assert regions.names == REGIONS
    np.testing.assert_array_equal(regions.vertices, VERTICES)
    assert landmarks.size == regions.size == (128.0, 64.0)
    np.testing.assert_allclose(landmarks.seconds, np.arange(NUM_FRAMES) / 25, atol=1e-6)
    absent = np.isnan(landmarks.points).all(axis=(1, 2))
    assert np.flatnonzero(absent).tolist() == [2, 7]
    points = to_landmarks(MESH[None] * [128, 64])
    np.testing.assert_allclose(landmarks.points[~absent], np.tile(points, (8, 1, 1)), rtol=1e-5)
    np.testing.assert_allclose(regions.points[0], to_regions(points)[0], rtol=1e-4)
    FrameStore(tmp_path / "store", Recipe()).add(first, ("landmarks", "regions"))


def test_who_has_no_track_is_listed_with_the_reason(cohort: Path, tmp_path: Path) -> None:
    done, _ = run(cohort, tmp_path / "m.csv", Fake())
    assert done.without == (
        (
            "b:x",
            f"has no face in any of its {NUM_FRAMES} frames, looked at whole and in 26 parts; the "
            "face may be too small (lower than 5 of 128 x 64 px), turned away or hidden: film "
            "closer, or cut out the upper body",
        ),
        ("e", "has no video"),
    )
    lines = done.lacks.read_text().splitlines()
    assert lines[0] == "recording_id,why"
    assert lines[1].startswith('b:x,"has no face')
    assert done.lacks.name == "m.no_face.csv"
    assert sorted(path.name for path in (tmp_path / "m.tracks").iterdir()) == [
        "a_landmarks.npz", "a_regions.npz",
    ]  # fmt: skip


class Near(Fake):
    """Finds a small face in bright pictures that are square, as parts of a picture are."""

    @contextmanager
    def opens(self, *, still: bool = False) -> Iterator["Near"]:
        yield self

    def detect(self, picture: np.ndarray, milliseconds: int) -> np.ndarray | None:
        height, width = picture.shape[:2]
        return MESH / 2 + 0.25 if height == width and picture.mean() > 128 else None


def test_faces_of_a_closer_look_are_counted_and_those_of_a_moment_left_out(
    write_video: Callable[..., Path], write_manifest: Callable[..., Path], tmp_path: Path
) -> None:
    bright = np.array([c == "o" for c in "oooooooooo.....ooo.."])
    frames = np.full((len(bright), 32, 64, 3), 255, np.uint8) * bright[:, None, None, None]
    write_video("v.mp4", frames.astype(np.uint8))
    row = {"recording_id": "v", "subject_id": "S", "item": "face_interview", "video": "v.mp4"}
    done, _ = run(write_manifest([row]), tmp_path / "m.csv", Near())
    assert (done.num_frames, done.num_seen, done.num_closer) == (20, 10, 10)
    (one,) = load_manifest(done.manifest).recordings
    seen = np.isfinite(read_track(one.landmarks).points).all(axis=(1, 2))
    assert np.flatnonzero(seen).tolist() == list(range(10))


def test_a_wrong_model_is_told_even_where_there_is_nothing_to_do(
    cohort: Path, tmp_path: Path
) -> None:
    tree = {"manifest": cohort, "output": tmp_path / "m.csv", "items": ["hand_opening"]}
    config = build(ExtractConfig, {**tree, "model": "x.task"})
    with pytest.raises(
        SettingsError, match=r"model: x\.task does not exist; give the file of a MediaPipe"
    ):
        extract(config, partial(open_landmarker, config.model), print)
    assert not (tmp_path / "m.csv").exists()


def test_an_output_that_cannot_be_made_is_told_before_a_face_is_followed(
    cohort: Path, tmp_path: Path
) -> None:
    fake = Fake()
    (tmp_path / "file").write_text("kept")
    with pytest.raises(SettingsError, match=r"output: nothing can be written into \S+/file: "):
        run(cohort, tmp_path / "file" / "m.csv", fake)
    assert fake.shown == []


def test_a_damaged_video_is_listed(
    write_video: Callable[..., Path], write_manifest: Callable[..., Path], tmp_path: Path
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (30, 32, 64, 3), np.uint8)
    path = write_video("c.mkv", noise)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    row = {"recording_id": "c", "subject_id": "S", "item": "face_interview", "video": "c.mkv"}
    done, _ = run(write_manifest([row]), tmp_path / "m.csv", Fake())
    ((name, why),) = done.without
    assert name == "c"
    assert str(tmp_path) not in why
    assert not (tmp_path / "m.tracks").exists()


def test_tracks_that_are_there_stay(
    cohort: Path, write_manifest: Callable[..., Path], tmp_path: Path
) -> None:
    done, _ = run(cohort, tmp_path / "m.csv", Fake())
    fake = Fake()
    again, _ = run(done.manifest, tmp_path / "again.csv", fake, items=["face_interview", "gait"])
    assert again.num_kept == 1
    assert again.num_done == 1
    assert [len(one) for one in fake.shown] == [0, NUM_FRAMES, NUM_FRAMES]
    found = {one.recording_id: one for one in load_manifest(again.manifest).recordings}
    assert found["a"].landmarks == tmp_path / "m.tracks" / "a_landmarks.npz"
    assert found["d"].landmarks == tmp_path / "again.tracks" / "d_landmarks.npz"


def test_a_span_keeps_its_place_in_time_and_an_odd_id_its_own_file(
    write_video: Callable[..., Path], write_manifest: Callable[..., Path], tmp_path: Path
) -> None:
    write_video("v.mp4", np.full((NUM_FRAMES, 32, 64, 3), 255, np.uint8))
    rows = [
        {"recording_id": name, "subject_id": "S", "item": "face_interview", "video": "v.mp4",
         "start_seconds": start, "end_seconds": start + 0.2}
        for name, start in (("../a", 0.0), ("..?a", 0.2))
    ]  # fmt: skip
    done, _ = run(write_manifest(rows), tmp_path / "m.csv", Fake())
    tracks = [one.landmarks for one in load_manifest(done.manifest, allowed=None).recordings]
    assert all(path is not None and path.parent == tmp_path / "m.tracks" for path in tracks)
    assert len(set(tracks)) == 2
    for path, start in zip(tracks, (0.0, 0.2), strict=True):
        np.testing.assert_allclose(read_track(path).seconds, start + np.arange(5) / 25, atol=1e-6)


def test_a_face_is_looked_for_in_the_rectangle_of_a_row_and_found_in_its_pixels(
    write_video: Callable[..., Path], write_manifest: Callable[..., Path], tmp_path: Path
) -> None:
    frames = np.full((NUM_FRAMES, 64, 64, 3), 255, np.uint8)
    frames[:, 32:] = 0  # with it a picture would not be bright
    write_video("v.mp4", frames)
    row = {"recording_id": "a", "subject_id": "S", "item": "face_interview", "video": "v.mp4"}
    fake = Fake()
    done, _ = run(write_manifest([{**row, "crop": "0 0 64 32"}]), tmp_path / "m.csv", fake)
    assert fake.shown[1] == [((64, 128, 3), 40 * number) for number in range(NUM_FRAMES)]
    (one,) = load_manifest(done.manifest).recordings
    assert one.crop == Box(0, 0, 64, 32)
    assert read_track(one.landmarks).size == (128.0, 64.0)
    stored = FrameStore(tmp_path / "store", build(Recipe, {})).add(one, ("landmarks",))
    entry = Entry(stored.paths["landmarks"])
    # On a canvas of 112 x 112 the rectangle is 112 x 56 in the middle.
    np.testing.assert_allclose(
        entry.read(np.arange(1))[0],
        (to_landmarks(MESH[None]) * [112, 56] + [0, 28])[0],
        rtol=1e-4,
    )


def test_an_output_that_is_there_or_no_csv_is_refused(cohort: Path, tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("")
    for name in ("m.csv", "m.parquet"):
        with pytest.raises(SettingsError, match=rf"output: got .*{name}; give the name of a new"):
            run(cohort, tmp_path / name, Fake())


def test_a_folder_that_cannot_be_written_is_named(cohort: Path, tmp_path: Path) -> None:
    (tmp_path / "m.tracks").write_text("a file in the folder's place")
    with pytest.raises(ManifestError, match=r"m\.tracks.* cannot be written: "):
        run(cohort, tmp_path / "m.csv", Fake())
