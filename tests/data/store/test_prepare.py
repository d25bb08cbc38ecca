import csv
from functools import partial

import numpy as np
import pytest

from pdray.data.cohort.manifest import Recording, load_manifest
from pdray.data.cohort.rated import StoredRecording
from pdray.data.media.decode import decode
from pdray.data.media.settings import DecodeConfig
from pdray.data.media.tracks import Track, write_track
from pdray.data.store.extract import available
from pdray.data.store.frame_store import FrameStore
from pdray.data.store.prepare import (
    Prepared,
    check_failures,
    lack_notes,
    prepare_store,
    rate_notes,
)
from pdray.data.store.settings import Recipe
from pdray.errors import DecodeError, StoreError
from tests.fixtures.without_ray import Here

CONFIG = DecodeConfig(height=24, width=24)
SOUNDS = ("log_mel", "mfcc")


@pytest.fixture
def table(tmp_path):
    return tmp_path / "study" / "decode_failures.csv"


@pytest.fixture(scope="module")
def local_ray():
    import ray

    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield ray
    ray.shutdown()


def failures(count):
    return {f"R{number:02d}": f"recording R{number:02d}: is cut short" for number in range(count)}


def test_failures_within_the_allowance_are_listed_and_pass(table):
    check_failures({"R2": "b, c", "R1": "a"}, table, allowed=2)
    with table.open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows == [["recording_id", "reason"], ["R1", "a"], ["R2", "b, c"]]


def test_more_failures_than_allowed_stop_with_reasons_table_and_setting(table):
    with pytest.raises(DecodeError) as error:
        check_failures(failures(3), table, allowed=2)
    told = str(error.value)
    for part in ("3 recordings cannot be read (allowed: 2)", str(table), *failures(3).values()):
        assert part in told
    assert "data.max_decode_failures=3" in told
    assert len(table.read_text().splitlines()) == 4


def test_of_many_failures_ten_are_told_and_all_listed(table):
    with pytest.raises(DecodeError, match="and 13 more") as error:
        check_failures(failures(23), table, allowed=0)
    assert "R09" in str(error.value)
    assert "R10" not in str(error.value)
    assert len(table.read_text().splitlines()) == 24


def test_a_table_of_an_earlier_run_goes_when_nothing_fails(table):
    check_failures(failures(1), table, allowed=1)
    check_failures({}, table, allowed=0)
    assert not table.exists()


def prepared(**changes):
    values = {"num_bytes": 9, "seconds": 1.0, "rate": 25.0, "is_varying": False, **changes}
    return Prepared(stored=StoredRecording("R", {}), **values)


def test_even_frame_rates_need_no_note():
    assert (
        rate_notes({"R1": prepared(), "R2": prepared(rate=24.97), "R3": prepared(rate=0.0)}) == []
    )


def test_other_rates_and_varying_ones_are_told_with_the_setting_that_mends_them():
    notes = rate_notes({"R1": prepared(), "R2": prepared(rate=60.0, is_varying=True)})
    assert len(notes) == 2
    assert notes[0].startswith(
        "frame rates differ (25 to 60 per second). Set decode.frame_rate=25 to "
    )
    assert notes[1].startswith(
        "the frame rate varies within 1 recordings (R2). Set decode.frame_rate "
    )
    assert all("decode.frame_rate" in note for note in notes)


@pytest.mark.filterwarnings("ignore")  # Ray warns about itself
def test_the_rate_is_that_of_frames_not_of_the_features_of_sound(
    tmp_path, monkeypatch, numbered_video, write_sound, write_track_file
):
    monkeypatch.setattr("ray.data.from_items", Here)
    monkeypatch.setattr("pdray.data.store.prepare.role_if_known", lambda role: None)
    sound, track = write_sound("a.mp4"), write_track_file("t.npz")
    row = partial(Recording, subject_id="S", item="face_interview", audio=sound)
    recordings = [
        row("all", video=numbered_video, landmarks=track),
        row("tracked", landmarks=track),
        row("heard"),
    ]
    store = FrameStore(tmp_path / "store", Recipe(decode=CONFIG))
    three = ("mfcc", "landmarks", "rgb")
    found, failures = prepare_store(recordings, store, three, progress=lambda *_: None, needed=())
    assert failures == {}
    assert all(one.seconds > 0 for one in found.values())
    rates = {name: one.rate for name, one in found.items()}
    assert rates == pytest.approx({"all": 25.0, "tracked": 25.0, "heard": 0.0})
    assert rate_notes(found) == []


@pytest.fixture
def write_track_file(tmp_path):
    def write(name):
        path = tmp_path / name
        points = np.zeros((12, 106, 2))
        write_track(path, Track(points, np.arange(12) / 25, (24.0, 24.0)))
        return path

    return write


