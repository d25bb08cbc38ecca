"""Drawn squares on one wall: only copies of one movement are pairs."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pdray.checks.duplicates import run
from pdray.data.cohort.rated import StoredRecording
from tests.checks.cases import cohort_of, make_case

Frames = NDArray[np.uint8]
SIZE, COUNT = 32, 75
WALL = (
    np.random.default_rng(5).integers(60, 120, (4, 4, 3)).repeat(8, 0).repeat(8, 1).astype(np.uint8)
)


def moving(seed: int) -> Frames:
    """Draw a square that wanders before the one wall of all recordings."""
    rng = np.random.default_rng(seed)
    time = np.arange(COUNT) / 25
    waves = [
        sum(np.sin(2 * np.pi * (rate * time + rng.uniform())) for rate in rng.uniform(0.3, 2.5, 3))
        for _ in range(2)
    ]
    frames = np.repeat(WALL[None], COUNT, axis=0)
    for frame, (x, y) in zip(frames, (np.array(waves).T * 3 + 13).round().astype(int), strict=True):
        frame[y : y + 6, x : x + 6] = 230
    return frames


def cropped(frames: Frames) -> Frames:
    inner = frames[:, 3:-3, 3:-3]
    size = (SIZE, SIZE)
    return np.stack(
        [np.array(Image.fromarray(one).resize(size, Image.Resampling.BILINEAR)) for one in inner]
    )


def edited(frames: Frames) -> Frames:
    """Change a part of each picture, as a generator does, and add the noise of another encoding."""
    found = frames.astype(int)
    found[:, 20:26, 8:24] += 20
    found += np.random.default_rng(0).normal(0, 3, found.shape).round().astype(int)
    return found.clip(0, 255).astype(np.uint8)


COPIES: dict[str, Callable[[Frames], Frames]] = {
    "none": lambda frames: moving(99),
    "the same": lambda frames: frames,
    "cut and noisy": lambda frames: (
        frames[10:].astype(int) + np.random.default_rng(0).normal(0, 4, frames[10:].shape)
    ).clip(0, 255).astype(np.uint8),
    "mirrored": lambda frames: np.ascontiguousarray(frames[:, :, ::-1]),
    "cropped": cropped,
    "made of it, and encoded anew": edited,
}  # fmt: skip


@pytest.mark.parametrize("kind", COPIES)
def test_only_copies_of_one_movement_are_pairs(
    tmp_path: Path, write_entry: Callable[..., Path], kind: str
) -> None:
    cohort = cohort_of(16, 1)
    stored = {}
    for number, one in enumerate(cohort):
        frames = COPIES[kind](moving(0)) if number == 15 else moving(number)
        entry = write_entry(tmp_path / f"{number}.arrow", frames)
        stored[one.recording_id] = StoredRecording(one.recording_id, {"rgb": entry})
    found = run(make_case(tmp_path, cohort, stored=stored))
    if kind == "none":
        assert (found.state, found.numbers["copies"]) == ("passed", 0)
    else:
        assert (found.state, found.numbers["copies"]) == ("warning", 1)
        # Named by running numbers, of which the key says who they are.
        key = (tmp_path / "studies" / "made" / "private" / "recordings.csv").read_text()
        pair = re.search("(R[0-9]+) and (R[0-9]+) ", found.found)
        assert pair is not None
        assert f"{pair[1]},S000_R0\n" in key
        assert f"{pair[2]},S015_R0\n" in key
        assert "S0" not in found.found
        assert ("mirrored" in found.found) == (kind == "mirrored")


def face(seed: int, movement: float = 1.0) -> NDArray[np.float32]:
    """Draw the 106 points of a face that nods and speaks; ``movement`` scales it about its mean."""
    rng = np.random.default_rng(seed)
    shape = np.random.default_rng(3).uniform(20, 100, (106, 2))
    time = np.arange(COUNT)[:, None, None] / 25
    waves = (rng.normal(0, 2, (106, 2)) * np.sin(2 * np.pi * rate * time + rng.uniform(0, 6))
             for rate in rng.uniform(0.3, 2.5, 3))  # fmt: skip
    points = shape + sum(waves) + np.cumsum(rng.normal(0, 0.3, (COUNT, 1, 2)), axis=0)
    mean = points.mean(axis=0)
    return (mean + movement * (points - mean)).astype(np.float32)


def test_landmarks_whose_movement_was_damped_are_a_copy(
    tmp_path: Path, write_entry: Callable[..., Path]
) -> None:
    cohort = cohort_of(16, 1)
    for made, copies in ((None, 0), (0.4, 1)):
        stored = {}
        for number, one in enumerate(cohort):
            points = face(0, made) if made and number == 15 else face(number)
            entry = write_entry(tmp_path / f"{made}_{number}.arrow", points)
            stored[one.recording_id] = StoredRecording(one.recording_id, {"landmarks": entry})
        case = make_case(tmp_path / str(made), cohort, stored=stored)
        assert run(case).numbers["copies"] == copies


def test_without_pictures_and_sound_nothing_is_known(tmp_path: Path) -> None:
    assert run(make_case(tmp_path, cohort_of(8, 1))).state == "unknown"
