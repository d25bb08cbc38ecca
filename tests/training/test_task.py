from dataclasses import replace

import pytest

from pdray.config import build, dump
from pdray.data.plan import FoldSides, Schedule
from pdray.errors import FoldsError, SettingsError
from pdray.training.task import FitConfig, OptimConfig


def test_a_task_with_a_subject_on_both_sides_cannot_be_built(make_task):
    # Recordings 0 and 1 are of one subject.
    leaking = FoldSides(training=(0, 2, 4), evaluation=(1, 6))
    with pytest.raises(FoldsError, match="fold 1: subjects on both sides: S0"):
        make_task(sides=(make_task().sides[0], leaking))
    with pytest.raises(FoldsError, match="fold 0: subjects on both sides: S0"):
        replace(make_task(), sides=(leaking,))


def test_a_task_counts_pairs_of_fold_and_epoch(make_task):
    assert make_task(epochs=3).num_steps == 6


def test_the_schedule_is_the_tasks(make_task):
    task = make_task({"optim": {"batch_size": 3}}, epochs=5, evaluate="last_epoch")
    expected = Schedule(
        seed=1,
        batch_size=3,
        epochs=5,
        evaluate="last_epoch",
        first_step=2,
        evaluated_at_once=3,
    )
    assert task.schedule(2) == expected
    assert task.schedule() == replace(expected, first_step=0)


def test_recordings_seen_in_many_views_are_evaluated_a_few_at_once(make_task):
    snippet = {"num_frames": 6, "views": "dense", "num_views": 4, "view_frames": 3}
    task = make_task({"optim": {"batch_size": 10}, "snippet": snippet})
    assert task.schedule().evaluated_at_once == 10 * 6 // (4 * 3)
    many = make_task({"snippet": {**snippet, "num_views": 64}})
    assert many.schedule().evaluated_at_once == 1


def test_the_defaults_are_the_published_ones():
    optim = OptimConfig()
    assert (optim.optimizer, optim.learning_rate, optim.weight_decay) == ("sgd", 1e-3, 0.01)
    assert (optim.batch_size, optim.epochs, optim.schedule) == (15, 60, "constant")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("learning_rate", 0.0),
        ("weight_decay", -0.1),
        ("batch_size", 0),
        ("epochs", 0),
        ("warmup_epochs", -1.0),
        ("gradient_clip", 0.0),
        ("optimizer", "adam"),
        ("schedule", "linear"),
        ("precision", "float16"),
    ],
)
def test_a_setting_out_of_range_is_refused_with_its_value(name, value):
    with pytest.raises(SettingsError, match=f"optim.{name}: got {value!r}; input should be"):
        build(FitConfig, {"optim": {name: value}})


def test_settings_survive_the_journey_to_a_worker(make_task):
    config = make_task().config
    assert build(FitConfig, dump(config)) == config


HEAD = {"modality": "landmarks", "model": {"name": "landmark_head"}, "optim": {"epochs": 1}}


def test_an_estimator_has_landmarks_and_one_step():
    config = build(FitConfig, HEAD)
    assert config.is_estimator
    assert build(FitConfig, dump(config)) == config
    assert not build(FitConfig, {}).is_estimator


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"modality": "rgb"}, "modality rgb: landmark_head sees landmarks"),
        ({"model": {"name": "i3d"}}, "modality landmarks: i3d sees rgb, flow or boundaries"),
        ({"optim": {}}, "optim: no part of landmark_head; leave it out but for optim.epochs=1"),
        ({"optim": {"epochs": 1, "batch_size": 3}}, "optim: no part of landmark_head"),
        ({"snippet": {"num_frames": 8}}, "snippet: no part of landmark_head; leave it out"),
        ({"loss": {"gamma": 1.0}}, "loss: no part of landmark_head"),
        ({"pretrained": "w.pt"}, "pretrained: no part of landmark_head"),
    ],
)
def test_what_an_estimator_does_not_have_is_refused(changes, message):
    with pytest.raises(SettingsError, match=message):
        build(FitConfig, {**HEAD, **changes})


def test_a_network_has_no_groups_of_landmarks():
    with pytest.raises(SettingsError, match="landmarks: no part of tsa; leave it out"):
        build(FitConfig, {"landmarks": {"groups": "head"}})
