import csv
import hashlib
from collections import Counter, defaultdict
from pathlib import Path

import av
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import matthews_corrcoef
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from pdray.data.decode import DecodeConfig, decode
from pdray.data.manifest import load_manifest
from pdray.data.synthetic import (
    DemoConfig,
    draw_recording,
    make_cohort,
    movement_of,
    plan_cohort,
)
from pdray.errors import SettingsError

TINY = DemoConfig(num_subjects=2, size=48, min_seconds=1.0, max_seconds=1.2, missing=0.5, seed=3)


@pytest.fixture(scope="module")
def tiny_cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_cohort(tmp_path_factory.mktemp("cohort"), TINY, num_processes=1).parent


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "manifest.csv").open(encoding="utf-8") as table:
        return list(csv.DictReader(table))


def cross_validated_mcc(features: np.ndarray, config: DemoConfig) -> float:
    """MCC of slight {0, 1} against {2, 3, 4}, subjects never on both sides."""
    plan = plan_cohort(config)
    severe = np.array([one.grade >= 2 for one in plan])
    subjects = [one.subject for one in plan]
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.03, max_iter=2000))
    folds = StratifiedGroupKFold(5, shuffle=True, random_state=0)
    guess = cross_val_predict(model, features, severe, groups=subjects, cv=folds)
    return float(matthews_corrcoef(severe, guess))


def openings(config: DemoConfig) -> list[np.ndarray]:
    return [movement_of(one, config).opening for one in plan_cohort(config)]


def test_files_are_h264_and_aac_of_the_size_and_length_asked(tiny_cohort: Path) -> None:
    rows = rows_of(tiny_cohort)
    assert len(rows) == 8
    for row in rows:
        with av.open(str(tiny_cohort / row["video"])) as container:
            video, audio = container.streams.video[0], container.streams.audio[0]
            assert (video.codec_context.name, audio.codec_context.name) == ("h264", "aac")
            assert (video.width, video.height, video.average_rate) == (48, 48, 25)
            assert (audio.rate, audio.channels) == (16_000, 1)
            assert 25 <= sum(1 for _ in container.decode(video=0)) <= 30


def test_the_manifest_is_one_we_accept_and_its_files_decode(tiny_cohort: Path) -> None:
    manifest = load_manifest(tiny_cohort / "manifest.csv")
    assert len(manifest.recordings) == 8
    for recording in manifest.recordings:
        assert recording.site == "synthetic"
        assert recording.medication_state in ("on", "off")
        assert recording.video is not None
        assert decode(recording.video, DecodeConfig(height=32, width=32)).frames.std() > 5


def test_everything_says_synthetic_and_no_path_is_absolute(tiny_cohort: Path) -> None:
    assert (tiny_cohort / "README.txt").read_text().startswith("SYNTHETIC")
    assert '"synthetic": true' in (tiny_cohort / "demo.json").read_text()
    assert all(not Path(row["video"]).is_absolute() for row in rows_of(tiny_cohort))


def test_encoded_frames_show_what_was_drawn(tiny_cohort: Path) -> None:
    recording = plan_cohort(TINY)[0]
    drawn, _ = draw_recording(recording, TINY)
    shown = decode(tiny_cohort / recording.video, DecodeConfig(height=48, width=48)).frames
    assert shown.shape == drawn.shape
    assert np.abs(shown.astype(int) - drawn).mean() < 8


def test_pixels_depend_on_the_seed_alone() -> None:
    one = plan_cohort(TINY)[0]
    frames, voice = draw_recording(one, TINY)
    again, voice_again = draw_recording(one, TINY)
    other, _ = draw_recording(one, TINY.model_copy(update={"seed": 4}))
    assert np.array_equal(frames, again)
    assert np.array_equal(voice, voice_again)
    assert frames.shape != other.shape or not np.array_equal(frames, other)


def test_two_processes_write_the_same_files_as_one(tiny_cohort: Path, tmp_path: Path) -> None:
    make_cohort(tmp_path, TINY, num_processes=2)
    for row in rows_of(tiny_cohort):
        alone, together = (folder / row["video"] for folder in (tiny_cohort, tmp_path))
        digests = {hashlib.sha256(path.read_bytes()).hexdigest() for path in (alone, together)}
        assert len(digests) == 1
    assert (tiny_cohort / "manifest.csv").read_text() == (tmp_path / "manifest.csv").read_text()