def test_what_is_not_needed_is_made_where_its_files_are(
    tmp_path, numbered_video, write_sound, write_track_file
):
    three = ("rgb", "mfcc", "landmarks")
    row = partial(Recording, "R", "S", "face_interview")
    silent = row(video=numbered_video)
    assert available(silent, three, ()) == ("rgb",)
    assert available(silent, three, ("landmarks",)) == ("rgb", "landmarks")
    assert available(silent, three, ("mfcc",)) == ("rgb", "mfcc")  # whose absence is then told
    heard = row(video=numbered_video, audio=write_sound("a.mp4"))
    assert available(heard, three, ()) == ("rgb", "mfcc")
    named = row(video=numbered_video, audio=numbered_video)
    assert available(named, three, ()) == ("rgb", "mfcc")  # the row says that there is sound
    assert available(row(landmarks=write_track_file("t.npz")), three, ()) == ("landmarks",)
    assert available(row(video=write_sound("v.mp4")), SOUNDS, ()) == SOUNDS
    assert available(row(), three, ()) == ()
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    assert available(row(video=broken), three, ()) == ("rgb", "mfcc")  # the decoder says why


def test_recordings_that_take_part_without_a_modality_are_told():
    names = [f"R{number}" for number in range(7)]
    lacking = {name: prepared(lacks=("mfcc",)) for name in names}
    notes = lack_notes({**lacking, "R8": prepared(), "R9": prepared(lacks=("rgb", "mfcc"))})
    assert notes == [
        "8 of 9 recordings have no mfcc and are used without it: R0, R1, R2, R3, R4, ...",
        "1 of 9 recordings have no rgb and are used without it: R9",
    ]
    assert lack_notes({"R8": prepared()}) == []


@pytest.mark.integration
@pytest.mark.filterwarnings("ignore")  # Ray warns about itself
def test_what_a_recording_lacks_is_counted_and_nothing_at_all_is_a_failure(
    local_ray, tmp_path, numbered_video, write_sound, write_track_file
):
    row = partial(Recording, subject_id="S", item="face_interview")
    recordings = [
        row("silent", video=numbered_video),
        row("both", video=numbered_video, audio=write_sound("a.mp4")),
        row("named", video=numbered_video, audio=numbered_video),
        row("none", landmarks=write_track_file("t.npz")),
    ]
    store = FrameStore(tmp_path / "store", Recipe(decode=CONFIG))
    found, reasons = prepare_store(
        recordings, store, ("rgb", "mfcc"), progress=lambda *_: None, needed=()
    )
    assert {name: one.lacks for name, one in found.items()} == {"silent": ("mfcc",), "both": ()}
    assert list(found["silent"].stored.paths) == ["rgb"]
    assert reasons["none"].startswith("recording none: has none of rgb, mfcc; add a file")
    assert reasons["named"].startswith("recording named: has no audio stream")
    # Needed, the same silence is a failure.
    _, reasons = prepare_store(recordings[:1], store, ("mfcc",), progress=lambda *_: None)
    assert reasons["silent"].startswith("recording silent: has no audio stream, only video")


@pytest.mark.integration
@pytest.mark.filterwarnings("ignore")  # Ray warns about itself
def test_the_store_holds_what_can_be_read_and_the_reasons_name_the_rest(
    local_ray, tiny_manifest, tmp_path, read_entry
):
    path = tiny_manifest(5)
    (tmp_path / "videos" / "S02_left.mp4").write_bytes(b"no video")
    recordings = load_manifest(path, check_files=False).recordings
    store = FrameStore(tmp_path / "store", Recipe(decode=CONFIG))
    steps = []
    found, reasons = prepare_store(
        recordings,
        store,
        ("rgb", "flow"),
        progress=lambda done, total: steps.append((done, total)),
    )
    assert steps == [(done, 10) for done in range(1, 11)]
    assert set(reasons) == {"S02_left"}
    assert reasons["S02_left"].startswith("recording S02_left: ")
    assert set(found) | set(reasons) == {recording.recording_id for recording in recordings}
    for recording in recordings:
        if recording.recording_id in found:
            entry = found[recording.recording_id]
            clip = decode(recording.video, CONFIG)
            np.testing.assert_array_equal(read_entry(entry.stored.paths["rgb"]), clip.frames)
            assert len(read_entry(entry.stored.paths["flow"])) == len(clip.frames) - 1
            assert entry.num_bytes == sum(p.stat().st_size for p in entry.stored.paths.values())
            assert (entry.seconds, entry.rate) == pytest.approx((len(clip.frames) / 25, 25.0))

    # A second look decodes nothing.
    stamps = {path: path.stat().st_mtime_ns for path in store.root.rglob("*.arrow")}
    again, _ = prepare_store(recordings, store, ("rgb", "flow"), progress=lambda *_: None)
    assert again == found
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps


@pytest.mark.integration
@pytest.mark.filterwarnings("ignore")  # Ray warns about itself
def test_a_store_that_cannot_be_written_stops_with_its_own_error(
    local_ray, tiny_manifest, tmp_path
):
    recordings = load_manifest(tiny_manifest(2)).recordings
    (tmp_path / "store").write_text("a file where the folder should be")
    store = FrameStore(tmp_path / "store", Recipe(decode=CONFIG))
    with pytest.raises(StoreError, match=r"store.* cannot be written: "):
        prepare_store(recordings, store, ("rgb",), progress=lambda *_: None)
