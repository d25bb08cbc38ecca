"""What a model cannot grade, or was not made for, is refused or noted by value and way out."""

import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pandas as pd
import pytest

from pdray.config import build
from pdray.data.media.marked import Mark, write_marked_video
from pdray.errors import PdrayError
from pdray.predict.new_recordings import find_rows
from pdray.predict.settings import PredictConfig
from pdray.predict.studied import Studied
from pdray.tracking.run_log import StudyLog
from pdray.training.settings import FitConfig
from tests.predict.test_run import part_of, predicted


@pytest.fixture
def film(write_video: Callable[..., Path]) -> Callable[..., Path]:
    """Return a function that writes a silent video of noise."""

    def write(name: str, num_frames: int, fps: int) -> Path:
        draw = np.random.default_rng(num_frames)
        frames = draw.integers(0, 255, (num_frames, 32, 32, 3), np.uint8)
        return write_video(f"clinic/{name}.mp4", frames, fps=fps)

    return write


@pytest.mark.parametrize(
    ("model", "lacks", "of_folder", "of_manifest"),
    [
        ("landmark_head", "landmarks", "reads landmarks, which a folder of videos has not",
         "none of 1 recordings can be read: its row has no landmarks; add it to the manifest"),
        ("audio_mlp", "audio", "none of 1 recordings can be read: .*audio_mlp reads mfcc",
         "give other files, or a study of what these files hold"),
    ],
)  # fmt: skip
def test_recordings_of_another_modality_are_refused_with_what_the_model_reads(
    study_of: Callable[[str], StudyLog], film: Callable[..., Path], faces: Path, tmp_path: Path,
    model: str, lacks: str, of_folder: str, of_manifest: str,
) -> None:  # fmt: skip
    study, silent = study_of(model), film("silent", 30, 25)
    with pytest.raises(PdrayError, match=of_folder):
        predicted(study, tmp_path, f"videos={silent.parent}")
    part = part_of(faces, tmp_path, "S001", subject_id="N1", video=str(silent))
    with pytest.raises(PdrayError, match=of_manifest):
        predicted(study, tmp_path, f"data.manifest={part}")
    assert not (tmp_path / "new.csv").exists()
    assert not [*tmp_path.glob(".new.csv*")]
    # A row that lacks it among others is not graded, and says why.
    rows = pd.read_csv(study.folder.parents[2] / "rows.csv", dtype=str)
    rows = rows.drop(columns="intensities", errors="ignore")  # paths relative to another folder
    rows.loc[0, [lacks, "video"]] = ["", str(silent)]
    rows.to_csv(tmp_path / "lacking.csv", index=False)
    now = predicted(study, tmp_path, f"data.manifest={tmp_path / 'lacking.csv'}")
    assert now["num_models"].tolist() == [0, 1, 1, 1, 1, 1]
    assert now["note"].iloc[0]


def test_a_folder_of_videos_has_no_landmarks_for_portraits(film: Callable[..., Path]) -> None:
    folder = film("face", 30, 25).parent
    config = build(FitConfig, {"modality": "portraits", "model": {"name": "frame_resnet"}})
    studied = SimpleNamespace(name="faces", config=config, items=("face_interview",))
    asked = PredictConfig(study=folder, videos=folder, output=folder.parent / "new.csv")
    with pytest.raises(PdrayError, match="frame_resnet reads landmarks, which a folder of videos"):
        find_rows(cast(Studied, studied), asked)


def test_a_video_longer_shorter_or_faster_than_any_is_graded_and_says_so(
    network_study: StudyLog, film: Callable[..., Path], tmp_path: Path
) -> None:
    folder = film("long", 60, 25).parent
    film("short", 5, 25)
    film("fast", 55, 50)
    now = predicted(network_study, tmp_path, f"videos={folder}")
    assert now["num_models"].tolist() == [2, 2, 2]
    for name, told in (("long", "length [s]: 2.4, training had "),
                       ("short", "length [s]: 0.2, training had "),
                       ("fast", "frames per second: 50, training had ")):  # fmt: skip
        assert now.loc[name, "note"].startswith(told)
        assert ";" not in now.loc[name, "note"]


@pytest.mark.parametrize(
    ("model", "told"),
    [
        ("tsa", "too short for the model: it has 2 frames"),
        ("motion_linear", "spectrum of movement needs 3"),
    ],
)
def test_a_video_too_short_for_the_model_is_not_graded_and_the_others_are(
    study_of: Callable[[str], StudyLog],
    film: Callable[..., Path],
    tmp_path: Path,
    model: str,
    told: str,
) -> None:
    study = study_of(model)
    folder = film("short", 2, 25).parent
    with pytest.raises(PdrayError, match=f"none of 1 recordings can be read: .*{told}"):
        predicted(study, tmp_path, f"videos={folder}")
    film("whole", 30, 25)
    now = predicted(study, tmp_path, f"videos={folder}")
    assert now["num_models"].to_dict() == {"short": 0, "whole": 3}
    assert told in now.loc["short", "note"]


def test_a_row_of_an_item_that_was_not_learnt_says_so_among_others(
    network_study: StudyLog, faces: Path, tmp_path: Path
) -> None:
    part = pd.read_csv(part_of(faces, tmp_path, "S001", "S002"), dtype=str)
    shutil.copyfile(part.loc[1, "video"], tmp_path / "walk.mp4")
    part["item"] = ["face_interview", "gait"]
    part.to_csv(tmp_path / "part.csv", index=False)
    now = predicted(network_study, tmp_path, f"data.manifest={tmp_path / 'part.csv'}")
    told = now.set_index("item")["note"]
    assert "the model did not learn gait" in told["gait"]
    assert "did not learn gait" not in str(told["face_interview"])


def test_made_videos_of_a_folder_are_refused(network_study: StudyLog, tmp_path: Path) -> None:
    frames = np.zeros((30, 96, 128, 3), np.uint8)
    folder = tmp_path / "clinic"
    folder.mkdir()
    mark = Mark("cut", date(2026, 3, 14), "0" * 64)
    write_marked_video(folder / "P1.mp4", frames, np.arange(30) / 25, mark)
    with pytest.raises(PdrayError, match=r"1 of 1 videos are marked as made, the first P1\.mp4"):
        predicted(network_study, tmp_path, f"videos={folder}")
