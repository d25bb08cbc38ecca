"""Real files through every modality and codec: the same moments, the same numbers."""

import json
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from pdray.data.cohort.manifest import Recording
from pdray.data.face.points import LANDMARKS
from pdray.data.media.audio import log_mel, read_waveform
from pdray.data.media.decode import decode
from pdray.data.media.flow import motion, motion_boundaries, quantise
from pdray.data.media.part import Part
from pdray.data.media.settings import DecodeConfig, FlowConfig
from pdray.data.media.tracks import Track, write_track
from pdray.data.modalities import MODALITIES, PICTURES, SOUND, TRACKS
from pdray.data.store.entry import Entry
from pdray.data.store.extract import extract, sources
from pdray.data.store.frame_store import FrameStore
from pdray.data.store.settings import Recipe, StoreConfig
from pdray.demo.cohort import make_cohort
from pdray.demo.illness.severity import DemoConfig
from pdray.errors import DecodeError
from tests.places import YOUTUBEPD

SIZE = DecodeConfig(height=64, width=96)
FLOW = FlowConfig(method="dis")

real = pytest.mark.skipif(
    not YOUTUBEPD.exists(), reason="the YouTubePD pack is not beside the project"
)


def luma_psnr(first, second):
    weights = np.array([0.299, 0.587, 0.114])
    error = (first.astype(np.float64) - second) @ weights
    return 10 * np.log10(255**2 / np.mean(error**2))


def recording(video, **cells):
    return Recording(recording_id="r1", subject_id="S1", item="gait", video=video, **cells)


@pytest.fixture
def tracked(tmp_path):
    """A real clip, its landmarks and its regions as track files."""

    def make(name):
        facts = json.loads((YOUTUBEPD / "media" / "facts.json").read_text())[f"{name}.mp4"]
        landmarks, regions = (
            np.load(YOUTUBEPD / "landmarks.npz"),
            np.load(YOUTUBEPD / "regions.npz"),
        )
        size = np.array([256.0, 256.0])
        # Landmark frame F, from 1, is the clip's frame 2 (F - 1); the card says so.
        moments = 2 * (landmarks[f"{name}__frame_index"] - 1) / facts["fps"]
        points = landmarks[name].astype(np.float64)
        write_track(tmp_path / "l.npz", Track(points=points, seconds=moments, size=size))
        shapes = regions[name].astype(np.float64)
        moments = np.arange(len(shapes)) / facts["fps"]
        vertices = np.array(json.loads((YOUTUBEPD / "region_names.json").read_text())["vertices"])
        track = Track(points=shapes, seconds=moments, size=size, vertices=vertices)
        write_track(tmp_path / "r.npz", track)
        video = YOUTUBEPD / "media" / f"{name}.mp4"
        return recording(video, landmarks=tmp_path / "l.npz", regions=tmp_path / "r.npz")

    return make


def test_each_modality_names_its_files():
    both = recording(Path("v.mp4"), audio=Path("a.wav"), landmarks=Path("l.npz"))
    assert [sources(both, m) for m in ("rgb", "flow", "boundaries")] == [(Path("v.mp4"),)] * 3
    assert {sources(both, m) for m in SOUND} == {(Path("a.wav"),)}
    assert sources(replace(both, audio=None), "mfcc") == (Path("v.mp4"),)
    assert sources(both, "landmarks") == (Path("v.mp4"), Path("l.npz"))
    with pytest.raises(DecodeError, match="its row has no regions; add it"):
        sources(both, "regions")
    with pytest.raises(
        DecodeError, match="its row has no audio and no video, so there is no log_mel; add one"
    ):
        sources(recording(None), "log_mel")


def test_settings_of_one_modality_do_not_make_another_anew():
    plain, changed = Recipe(), Recipe(flow={"bound": 10.0}, audio={"num_mels": 40})
    made_anew = [m for m in MODALITIES if plain.settings(m) != changed.settings(m)]
    assert made_anew == ["flow", "log_mel", "mfcc"]
    codec = Recipe(store={"codec": "jpeg"})
    made_anew = [m for m in PICTURES if plain.settings(m) != codec.settings(m)]
    assert made_anew == list(PICTURES)
    assert all(plain.settings(m) == codec.settings(m) for m in (*SOUND, *TRACKS))


