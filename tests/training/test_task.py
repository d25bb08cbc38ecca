from dataclasses import replace

import pytest

from pdray.config import build, dump
from pdray.data.batches.plan import Schedule
from pdray.data.cohort.rated import FoldSides
from pdray.errors import FoldsError, SettingsError
from pdray.training.settings import FitConfig, OptimConfig, size_faults


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
        ("optimizer", "rmsprop"),
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
    assert config.entry.loop == "once"
    assert build(FitConfig, dump(config)) == config
    assert build(FitConfig, {}).entry.loop == "steps"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"modality": "rgb"}, "modality: got 'rgb'; landmark_head needs landmarks"),
        (
            {"model": {"name": "i3d"}},
            "modality: got 'landmarks'; i3d needs rgb, portraits, flow or boundaries",
        ),
        (
            {"optim": {}},
            "optim: landmark_head does not use it; leave it out, except optim.epochs=1",
        ),
        ({"optim": {"epochs": 1, "batch_size": 3}}, "optim: landmark_head does not use it"),
        ({"snippet": {"num_frames": 8}}, "snippet: landmark_head does not use it; leave it out"),
        ({"loss": {"gamma": 1.0}}, "loss: landmark_head does not use it"),
        ({"pretrained": "w.pt"}, "pretrained: landmark_head does not use it"),
    ],
)
def test_what_an_estimator_does_not_have_is_refused(changes, message):
    with pytest.raises(SettingsError, match=message):
        build(FitConfig, {**HEAD, **changes})


def test_a_network_has_no_groups_of_landmarks():
    with pytest.raises(SettingsError, match="landmarks: tsa does not use it; leave it out"):
        build(FitConfig, {"landmarks": {"groups": "head"}})


PROBE = {"model": {"name": "linear_probe"}, "optim": {"epochs": 1}}


def test_a_probe_says_how_its_frozen_network_sees():
    seen = {"snippet": {"num_frames": 8}, "augment": {"crop_size": [10, 10]}, "pretrained": "w.pt"}
    config = build(FitConfig, {**PROBE, **seen})
    assert config.entry.loop == "once"
    assert config.network.name == "frame_resnet"
    assert build(FitConfig, dump(config)) == config
    assert build(FitConfig, HEAD).network is None
    assert build(FitConfig, {}).network.name == "tsa"
    assert build(FitConfig, {**PROBE, "modality": "flow"}).sees == ("flow",)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"augment": {"flip": 0.0}},
            "augment: linear_probe does not use it; .*, except augment.crop_s",
        ),
        ({"loss": {"gamma": 1.0}}, "loss: linear_probe does not use it; leave it out"),
        ({"optim": {}}, "optim: linear_probe does not use it; leave it out, except optim.epochs=1"),
        ({"stream": {"reader": "local"}}, "stream: linear_probe does not use it"),
        (
            {"modality": "landmarks"},
            "modality: got 'landmarks'; linear_probe needs rgb, portraits, flow",
        ),
        (
            {"model": {"name": "linear_probe", "backbone": {"name": "i4d"}}},
            r"model\.backbone\.name: got 'i4d'; expected one of tsa, ",
        ),
        (
            {"model": {"name": "linear_probe", "backbone": {"name": "i3d", "dept": 3}}},
            r"unknown key 'model\.backbone\.dept': .*valid keys: model\.backbone\.name",
        ),
    ],
)
def test_what_a_probe_does_not_have_is_refused(changes, message):
    with pytest.raises(SettingsError, match=message):
        build(FitConfig, {**PROBE, **changes})


FUSION = {"modality": "several", "model": {"name": "fusion"}, "optim": {"epochs": 1}}
SOUND = {"modality": "mfcc", "model": {"name": "audio_mlp"}, "optim": {"epochs": 1}}


def test_a_fusion_sees_its_branches_and_needs_none_of_them():
    config = build(FitConfig, FUSION)
    assert config.sees == ("rgb", "landmarks", "mfcc")
    assert config.needs == ()
    assert build(FitConfig, {**FUSION, "pretrained": "w.pt"}).pretrained is not None
    assert build(FitConfig, SOUND).needs == ("mfcc",)


def test_a_fusion_may_name_files_that_only_other_trials_of_its_search_read():
    model = {"name": "fusion", "branches": "landmarks+mfcc"}
    files = {"pretrained": "w.pt", "embedding": {"folder": "w"}}
    config = build(FitConfig, {**FUSION, "model": model, **files})
    assert config.sees == ("landmarks", "mfcc")
    assert config.pretrained is not None


