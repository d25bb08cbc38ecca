import json
import os
import resource
import subprocess
import sys
from dataclasses import replace

import av
import numpy as np
import pytest

from pdray.data.cohort.manifest import Recording
from pdray.data.media.decode import decode
from pdray.data.media.findings import Findings
from pdray.data.media.part import Box
from pdray.data.media.settings import DecodeConfig
from pdray.data.media.tracks import Track, write_track
from pdray.data.store import frame_store as store
from pdray.data.store.entry import Entry
from pdray.data.store.frame_store import FrameStore
from pdray.data.store.settings import Recipe, StoreConfig
from pdray.errors import DecodeError, StoreError

CONFIG = DecodeConfig(height=32, width=48)
RECIPE = Recipe(decode=CONFIG)
PINNED = {"rgb": "7b94d1fb04d6d910", "landmarks": "81b979c6199e8533"}  # beginnings of names


@pytest.fixture
def recording(numbered_video):
    return Recording(recording_id="r1", subject_id="S1", item="gait", video=numbered_video)


@pytest.fixture
def frames(tmp_path):
    return FrameStore(tmp_path / "store", RECIPE)


def write_rgb(path, frames):
    """Write frames without loss."""
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264rgb", rate=25, options={"qp": "0"})
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "rgb24"
        for pixels in frames:
            file.mux(stream.encode(av.VideoFrame.from_ndarray(pixels)))
        file.mux(stream.encode())
    return path


def entries(folder):
    return sorted(path for path in folder.rglob("*.arrow") if not path.name.startswith("."))


@pytest.mark.parametrize("codec", ["raw", "lz4"])
def test_stored_frames_are_the_decoded_ones(tmp_path, recording, read_entry, codec):
    recipe = Recipe(decode=CONFIG, store=StoreConfig(codec=codec))
    stored = FrameStore(tmp_path / "store", recipe).add(recording)
    clip = decode(recording.video, CONFIG)
    assert stored.recording_id == "r1"
    np.testing.assert_array_equal(read_entry(stored.paths["rgb"]), clip.frames)
    np.testing.assert_array_equal(Entry(stored.paths["rgb"]).seconds, clip.pts_seconds)


def test_nothing_is_decoded_or_hashed_twice(frames, recording, monkeypatch):
    assert not frames.is_known(recording, ("rgb",))
    first = frames.add(recording)
    assert frames.is_known(recording, ("rgb",))
    assert not frames.is_known(recording, ("rgb", "flow"))

    def never(*args, **kwargs):
        raise AssertionError("again")

    monkeypatch.setattr(store, "extract", never)
    monkeypatch.setattr(store, "file_digest", never)
    assert frames.add(recording) == first
    # Another row on the same span shares the entry; so does another process.
    other = FrameStore(frames.root, RECIPE).add(replace(recording, recording_id="r2", grade=3))
    assert (other.paths, other.recording_id) == (first.paths, "r2")


def test_content_settings_and_span_make_the_key(frames, recording, write_video, tmp_path):
    def entry(recording, recipe=RECIPE, modality="rgb"):
        return FrameStore(frames.root, recipe).entry(recording, modality)

    other = write_video("other.mp4", np.zeros((5, 64, 64, 3), np.uint8))
    small = DecodeConfig(height=32, width=32)
    steady = DecodeConfig(height=32, width=48, frame_rate=10.0)
    paths = [
        entry(recording),
        entry(recording, Recipe(decode=small)),
        entry(recording, Recipe(decode=steady)),
        entry(recording, Recipe(decode=CONFIG, store=StoreConfig(codec="lz4"))),
        entry(recording, Recipe(decode=CONFIG, store=StoreConfig(codec="jpeg"))),
        entry(recording, Recipe(decode=CONFIG, store=StoreConfig(codec="jpeg", quality=95))),
        entry(recording, modality="flow"),
        entry(recording, modality="boundaries"),
        entry(replace(recording, start_seconds=0.4)),
        entry(replace(recording, end_seconds=0.4)),
        entry(replace(recording, video=other)),
    ]
    assert len(set(paths)) == len(paths)
    copy = tmp_path / "copy.mp4"
    copy.write_bytes(recording.video.read_bytes())
    assert entry(replace(recording, video=copy)) == paths[0]
    # What does not change the pictures does not make another entry.
    recipe = Recipe(decode=CONFIG, store=StoreConfig(quality=95), limits={"max_seconds": 5.0})
    assert entry(recording, recipe) == paths[0]


