from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pdray.data.batches import frames
from pdray.data.batches.frames import BlankFrames, FrameReader
from pdray.data.cohort.rated import RatedRecording
from pdray.errors import StoreError

Write = Callable[..., Path]


def recording(name: str, path: Path | None) -> RatedRecording:
    stored = None if path is None else {"rgb": path}
    return RatedRecording(name, "S1", "face_interview", 0, 0, None, stored=stored)


@pytest.fixture
def two(tmp_path: Path, write_entry: Write) -> list[RatedRecording]:
    numbers = np.arange(2 * 7 * 4 * 5 * 3).reshape(2, 7, 4, 5, 3).astype(np.uint8)
    files = [write_entry(tmp_path / f"{n}.arrow", numbers[n][: 5 + n]) for n in range(2)]
    return [recording(f"R{n}", file) for n, file in enumerate(files)]


@pytest.mark.parametrize("limit", [1 << 20, 0])
def test_pictures_are_those_of_the_entries_kept_or_not(
    two: list[RatedRecording], monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    monkeypatch.setattr(frames, "MEMORY_BYTES", limit)
    reader = FrameReader(two, "rgb")
    assert (reader.shape, reader.length(0), reader.length(1)) == ((4, 5, 3), 5, 6)
    np.testing.assert_allclose(reader.seconds(1), np.arange(6) / 25)
    numbers = np.arange(2 * 7 * 4 * 5 * 3).reshape(2, 7, 4, 5, 3).astype(np.uint8)
    found = reader.read([(1, 4), (0, 2), (1, 4)])
    np.testing.assert_array_equal(found, [numbers[1, 4], numbers[0, 2], numbers[1, 4]])
    found[:] = 0
    np.testing.assert_array_equal(reader.read([(1, 4)])[0], numbers[1, 4])
    assert bool(frames._kept) == bool(limit)
    FrameReader([two[0]], "rgb")
    assert len(frames._kept) <= 1  # of another fit nothing is kept


def test_what_cannot_be_read_is_named(
    two: list[RatedRecording], tmp_path: Path, write_entry: Write
) -> None:
    with pytest.raises(StoreError, match="recording R9: its rgb is not in the frame store; run"):
        FrameReader([*two, recording("R9", None)], "rgb")
    with pytest.raises(StoreError, match=r"recording R9: .*missing"):
        FrameReader([*two, recording("R9", tmp_path / "gone.arrow")], "rgb")
    other = write_entry(tmp_path / "other.arrow", np.zeros((3, 4, 4, 3), np.uint8))
    message = r"R9: its rgb has items of \(4, 4, 3\), but recording R0 has \(4, 5, 3\)"
    with pytest.raises(StoreError, match=message):
        FrameReader([*two, recording("R9", other)], "rgb")


def test_blank_pictures_need_no_file() -> None:
    reader = BlankFrames((4, 5, 3))
    found = reader.read([(0, 0), (7, 15)])
    assert found.shape == (2, 4, 5, 3)
    assert len(np.unique(found)) > 10
    assert len(reader.seconds(3)) == reader.length(3)
