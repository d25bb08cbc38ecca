"""Fixtures build data, never download it: small encoded videos, small manifests, steady seeds."""

import csv
import math
import os
import random
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import av
import hypothesis
import numpy as np
import pytest

from pdray import display, plugins

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # of those that start Ray without pdray
plugins.ENABLED = False  # what another package adds here is no part of what is tested

# The same examples on every run, however slow the machine, and no folder of past ones.
hypothesis.settings.register_profile("pdray", deadline=None, derandomize=True, database=None)
hypothesis.settings.load_profile("pdray")

pytest_plugins = (
    "tests.fixtures.clinic",
    "tests.fixtures.predictions",
    "tests.fixtures.stored",
    "tests.fixtures.studies",
    "tests.fixtures.task",
)

Frames = np.ndarray[Any, np.dtype[np.uint8]]

NUM_NUMBERED = 40
_BITS = 8


@pytest.fixture(autouse=True)
def quiet_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Print no line about a silence, which a slow machine would add to whole outputs."""
    monkeypatch.setattr(display, "FIRST_SECONDS", math.inf)


@pytest.fixture(autouse=True)
def restore_rng() -> Iterator[None]:
    """Leave every random state as it was, so that no test depends on another's draws."""
    states = random.getstate(), np.random.get_state()  # noqa: NPY002 - the global state itself
    torch = sys.modules.get("torch")
    torch_state = torch.get_rng_state() if torch else None
    cuda_states = torch.cuda.get_rng_state_all() if torch and torch.cuda.is_available() else None
    yield
    random.setstate(states[0])
    np.random.set_state(states[1])  # noqa: NPY002
    if torch and torch_state is not None:
        torch.set_rng_state(torch_state)
    if torch and cuda_states is not None:
        torch.cuda.set_rng_state_all(cuda_states)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip GPU tests without one; with PDRAY_REQUIRE_GPU=1 a missing GPU is a failure."""
    if item.get_closest_marker("gpu") is None:
        return
    import torch

    if not torch.cuda.is_available():
        if os.environ.get("PDRAY_REQUIRE_GPU") == "1":
            pytest.fail("PDRAY_REQUIRE_GPU=1 but torch sees no CUDA device")
        pytest.skip("needs a CUDA device")


@pytest.fixture
def write_video(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that encodes frames (N, H, W, 3) uint8 to a file below tmp_path."""

    def write(
        name: str,
        frames: Sequence[Frames] | Frames,
        *,
        fps: int = 25,
        codec: str = "libx264",
        options: Mapping[str, str] | None = None,
        container: Mapping[str, str] | None = None,
        prepare: Callable[[Any], None] | None = None,
    ) -> Path:
        """Encode; ``prepare`` is given the stream before the first frame."""
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with av.open(str(path), "w", options=dict(container or {})) as file:
            stream = file.add_stream(codec, rate=fps, options=dict(options or {"crf": "10"}))
            stream.height, stream.width = frames[0].shape[:2]
            stream.pix_fmt = "yuv420p"
            stream.codec_context.thread_count = 1
            if prepare:
                prepare(stream)
            for pixels in frames:
                file.mux(stream.encode(av.VideoFrame.from_ndarray(pixels)))
            file.mux(stream.encode())
        return path

    return write


@pytest.fixture
def write_sound(tmp_path: Path) -> Callable[[str], Path]:
    """Return a function that writes a quarter of a second of silence, and no video."""

    def write(name: str) -> Path:
        path = tmp_path / name
        with av.open(str(path), "w") as file:
            stream = file.add_stream("aac", rate=16000)
            stream.layout = "mono"
            silence = av.AudioFrame.from_ndarray(
                np.zeros((1, 4096), np.float32), format="fltp", layout="mono"
            )
            silence.sample_rate = 16000
            file.mux(stream.encode(silence))
            file.mux(stream.encode())
        return path

    return write


@pytest.fixture
def write_entry() -> Callable[..., Path]:
    """Return a function that writes items (N, ...) to an entry of the frame store."""

    def write(path: Path, items: Any, *, rate: float = 25.0, start: float = 0.0) -> Path:
        from pdray.data.store.entry import EntryWriter
        from pdray.data.store.settings import StoreConfig

        with EntryWriter(path, StoreConfig()) as writer:
            for number, item in enumerate(items):
                writer.append(start + number / rate, item)
        return path

    return write


@pytest.fixture
def read_entry() -> Callable[[Path], Any]:
    """Return a function that reads all items of an entry, (N, ...)."""

    def read(path: Path) -> Any:
        from pdray.data.store.entry import Entry

        entry = Entry(path)
        return entry.read(np.arange(len(entry)))

    return read


def number_frame(number: int, size: int = 64) -> Frames:
    """Draw a number as eight upright bars, the highest bit on the left, white for one."""
    frame = np.zeros((size, size, 3), np.uint8)
    for bit in range(_BITS):
        if number >> (_BITS - 1 - bit) & 1:
            frame[:, bit * size // _BITS : (bit + 1) * size // _BITS] = 255
    return frame


@pytest.fixture
def numbered_video(write_video: Callable[..., Path]) -> Path:
    """A square video of 40 frames at 25 Hz whose frame i shows the number i."""
    return write_video("numbered.mp4", [number_frame(i) for i in range(NUM_NUMBERED)])


@pytest.fixture
def read_frame_number() -> Callable[[Frames], int]:
    """Return the function that reads what a frame of ``numbered_video`` shows, at any size."""

    def read(frame: Frames) -> int:
        width = frame.shape[1]
        middle = frame[frame.shape[0] // 2, :, 1]
        bars = [middle[(2 * bit + 1) * width // (2 * _BITS)] > 127 for bit in range(_BITS)]
        return int("".join("1" if bar else "0" for bar in bars), 2)

    return read


Rows = Sequence[Mapping[str, object]]


@pytest.fixture
def write_manifest(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes rows to a CSV; the columns are those any row has."""

    def write(rows: Rows, name: str = "manifest.csv") -> Path:
        columns = list(dict.fromkeys(key for row in rows for key in row))
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns, restval="")
            writer.writeheader()
            writer.writerows(rows)
        return path

    return write


@pytest.fixture
def tiny_manifest(
    write_video: Callable[..., Path], write_manifest: Callable[..., Path]
) -> Callable[..., Path]:
    """Return a function that builds a cohort: subject s rated s % 5, or 4 - that on the left."""

    def build(num_subjects: int = 10, num_frames: int = 12) -> Path:
        rows = []
        for subject in range(num_subjects):
            for side in ("left", "right"):
                name = f"S{subject:02d}_{side}"
                start = subject * 2 + (side == "left")
                numbers = range(start, start + num_frames)
                write_video(f"videos/{name}.mp4", [number_frame(n, 32) for n in numbers])
                rows.append(
                    {
                        "recording_id": name,
                        "subject_id": f"S{subject:02d}",
                        "item": "finger_tapping",
                        "side": side,
                        "grade": subject % 5 if side == "right" else 4 - subject % 5,
                        "video": f"videos/{name}.mp4",
                    }
                )
        return write_manifest(rows)

    return build
