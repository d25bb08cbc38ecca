from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pdray.config import build
from pdray.data.cohort.manifest import Recording
from pdray.data.cohort.rated import FoldSides, RatedRecording
from pdray.data.face.motion import feature_columns, landmark_features
from pdray.data.face.points import INDEX
from pdray.data.face.shape import nose_centred
from pdray.data.media.tracks import read_track, write_track
from pdray.data.store.entry import Entry
from pdray.data.store.frame_store import FrameStore
from pdray.data.store.settings import Recipe
from pdray.errors import DecodeError, StudyError
from pdray.evaluation.metrics import score
from pdray.evaluation.predictions import Origin, probabilities, targets
from pdray.models.estimators.landmark_head import build_landmark_head
from pdray.training.estimators.fit import describe, fit_estimator
from pdray.training.estimators.landmarks import build_network
from pdray.training.loop.worker import fit
from pdray.training.settings import FitConfig
from pdray.training.task import FitTask
from tests.fixtures.landmark_made import face, moved, track_of

SETTINGS = {
    "modality": "landmarks",
    "model": {"name": "landmark_head", "kind": "logistic"},
    "landmarks": {"groups": "head+eyes"},
    "optim": {"epochs": 1},
}
NUM = 24


def nodding(number: int) -> np.ndarray:
    """A SYNTHETIC face of 4 s that turns less the higher its class, number % 3."""
    rng = np.random.default_rng(number)
    size = (0.3, 0.1, 0.02)[number % 3] * rng.uniform(0.8, 1.2)
    seconds = np.arange(40) / 10
    turn = size * np.sin(2 * np.pi * rng.uniform(0.3, 0.6) * seconds)
    points = moved(face(40), turn=turn, scale=np.ones(40), shift=np.zeros((40, 2)))
    return points + rng.normal(0, 0.05, points.shape)


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> tuple[RatedRecording, ...]:
    folder = tmp_path_factory.mktemp("tracks")
    store = FrameStore(folder / "store", Recipe())
    found = []
    for number in range(NUM):
        path = folder / f"r{number}.npz"
        write_track(path, track_of(nodding(number)))
        row = Recording(f"r{number}", f"S{number}", "face_interview", landmarks=path)
        stored = store.add(row, ("landmarks",)).paths
        found.append(
            RatedRecording(
                f"r{number}", f"S{number}", "face_interview", number % 3, number % 3, None,
                stored=stored,
            )
        )  # fmt: skip
    return tuple(found)


def make_task(recordings: tuple[RatedRecording, ...], **changes: object) -> FitTask:
    half = NUM // 2
    first, second = tuple(range(half)), tuple(range(half, NUM))
    task = FitTask(
        origin=Origin(study="s", trial=3, fold=0, epoch=0, seed=5),
        config=build(FitConfig, SETTINGS),
        recordings=recordings,
        sides=(FoldSides(first, second), FoldSides(second, first)),
        num_classes=3,
        epochs=1,
    )
    return replace(task, **changes)  # type: ignore[arg-type]


def test_each_fold_is_the_head_on_the_features_of_the_others(recordings, tmp_path) -> None:
    task = make_task(recordings)
    results = list(fit(task))  # the loop of all fits knows estimators
    assert [(one.fold, one.epoch) for one in results] == [(0, 0), (1, 0)]
    features = []
    for number in range(NUM):
        write_track(tmp_path / "t.npz", track_of(nodding(number)))
        features.append(landmark_features(read_track(tmp_path / "t.npz")))
    columns = feature_columns(features[0].names, task.config.landmarks)
    x = np.stack([one.values[columns] for one in features])
    np.testing.assert_allclose(describe(task), x)
    y = np.arange(NUM) % 3
    for result, side in zip(results, task.sides, strict=True):
        learnt, held = list(side.training), list(side.evaluation)
        head = build_landmark_head(task.config.model, 3, seed=5).fit(x[learnt], y[learnt])
        table = result.predictions
        assert table is not None
        assert table["recording_id"].tolist() == [f"r{i}" for i in held]
        assert set(table["fold"]) == {result.fold}
        np.testing.assert_allclose(probabilities(table), head.predict_proba(x[held]))
        accuracy = score("accuracy", targets(table), probabilities(table))
        assert result.metrics["val/accuracy"] == accuracy > 0.6
        assert result.state["num_steps"] == 2


def test_the_papers_network_sees_nose_centred_frames(recordings) -> None:
    model = {"name": "landmark_mlp", "num_frames": 4, "num_steps": 3, "unit": "eyes"}
    tree = {**SETTINGS, "model": model, "landmarks": {}}
    task = make_task(recordings, config=build(FitConfig, tree))
    x = np.stack(describe(task))
    assert x.shape == (NUM, 4, 106, 2)
    stored = recordings[5].stored["landmarks"]
    entry = Entry(stored)
    track = track_of(entry.read(np.arange(len(entry))), entry.seconds)
    np.testing.assert_allclose(x[5], nose_centred(track, num_frames=4, unit="eyes"), atol=1e-6)
    first, _ = fit(task)
    again, _ = fit(task)
    assert first.predictions.equals(again.predictions)
    side, y = task.sides[0], np.arange(NUM) % 3
    learnt, held = list(side.training), list(side.evaluation)
    network = build_network(task.config, num_classes=3, seed=5).fit(x[learnt], y[learnt])
    np.testing.assert_allclose(probabilities(first.predictions), network.predict_proba(x[held]))


def test_classes_of_the_held_out_side_decide_nothing(recordings) -> None:
    task = make_task(recordings)
    other = tuple(
        replace(one, target=0, grade=0) if number >= NUM // 2 else one
        for number, one in enumerate(recordings)
    )
    first, again = (next(fit_estimator(one)).predictions for one in (task, make_task(other)))
    np.testing.assert_array_equal(probabilities(first), probabilities(again))


def test_a_fit_goes_on_after_the_last_fold_that_counts(recordings) -> None:
    task = make_task(recordings)
    first, second = fit_estimator(task)
    (rest,) = fit_estimator(task, resume=first.state)
    assert rest.fold == 1
    assert rest.predictions.equals(second.predictions)
    with pytest.raises(StudyError, match=r"is from a fit with 2 .* pairs, but this fit has 1"):
        list(fit_estimator(make_task(recordings, sides=task.sides[:1]), resume=first.state))


def test_a_recording_that_cannot_be_described_is_named(recordings, tmp_path: Path) -> None:
    bare = (replace(recordings[0], stored=None), *recordings[1:])
    with pytest.raises(
        DecodeError, match="recording r0: its landmarks is not in the frame store; run jobs"
    ):
        list(fit_estimator(make_task(bare)))
    path = tmp_path / "blind.npz"
    blind = track_of(nodding(0))
    blind.points[:, INDEX["left_eye_left_corner"]] = np.nan
    write_track(path, blind)
    row = Recording("r1", "S1", "face_interview", landmarks=path)
    stored = FrameStore(tmp_path / "store", Recipe()).add(row, ("landmarks",)).paths
    wrong = (recordings[0], replace(recordings[1], stored=stored), *recordings[2:])
    with pytest.raises(DecodeError, match=r"recording r1: .* four distinct corners of the eyes"):
        list(fit_estimator(make_task(wrong)))
