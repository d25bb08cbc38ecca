import errno
import json
import os
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest

from pdray.data import store
from pdray.data.decode import DecodeConfig, decode
from pdray.data.manifest import Recording
from pdray.data.store import FrameStore, count_frames, open_frames, read_frames
from pdray.errors import DecodeError, StoreError

CONFIG = DecodeConfig(height=32, width=48)


@pytest.fixture
def recording(numbered_video):
    return Recording(recording_id="r1", subject_id="S1", item="gait", video=numbered_video)


@pytest.fixture
def frames(tmp_path):
    return FrameStore(tmp_path / "store", CONFIG)


def entries(folder):
    return sorted(folder.rglob("*.npy"))


def test_stored_frames_are_the_decoded_ones(frames, recording):
    stored = frames.add(recording)
    assert stored.recording_id == "r1"
    assert stored.num_frames == count_frames(stored.path) == 40
    np.testing.assert_array_equal(open_frames(stored.path), decode(recording.video, CONFIG).frames)


def test_any_frames_in_any_order_with_repeats(frames, recording):
    stored = frames.add(recording)
    indices = np.array([39, 0, 7, 7, 3])
    picked = read_frames(stored.path, indices)
    np.testing.assert_array_equal(picked, decode(recording.video, CONFIG).frames[indices])
    assert type(picked) is np.ndarray
    assert picked.flags.writeable
    assert read_frames(stored.path, np.array([], np.int64)).shape == (0, 32, 48, 3)


@pytest.mark.parametrize("bad", [-1, 40])
def test_indices_outside_are_refused(frames, recording, bad):
    stored = frames.add(recording)
    with pytest.raises(IndexError, match=rf"outside 0\.\.39|{bad}"):
        read_frames(stored.path, np.array([0, bad]))


def test_nothing_is_decoded_or_hashed_twice(frames, recording, monkeypatch):
    first = frames.add(recording)

    def never(*args, **kwargs):
        raise AssertionError("again")

    monkeypatch.setattr(store, "decode", never)
    monkeypatch.setattr(store, "_hash_file", never)
    assert frames.add(recording) == first
    # Another row on the same span shares the entry; so does another process.
    other = FrameStore(frames.root, CONFIG).add(replace(recording, recording_id="r2", grade=3))
    assert (other.path, other.recording_id) == (first.path, "r2")


def test_content_settings_and_span_make_the_key(frames, recording, write_video, tmp_path):
    paths = {frames.entry(recording)}
    paths.add(FrameStore(frames.root, DecodeConfig(height=32, width=32)).entry(recording))
    paths.add(frames.entry(replace(recording, start_seconds=0.4)))
    paths.add(frames.entry(replace(recording, end_seconds=0.4)))
    other = write_video("other.mp4", np.zeros((5, 64, 64, 3), np.uint8))
    paths.add(frames.entry(replace(recording, video=other)))
    assert len(paths) == 5
    copy = tmp_path / "copy.mp4"
    copy.write_bytes(recording.video.read_bytes())
    assert frames.entry(replace(recording, video=copy)) in paths


def test_a_changed_file_gets_a_new_entry(frames, recording, write_video):
    first = frames.add(recording)
    write_video("numbered.mp4", np.full((7, 64, 64, 3), 99, np.uint8))
    second = frames.add(recording)
    assert second.path != first.path
    assert (first.num_frames, second.num_frames) == (40, 7)


def test_a_span_holds_only_its_frames(frames, recording, read_frame_number):
    stored = frames.add(replace(recording, start_seconds=0.4, end_seconds=0.8))
    # The square picture stands in the middle of the canvas.
    numbers = [read_frame_number(frame) for frame in open_frames(stored.path)[:, :, 8:40]]
    assert numbers == list(range(10, 20))


def test_an_unreadable_recording_is_named_and_leaves_nothing(frames, recording, tmp_path):
    (tmp_path / "bad.mp4").write_bytes(b"no video")
    with pytest.raises(DecodeError, match=r"^recording r1: cannot be decoded: Invalid data"):
        frames.add(replace(recording, video=tmp_path / "bad.mp4"))
    with pytest.raises(DecodeError, match=r"^recording r1: its row names no video"):
        frames.add(replace(recording, video=None))
    with pytest.raises(DecodeError, match=r"^recording r1: cannot be read: No such file"):
        frames.add(replace(recording, video=tmp_path / "gone.mp4"))
    assert entries(frames.root) == []


