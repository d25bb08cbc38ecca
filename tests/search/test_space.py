import math

import pytest

from pdray.config import build
from pdray.errors import SettingsError
from pdray.search.space import (
    Choices,
    Range,
    combination_faults,
    fit_faults,
    read_space,
    searchable,
    trial_config,
)
from pdray.training.settings import FitConfig


def faults_of(key, entry):
    """Return the faults of a space of one entry, in lines."""
    return "\n".join(read_space({key: entry})[1])


def fit(**sections):
    return build(FitConfig, sections)


def test_a_space_of_every_kind_is_read():
    space, faults = read_space(
        {
            "loss.gamma": {"low": 0.0, "high": 4.0, "step": 0.5},
            "optim.learning_rate": {"low": 1e-4, "high": 1e-2, "log": True},
            "snippet.num_frames": {"low": 16, "high": 64, "step": 16},
            "model.temporal_stride": {"choices": ["121222", "221111"]},
            "optim.gradient_clip": {"choices": [None, 1.0]},
        }
    )
    assert faults == []
    assert space == {
        "loss.gamma": Range(0.0, 4.0, log=False, step=0.5, whole=False),
        "optim.learning_rate": Range(1e-4, 1e-2, log=True, step=None, whole=False),
        "snippet.num_frames": Range(16, 64, log=False, step=16, whole=True),
        "model.temporal_stride": Choices(("121222", "221111")),
        "optim.gradient_clip": Choices((None, 1.0)),
    }


def test_an_empty_space_is_a_space():
    assert read_space({}) == ({}, [])


@pytest.mark.parametrize(
    ("key", "low", "high"),
    [("model.dropout", 0, 0.5), ("augment.flip", 0, 1), ("loss.gamma", 0, 2)],
)
def test_whole_ends_do_not_make_a_fraction_whole(key, low, high):
    assert read_space({key: {"low": low, "high": high}})[0][key].whole is False


@pytest.mark.parametrize("entries", [5, ["loss.gamma"], "loss.gamma"])
def test_a_space_that_is_no_mapping_is_refused_with_its_value(entries):
    space, (fault,) = read_space(entries)
    assert space == {}
    assert repr(entries) in fault
    assert "dotted keys" in fault


def test_an_unknown_key_names_the_nearest():
    fault = faults_of("optim.learning_rat", {"low": 0.1, "high": 0.2})
    assert "unknown key 'space.optim.learning_rat'" in fault
    assert "did you mean 'optim.learning_rate'?" in fault
    assert "loss.gamma" in fault


@pytest.mark.parametrize(
    "key", ["decode.height", "stream.reader", "optim.epochs", "search.trials", 7]
)
def test_what_all_trials_share_cannot_be_searched(key):
    # Frames are stored once; trials of different length could not be compared at an epoch.
    assert f"unknown key 'space.{key}'" in faults_of(key, {"choices": [1, 2]})
    assert key not in searchable()


