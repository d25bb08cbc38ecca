from collections.abc import Callable
from pathlib import Path

import numpy as np

from pdray.checks.traits import describe, traits_of
from pdray.data.cohort.manifest import Recording
from pdray.data.cohort.rated import RatedRecording, StoredRecording
from pdray.data.media.part import Box
from tests.checks.cases import cohort_of, make_case


def test_traits_are_computed_once_and_anew_for_other_frames(
    tmp_path: Path, write_entry: Callable[..., Path]
) -> None:
    cohort = cohort_of(8, 1)
    frames = np.random.default_rng(0).integers(0, 255, (8, 10, 16, 16, 3)).astype(np.uint8)
    stored = {
        one.recording_id: StoredRecording(
            one.recording_id, {"rgb": write_entry(tmp_path / f"{n}.arrow", frames[n])}
        )
        for n, one in enumerate(cohort)
    }
    case = make_case(tmp_path, cohort, stored=stored)
    first = traits_of(case)
    assert {"background", "edges", "look", "course"} <= set(first[0])
    kept = {path: path.stat().st_mtime_ns for path in case.cache.iterdir()}
    assert len(kept) == 8
    again = traits_of(case)
    assert {path: path.stat().st_mtime_ns for path in case.cache.iterdir()} == kept
    assert np.array_equal(first[3]["look"], again[3]["look"])
    (kept_file, *_) = kept
    kept_file.write_bytes(b"cut")
    assert len(traits_of(case)) == 8


def test_traits_are_of_the_rectangle_that_is_read(
    tmp_path: Path, write_video: Callable[..., Path]
) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (12, 8, 8, 3), np.uint8)
    frames = frames.repeat(8, 1).repeat(8, 2)
    strip = np.full((12, 64, 64, 3), 255, np.uint8)
    rgb = {"codec": "libx264rgb", "options": {"qp": "0"},
           "prepare": lambda stream: setattr(stream, "pix_fmt", "rgb24")}  # fmt: skip
    alone = write_video("alone.mp4", frames, **rgb)
    marked = write_video("marked.mp4", np.concatenate([frames, strip], 1), **rgb)
    # Of a study of movement: its pictures are read for the checks alone.
    rated = RatedRecording("r", "S", "gait", 0, 0, None, stored={"flow": tmp_path / "flow"})
    found = [
        describe(rated, Recording("r", "S", "gait", video=video, crop=crop))
        for video, crop in ((alone, None), (marked, Box(0, 0, 64, 64)), (marked, None))
    ]
    assert [one["size"].tolist() for one in found] == [[64, 64, 25], [64, 64, 25], [64, 128, 25]]
    for name in ("look", "background", "course"):
        np.testing.assert_array_equal(found[1][name], found[0][name])
        assert not np.array_equal(found[2][name], found[0][name])