@pytest.mark.parametrize(
    ("base", "changes", "message"),
    [
        (FUSION, {"modality": "rgb"}, "modality: got 'rgb'; fusion needs several"),
        (SOUND, {"modality": "several"}, "'several'; audio_mlp needs mfcc, log_mel or waveform"),
        (FUSION, {"snippet": {"num_frames": 8}}, "snippet: fusion does not use it; leave it out"),
        (FUSION, {"decode": {"height": 16}}, "height: .*16"),
        (
            FUSION,
            {"model": {"name": "fusion", "backbone": {"depth": 18, "layout": "vggface2"}}},
            r"model\.backbone\.layout: vggface2 .* model\.backbone\.depth 18",
        ),
        (SOUND, {"modality": "waveform"}, r"embedding\.folder: modality waveform .* local folder"),
        (SOUND, {"embedding": {"folder": "w"}}, "embedding: hears the modality waveform only"),
    ],
)
def test_what_a_fusion_and_a_voice_do_not_have_is_refused(base, changes, message):
    with pytest.raises(SettingsError, match=message):
        build(FitConfig, {**base, **changes})


def test_a_waveform_is_heard_by_the_network_of_a_folder():
    config = build(FitConfig, {**SOUND, "modality": "waveform", "embedding": {"folder": "w"}})
    assert config.sees == ("waveform",)
    assert build(FitConfig, dump(config)) == config


REGIONS = {"model": {"name": "region_attention"}}


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({"features": {"views": 3}}, "features: tsa does not use it; leave it out"),
        ({"loss": {"region_weight": 0.5}}, "loss.region_weight: tsa has no regions"),
        ({**REGIONS, "modality": "flow"}, "modality: got 'flow'; region_attention needs rgb"),
        (
            {**REGIONS, "augment": {"brightness": 0.4, "max_shift": 0.1}},
            r"augment.brightness, augment.max_shift: no effect, .* 2 plain views.*features.views=4",
        ),
        (
            {**REGIONS, "features": {"cache": "off", "views": 3}},
            "features.views: 3 has no effect, because features.cache is off; remove it",
        ),
        (
            {"model": {**REGIONS["model"], "frozen_stages": 2}, "features": {"views": 1}},
            "features.views: 1 has no effect, because too few .*model.frozen_stages=3",
        ),
        (
            {
                **REGIONS,
                "snippet": {"mode": "segments"},
                "segments": {"consensus": "attention"},
            },
            "segments.consensus: attention has no effect, since region_attention",
        ),
    ],
)
def test_settings_of_regions_and_kept_views_are_never_idle(tree, message):
    with pytest.raises(SettingsError, match=message):
        build(FitConfig, tree)


def test_the_size_of_portraits_is_that_of_their_setting():
    tree = {"modality": "portraits", "decode": {"height": 16}, "portraits": {"size": 96}}
    config = build(FitConfig, {**tree, "model": {"name": "frame_resnet"}})
    assert config.picture_size == (96, 96)
    assert size_faults(config) == []
    large = {**tree, "augment": {"crop_size": [100, 90]}}
    assert size_faults(build(FitConfig, large)) == [
        "augment.crop_size: height 100, width 90 px does not fit into pictures of portraits.size "
        "96 px; lower augment.crop_size, or raise portraits.size"
    ]


def test_a_network_on_regions_sees_and_needs_them():
    config = build(FitConfig, REGIONS)
    assert config.sees == config.needs == ("rgb", "regions")
    assert build(FitConfig, {}).beside == ()


@pytest.mark.parametrize(
    ("tree", "count"),
    [
        (REGIONS, 2),
        ({**REGIONS, "features": {"cache": "off"}}, None),
        ({**REGIONS, "features": {"views": 4}, "augment": {"brightness": 0.4}}, 4),
        ({"model": {**REGIONS["model"], "map_stage": 3}}, 2),
        ({"model": {**REGIONS["model"], "frozen_stages": 0}}, None),
        ({}, None),
    ],
)
def test_views_are_kept_from_three_frozen_stages_on(tree, count):
    views = build(FitConfig, tree).views
    assert (None if views is None else views.count) == count
    if views is not None:
        assert views.size == (112, 112)