def test_pictures_and_motion_come_from_one_decoding(numbered_video, monkeypatch):
    pytest.importorskip("cv2")
    opened = []
    open_ = av.open
    monkeypatch.setattr(av, "open", lambda *a, **k: opened.append(a) or open_(*a, **k))
    pieces = list(
        extract(
            recording(numbered_video),
            ("rgb", "flow", "boundaries"),
            Recipe(decode=SIZE, flow=FLOW),
        )
    )
    assert len(opened) == 1
    kinds = [piece.modality for piece in pieces]
    assert [kinds.count(m) for m in ("rgb", "flow", "boundaries")] == [40, 39, 39]
    monkeypatch.undo()
    clip = decode(numbered_video, SIZE)
    rgb = [piece for piece in pieces if piece.modality == "rgb"]
    np.testing.assert_array_equal(np.stack([piece.item for piece in rgb]), clip.frames)
    # A field stands at the first frame of its pair.
    times = [piece.seconds for piece in pieces if piece.modality == "flow"]
    np.testing.assert_allclose(times, clip.pts_seconds[:-1])


def test_what_is_not_wanted_is_not_made(numbered_video):
    pytest.importorskip("cv2")
    recipe = Recipe(decode=SIZE, flow=FLOW)
    pieces = extract(recording(numbered_video), ("boundaries",), recipe)
    assert {piece.modality for piece in pieces} == {"boundaries"}


@real
@pytest.mark.parametrize("name", ["video74", "video91"])
@pytest.mark.parametrize("codec", ["raw", "lz4", "jpeg"])
def test_real_clips_pass_every_codec(tmp_path, read_entry, name, codec):
    pytest.importorskip("cv2")
    video = YOUTUBEPD / "media" / f"{name}.mp4"
    size = DecodeConfig(height=128, width=128)
    recipe = Recipe(decode=size, flow=FLOW, store=StoreConfig(codec=codec))
    span = recording(video, end_seconds=1.5)
    paths = FrameStore(tmp_path / "store", recipe).add(span, ("rgb", "flow", "boundaries")).paths
    clip = decode(video, size, part=Part(end_seconds=1.5))
    assert len(clip.frames) == 30
    rgb, flow, boundaries = (read_entry(paths[m]) for m in ("rgb", "flow", "boundaries"))
    fields = [field for _, field in motion(zip(clip.pts_seconds, clip.frames, strict=True), FLOW)]
    codes = np.stack([quantise(field, FLOW.bound) for field in fields])
    edges = np.stack([quantise(motion_boundaries(f), FLOW.boundary_bound) for f in fields])
    if codec == "jpeg":
        assert luma_psnr(rgb, clip.frames) > 38
        for stored, exact in ((flow, codes), (boundaries, edges)):
            error = stored.astype(np.float64) - exact
            assert 10 * np.log10(255**2 / np.mean(error**2)) > 38
    else:
        np.testing.assert_array_equal(rgb, clip.frames)
        np.testing.assert_array_equal(flow, codes)
        np.testing.assert_array_equal(boundaries, edges)


@real
@pytest.mark.parametrize("name", ["video74", "video91"])
def test_real_tracks_stand_beside_their_frames(tmp_path, read_entry, tracked, name):
    one = tracked(name)
    store = FrameStore(tmp_path / "store", Recipe(decode=SIZE))
    paths = store.add(one, ("rgb", "landmarks", "regions")).paths
    times = [Entry(paths[m]).seconds for m in ("rgb", "landmarks", "regions")]
    for other in times[1:]:
        np.testing.assert_allclose(other, times[0], atol=1e-6)
    points = read_entry(paths["landmarks"])
    assert points.shape == (len(times[0]), 106, 2)
    # 256 px on a canvas of 96 x 64: the picture is 64 px wide and starts 16 px from the left.
    given = np.load(YOUTUBEPD / "landmarks.npz")[name][0].astype(np.float64)
    np.testing.assert_allclose(points[0], given * 64 / 256 + (16, 0), atol=1e-3)
    # Ten rows per second, twenty frames per second; a face does not jump between them.
    there = ~np.isnan(points[:, 0, 0])
    assert there.mean() > 0.95
    assert read_entry(paths["regions"]).shape == (len(times[0]), 58, 2)


