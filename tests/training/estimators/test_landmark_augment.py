"""Additions to a training side: how many, of whom, by how much less movement, and when anew."""

from types import SimpleNamespace

import numpy as np
import pytest
from pydantic import ValidationError

from pdray.config import build, dump
from pdray.data.cohort.manifest import Recording
from pdray.data.cohort.rated import RatedRecording
from pdray.data.face.damping import damped, split_movement
from pdray.data.face.motion import landmark_features
from pdray.data.face.settings import LandmarkAugmentConfig
from pdray.data.face.shape import nose_centred
from pdray.data.media.tracks import read_track, write_track
from pdray.data.store.frame_store import FrameStore
from pdray.data.store.settings import Recipe
from pdray.errors import SettingsError
from pdray.training.estimators.landmark_augment import (
    AugmentedLearner,
    Face,
    plan_additions,
)
from pdray.training.estimators.landmarks import (
    build_head,
    build_network,
    describe_frames,
    describe_head,
)
from pdray.training.settings import FitConfig
from tests.data.face.test_damping import waving
from tests.fixtures.landmark_made import track_of


class Kept:
    """An estimator that keeps what it is given."""

    def __init__(self):
        self.told = {"fit/kept": 1.0}

    def fit(self, x, y, subjects):
        self.x, self.y, self.subjects = list(x), y, list(subjects)
        return self

    def predict_proba(self, x):
        return np.array(x, np.float64)


def face(number, moves, *, is_made=False):
    """Recording ``number``, all of whose parts move by ``moves``; drawn again it says how."""
    return Face(number, np.full(8, moves), lambda factors: (number, factors), is_made)


def side(counts, moves):
    """Faces and classes: as many of each class, which move by its number."""
    classes = np.repeat(np.arange(len(counts)), counts)
    faces = [face(n, moves[k]) for n, k in enumerate(classes.tolist())]
    return faces, classes, [f"S{n}" for n in range(len(classes))]


def config_of(**values):
    return build(LandmarkAugmentConfig, values)


def additions(counts, moves, seed=0, **values):
    given = side(counts, moves)
    return plan_additions(*given, config_of(**values), num_classes=len(counts), seed=seed)


@pytest.mark.parametrize(
    ("kind", "share", "expected"),
    [("oversample", 1.0, [4, 7]), ("damp", 1.0, [4, 7]), ("damp", 0.75, [1, 4])],
)
def test_rarer_classes_are_filled_up_to_a_share_of_the_largest(kind, share, expected):
    found = additions([12, 8, 5], [1.0, 0.5, 0.25], kind=kind, share=share)
    assert np.bincount(found.classes, minlength=3).tolist() == [0, *expected]


def test_oversampling_repeats_the_class_and_damping_changes_the_healthy():
    again = additions([12, 8, 5], [1.0, 0.5, 0.25], kind="oversample")
    for number, drawn in zip(again.classes, again.draw(0), strict=True):
        assert drawn in {1: range(12, 20), 2: range(20, 25)}[number]
    less = additions([12, 8, 5], [1.0, 0.5, 0.25], kind="damp", least_strength=0.5)
    for number, (source, factors) in zip(less.classes, less.draw(0), strict=True):
        assert source in range(12)
        full = {1: 0.5, 2: 0.25}[number]
        assert np.ptp(factors[:7]) == 0
        assert full <= factors[0] <= 1 + 0.5 * (full - 1)
        assert factors[7] == factors[0]
    face_alone = additions([12, 8, 5], [1.0, 0.5, 0.25], kind="damp", head=False)
    assert {factors[7] for _, factors in face_alone.draw(0)} == {1.0}


def test_each_epoch_draws_anew_and_each_seed_too_and_the_same_ones_again():
    first = additions([12, 8, 5], [1.0, 0.5, 0.25], kind="oversample")
    assert first.draw(0) == first.draw(0)
    assert first.draw(0) != first.draw(1)
    other = additions([12, 8, 5], [1.0, 0.5, 0.25], kind="oversample", seed=1)
    assert first.draw(0) != other.draw(0)


def test_a_class_of_few_people_moves_as_much_less_as_all_the_ill():
    found = additions([12, 8, 4], [1.0, 0.5, 0.1], kind="damp")
    np.testing.assert_allclose(found.factors[:, 0], [1, 0.5, 0.5])  # median of 8 and 4 people
    found = additions([12, 8, 5], [1.0, 0.5, 0.1], kind="damp")
    np.testing.assert_allclose(found.factors[:, 0], [1, 0.5, 0.1])


def test_a_class_that_moves_no_less_gets_no_healthy_people_under_its_name():
    found = additions([12, 8, 5], [1.0, 1.2, 0.25], kind="damp")
    assert np.bincount(found.classes, minlength=3).tolist() == [0, 0, 7]
    set_by_hand = additions([12, 8, 5], [1.0, 1.2, 0.25], kind="damp", factor=0.3)
    assert np.bincount(set_by_hand.classes, minlength=3).tolist() == [0, 4, 7]


