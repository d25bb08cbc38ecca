"""Rooms drawn as walls of noise: a person is filmed twice in one room, and moves differently."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pdray.checks.case import Case
from pdray.checks.identity import run
from pdray.data.cohort.manifest import Recording
from pdray.data.cohort.rated import StoredRecording
from tests.checks.cases import cohort_of, make_case

WriteEntry = Callable[..., Path]


def filmed(
    folder: Path, write_entry: WriteEntry, cohort: Sequence[Recording], rooms: Sequence[int],
    **settings: object,
) -> Case:  # fmt: skip
    stored = {}
    for number, (one, room) in enumerate(zip(cohort, rooms, strict=True)):
        wall = np.random.default_rng(room).uniform(40, 200, (4, 4, 3)).repeat(8, 0).repeat(8, 1)
        rng = np.random.default_rng(1000 + number)
        frames = np.repeat(wall[None], 20, axis=0) + rng.normal(0, 2, (20, 32, 32, 3))
        for frame, x in zip(frames, rng.integers(6, 20, 20), strict=True):
            frame[10:18, x : x + 6] = 250
        entry = write_entry(folder / f"{number}.arrow", frames.clip(0, 255).astype(np.uint8))
        stored[one.recording_id] = StoredRecording(one.recording_id, {"rgb": entry})
    return make_case(folder, cohort, stored=stored, **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["clean", "two ids", "one room"])
def test_only_one_person_under_two_ids_is_a_link(
    tmp_path: Path, write_entry: WriteEntry, kind: str
) -> None:
    cohort = cohort_of(16, 2)
    rooms = [number // 2 for number in range(32)]
    if kind == "two ids":
        rooms[:2] = rooms[10:12]  # S000 is held out, S005 is not
    if kind == "one room":
        rooms = [0] * 32
    found = run(filmed(tmp_path, write_entry, cohort, rooms))
    assert found.numbers["links"] == (kind == "two ids"), found.found
    assert "S0" not in found.found
    assert found.state == ("warning" if kind == "two ids" else "passed")
    assert found.numbers["told_apart"] == pytest.approx(
        {"clean": 1, "two ids": 1, "one room": 0.03}[kind], abs=0.2
    )


def test_one_recording_of_each_person_is_unknown(tmp_path: Path, write_entry: WriteEntry) -> None:
    assert run(filmed(tmp_path, write_entry, cohort_of(12, 1), range(12))).state == "unknown"


@pytest.mark.parametrize("is_leak", [True, False])
def test_without_ids_the_score_falls_when_rooms_stay_on_one_side(
    tmp_path: Path, write_entry: WriteEntry, is_leak: bool
) -> None:
    grades = np.random.default_rng(0).integers(0, 2, 60) * 4
    cohort = [
        replace(one, subject_id=one.recording_id, item="face_interview",
                grade=int(grades[number // 4 if is_leak else number]))
        for number, one in enumerate(cohort_of(60, 1))
    ]  # fmt: skip
    settings = {
        "data": {"subjects": "none", "items": ["face_interview"]},
        "folds": {"of_recordings": True},
    }
    rooms = [number // 4 for number in range(60)]
    found = run(filmed(tmp_path, write_entry, cohort, rooms, settings=settings))
    assert found.numbers["clusters"] == 15
    assert found.state == ("warning" if is_leak else "passed")
    if is_leak:
        assert found.numbers["random"] > found.numbers["by_cluster"] + 0.3