def numbered_track(path, seconds, size=(64.0, 64.0), **more):
    """Points whose x is the number of their row."""
    points = np.zeros((len(seconds), 106, 2))
    points[:, :, 0] = np.arange(len(seconds))[:, None]
    write_track(path, Track(points=points, seconds=np.array(seconds), size=size, **more))
    return path


@pytest.mark.parametrize("rate", [None, 20.0, 12.5, 60.0])
def test_a_landmark_belongs_to_the_frame_that_is_shown(
    tmp_path, numbered_video, read_frame_number, rate
):
    file = numbered_track(tmp_path / "l.npz", np.arange(40) / 25)
    recipe = Recipe(decode=DecodeConfig(height=64, width=64, frame_rate=rate))
    one = recording(numbered_video, landmarks=file, start_seconds=0.3, end_seconds=1.3)
    frames = list(extract(one, ("rgb",), recipe))
    points = list(extract(one, ("landmarks",), recipe))
    assert [p.seconds for p in points] == [p.seconds for p in frames]
    shown = [read_frame_number(p.item) for p in frames]
    assert [p.item[0, 0] for p in points] == shown


def test_a_track_of_another_recording_is_refused(tmp_path, numbered_video):
    def add(**cells):
        store = FrameStore(tmp_path / "store", Recipe(decode=SIZE))
        store.add(recording(numbered_video, **cells), tuple(cells))

    seconds = np.arange(40) / 25
    turned = numbered_track(tmp_path / "t.npz", seconds, size=(48.0, 64.0))
    with pytest.raises(
        DecodeError, match="recording r1: its track's size 48 x 64 is not the shape"
    ):
        add(landmarks=turned)
    numbers = numbered_track(tmp_path / "n.npz", np.arange(40.0))
    with pytest.raises(
        DecodeError, match=r"rows, from 0 to 39 s, do not stand at its frames, from"
    ):
        add(landmarks=numbers)
    late = numbered_track(tmp_path / "late.npz", seconds + 1000)
    with pytest.raises(DecodeError, match=r"rows, from 1000 to 1001\.56 s, do not stand"):
        add(landmarks=late)
    with pytest.raises(DecodeError, match="its regions file has no array 'vertices'"):
        add(regions=numbered_track(tmp_path / "r.npz", seconds))
    with pytest.raises(DecodeError, match="its landmarks file has an array 'vertices'"):
        add(landmarks=numbered_track(tmp_path / "v.npz", seconds, vertices=np.array([106])))


def test_landmarks_are_kept_in_their_order_and_others_are_refused(tmp_path):
    seconds = np.arange(3) / 10
    points = np.random.default_rng(0).uniform(0, 60, (3, 106, 2)).astype(np.float32)

    def kept(points, **more):
        track = Track(points=points, seconds=seconds, size=(64.0, 64.0), **more)
        write_track(tmp_path / "l.npz", track)
        one = recording(None, landmarks=tmp_path / "l.npz")
        return np.stack([p.item for p in extract(one, ("landmarks",), Recipe(decode=SIZE))])

    turned = kept(points[:, ::-1], names=LANDMARKS[::-1])  # entries hold no names
    np.testing.assert_array_equal(turned, points)
    with pytest.raises(
        DecodeError, match="its track has 105 points per frame; give a file with the 106"
    ):
        kept(points[:, :105])
    points[1:] = np.nan
    assert np.isnan(kept(points)[1:]).all()
    points[:] = np.nan
    with pytest.raises(DecodeError, match="its landmarks file has no face in any row; leave its"):
        kept(points)