def test_a_second_call_changes_nothing_and_an_interrupted_one_is_finished(tmp_path: Path) -> None:
    small = TINY.model_copy(update={"num_subjects": 1, "num_visits": 1})
    make_cohort(tmp_path, small, num_processes=1)
    files = sorted(tmp_path.rglob("*.*"))
    before = [path.stat().st_mtime_ns for path in files]
    make_cohort(tmp_path, small, num_processes=1)
    assert [path.stat().st_mtime_ns for path in files] == before

    kept, lost = sorted((tmp_path / "videos").iterdir())
    lost.unlink()
    (tmp_path / "manifest.csv").unlink()
    kept_time = kept.stat().st_mtime_ns
    assert make_cohort(tmp_path, small, num_processes=1) == tmp_path / "manifest.csv"
    assert lost.exists()
    assert (tmp_path / "manifest.csv").exists()
    assert kept.stat().st_mtime_ns == kept_time


def test_a_folder_of_another_cohort_is_refused(tiny_cohort: Path) -> None:
    with pytest.raises(SettingsError, match=r'other settings .*"seed": 3.*another folder'):
        make_cohort(tiny_cohort, TINY.model_copy(update={"seed": 9}))


def test_a_manifest_of_someone_else_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "manifest.csv").write_text("precious")
    with pytest.raises(
        SettingsError, match=r"manifest\.csv exists and was not written by the demo"
    ):
        make_cohort(tmp_path, TINY)
    assert (tmp_path / "manifest.csv").read_text() == "precious"


def test_shortest_above_longest_is_refused() -> None:
    with pytest.raises(ValueError, match=r"min_seconds 5\.0 is above max_seconds 4\.0"):
        DemoConfig(min_seconds=5.0, max_seconds=4.0)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_every_grade_is_there_and_the_cut_is_nearly_even(seed: int) -> None:
    plan = plan_cohort(DemoConfig(seed=seed))
    grades = Counter(one.grade for one in plan)
    assert 160 <= len(plan) <= 320
    assert len({one.recording_id for one in plan}) == len(plan)
    assert min(grades[grade] for grade in range(5)) >= 20
    assert 0.42 < (grades[0] + grades[1]) / len(plan) < 0.5


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_severity_varies_within_subjects_and_is_worse_off_medication(seed: int) -> None:
    by_subject = defaultdict(set)
    by_state = defaultdict(list)
    for one in plan_cohort(DemoConfig(seed=seed)):
        by_subject[one.subject].add(one.grade >= 2)
        by_state[one.is_on].append(one.grade)
    assert np.mean([len(both) == 2 for both in by_subject.values()]) > 0.7
    assert np.mean(by_state[False]) > np.mean(by_state[True]) + 0.3


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_length_knows_nothing_of_the_grade(seed: int) -> None:
    config = DemoConfig(seed=seed)
    grades = [one.grade for one in plan_cohort(config)]
    lengths = [len(opening) for opening in openings(config)]
    assert min(lengths) >= 90
    assert max(lengths) <= 120
    assert abs(np.corrcoef(grades, lengths)[0, 1]) < 0.2


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_rhythm_tells_the_grade(seed: int) -> None:
    config = DemoConfig(seed=seed)
    spectra = []
    for opening in openings(config):
        speed = np.abs(np.diff(opening))
        power = np.abs(np.fft.rfft((speed - speed.mean()) * np.hanning(len(speed)), 128)) ** 2
        spectra.append(np.log(power / power.sum() + 0.05))
    assert 0.75 < cross_validated_mcc(np.array(spectra), config) < 0.99


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_one_pose_does_not_tell_the_grade(seed: int) -> None:
    config = DemoConfig(seed=seed)
    for place in (0.1, 0.5, 0.95):
        pose = np.array([[one[int(place * len(one))]] for one in openings(config)])
        assert cross_validated_mcc(np.hstack([pose, pose**2, pose**3]), config) < 0.25


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_poses_without_their_order_tell_little(seed: int) -> None:
    config = DemoConfig(seed=seed)
    levels = np.linspace(0, 1, 11)
    poses = np.array([np.quantile(one, levels) for one in openings(config)])
    assert cross_validated_mcc(np.column_stack([poses, np.ptp(poses, axis=1)]), config) < 0.5
