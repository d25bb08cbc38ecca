from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pdray.data.cohort.rated import RatedRecording
from pdray.data.store.entry import Entry, EntryWriter
from pdray.data.store.settings import StoreConfig
from pdray.errors import DecodeError, StoreError
from pdray.training.frozen.keep import (
    file_state,
    frozen_path,
    keep_frozen,
    weights_digest,
)

FRAMES = np.arange(5 * 4, dtype=np.float32).reshape(5, 4)


class Doubled:
    """Twice each item, and a count of how often it was asked."""

    reads = ("mfcc",)

    def __init__(self, weights: str = "w", fault: str = "") -> None:
        self.decides: Mapping[str, Any] = {"kind": "doubled", "weights": weights}
        self.fault, self.asked = fault, 0

    def items(self, entries: Mapping[Any, Entry]) -> Iterator[tuple[float, Any]]:
        self.asked += 1
        entry = entries["mfcc"]
        for seconds, item in zip(entry.seconds, entry.read(np.arange(len(entry))), strict=True):
            if self.fault and seconds > 1:
                raise DecodeError(self.fault)
            yield float(seconds), 2 * item


@pytest.fixture
def recording(tmp_path: Path) -> RatedRecording:
    path = tmp_path / "store" / "ab" / "abc.arrow"
    path.parent.mkdir(parents=True)
    with EntryWriter(path, StoreConfig()) as out:
        for number, item in enumerate(FRAMES):
            out.append(number / 2, item)
    return RatedRecording("r1", "S1", "face_interview", 0, 0, None, stored={"mfcc": path})


def test_items_are_computed_once_and_lie_in_the_store(recording: RatedRecording) -> None:
    frozen = Doubled()
    path = keep_frozen(frozen, recording)
    assert keep_frozen(frozen, recording) == path == frozen_path(Doubled(), recording)
    assert frozen.asked == 1
    entry = Entry(path)
    np.testing.assert_array_equal(entry.read(np.arange(5)), 2 * FRAMES)
    np.testing.assert_array_equal(entry.seconds, np.arange(5) / 2)
    store = recording.stored["mfcc"].parents[1]
    assert path.parent.parent == store
    assert path.parent.name == path.name[:2]


def test_other_weights_and_other_frames_have_other_entries(
    recording: RatedRecording, tmp_path: Path
) -> None:
    first = frozen_path(Doubled(), recording)
    assert frozen_path(Doubled("v"), recording) != first
    other = tmp_path / "store" / "cd" / "cde.arrow"
    moved = RatedRecording("r1", "S1", "x", 0, 0, None, stored={"mfcc": other})
    assert frozen_path(Doubled(), moved) != first


def test_a_fault_names_the_recording_and_leaves_nothing(recording: RatedRecording) -> None:
    frozen = Doubled(fault="no face in it")
    with pytest.raises(DecodeError, match="recording r1: no face in it"):
        keep_frozen(frozen, recording)
    folder = frozen_path(frozen, recording).parent
    assert not folder.exists() or not list(folder.iterdir())


def test_what_is_not_stored_or_cannot_be_written_is_told(
    recording: RatedRecording, tmp_path: Path
) -> None:
    bare = RatedRecording("r2", "S1", "x", 0, 0, None)
    with pytest.raises(
        DecodeError, match="recording r2: its mfcc is not in the frame store; run jobs"
    ):
        frozen_path(Doubled(), bare)
    (frozen_path(Doubled(), recording).parent).write_text("a file in the folder's place")
    with pytest.raises(StoreError, match=r"recording r1: .* cannot be written: "):
        keep_frozen(Doubled(), recording)


def test_a_file_is_told_from_another_by_its_state(tmp_path: Path) -> None:
    path = tmp_path / "w.pt"
    assert file_state(None) == file_state(path) == ()
    path.write_bytes(b"abc")
    before = file_state(path)
    path.write_bytes(b"abcd")
    assert file_state(path) != before


def test_a_digest_of_weights_is_of_names_numbers_and_shapes() -> None:
    weights = {"a": torch.arange(4.0), "b": torch.ones(2)}
    digest = weights_digest(weights.items())
    assert digest == weights_digest({name: one.clone() for name, one in weights.items()}.items())
    for other in (
        {"a": torch.arange(4.0), "c": torch.ones(2)},
        {"a": torch.arange(4.0), "b": torch.zeros(2)},
        {"a": torch.arange(4.0).view(2, 2), "b": torch.ones(2)},
        {"a": torch.arange(4.0), "b": torch.ones(2).view(torch.int32)},
    ):
        assert weights_digest(other.items()) != digest
