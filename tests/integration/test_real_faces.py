"""MediaPipe's real Face Landmarker on real clips: people who stand, and hands without a face."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from jobs.extract_landmarks import main
from pdray.data.cohort.manifest import load_manifest
from pdray.data.media.decode import decode
from pdray.data.media.settings import DecodeConfig
from pdray.data.media.tracks import read_track
from tests.places import CLIPS, WEIGHTS

MODEL = WEIGHTS / "face_landmarker.task"
FRAMES = {"again": 77, "book": 109, "eat": 47, "help": 58, "milk": 51, "thanks": 51, "walk": 89}
HANDS = ("again", "eat", "help", "milk")
CHIN = 196  # row below all faces [px]
pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not MODEL.is_file(), reason=f"{MODEL.name} is not beside the checkout"),
    pytest.mark.skipif(not CLIPS.is_dir(), reason="the clips are not beside the checkout"),
]

Rows = Callable[[list[dict[str, object]]], Path]


def extract(videos: Mapping[str, Path], write_manifest: Rows, output: Path) -> None:
    """Run the job on videos of one person each."""
    pytest.importorskip("mediapipe", reason="the extra landmarks is not installed")
    rows = [{"recording_id": name, "subject_id": name, "item": "face_interview",
             "video": str(path)} for name, path in videos.items()]  # fmt: skip
    words = [f"manifest={write_manifest(rows)}", f"model={MODEL}", f"output={output}"]
    assert main(words) == 0


def test_people_who_stand_have_landmarks_in_every_frame(
    write_manifest: Rows, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "faces.csv"
    extract({name: CLIPS / f"{name}.mkv" for name in FRAMES}, write_manifest, output)
    out, err = capfd.readouterr()
    assert "faces      found in 482 of 482 frames, " in out
    assert err == ""  # MediaPipe's notices
    for one in load_manifest(output).recordings:
        assert one.landmarks is not None, one.recording_id
        track = read_track(one.landmarks)
        assert track.size == (640, 480)
        assert len(track.points) == FRAMES[one.recording_id]
        heights = np.ptp(track.points[:, :, 1], axis=1)
        assert 45 < heights.min() <= heights.max() < 95
        assert track.points[:, :, 1].max() < CHIN
        # Nobody walks: a face that is somewhere else for a frame would be another one.
        assert np.ptp(track.points.mean(axis=1), axis=0).max() < 60
        assert np.sqrt((np.diff(track.points, axis=0) ** 2).mean()) < 3


def test_a_closer_look_at_hands_invents_no_face(
    write_manifest: Rows,
    write_video: Callable[..., Path],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    videos = {}
    for name in HANDS:
        frames = decode(CLIPS / f"{name}.mkv", DecodeConfig(height=480, width=640)).frames
        videos[name] = write_video(f"{name}.mp4", frames[:, CHIN:], fps=30)
    extract(videos, write_manifest, tmp_path / "hands.csv")
    out, _ = capfd.readouterr()
    # Two people wear the print of a skull, which MediaPipe takes for a face in the whole picture.
    num_seen = int(out.split("faces      found in ")[1].split()[0])
    assert num_seen <= 3
    assert ", 0 of them by a closer look" in out
    lines = (tmp_path / "hands.no_face.csv").read_text().splitlines()[1:]
    assert {line.split(",")[0] for line in lines} >= {"eat", "milk"}
    for line in lines:
        num_frames = FRAMES[line.split(",")[0]]
        assert f'"has no face in any of its {num_frames} frames, looked at whole and in ' in line
        assert "the face may be too small (lower than 25 of 640 x 284 px)" in line
