from dataclasses import replace
from pathlib import Path

import pytest

from pdray.data.cohort.manifest import Recording
from pdray.data.media.settings import DecodeConfig
from pdray.data.store.frame_store import FrameStore
from pdray.data.store.lengths import Length, lengths
from pdray.data.store.settings import Recipe

SMALL = DecodeConfig(height=16, width=16)


@pytest.fixture
def recording(numbered_video: Path) -> Recording:
    """40 frames at 25 per second."""
    return Recording("r", "S", "gait", video=numbered_video)


def length_of(one: Recording, root: Path, decode: DecodeConfig = SMALL) -> Length:
    return lengths([one], FrameStore(root, Recipe(decode=decode)))["r"]


def test_a_header_tells_the_length_of_the_file_and_of_a_span(
    recording: Recording, tmp_path: Path
) -> None:
    assert length_of(recording, tmp_path / "no") == (pytest.approx(1.6), 40, "")
    part = replace(recording, start_seconds=0.4, end_seconds=1.2)
    assert length_of(part, tmp_path / "no") == (pytest.approx(0.8), 20, "")
    assert length_of(replace(part, end_seconds=9.0), tmp_path / "no")[1] == 30
    assert not (tmp_path / "no").exists()


@pytest.mark.parametrize(
    ("video", "lack"),
    [
        (None, "the manifest names no video"),
        ("absent.mp4", "the video file is missing"),
        ("broken.mp4", "the header of the video cannot be read or does not give the length"),
    ],
)
def test_without_a_header_only_a_closed_span_tells_seconds(
    tmp_path: Path, video: str | None, lack: str
) -> None:
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    one = Recording("r", "S", "gait", video=None if video is None else tmp_path / video)
    assert length_of(one, tmp_path / "no") == (None, None, lack)
    assert length_of(replace(one, end_seconds=3.0), tmp_path / "no") == (None, None, lack)
    spanned = replace(one, start_seconds=1.0, end_seconds=3.5)
    assert length_of(spanned, tmp_path / "no") == (2.5, None, lack)


def test_frames_in_the_store_are_counted_there(recording: Recording, tmp_path: Path) -> None:
    part = replace(recording, start_seconds=0.42, end_seconds=1.19)  # frames 11 to 29
    root = tmp_path / "store"
    FrameStore(root, Recipe(decode=SMALL)).add(part)
    assert length_of(part, root) == (pytest.approx(19 / 25), 19, "")
    by_header = (pytest.approx(0.77), 19, "")
    entry = FrameStore(root, Recipe(decode=SMALL)).entry(part, "rgb")
    entry.write_bytes(b"damaged")
    assert length_of(part, root) == by_header
    # Frames at another rate are not those that were recorded.
    slow = DecodeConfig(height=16, width=16, frame_rate=5.0)
    FrameStore(root, Recipe(decode=slow)).add(part)
    assert length_of(part, root, slow) == by_header
