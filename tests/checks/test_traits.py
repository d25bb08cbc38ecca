from collections.abc import Callable
from pathlib import Path

import numpy as np

from pdray.checks.traits import traits_of
from pdray.data.cohort.rated import StoredRecording
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