def test_nothing_is_drawn_of_a_made_recording_nor_learnt_from_it():
    faces, classes, subjects = side([6, 5], [1.0, 0.5])
    faces[0] = face(0, 100.0, is_made=True)
    faces[6] = face(6, 0.001, is_made=True)
    config = config_of(kind="damp", share=1.0)
    found = plan_additions(faces, classes, subjects, config, num_classes=2, seed=0)
    assert 0 not in found.pools[1]
    np.testing.assert_allclose(found.factors[1][:7], 0.5)


def test_the_estimator_learns_from_both_and_scores_real_ones_as_they_are():
    inner = Kept()
    learner = AugmentedLearner(inner, config_of(kind="oversample"), num_classes=2, seed=0)
    faces, classes, subjects = side([6, 2], [1.0, 0.5])
    learner.fit(faces, classes, subjects)
    assert inner.x[:8] == list(range(8))
    assert np.bincount(inner.y).tolist() == [6, 6]
    assert inner.subjects == [*subjects, "", "", "", ""]
    assert learner.told == {"fit/kept": 1.0, "fit/augmentation_recordings": 4}
    assert learner.predict_proba(faces).tolist() == list(range(8))


def test_a_network_gets_other_additions_in_each_epoch_and_keeps_none_of_them():
    seen = []
    inner = SimpleNamespace(redraw=None, told={})
    inner.fit = lambda *_: seen.extend(inner.redraw(epoch) for epoch in range(3))
    learner = AugmentedLearner(inner, config_of(kind="oversample"), num_classes=2, seed=0)
    learner.fit(*side([30, 10], [1.0, 0.5]))
    assert [len(one) for one in seen] == [20, 20, 20]
    assert seen[0] != seen[1] != seen[2]
    assert inner.redraw is None


@pytest.fixture
def recordings(tmp_path):
    """Fourteen faces in the store, the last six of which move half as much."""
    found = []
    store = FrameStore(tmp_path / "store", Recipe())
    for number in range(14):
        target = int(number >= 8)
        track = track_of(waving(40, seed=number))
        if target:
            track = track_of(damped(split_movement(track), np.full(8, 0.5)))
        path = tmp_path / f"{number}.npz"
        write_track(path, track)
        row = Recording(f"R{number}", f"S{number}", "face_interview", landmarks=path)
        stored = store.add(row, ("landmarks",)).paths
        found.append(
            RatedRecording(
                row.recording_id, row.subject_id, row.item, 4 * target, target, None, stored=stored
            )
        )
    return found


def fit_config(name, **augment):
    tree = {
        "modality": "landmarks",
        "model": {"name": name},
        "optim": {"epochs": 1},
        "landmark_augment": augment,
    }
    return build(FitConfig, tree)


def test_what_is_drawn_is_the_description_of_landmarks_that_move_less(recordings, tmp_path):
    factors = np.linspace(0.1, 1, 8)
    path = tmp_path / "3.npz"
    track = read_track(path)
    less = track_of(damped(split_movement(track), factors))
    head = describe_head(recordings[3], fit_config("landmark_head", kind="damp"))
    features = landmark_features(less)
    chosen = [name.startswith(("head.", "eyes.", "brows.")) for name in features.names]
    np.testing.assert_allclose(head.again(factors), features.values[chosen], rtol=1e-3)
    plain = describe_head(recordings[3], fit_config("landmark_head"))
    np.testing.assert_array_equal(head.values, plain)
    network = describe_frames(recordings[3], fit_config("landmark_mlp", kind="damp"))
    expected = nose_centred(less, num_frames=8, unit="pixels")
    np.testing.assert_allclose(network.again(factors), expected, atol=1e-6)


@pytest.mark.parametrize("name", ["landmark_head", "landmark_mlp"])
@pytest.mark.parametrize("kind", ["none", "oversample", "damp"])
def test_both_estimators_learn_with_each_kind_and_the_same_seed_gives_the_same(
    recordings, name, kind
):
    parts = {
        "landmark_head": (describe_head, build_head),
        "landmark_mlp": (describe_frames, build_network),
    }
    describe, make = parts[name]
    config = fit_config(name, kind=kind)
    x = [describe(one, config) for one in recordings]
    y = np.array([one.target for one in recordings])
    subjects = [one.subject_id for one in recordings]
    shares = [
        make(config, num_classes=2, seed=seed).fit(x, y, subjects).predict_proba(x)
        for seed in (0, 0, 1)
    ]
    np.testing.assert_array_equal(shares[0], shares[1])
    assert np.isfinite(shares[0]).all()
    if kind != "none":
        assert not np.array_equal(shares[0], shares[2])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"kind": "oversample", "head": False}, "head: only kind=damp uses it"),
        ({"factor": 0.5}, "factor: only kind=damp uses it"),
        ({"kind": "smote"}, "'none', 'oversample' or 'damp'"),
    ],
)
def test_settings_without_effect_are_refused(values, message):
    with pytest.raises((SettingsError, ValidationError), match=message):
        config_of(**values)


@pytest.mark.parametrize("kind", ["none", "oversample", "damp"])
def test_settings_can_be_written_and_read_again(kind):
    config = fit_config("landmark_head", kind=kind)
    assert build(FitConfig, dump(config)) == config


def test_an_estimator_that_does_not_use_it_refuses_it():
    with pytest.raises(SettingsError, match="landmark_augment: landmark_choice does not use it"):
        fit_config("landmark_choice", kind="damp")
