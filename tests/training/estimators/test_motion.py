from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pdray.config import build
from pdray.data.cohort.rated import FoldSides, RatedRecording
from pdray.errors import DecodeError, FoldsError, SettingsError
from pdray.evaluation.metrics import score
from pdray.evaluation.predictions import Origin, probabilities, targets
from pdray.models.estimators.motion_linear import MotionLinearConfig
from pdray.training.estimators.fit import fit_estimator
from pdray.training.estimators.motion import MotionLinear, describe_motion
from pdray.training.settings import FitConfig
from pdray.training.task import FitTask

NUM = 24


def config_of(**settings: object) -> FitConfig:
    return build(
        FitConfig, {"model": {"name": "motion_linear"}, "optim": {"epochs": 1}, **settings}
    )


@pytest.fixture
def recordings(tmp_path: Path, write_entry) -> tuple[RatedRecording, ...]:
    """SYNTHETIC pictures that flicker at 1, 2 or 3 Hz, one rate for each class."""
    found = []
    for number in range(NUM):
        rng, label = np.random.default_rng(number), number % 3
        phase = 2 * np.pi * (1 + label) * np.arange(80) / 25 + rng.uniform(0, 6)
        frames = 100 + 40 * np.sin(phase)[:, None, None, None] + rng.normal(0, 3, (80, 4, 4, 3))
        path = tmp_path / "ab" / f"{number}.arrow"
        path.parent.mkdir(exist_ok=True)
        stored = {"rgb": write_entry(path, frames.astype(np.uint8))}
        found.append(
            RatedRecording(
                f"r{number}", f"S{number // 2}", "gait", label, label, None, stored=stored
            )
        )
    return tuple(found)


def test_it_learns_the_rhythm_of_each_class(recordings) -> None:
    first, second = tuple(range(NUM // 2)), tuple(range(NUM // 2, NUM))
    task = FitTask(
        origin=Origin(study="s", trial=0, fold=0, epoch=0, seed=2),
        config=config_of(),
        recordings=recordings,
        sides=(FoldSides(first, second), FoldSides(second, first)),
        num_classes=4,
        epochs=1,
    )
    for result in fit_estimator(task):
        table = result.predictions
        assert score("accuracy", targets(table), probabilities(table)) == 1.0
        assert (probabilities(table)[:, 3] < 1e-9).all()  # no training recording has this class
        assert result.metrics["fit/inner_folds"] >= 2


def test_the_spectrum_is_computed_once_per_recording(recordings, tmp_path: Path) -> None:
    first = describe_motion(recordings[0], config_of())
    recordings[0].stored["rgb"].write_bytes(b"")  # cannot be read a second time
    np.testing.assert_array_equal(describe_motion(recordings[0], config_of()), first)


def test_portraits_are_colours_and_not_changes(recordings) -> None:
    (recording,) = recordings[:1]
    alike = replace(recording, stored={"portraits": recording.stored["rgb"]})
    expected = describe_motion(recording, config_of())
    found = describe_motion(alike, config_of(modality="portraits"))
    np.testing.assert_array_equal(found, expected)


def test_a_recording_that_is_too_short_is_named(tmp_path: Path, write_entry) -> None:
    (tmp_path / "ab").mkdir()
    path = write_entry(tmp_path / "ab" / "e.arrow", np.zeros((2, 4, 4, 3), np.uint8))
    short = RatedRecording("tap7", "S1", "gait", 0, 0, None, stored={"rgb": path})
    with pytest.raises(DecodeError, match=r"recording tap7: has 2 frame.*needs 3"):
        describe_motion(short, config_of())


def test_settings_without_effect_are_refused() -> None:
    with pytest.raises(SettingsError, match="snippet: motion_linear does not use it"):
        config_of(snippet={"num_frames": 8})


def made(num: int, signal: float) -> tuple[np.ndarray, np.ndarray, list[str]]:
    rng = np.random.default_rng(5)
    y = np.repeat(np.arange(num // 2) % 2, 2)
    return rng.normal(0, 1, (num, 30)) + signal * y[:, None], y, [f"S{i // 2}" for i in range(num)]


def test_noise_gets_a_strong_penalty_and_a_signal_a_weaker_one() -> None:
    chosen = []
    for signal in (0.0, 1.0):
        x, y, people = made(60, signal)
        chosen.append(MotionLinear(MotionLinearConfig(), num_classes=2, seed=0).fit(x, y, people))
    noise, found = (one.told["fit/strength"] for one in chosen)
    assert noise <= 0.01 < found


def test_the_choice_keeps_the_recordings_of_a_subject_together() -> None:
    """Two equal recordings of each subject on both sides would choose the weakest penalty."""
    x, y, people = made(60, 0.0)
    x[1::2] = x[::2]
    learner = MotionLinear(MotionLinearConfig(), num_classes=2, seed=0).fit(x, y, people)
    assert learner.told["fit/strength"] <= 0.01
    apart = MotionLinear(MotionLinearConfig(), num_classes=2, seed=0)
    assert apart.fit(x, y, [f"S{i}" for i in range(60)]).told["fit/strength"] > 0.01


def test_absent_bands_take_the_median_of_the_training_side() -> None:
    x, y, people = made(40, 1.0)
    x[:, 0] = np.nan  # no recording shows this band
    x[3, 1] = np.nan
    learner = MotionLinear(MotionLinearConfig(), num_classes=2, seed=0).fit(x, y, people)
    middle = x[:1].copy()
    absent, median = middle.copy(), middle.copy()
    absent[0, 1], median[0, 1] = np.nan, np.nanmedian(x[:, 1])
    np.testing.assert_allclose(learner.predict_proba(absent), learner.predict_proba(median))


def test_too_few_subjects_to_choose_take_the_middle_penalty_and_say_so() -> None:
    x, y, _ = made(8, 1.0)
    learner = MotionLinear(MotionLinearConfig(), num_classes=2, seed=0)
    learner.fit(x, y, [f"S{one}" for one in y])  # one subject in each class
    assert learner.told == {"fit/strength": 0.1, "fit/inner_folds": 0}


def test_one_class_cannot_be_learnt() -> None:
    x, _, people = made(8, 1.0)
    with pytest.raises(FoldsError, match="all 8 training recordings are of class 1"):
        MotionLinear(MotionLinearConfig(), num_classes=2, seed=0).fit(
            x, np.ones(8, np.int64), people
        )