@real
def test_a_clip_without_sound_has_none(tmp_path):
    store = FrameStore(tmp_path / "store", Recipe(decode=SIZE))
    with pytest.raises(DecodeError, match="recording r1: has no audio stream"):
        store.add(recording(YOUTUBEPD / "media" / "video74.mp4"), ("log_mel",))
    assert list(store.root.rglob("*.arrow")) == []


def test_a_track_without_a_video_keeps_its_own_rows(tmp_path, read_entry):
    points = np.arange(848, dtype=np.float32).reshape(4, 106, 2)
    points[2, 1] = np.nan
    write_track(tmp_path / "l.npz", Track(points, np.array([0.0, 0.1, 0.3, 0.5]), (256, 256)))
    alone = Recording("r1", "S1", "face_interview", landmarks=tmp_path / "l.npz")
    store = FrameStore(tmp_path / "store", Recipe(decode=SIZE))
    entry = store.add(alone, ("landmarks",)).paths["landmarks"]
    np.testing.assert_array_equal(read_entry(entry), points)
    np.testing.assert_array_equal(Entry(entry).seconds, [0.0, 0.1, 0.3, 0.5])
    part = replace(alone, start_seconds=0.1, end_seconds=0.5)
    np.testing.assert_array_equal(read_entry(store.add(part, ("landmarks",)).paths["landmarks"]),
                                  points[1:3])  # fmt: skip
    assert store.verify(alone, ("landmarks",)) == []
    late = replace(alone, start_seconds=9.0)
    with pytest.raises(DecodeError, match="r1: its landmarks file has no row between 9 and inf s"):
        store.add(late, ("landmarks",))
    with pytest.raises(DecodeError, match="recording r1: its row has no regions; add it"):
        store.add(alone, ("regions",))


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """The recordings of a small SYNTHETIC cohort that have sound."""
    from pdray.data.cohort.manifest import load_manifest

    config = DemoConfig(num_subjects=1, num_visits=1, size=64, min_seconds=1.0, max_seconds=1.2)
    manifest = make_cohort(tmp_path_factory.mktemp("demo"), config, num_processes=1)
    rows = [row for row in load_manifest(manifest).recordings if _has_sound(row.video)]
    assert rows
    return rows


@pytest.mark.parametrize("codec", ["raw", "lz4", "jpeg"])
def test_the_demo_cohort_passes_every_codec_and_modality_of_its_files(
    tmp_path, read_entry, demo, codec
):
    pytest.importorskip("cv2")
    wanted = ("rgb", "flow", "boundaries", "waveform", "log_mel", "mfcc")
    recipe = Recipe(decode=SIZE, flow=FLOW, store=StoreConfig(codec=codec))
    store = FrameStore(tmp_path / "store", recipe)
    for one in demo:
        check_demo_recording(one, store, wanted, read_entry)


def check_demo_recording(one, store, wanted, read_entry):
    paths = store.add(one, wanted).paths
    assert store.verify(one, wanted) == []
    clip = decode(one.video, SIZE)
    frames = read_entry(paths["rgb"])
    if store.recipe.store.codec == "jpeg":
        assert frames.shape == clip.frames.shape
        assert luma_psnr(frames, clip.frames) > 38
    else:
        np.testing.assert_array_equal(frames, clip.frames)
    assert len(read_entry(paths["flow"])) == len(clip.frames) - 1
    wave = read_waveform(one.video, max_seconds=60.0)
    np.testing.assert_array_equal(read_entry(paths["waveform"])[0], wave.samples)
    times, mel = log_mel(wave, store.recipe.audio)
    np.testing.assert_array_equal(read_entry(paths["log_mel"]), mel)
    np.testing.assert_array_equal(Entry(paths["log_mel"]).seconds, times)
    assert len(Entry(paths["mfcc"])) == len(mel)


def _has_sound(video):
    with av.open(str(video)) as file:
        return bool(file.streams.audio)
