from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pdray.data.cohort.manifest import Recording
from pdray.data.cohort.marks import read_marks
from pdray.data.cohort.rated import RatedRecording
from pdray.data.face.points import VERTICES
from pdray.data.media.tracks import Track, write_track
from pdray.errors import DecodeError, ManifestError
from pdray.search.region_preparation import check_regions, with_marks

ILL = RatedRecording("a", "A", "face_interview", 3, 1, None)
HEALTHY = replace(ILL, recording_id="h", subject_id="H", grade=0, target=0)


def track(path: Path, vertices: Any) -> Recording:
    points = np.ones((2, int(np.sum(vertices)), 2), np.float32)
    write_track(path, Track(points, np.array([0.0, 0.04]), (10.0, 10.0), np.array(vertices)))
    return Recording(recording_id=path.stem, subject_id="S", item="face_interview", regions=path)


def test_every_recording_with_other_polygons_is_named(tmp_path: Path) -> None:
    right = track(tmp_path / "right.npz", VERTICES)
    check_regions([right])
    wrong = [track(tmp_path / f"wrong{n}.npz", [4] * n) for n in (3, 14)]
    with pytest.raises(DecodeError) as refused:
        check_regions([right, *wrong])
    told = str(refused.value)
    assert "recording wrong3: its regions have polygons of 4 4 4 vertices" in told
    assert "recording wrong14: " in told
    assert "recording right" not in told


def test_without_marks_the_study_says_what_is_not_known() -> None:
    said: list[str] = []
    assert with_marks((ILL,), None, said.append) == (ILL,)
    assert said[0].startswith("note: data.marks is not set, so the regions of ill people have")
    assert len(said) == 1


def test_marks_are_given_and_counted(tmp_path: Path) -> None:
    table = tmp_path / "m.marks.csv"
    table.write_text("recording_id,region_index,mark_0_10\na,2,5\na,,\n")
    said: list[str] = []
    both = (ILL, HEALTHY)
    marked, other = with_marks(both, read_marks(table), said.append)
    assert marked.marks == (None, None, 5, *[None] * 11)
    assert other.marks is None
    assert said == [
        "marks      1 of 2 recordings have marked regions; 1 rows name no region or no severity"
    ]
    table.write_text("recording_id,region_index,mark_0_10\nh,2,5\n")
    with pytest.raises(ManifestError, match="recording h: grade 0, and a mark of 5"):
        with_marks((ILL, HEALTHY), read_marks(table), said.append)