def test_no_name_of_a_source_is_kept(frames, recording, tmp_path):
    named = tmp_path / "jane_doe.mp4"
    recording.video.rename(named)
    frames.add(replace(recording, video=named))
    files = [path for path in frames.root.rglob("*") if path.is_file()]
    assert len(files) == 2
    for path in files:
        assert "jane" not in path.name
        assert b"jane" not in path.read_bytes()


@pytest.mark.parametrize("keep", [0, 40, 1000, -1])
def test_a_truncated_entry_is_reported_not_served(frames, recording, keep):
    stored = frames.add(recording)
    content = stored.path.read_bytes()
    stored.path.write_bytes(content[:keep])
    for read in (
        lambda: frames.add(recording),
        lambda: read_frames(stored.path, np.array([0])),
        lambda: count_frames(stored.path),
    ):
        with pytest.raises(StoreError, match=r"\.npy: .*delete the file, it is decoded again"):
            read()


def test_an_entry_that_grew_is_reported(frames, recording):
    stored = frames.add(recording)
    expected = len(stored.path.read_bytes())
    with stored.path.open("ab") as file:
        file.write(b"x")
    with pytest.raises(
        StoreError, match=f"has {expected + 1} bytes where its header says {expected}"
    ):
        open_frames(stored.path)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((2, 4, 4, 3), np.float32),
        np.zeros((2, 4, 4), np.uint8),
        np.zeros((0, 4, 4, 3), np.uint8),
        np.array([{"a": 1}], dtype=object),
    ],
)
def test_an_entry_of_another_kind_is_reported_and_nothing_is_unpickled(tmp_path, array):
    np.save(tmp_path / "a.npy", array, allow_pickle=True)
    with pytest.raises(StoreError, match=r"holds|is damaged"):
        open_frames(tmp_path / "a.npy")


def test_a_missing_entry_is_named(tmp_path):
    with pytest.raises(StoreError, match=r"none\.npy: no such entry"):
        open_frames(tmp_path / "none.npy")


def test_a_full_disk_is_a_clear_error_and_leaves_nothing(frames, recording, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(store.np, "save", full)
    with pytest.raises(StoreError, match=r"r1: the frame store .* No space left .*184320 bytes"):
        frames.add(recording)
    assert [path for path in frames.root.rglob("*") if ".npy" in path.name] == []


def test_a_store_that_cannot_be_written_is_a_clear_error(recording, tmp_path):
    (tmp_path / "store").write_text("a file where the folder should be")
    with pytest.raises(StoreError, match=r"cannot be written: "):
        FrameStore(tmp_path / "store", CONFIG).add(recording)


ADD = """
import json, sys
from pathlib import Path
import numpy as np
from pdray.data import store
from pdray.data.decode import DecodeConfig
from pdray.data.manifest import Recording

root, video, killed = sys.argv[1:]
if killed == "yes":
    import os, signal
    def half(file, array, **_):
        file.write(b"half of it")
        file.flush()
        os.kill(os.getpid(), signal.SIGKILL)
    store.np.save = half
one = Recording(recording_id="r1", subject_id="S1", item="gait", video=Path(video))
stored = store.FrameStore(Path(root), DecodeConfig(height=32, width=48)).add(one)
print(json.dumps([str(stored.path), stored.num_frames]))
"""


def add_elsewhere(frames, recording, killed="no"):
    command = [sys.executable, "-c", ADD, str(frames.root), str(recording.video), killed]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_a_writer_killed_in_the_middle_leaves_no_entry(frames, recording):
    killed = add_elsewhere(frames, recording, killed="yes")
    killed.communicate()
    assert killed.returncode == -9
    assert entries(frames.root) == []
    assert len(list(frames.root.rglob(".*.tmp"))) == 1
    assert frames.add(recording).num_frames == 40


def test_writers_race_to_the_same_whole_entry(frames, recording):
    writers = [add_elsewhere(frames, recording) for _ in range(3)]
    printed = {writer.communicate()[0] for writer in writers}
    assert [writer.returncode for writer in writers] == [0, 0, 0]
    (answer,) = printed
    path, num_frames = json.loads(answer)
    assert num_frames == 40
    assert [str(entry) for entry in entries(frames.root)] == [path]
    np.testing.assert_array_equal(
        open_frames(entries(frames.root)[0]), decode(recording.video, CONFIG).frames
    )


def test_a_frame_is_read_in_well_under_a_millisecond(tmp_path):
    path = tmp_path / "a.npy"
    np.save(path, np.zeros((500, 112, 112, 3), np.uint8))
    indices = np.arange(0, 500, 16)
    read_frames(path, indices)
    started = time.perf_counter()
    for _ in range(10):
        read_frames(path, indices)
    assert (time.perf_counter() - started) / (10 * len(indices)) < 1e-3
