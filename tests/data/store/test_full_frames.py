"""Portraits of recordings: made of full frames, at the times of the frames that have a face."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pdray.data.cohort.manifest import Recording
from pdray.data.face.portraits import LACKS, MOUTH, align_portraits, take_portrait
from pdray.data.face.shape import LEFT_EYE, RIGHT_EYE
from pdray.data.media.decode import decode, full_size
from pdray.data.media.encode import LOSSLESS, encode
from pdray.data.media.findings import Findings
from pdray.data.media.marked import Mark, write_marked_video
from pdray.data.media.part import Box, Part
from pdray.data.media.settings import DecodeConfig
from pdray.data.media.tracks import Track, write_track
from pdray.data.store.entry import Entry
from pdray.data.store.extract import available, passes, placed_frames, sources
from pdray.data.store.forecast import forecast
from pdray.data.store.frame_store import FrameStore, findings_of
from pdray.data.store.notes import picture_notes
from pdray.data.store.prepare import _add, _prepared
from pdray.data.store.settings import Recipe
from pdray.demo.face.interview import draw_face, draw_interview
from pdray.errors import DecodeError
from tests.places import YOUTUBEPD

FPS, NUM_FRAMES, SIZE = 10, 12, 160
SMALL = Recipe(decode={"height": 40, "width": 56}, portraits={"size": 64})
FULL = DecodeConfig(height=SIZE, width=SIZE)


@pytest.fixture
def filmed(tmp_path: Path, write_video: Callable[..., Path]) -> Callable[..., Recording]:
    """Return a function that films a SYNTHETIC face, and may change its landmarks."""

    def film(change: Callable[[np.ndarray], object] | None = None, name: str = "r1") -> Recording:
        rng = np.random.default_rng
        who = draw_face(rng(1), rng(2), size=SIZE)
        drawn = draw_interview(1, who, rng(3), num_frames=NUM_FRAMES, fps=FPS)
        points = drawn.landmarks.points.copy()
        if change is not None:
            change(points)
        track = tmp_path / f"{name}.npz"
        write_track(track, replace(drawn.landmarks, points=points))
        video = write_video(f"{name}.mp4", drawn.frames, fps=FPS)
        return Recording(name, "S1", "face_interview", video=video, landmarks=track)

    return film


def read(path: Path) -> tuple[np.ndarray, np.ndarray]:
    entry = Entry(path)
    return entry.seconds, entry.read(np.arange(len(entry)))


def expected(recording: Recording, size: int = 64) -> np.ndarray:
    """Portraits of every frame, by the landmarks as they were drawn."""
    assert recording.video is not None
    assert recording.landmarks is not None
    with np.load(recording.landmarks) as file:
        points = file["points"]
    frames = decode(recording.video, FULL).frames
    places = align_portraits(points, picture=(SIZE, SIZE), size=size)
    return np.stack([take_portrait(*one, size) for one in zip(frames, places.matrix, strict=True)])


def test_portraits_are_cut_out_of_full_frames_at_their_times(
    tmp_path: Path, filmed: Callable[..., Recording]
) -> None:
    recording = filmed()
    store = FrameStore(tmp_path / "store", SMALL)
    paths = store.add(recording, ("rgb", "portraits", "landmarks")).paths
    seconds, items = read(paths["portraits"])
    np.testing.assert_array_equal(items, expected(recording))
    np.testing.assert_allclose(seconds, np.arange(NUM_FRAMES) / FPS, atol=1e-6)
    assert Entry(paths["rgb"]).shape == (40, 56, 3)
    np.testing.assert_array_equal(Entry(paths["rgb"]).seconds, seconds)
    assert store.verify(recording, ("portraits",)) == []
    for path in (paths["rgb"], paths["portraits"]):
        found = findings_of(path)
        assert found is not None
        assert (found.unaligned, found.sizes, found.num_interlaced) == ({}, [(SIZE, SIZE)], 0)


def test_a_span_and_another_frame_rate_choose_the_same_moments(
    tmp_path: Path, filmed: Callable[..., Recording]
) -> None:
    recording = filmed()
    every = expected(recording)
    part = replace(recording, start_seconds=0.35, end_seconds=0.85)
    seconds, items = read(FrameStore(tmp_path, SMALL).add(part, ("portraits",)).paths["portraits"])
    np.testing.assert_allclose(seconds, [0.4, 0.5, 0.6, 0.7, 0.8], atol=1e-6)
    np.testing.assert_array_equal(items, every[4:9])
    slow = SMALL.model_copy(update={"decode": DecodeConfig(frame_rate=4.0)})
    path = FrameStore(tmp_path, slow).add(recording, ("portraits",)).paths["portraits"]
    seconds, items = read(path)
    np.testing.assert_allclose(seconds, [0, 0.25, 0.5, 0.75, 1.0], atol=1e-6)
    np.testing.assert_array_equal(items, every[[0, 2, 5, 7, 10]])


def test_frames_that_cannot_be_aligned_are_left_out_and_listed(
    tmp_path: Path, filmed: Callable[..., Recording]
) -> None:
    def spoil(points: np.ndarray) -> None:
        points[2] = np.nan
        points[5] = (points[5] - 80) * 0.2 + 80
        points[6, [*LEFT_EYE, *RIGHT_EYE]] += (0, 70)
        points[7, MOUTH[0]] = np.nan

    recording = filmed(spoil)
    store = FrameStore(tmp_path / "store", SMALL)
    facts = _add(recording, store, ("portraits", "rgb"), ("portraits",))
    seconds, items = read(Path(facts["paths"]["portraits"]))
    kept = [0, 1, 3, 4, 8, 9, 10, 11]
    np.testing.assert_allclose(seconds, np.array(kept) / FPS, atol=1e-6)
    drawn = replace(recording, landmarks=filmed(name="drawn").landmarks)
    np.testing.assert_array_equal(items, expected(drawn)[kept])
    prepared = _prepared("r1", facts)
    assert prepared.findings is not None
    lists = {why: np.round(at, 6).tolist() for why, at in prepared.findings.unaligned.items()}
    assert lists == {LACKS[1]: [0.2, 0.7], LACKS[4]: [0.5], LACKS[2]: [0.6]}
    # The recording itself does not pause.
    assert not prepared.is_varying
    assert prepared.seconds == pytest.approx(NUM_FRAMES / FPS)
    (note,) = picture_notes({"r1": prepared}, [recording], SMALL.decode)
    assert note == (
        "1 of 1 recordings have frames that give no portrait and are left out, 4 in all (2 without "
        "eyes or mouth, 1 face smaller than 64 px, 1 mouth not below the eyes): r1"
    )


def test_portraits_alone_know_their_length_too(
    tmp_path: Path, filmed: Callable[..., Recording]
) -> None:
    recording = filmed(lambda points: points.__setitem__(slice(4, 8), np.nan))
    store = FrameStore(tmp_path / "store", SMALL)
    prepared = _prepared("r1", _add(recording, store, ("portraits",), ("portraits",)))
    assert (prepared.is_varying, round(prepared.rate, 3)) == (False, FPS)
    # Entries that are there are not made again, and say the same.
    assert prepared == _prepared("r1", _add(recording, store, ("portraits",), ("portraits",)))


def test_a_recording_without_any_portrait_is_refused_by_name(
    tmp_path: Path, filmed: Callable[..., Recording]
) -> None:
    def spoil(points: np.ndarray) -> None:
        points[:] = (points - 80) * 0.2 + 80
        points[3] = np.nan

    with pytest.raises(
        DecodeError,
        match=r"recording r7: none of its 12 frames gives a portrait: 11 face smaller than 64 px, "
        r"1 without eyes or mouth; give landmarks of a larger face",
    ):
        FrameStore(tmp_path / "store", SMALL).add(filmed(spoil, "r7"), ("portraits",))
    assert not list((tmp_path / "store").glob("??/*.arrow"))


def test_what_portraits_are_made_of_must_be_there(filmed: Callable[..., Recording]) -> None:
    recording = filmed()
    assert sources(recording, "portraits") == (recording.video, recording.landmarks)
    without = replace(recording, landmarks=None)
    with pytest.raises(DecodeError, match="its row has no landmarks; add it"):
        sources(without, "portraits")
    with pytest.raises(DecodeError, match="its row has no video; add it"):
        sources(replace(recording, video=None), "portraits")
    assert available(without, ("rgb", "portraits"), ()) == ("rgb",)
    assert passes(["landmarks", "flow", "portraits", "rgb"]) == [["rgb", "flow"], ["portraits"]]


def test_of_a_rectangle_the_portraits_and_landmarks_are_those_of_its_picture(
    tmp_path: Path, filmed: Callable[..., Recording]
) -> None:
    recording = filmed()
    assert recording.video is not None
    frames = decode(recording.video, FULL).frames
    alone, marked = tmp_path / "alone.mp4", tmp_path / "marked.mp4"
    encode(alone, frames, rate=FPS, coding=LOSSLESS)
    mark = Mark("cut", date(2026, 3, 14), "0" * 64)
    write_marked_video(marked, frames, np.arange(NUM_FRAMES) / FPS, mark, lossless=True)
    store, kinds = FrameStore(tmp_path / "store", SMALL), ("rgb", "portraits", "landmarks")
    wanted = store.add(replace(recording, video=alone), kinds).paths
    crop = Box(0, 0, SIZE, SIZE)
    found = store.add(replace(recording, video=marked, crop=crop), kinds).paths
    for kind in kinds:
        assert found[kind] != wanted[kind]
        for one, other in zip(read(found[kind]), read(wanted[kind]), strict=True):
            np.testing.assert_array_equal(one, other)
    assert full_size(marked) == (SIZE, SIZE + 32)
    assert full_size(marked, part=Part(crop=crop)) == (SIZE, SIZE)


def test_only_what_changes_portraits_makes_them_anew(
    tmp_path: Path, filmed: Callable[..., Recording]
) -> None:
    recording = filmed()
    plain = FrameStore(tmp_path, SMALL).entry(recording, "portraits")

    def at(one: Recording = recording, **changed: Any) -> Path:
        return FrameStore(tmp_path, SMALL.model_copy(update=changed)).entry(one, "portraits")

    assert at(decode=DecodeConfig(height=50, width=60)) == plain
    other = filmed(lambda points: points.__iadd__(1), "r2")
    assert at(replace(recording, landmarks=other.landmarks)) != plain
    assert at(decode=DecodeConfig(frame_rate=5.0)) != plain
    assert at(decode=DecodeConfig(hdr="stored")) != plain
    assert at(portraits=Recipe(portraits={"size": 65}).portraits) != plain


def test_full_frames_are_turned_and_have_square_pixels(
    tmp_path: Path, write_video: Callable[..., Path]
) -> None:
    frames = np.zeros((4, 48, 64, 3), np.uint8)
    frames[:, :, 40:] = 255

    def wide(stream: Any) -> None:
        stream.codec_context.sample_aspect_ratio = Fraction(3, 2)

    video = write_video("wide.mp4", frames, fps=FPS, prepare=wide)
    assert full_size(video) == (96, 48)
    points = np.full((4, 106, 2), 5.0, np.float32)
    points[:, 0] = (80, 24)
    write_track(tmp_path / "t.npz", Track(points, np.arange(4) / FPS, (128.0, 64.0)))
    recording = Recording("r", "S", "gait", video=video, landmarks=tmp_path / "t.npz")
    findings = Findings()
    source = placed_frames(recording, "portraits", SMALL, findings)
    assert source.size == (96, 48)
    np.testing.assert_allclose(source.points[:, 0], [(60, 18)] * 4)
    (first, *_), shapes = zip(*source.frames, strict=True)
    assert first == 0
    assert shapes[0].shape == (48, 96, 3)
    assert (shapes[0][:, 63:] > 230).all()
    assert (shapes[0][:, :57] < 25).all()
    assert findings.sizes == [(64, 48)]


def test_a_forecast_counts_each_kind_of_pictures(
    tmp_path: Path, filmed: Callable[..., Recording]
) -> None:
    found = forecast([filmed()], FrameStore(tmp_path, SMALL), ("rgb", "portraits"))
    assert found.num_bytes == NUM_FRAMES * 3 * (40 * 56 + 64 * 64)
    assert found.cpu_seconds > 0
    broken = replace(filmed(lambda points: points.fill(np.nan)), video=tmp_path / "none.mp4")
    assert forecast([broken], FrameStore(tmp_path, SMALL), ("portraits",)).num_bytes == 0


@pytest.mark.skipif(not YOUTUBEPD.exists(), reason="the YouTubePD pack is not beside the project")
@pytest.mark.parametrize("name", ["video74", "video91"])
def test_faces_of_real_people_stand_more_still_than_in_the_film(tmp_path: Path, name: str) -> None:
    pack = np.load(YOUTUBEPD / "landmarks.npz")
    seconds = 2 * (pack[f"{name}__frame_index"] - 1) / 20.0  # landmarks of each second frame
    points = pack[name].astype(np.float64)
    write_track(tmp_path / "l.npz", Track(points, seconds, (256.0, 256.0)))
    video = YOUTUBEPD / "media" / f"{name}.mp4"
    recording = Recording(name, "S", "face_interview", video=video, landmarks=tmp_path / "l.npz")
    path = FrameStore(tmp_path / "store", SMALL).add(recording, ("portraits",)).paths["portraits"]
    times, items = read(path)
    clip = decode(video, DecodeConfig(height=256, width=256))
    np.testing.assert_array_equal(times, clip.pts_seconds)
    usual = np.median(align_portraits(points, picture=(256, 256), size=64).matrix, axis=0)
    fixed = np.stack([take_portrait(frame, usual, 64) for frame in clip.frames])

    def movement(pictures: np.ndarray) -> float:
        """Mean change of the middle of the picture, less its brightness, in a tenth of a second."""
        grey = pictures[::2, 20:52, 16:48].astype(float).mean(axis=3)
        grey -= grey.mean(axis=(1, 2), keepdims=True)
        return float(np.abs(np.diff(grey, axis=0)).mean())

    assert movement(items) < 0.95 * movement(fixed)