def test_a_rectangle_makes_another_entry_of_pictures_and_tracks_and_none_of_sound(frames, tmp_path):
    for name in ("a.mp4", "a.npz"):
        (tmp_path / name).write_bytes(b"SYNTHETIC " + name.encode())
    whole = Recording(
        *("r1", "S1", "gait"), video=tmp_path / "a.mp4", landmarks=tmp_path / "a.npz", end_seconds=2
    )
    names = {one: frames.entry(whole, one).stem for one in ("rgb", "flow", "landmarks", "mfcc")}
    # As before there were rectangles: entries that are there are used.
    assert names["rgb"][:16] == PINNED["rgb"]
    assert names["landmarks"][:16] == PINNED["landmarks"]
    cut, other = (replace(whole, crop=Box(0, 0, 64, size)) for size in (48, 64))
    for modality, name in names.items():
        found = {frames.entry(one, modality).stem for one in (cut, other)} | {name}
        assert len(found) == (1 if modality == "mfcc" else 3), modality


def test_what_surrounds_a_rectangle_is_in_no_entry(tmp_path, write_video, read_entry):
    pytest.importorskip("cv2")
    draw = np.random.default_rng(0)
    pictures = draw.integers(0, 256, (6, 48, 48, 3), np.uint8).repeat(2, 1).repeat(2, 2)
    marked = np.concatenate([pictures, draw.integers(0, 256, (6, 32, 96, 3), np.uint8)], 1)
    videos = [write_rgb(tmp_path / f"{n}.mp4", one) for n, one in enumerate((pictures, marked))]
    track = Track(np.full((6, 106, 2), 24.0, np.float32), np.arange(6) / 25, (96.0, 96.0))
    write_track(tmp_path / "a.npz", track)
    kinds = ("rgb", "flow", "boundaries", "landmarks")
    recipe = Recipe(decode=CONFIG, flow={"method": "dis"})
    found = [
        FrameStore(tmp_path / "store", recipe).add(
            Recording("r", "S", "gait", video=video, crop=crop, landmarks=tmp_path / "a.npz"), kinds
        )
        for video, crop in zip(videos, (None, Box(0, 0, 96, 96)), strict=True)
    ]
    for kind in kinds:
        wanted, cut = (read_entry(one.paths[kind]) for one in found)
        np.testing.assert_array_equal(cut, wanted)
        assert found[0].paths[kind] != found[1].paths[kind]
    # The track is of the rectangle: without one it has not the shape of the picture.
    with pytest.raises(DecodeError, match="is not the shape of the shown picture"):
        FrameStore(tmp_path / "store", recipe).add(
            Recording("r", "S", "gait", video=videos[1], landmarks=tmp_path / "a.npz"), kinds[3:]
        )


def test_a_recording_that_is_decoded_once_is_decoded_within_its_rectangle(frames, recording):
    with pytest.raises(DecodeError, match=r"^recording r1: its crop 0 0 64 65 .* 64 x 64 px"):
        frames.inspect(replace(recording, crop=Box(0, 0, 64, 65)))
    assert frames.inspect(replace(recording, crop=Box(0, 0, 64, 32))).paths["rgb"]


def test_a_changed_file_gets_a_new_entry(frames, recording, write_video):
    first = frames.add(recording)
    write_video("numbered.mp4", np.full((7, 64, 64, 3), 99, np.uint8))
    assert not frames.is_known(recording, ("rgb",))
    second = frames.add(recording)
    assert second.paths != first.paths
    assert [len(Entry(one.paths["rgb"])) for one in (first, second)] == [40, 7]


def test_a_span_holds_only_its_frames(frames, recording, read_frame_number, read_entry):
    stored = frames.add(replace(recording, start_seconds=0.4, end_seconds=0.8))
    # The square picture stands in the middle of the canvas.
    pictures = read_entry(stored.paths["rgb"])[:, :, 8:40]
    assert [read_frame_number(frame) for frame in pictures] == list(range(10, 20))
    times = Entry(stored.paths["rgb"]).seconds
    np.testing.assert_allclose(times, np.arange(10, 20) / 25)


def test_an_unreadable_recording_is_named_and_leaves_nothing(frames, recording, tmp_path):
    (tmp_path / "bad.mp4").write_bytes(b"no video")
    with pytest.raises(DecodeError, match=r"^recording r1: cannot be decoded: it is no video"):
        frames.add(replace(recording, video=tmp_path / "bad.mp4"))
    with pytest.raises(DecodeError, match=r"^recording r1: its row has no video; add it"):
        frames.add(replace(recording, video=None))
    with pytest.raises(
        DecodeError,
        match=r"^recording r1: its file cannot be read: No such file or directory; check",
    ):
        frames.add(replace(recording, video=tmp_path / "gone.mp4"))
    assert [path for path in frames.root.rglob("*") if "arrow" in path.name] == []