@pytest.mark.parametrize(
    ("key", "entry", "parts"),
    [
        ("loss.gamma", {"low": 4.0, "high": 1.0}, ["low 4.0", "high 1.0", "swap them"]),
        ("loss.gamma", {"low": 1.0, "high": 1.0}, ["low 1.0 is not below high 1.0"]),
        ("loss.gamma", {"low": 0.0, "high": 1.0, "log": True}, [".low: got 0.0", "above 0"]),
        (
            "loss.gamma",
            {"low": -1.0, "high": 1.0},
            [".low: got -1.0", "greater than or equal to 0"],
        ),
        ("model.dropout", {"low": 0.0, "high": 1.0}, [".high: got 1.0", "less than 1"]),
        ("optim.learning_rate", {"low": "1e-4", "high": 0.1}, ["got '1e-4'", "write 0.0001"]),
        ("loss.gamma", {"low": "low", "high": 0.1}, [".low: got 'low'; write a number"]),
        ("loss.gamma", {"low": True, "high": 2.0}, [".low: got True; write a number"]),
        ("loss.gamma", {"low": 0.0, "high": math.inf}, [".high: got inf", "finite"]),
        ("loss.gamma", {"low": math.nan, "high": 1.0}, [".low: got nan", "finite"]),
        ("loss.gamma", {"low": 0.0}, ["'space.loss.gamma.high' is missing"]),
        ("loss.gamma", {}, ["loss.gamma.low' is missing", "loss.gamma.high' is missing"]),
        (
            "loss.gamma",
            {"low": 0.0, "high": 1.0, "steps": 2},
            ["unknown key 'space.loss.gamma.steps"],
        ),
        (
            "loss.gamma",
            {"low": 0.0, "high": 1.0, "log": "yes"},
            [".log: got 'yes'", "true or false"],
        ),
        ("loss.gamma", {"low": 0.0, "high": 1.0, "step": 2.0}, [".step: got 2.0", "at most high"]),
        ("loss.gamma", {"low": 0.0, "high": 1.0, "step": 0}, [".step: got 0;", "above 0"]),
        (
            "loss.gamma",
            {"low": 0.1, "high": 1.0, "step": 0.1, "log": True},
            ["cannot be combined with log"],
        ),
        (
            "model.attention_depth",
            {"low": 0, "high": 2, "step": 0.5},
            ["got 0.5", "write an integer"],
        ),
        ("model.attention_depth", {"low": 0.5, "high": 2}, [".low: got 0.5", "integer"]),
        ("snippet.order", {"low": 1, "high": 2}, [".low: got 1", "'time', 'shuffled'"]),
        ("model.attention_depth", {"choices": ["one"]}, [".choices: got 'one'", "integer"]),
        (
            "model.attention_depth",
            {"choices": [0, 13]},
            [".choices: got 13", "less than or equal to 4"],
        ),
        ("model.temporal_stride", {"choices": [121222]}, ["got 121222", "quotes"]),
        ("loss.normalize", {"choices": ["no"]}, ["got 'no'", "boolean"]),
        ("loss.gamma", {"choices": [1.0, 2.0, 1.0]}, ["[1.0, 2.0, 1.0]", "twice"]),
        ("loss.gamma", {"choices": []}, ["got []", "a list of one or more values"]),
        ("loss.gamma", {"choices": 2.0}, ["got 2.0", "a list of one or more values"]),
        ("loss.gamma", {"choices": [math.inf]}, ["got inf", "finite"]),
        (
            "loss.gamma",
            {"choices": [1.0], "low": 0.0},
            ["gamma.low: cannot be combined with choices"],
        ),
        ("loss.gamma", [1.0, 2.0], ["got [1.0, 2.0]", "{choices: [...]} or {low: .., high: ..}"]),
    ],
)
def test_a_wrong_entry_is_told_with_key_value_and_what_would_be_right(key, entry, parts):
    told = faults_of(key, entry)
    for part in [key, *parts]:
        assert part in told


def test_all_faults_are_told_at_once_and_right_entries_kept():
    space, faults = read_space(
        {
            "loss.gama": {"low": 0.0, "high": 1.0},
            "optim.learning_rate": {"low": 1.0, "high": 0.1},
            "model.attention_depth": {"choices": ["one", 13]},
            "model.dropout": {"low": 0.0, "high": 0.5},
        }
    )
    assert len(faults) == 4
    assert space["model.dropout"] == Range(0.0, 0.5, log=False, step=None, whole=False)


def test_what_another_network_may_have_is_refused_of_this_one():
    # Regions attend up to 12 times, temporal self-attention in 4 stages at most.
    space = {"model.attention_depth": Choices((1, 7))}
    (fault,) = combination_faults(fit(), space)
    assert "model.attention_depth: got 7" in fault


def test_a_combination_without_enough_time_steps_is_told_once_with_the_values():
    # 16 frames under Hara's strides: 2 time steps in layer3, 1 in layer4.
    base = {"snippet": {"num_frames": 16}}
    space = {
        "model.attention_depth": Choices((0, 1)),
        "model.temporal_stride": Choices(("121222", "221111")),
        "loss.gamma": Range(0.0, 2.0, log=False, step=None, whole=False),
    }
    (fault,) = combination_faults(fit(**base), space)
    assert "model.temporal_stride: '121222' shrinks 16 frames to 1 time step" in fault
    told = "(with model.attention_depth = 1, model.temporal_stride = '121222')"
    assert fault.endswith(told)


