from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pdray.config import build
from pdray.data.cohort.rated import FoldSides, RatedRecording
from pdray.data.media.sound_statistics import sound_statistics
from pdray.data.store.entry import Entry
from pdray.errors import DecodeError
from pdray.evaluation.metrics import score
from pdray.evaluation.predictions import Origin, probabilities, targets
from pdray.training.estimators import sound as audio_estimator
from pdray.training.estimators.fit import fit_estimator
from pdray.training.estimators.sound import build_sound, describe_sound
from pdray.training.settings import FitConfig
from pdray.training.task import FitTask
from tests.fixtures.sound_made import NUM, stored_recordings


def config_of(modality: str = "mfcc", **settings: object) -> FitConfig:
    model = {"name": "audio_mlp", "num_hidden": 16, "num_epochs": 20, "learning_rate": 0.01}
    tree = {"modality": modality, "model": model, "optim": {"epochs": 1}, **settings}
    return build(FitConfig, tree)


@pytest.fixture
def recordings(tmp_path: Path, write_entry) -> tuple[RatedRecording, ...]:
    return stored_recordings(tmp_path, write_entry, num_classes=2)


@pytest.mark.parametrize("modality", ["mfcc", "log_mel"])
def test_spectra_are_described_by_their_statistics(recordings, modality: str) -> None:
    seen = describe_sound(recordings[3], config_of(modality))
    entry = Entry(recordings[3].stored[modality])
    np.testing.assert_array_equal(seen, sound_statistics(entry.read(np.arange(30))).values)
    assert seen.shape == (12,)


def test_a_waveform_is_described_by_its_embedding(
    recordings, tmp_path: Path, write_entry, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = write_entry(tmp_path / "kept.arrow", np.array([[1.0, 2.0, 3.0]], np.float32))
    asked = []

    def keep(frozen: object, recording: RatedRecording) -> Path:
        asked.append((frozen, recording.recording_id))
        return kept

    monkeypatch.setattr(audio_estimator, "open_embedding", lambda config: config.folder)
    monkeypatch.setattr(audio_estimator, "keep_frozen", keep)
    config = config_of("waveform", embedding={"folder": "network"})
    np.testing.assert_array_equal(describe_sound(recordings[0], config), [1, 2, 3])
    assert asked == [(Path("network"), "r0")]


def test_it_learns_a_voice_and_says_so_by_fold(recordings) -> None:
    half = NUM // 2
    first, second = tuple(range(half)), tuple(range(half, NUM))
    task = FitTask(
        origin=Origin(study="s", trial=0, fold=0, epoch=0, seed=2),
        config=config_of(),
        recordings=recordings,
        sides=(FoldSides(first, second), FoldSides(second, first)),
        num_classes=2,
        epochs=1,
    )
    for result in fit_estimator(task):
        table = result.predictions
        assert score("accuracy", targets(table), probabilities(table)) > 0.9
        np.testing.assert_allclose(probabilities(table).sum(axis=1), 1.0)


def test_the_seed_decides(recordings) -> None:
    config = config_of()
    x = [describe_sound(one, config) for one in recordings]
    y = np.array([one.target for one in recordings])
    one, same, other = (
        build_sound(config, num_classes=2, seed=seed).fit(x, y, []).predict_proba(x)
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, same)
    assert not np.allclose(one, other)


def test_sound_of_one_window_names_the_recording(recordings, tmp_path: Path, write_entry) -> None:
    path = write_entry(tmp_path / "short.arrow", np.zeros((1, 4), np.float32))
    short = (replace(recordings[0], stored={"mfcc": path}), *recordings[1:])
    task = FitTask(
        origin=Origin(study="s", trial=0, fold=0, epoch=0, seed=2),
        config=config_of(),
        recordings=short,
        sides=(FoldSides((0, 1, 2, 3, 4, 5), (12, 13)),),
        num_classes=2,
        epochs=1,
    )
    with pytest.raises(DecodeError, match="recording r0: has 1 window of sound"):
        list(fit_estimator(task))