def test_frames_met_before_the_damage_are_not_kept(frames, recording):
    content = recording.video.read_bytes()
    recording.video.write_bytes(content[: len(content) * 6 // 10])
    with pytest.raises(DecodeError, match=r"^recording r1: "):
        frames.add(recording)
    assert [path for path in frames.root.rglob("*") if "arrow" in path.name] == []


def test_no_name_of_a_source_is_kept(frames, recording, tmp_path):
    named = tmp_path / "jane_doe.mp4"
    recording.video.rename(named)
    frames.add(replace(recording, video=named))
    files = [path for path in frames.root.rglob("*") if path.is_file()]
    assert len(files) == 3  # the entry, what decoding it found, and what is known of its source
    for path in files:
        assert "jane" not in path.name
        assert b"jane" not in path.read_bytes()


@pytest.mark.parametrize("keep", [0, 40, 1000, -1, None])
def test_an_entry_that_has_changed_on_disk_is_made_again(frames, recording, read_entry, keep):
    stored = frames.add(recording, ("rgb", "flow"))
    path = stored.paths["rgb"]
    items, content = read_entry(path), bytearray(path.read_bytes())
    if keep is None:  # one bit
        content[len(content) // 2] ^= 1
    path.write_bytes(content[:keep])
    again = frames.add(recording, ("rgb", "flow"))
    assert (again.paths, again.mended) == (stored.paths, ("rgb",))
    np.testing.assert_array_equal(read_entry(path), items)
    assert frames.add(recording, ("rgb", "flow")) == stored


def test_verifying_finds_nothing_in_a_sound_store(frames, recording):
    frames.add(recording)
    assert frames.verify(recording, ("rgb",)) == []


def test_verifying_names_a_changed_source_though_its_size_and_time_stand(frames, recording):
    frames.add(recording)
    status = recording.video.stat()
    content = bytearray(recording.video.read_bytes())
    content[-1] ^= 1
    recording.video.write_bytes(content)
    os.utime(recording.video, ns=(status.st_atime_ns, status.st_mtime_ns))
    (fault,) = frames.verify(recording, ("rgb",))
    assert fault.startswith("recording r1: its video file has changed since it was prepared: ")
    assert "restore the old file" in fault


def test_verifying_names_what_is_damaged_lacking_or_gone(frames, recording):
    path = frames.add(recording).paths["rgb"]
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    (fault,) = frames.verify(recording, ("rgb",))
    assert fault.startswith("recording r1: ")
    assert "have changed since they were written" in fault
    path.unlink()
    (fault,) = frames.verify(recording, ("rgb",))
    assert fault.startswith(
        "recording r1: is not prepared with these settings; run jobs/prepare.py, or "
    )
    recording.video.unlink()
    (fault,) = frames.verify(recording, ("rgb",))
    assert (
        fault
        == "recording r1: a file cannot be read: No such file or directory; check that it exists "
        "and may be read"
    )


def test_a_file_that_changes_while_it_is_read_is_not_stored(frames, recording, monkeypatch):
    extract = store.extract

    def growing(*args):
        yield from extract(*args)
        with recording.video.open("ab") as file:
            file.write(b"more")

    monkeypatch.setattr(store, "extract", growing)
    with pytest.raises(DecodeError, match=r"^recording r1: its file changed while it was read"):
        frames.add(recording)
    assert entries(frames.root) == []


def test_what_killed_writers_left_goes_after_a_day(frames, recording):
    path = frames.add(recording).paths["rgb"]
    old, new = (path.with_name(f".{name}.arrow.0.tmp") for name in ("old", "new"))
    for left in (old, new):
        left.write_bytes(b"half of it")
    os.utime(old, (0, 0))
    frames.sweep()
    assert (old.exists(), new.exists(), path.exists()) == (False, True, True)


def test_a_store_that_cannot_be_written_is_a_clear_error(recording, tmp_path):
    (tmp_path / "store").write_text("a file where the folder should be")
    with pytest.raises(StoreError, match=r"cannot be written: .*choose another output"):
        FrameStore(tmp_path / "store", RECIPE).add(recording)


ADD = """
import json, sys
from pathlib import Path
from pdray.data.store import entry
from pdray.data.store import frame_store as store
from pdray.data.media.settings import DecodeConfig
from pdray.data.cohort.manifest import Recording
from pdray.data.store.settings import Recipe
from pdray.errors import PdrayError

root, video, killed = sys.argv[1:]
if killed == "yes":
    import os, signal
    append = entry.EntryWriter.append
    def half(self, seconds, item, names=()):
        append(self, seconds, item, names)
        if self.num_items == 20:
            self._flush()
            self._file.flush()
            os.kill(os.getpid(), signal.SIGKILL)
    entry.EntryWriter.append = half
one = Recording(recording_id="r1", subject_id="S1", item="gait", video=Path(video))
frames = store.FrameStore(Path(root), Recipe(decode=DecodeConfig(height=32, width=48)))
try:
    print(json.dumps(str(frames.add(one).paths["rgb"])))
except PdrayError as error:
    sys.exit(f"{type(error).__name__}: {error}")
"""


def add_elsewhere(frames, recording, killed="no", **options):
    command = [sys.executable, "-c", ADD, str(frames.root), str(recording.video), killed]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, text=True, **pipes, **options)


def test_a_writer_killed_in_the_middle_leaves_no_entry(frames, recording, read_entry):
    killed = add_elsewhere(frames, recording, killed="yes")
    killed.communicate()
    assert killed.returncode == -9
    assert entries(frames.root) == []
    (left,) = frames.root.rglob(".*.tmp")
    assert left.stat().st_size > 20 * 32 * 48 * 3
    assert len(read_entry(frames.add(recording).paths["rgb"])) == 40


def test_a_disk_that_fills_up_is_a_clear_error_and_leaves_nothing(frames, recording):
    # A limit on a file's size fails the same write as a full disk does, with another reason.
    limit = 100_000
    writer = add_elsewhere(
        frames,
        recording,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    _, told = writer.communicate()
    assert writer.returncode == 1
    assert told.startswith("StoreError: recording r1: the frame store ")
    assert "cannot be written: File too large; no partial file was kept" in told
    assert [path for path in frames.root.rglob("*") if "arrow" in path.name] == []


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may mount")
@pytest.mark.parametrize(
    ("options", "reason"),
    [("size=100k", "No space left on device"), ("ro", "Read-only file system")],
)
def test_a_full_and_a_read_only_disk_are_clear_errors(frames, recording, options, reason):
    frames.root.mkdir()
    mount = f"mount -t tmpfs -o {options} tmpfs {frames.root}"
    if subprocess.run(["unshare", "-m", "sh", "-c", mount], capture_output=True).returncode:
        pytest.skip("mounting is not allowed here")
    command = [sys.executable, "-c", ADD, str(frames.root), str(recording.video), "no"]
    inside = f'{mount} && "$@"; code=$?; find {frames.root} -name "*arrow*" >&2; exit $code'
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", inside, "sh", *command], capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "StoreError: " in done.stderr
    assert f"cannot be written: {reason}" in done.stderr
    assert ".arrow" not in done.stderr


def test_writers_race_to_the_same_whole_entry(frames, recording, read_entry):
    writers = [add_elsewhere(frames, recording) for _ in range(3)]
    printed = {writer.communicate()[0] for writer in writers}
    assert [writer.returncode for writer in writers] == [0, 0, 0]
    (answer,) = printed
    assert [str(entry) for entry in entries(frames.root)] == [json.loads(answer)]
    np.testing.assert_array_equal(
        read_entry(entries(frames.root)[0]), decode(recording.video, CONFIG).frames
    )


def test_what_decoding_found_is_kept_and_an_inspection_keeps_nothing_else(frames, recording):
    seen = frames.inspect(recording)
    assert entries(frames.root) == []
    assert store.findings_of(seen.paths["rgb"]) == Findings(sizes=[(64, 64)])
    assert not frames.is_known(recording, ("rgb",))
    made = frames.add(recording)
    assert made == seen
    assert store.findings_of(made.paths["rgb"]) == Findings(sizes=[(64, 64)])


def test_an_inspection_is_done_once_and_refuses_what_storing_refuses(
    frames, recording, monkeypatch
):
    frames.inspect(recording)
    monkeypatch.setattr("pdray.data.media.decode.inspect", None)
    frames.inspect(recording)
    monkeypatch.undo()
    content = recording.video.read_bytes()
    recording.video.write_bytes(content[: len(content) * 6 // 10])
    told = []
    for read in (frames.inspect, frames.add):
        with pytest.raises(DecodeError, match=r"^recording r1: ") as error:
            read(recording)
        told.append(str(error.value))
    assert told[0] == told[1]


def test_entries_of_an_earlier_version_have_another_key_and_are_named(tmp_path, recording):
    then = CONFIG.model_copy(update={"hdr": "stored", "interlaced": "stored"})
    older = FrameStore(tmp_path / "store", Recipe(decode=then))
    path = older.add(recording).paths["rgb"]
    # An earlier version wrote no findings; its keys knew neither setting.
    path.with_suffix(".json").unlink()
    assert Recipe(decode=then).settings("rgb")["decode"] == {
        "height": 32, "width": 48, "frame_rate": None,
    }  # fmt: skip
    now = FrameStore(tmp_path / "store", RECIPE)
    assert not now.is_known(recording, ("rgb",))
    (told,) = now.verify(recording, ("rgb",))
    assert "was prepared by an earlier version" in told
    assert older.is_known(recording, ("rgb",))
    assert older.verify(recording, ("rgb",)) == []
    assert store.findings_of(older.add(recording).paths["rgb"]) is None
    assert now.add(recording).paths["rgb"] != path