def test_a_combination_that_no_settings_class_takes_is_told():
    space = {"snippet.num_segments": Choices((1, 2))}
    (fault,) = combination_faults(fit(), space)
    assert "num_segments 2" in fault
    assert combination_faults(fit(snippet={"mode": "segments"}), space) == []


def test_the_middle_of_a_whole_range_is_looked_at_too():
    space = {"model.num_heads": Range(1, 4, log=False, step=None, whole=True)}
    faults = combination_faults(fit(model={"width_factor": 0.125, "attention_depth": 1}), space)
    assert len(faults) == 1
    assert "model.num_heads: 3 does not divide" in faults[0]


def test_frames_of_the_study_count_in_a_combination():
    space = {"model.attention_depth": Choices((0,))}
    (fault,) = combination_faults(fit(decode={"height": 16}), space)
    assert "height: 16 px" in fault


def test_a_space_with_too_many_combinations_is_refused_with_its_keys():
    deep = Range(1, 60, log=False, step=None, whole=True)
    keys = ("snippet.num_frames", "snippet.stride", "model.max_frames")
    (fault,) = combination_faults(fit(), dict.fromkeys(keys, deep))
    assert fault == (
        f"space: more than 20000 combinations of {', '.join(keys)}; remove some values or settings"
    )


def test_searched_values_lie_over_the_studys_own():
    base = fit(loss={"gamma": 1.0, "normalize": False}, model={"norm": "group"})
    config = trial_config(base, {"loss.gamma": 3.0})
    assert (config.loss.gamma, config.loss.normalize, config.model.norm) == (3.0, False, "group")
    assert base.loss.gamma == 1.0


def test_a_trials_value_out_of_range_is_refused():
    assert fit_faults(fit(), {"loss.gamma": 1.0}) == []
    assert "loss.gamma: got -1.0" in fit_faults(fit(), {"loss.gamma": -1.0})[0]
    with pytest.raises(SettingsError, match=r"loss\.gamma: got -1\.0"):
        trial_config(fit(), {"loss.gamma": -1.0})


def test_sizes_that_a_network_cannot_take_are_told_by_their_settings():
    i3d = {"model": {"name": "i3d"}}
    short = fit(**i3d, snippet={"num_frames": 2})
    assert fit_faults(short, {})[0].startswith("snippet.num_frames: 2 is too few")
    small = fit(**i3d, decode={"height": 16}, augment={"crop_size": None})
    assert fit_faults(small, {})[0].startswith("decode.height: 16 px shrink to 1 px before")
    cropped = fit(**i3d, augment={"crop_size": [16, 16]})
    assert [fault.partition(":")[0] for fault in fit_faults(cropped, {})] == [
        "crop height",
        "crop width",
    ]
    dense = fit(**i3d, snippet={"views": "dense", "view_frames": 2})
    assert fit_faults(dense, {})[0].startswith("snippet: num_frames: 2 is too few")


PROBE = {"model": {"name": "linear_probe"}, "optim": {"epochs": 1}}


def test_a_frozen_network_is_checked_as_one_that_is_trained():
    small = {**PROBE, "decode": {"height": 16}}
    assert fit_faults(fit(**small), {})[0].startswith("decode.height: 16 px shrink to 1 px before")
    thin = {**PROBE, "model": {"name": "linear_probe", "backbone": {"width_factor": 0.001}}}
    assert fit_faults(fit(**thin), {})[0].startswith("model.backbone.width_factor: 0.001 leaves")
    assert fit_faults(fit(**PROBE), {"model.num_epochs": 5}) == []


def test_frozen_networks_are_compared_each_with_its_own_settings():
    assert "model.backbone.depth" in searchable()
    assert "model.backbone.name" not in searchable()
    base = {**PROBE, "model": {"name": "linear_probe", "backbone": {"depth": 18}, "num_epochs": 7}}
    model = trial_config(fit(**base), {"model.backbone.name": "i3d"}).model
    assert (model.backbone.name, model.num_epochs) == ("i3d", 7)
    other = {"model.name": "linear_probe", "model.backbone.name": "x3d", "optim.epochs": 1}
    assert trial_config(fit(), other).model.backbone.name == "x3d"
