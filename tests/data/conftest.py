"""Rated recordings with random frames in a small store, and a reader of them."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pdray.data.decode import DecodeConfig
from pdray.data.plan import RatedRecording
from pdray.data.reader import SnippetReader
from pdray.data.snippet import SnippetConfig


@pytest.fixture
def store_recordings(
    tmp_path: Path, write_entry: Callable[..., Path]
) -> Callable[..., tuple[RatedRecording, ...]]:
    """Return a function that stores n recordings of two a subject, 9 to 12 frames of 17 px."""

    def store(count: int, *, subject: str = "S") -> tuple[RatedRecording, ...]:
        draw = np.random.default_rng(7)
        recordings = []
        for number in range(count):
            path = tmp_path / f"{subject}{number:03d}.arrow"
            write_entry(path, draw.integers(0, 256, (9 + number % 4, 17, 17, 3), np.uint8))
            recordings.append(
                RatedRecording(
                    recording_id=f"{subject}{number:03d}",
                    subject_id=f"{subject}{number // 2:02d}",
                    item="finger_tapping",
                    grade=number % 5,
                    target=int(number % 5 >= 2),
                    video=tmp_path / "absent.mp4",
                    side=("left", "right", None)[number % 3],
                    stored={"rgb": path},
                )
            )
        return tuple(recordings)

    return store


@pytest.fixture
def make_reader(store_recordings) -> Callable[..., SnippetReader]:
    """Return a function that makes a reader of n stored recordings."""

    def make(count: int = 10, **snippet: object) -> SnippetReader:
        settings = SnippetConfig(**{"num_frames": 6, **snippet})
        return SnippetReader(
            store_recordings(count), settings, DecodeConfig(height=17, width=17), 3
        )

    return make


@pytest.fixture
def unstored() -> Callable[[RatedRecording, Path], RatedRecording]:
    """Return a function that lets a recording be decoded from a video at every read."""
    return lambda recording, video: replace(recording, stored=None, video=video)
