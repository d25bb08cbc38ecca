import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from benchmarks import learning
from pdray.data.cohort.rated import RatedRecording

NUM_SUBJECTS, NUM_VISITS = 12, 6


def scored(seeds: tuple[int, ...], share_right: float) -> pd.DataFrame:
    """One row a (seed, recording), a share of them right whatever the class and the seed."""
    rows = []
    for seed in seeds:
        for number in range(NUM_SUBJECTS * NUM_VISITS):
            target = number % 2
            is_right = (number // 2) % 10 < round(10 * share_right)
            probability = 0.9 if bool(target) == is_right else 0.1
            rows.append(
                {
                    "seed": seed,
                    "recording_id": f"r{number:03d}",
                    "subject_id": f"S{number // NUM_VISITS:02d}",
                    "target": target,
                    "probability_0": 1 - probability,
                    "probability_1": probability,
                }
            )
    return pd.DataFrame(rows)


def test_a_learner_beside_blind_controls_meets_every_target() -> None:
    tables = {
        "tsa": scored((0, 1, 2), 1.0),
        "flow": scored((0,), 0.9),
        "boundaries": scored((0,), 0.9),
        "colours": scored((0,), 0.9),
        "frames": scored((0,), 0.5),
        "shuffled": scored((0,), 0.5),
        "one_frame": scored((0,), 0.5),
        "linear": scored((0,), 0.9),
    }
    text, missed = learning.report(tables)
    assert missed == []
    assert "1.000  0.471 to 1.000    1.000  1.000  1.000" in text


def test_each_target_can_be_missed() -> None:
    tables = {
        "tsa": scored((0,), 0.6),
        "flow": scored((0,), 0.9),
        "boundaries": scored((0,), 0.6),
        "colours": scored((0,), 0.9),
        "frames": scored((0,), 0.9),
        "shuffled": scored((0,), 0.6),
        "one_frame": scored((0,), 0.9),
        "linear": scored((0,), 1.0),
    }
    assert len(learning.report(tables)[1]) == 6


def test_the_median_seed_is_reported_not_the_best() -> None:
    table = pd.concat([scored((3,), 1.0), scored((4,), 0.5), scored((5,), 0.8)])
    rows, scores = learning.median_training(table)
    assert list(scores) == [3, 4, 5]
    assert set(rows["seed"]) == {5}


def test_every_recording_is_scored_once_and_no_subject_is_on_both_sides() -> None:
    recordings = [
        RatedRecording(f"r{number}", f"S{number // 4}", "gait", 0, number % 2, Path("a.mp4"))
        for number in range(48)
    ]
    sides = learning.outer_folds(recordings)
    assert sorted(i for side in sides for i in side.evaluation) == list(range(48))
    for side in sides:
        trained = {recordings[i].subject_id for i in side.training}
        assert not trained & {recordings[i].subject_id for i in side.evaluation}


def test_the_settings_are_the_demos_under_the_command_line() -> None:
    config = learning.read_settings(["optim.batch_size=5"])
    assert config.optim.epochs == 15
    assert config.optim.batch_size == 5
    assert (config.decode.height, config.model.depth) == (48, 10)
    assert learning.read_settings(["quick=true"]).optim.epochs == 1


def test_a_wrong_key_ends_with_status_two_and_the_nearest_key(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert learning.main(["seedss=[1]"]) == 2
    assert "did you mean 'seeds'?" in capsys.readouterr().err


@pytest.mark.integration
@pytest.mark.slow
def test_the_quick_run_prints_all_of_them_and_says_synthetic(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.learning", "quick=true", f"folder={tmp_path}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    assert done.stdout.startswith("SYNTHETIC demo cohort, seed 0: 72 recordings of 12 subjects")
    meanings = ("temporal self-attention", "on shuffled", "on one frame", "linear on the",
                "I3D on optical flow", "I3D on boundaries", "I3D on colours",
                "2D ResNet, 8 frames")  # fmt: skip
    for name in meanings:
        assert name in done.stdout
    assert (tmp_path / "predictions.parquet").exists()
