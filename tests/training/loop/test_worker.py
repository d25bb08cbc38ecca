import io
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from pdray.config import build, dump
from pdray.data.cohort.rated import FoldSides
from pdray.errors import DivergedError, SettingsError, StudyError
from pdray.evaluation.metrics import metrics_for
from pdray.training.loop import worker
from pdray.training.loop.worker import fit
from pdray.training.network import build_network
from pdray.training.settings import FitConfig
from tests.fixtures.region_task import make_region_task

STEPS = [(0, 0), (0, 1), (1, 0), (1, 1)]
PLAIN = {"flip": 0.0, "brightness": 0.0, "contrast": 0.0, "max_shift": 0.0}
# Everything that can make a resumed fit differ: momentum, dropout, augmentation, a schedule.
RICH = {
    "model": {"dropout": 0.3},
    "optim": {"schedule": "cosine", "warmup_epochs": 1.0, "gradient_clip": 1.0},
}


def saved(state):
    """Return a state after a journey through a file, loaded without trusting the file."""
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def run(task, resume=None):
    """Return the results of a fit, each with its state saved when it was given."""
    return [replace(result, state=saved(result.state)) for result in fit(task, resume=resume)]


def scores(result):
    return {name: value for name, value in result.metrics.items() if not name.startswith("time/")}


def same(first, second):
    """Whether two results are equal bit for bit, but for the time they took."""
    assert (first.fold, first.epoch) == (second.fold, second.epoch)
    np.testing.assert_equal(scores(first), scores(second))
    pd.testing.assert_frame_equal(first.predictions, second.predictions, check_exact=True)
    for name, tensor in first.state["model"].items():
        assert torch.equal(tensor, second.state["model"][name]), name


def test_every_epoch_of_every_fold_gives_a_result_with_all_its_metrics(make_task):
    results = run(make_task())
    assert [(result.fold, result.epoch) for result in results] == STEPS
    names = {"train/loss", "train/learning_rate", "val/loss"}
    names |= {f"val/{name}" for name in metrics_for(2)} | {
        "time/epoch_seconds",
        "time/stall_fraction",
    }
    for result in results:
        assert set(result.metrics) == names
        assert math.isfinite(result.metrics["train/loss"])
        assert 0 <= result.metrics["time/stall_fraction"] <= 1
    assert [result.state["step"] for result in results] == [1, 2, 3, 4]


def test_a_fit_is_a_function_of_its_task_whatever_was_drawn_before(make_task):
    task = make_task(RICH)
    first = run(task)
    torch.manual_seed(12345)
    np.random.default_rng().random()
    for one, other in zip(first, run(task), strict=True):
        same(one, other)


def test_another_seed_is_another_fit(make_task):
    task = make_task()
    other = replace(task, origin=replace(task.origin, seed=2))
    assert run(task)[0].metrics["train/loss"] != run(other)[0].metrics["train/loss"]


@pytest.mark.parametrize(
    "settings",
    [RICH, {**RICH, "optim": {**RICH["optim"], "optimizer": "adamw", "schedule": "constant"}}],
    ids=["sgd", "adamw"],
)
def test_a_fit_resumed_after_any_epoch_ends_with_the_same_numbers(make_task, settings):
    task = make_task(settings)
    whole = run(task)
    assert len(whole) == 4
    for done in range(1, len(whole) + 1):
        rest = run(task, resume=whole[done - 1].state)
        for one, other in zip(whole[done:], rest, strict=True):
            same(one, other)


def test_a_state_of_another_shape_is_refused_with_both_lengths(make_task):
    state = run(make_task())[0].state
    with pytest.raises(StudyError, match=r"fit with 4 \(fold, epoch\) pairs, but this fit has 6"):
        next(fit(make_task({"optim": {"epochs": 3}}), resume=state))


def test_a_fold_starts_anew(make_task):
    task = make_task()
    alone = replace(task, sides=(task.sides[0], task.sides[0]))
    first, _, again, _ = run(alone)
    # The same sides, other weights and order: what fold 0 learnt is not carried on.
    assert first.metrics["train/loss"] != again.metrics["train/loss"]
    assert (
        again.state["optimizer"]["state"][0].keys() == first.state["optimizer"]["state"][0].keys()
    )


def test_the_table_has_each_evaluated_snippet_once_with_its_recordings_facts(make_task):
    task = make_task()
    for result in run(task):
        table = result.predictions.set_index("recording_id")
        expected = [task.recordings[index] for index in task.sides[result.fold].evaluation]
        assert list(table.index) == [recording.recording_id for recording in expected]
        for recording in expected:
            row = table.loc[recording.recording_id]
            assert row["subject_id"] == recording.subject_id
            assert (row["grade"], row["target"]) == (recording.grade, recording.target)
        assert set(table["fold"]) == {result.fold}
        assert set(table["epoch"]) == {result.epoch}
        assert set(table["trial"]) == {3}
        assert set(table["split"]) == {"val"}


def test_segments_give_a_row_a_snippet(make_task):
    task = make_task({"snippet": {"mode": "segments", "num_segments": 2, "num_frames": 4}})
    table = run(replace(task, sides=task.sides[:1], epochs=1))[0].predictions
    assert table["snippet"].tolist() == [0, 1] * 4
    assert table["recording_id"].tolist() == [f"R{n}" for n in (6, 6, 7, 7, 8, 8, 9, 9)]


@pytest.mark.parametrize("modality", ["flow", "boundaries"])
def test_a_network_of_two_channels_learns_from_motion(make_task, modality):
    result = run(replace(make_task({"modality": modality}), epochs=1))[0]
    assert result.state["model"]["conv1.weight"].shape[1] == 2
    assert math.isfinite(result.metrics["train/loss"])


def test_a_network_learns_from_portraits_of_their_own_size(make_task):
    settings = {"modality": "portraits", "decode": {"height": 40}, "portraits": {"size": 64}}
    result = run(replace(make_task(settings), epochs=1))[0]
    assert result.state["model"]["conv1.weight"].shape[1] == 3
    assert math.isfinite(result.metrics["train/loss"])


def test_dense_views_score_each_recording_many_times(make_task):
    snippet = {"mode": "segments", "num_frames": 4, "views": "dense", "num_views": 5}
    task = make_task({"snippet": {**snippet, "view_frames": 3}, "model": {"attention_depth": 0}})
    table = run(replace(task, sides=task.sides[:1], epochs=1))[0].predictions
    assert table["snippet"].tolist() == list(range(5)) * 4
    assert table["recording_id"].tolist() == [f"R{n}" for n in (6, 7, 8, 9) for _ in range(5)]


@pytest.mark.parametrize("num_segments", [1, 2])
def test_the_training_loss_is_the_mean_over_snippets(
    make_task, num_segments, read_entry, write_entry
):
    # Evaluated: the frames trained on, under other names; a run fills its segment, so that
    # nothing is drawn, and nothing is learnt. Both losses are then means over the same snippets.
    snippet = {"mode": "segments", "num_segments": num_segments, "num_frames": 8 // num_segments}
    settings = {"snippet": snippet, "augment": PLAIN, "optim": {"learning_rate": 1e-12}}
    task = make_task({**settings, "model": {"norm": "group"}})
    for recording in task.recordings[:6]:
        path = recording.stored["rgb"]
        write_entry(path, read_entry(path)[:8])
    trained = task.recordings[:6]
    twins = [replace(r, recording_id=f"{r.recording_id}b", subject_id="T") for r in trained]
    sides = (FoldSides(tuple(range(6)), tuple(range(6, 12))),)
    result = run(replace(task, recordings=(*trained, *twins), sides=sides, epochs=1))[0]
    # The same float32 losses, met in other batches.
    assert result.metrics["train/loss"] == pytest.approx(result.metrics["val/loss"], rel=1e-5)


def test_a_single_fold_keeps_its_origin_and_its_split(make_task):
    task = make_task()
    origin = replace(task.origin, fold=-1, split="test")
    result = run(replace(task, sides=task.sides[:1], origin=origin))[-1]
    assert set(result.predictions["fold"]) == {-1}
    assert set(result.predictions["split"]) == {"test"}
    assert "test/mcc" in result.metrics
    assert "val/mcc" not in result.metrics


def test_last_epoch_evaluates_once_and_changes_nothing_else(make_task):
    often = run(make_task())
    once = run(make_task(evaluate="last_epoch"))
    assert [result.predictions is not None for result in once] == [False, True, False, True]
    assert set(once[0].metrics) & {"val/loss", "val/mcc"} == set()
    same(often[1], once[1])
    same(often[3], once[3])


def test_fewer_epochs_cut_the_schedule_short_and_do_not_compress_it(make_task):
    settings = {"optim": {"epochs": 4, "schedule": "cosine"}}
    whole = run(make_task(settings))
    short = run(make_task(settings, epochs=2))
    for one, other in zip(whole[:2], short[:2], strict=True):
        same(one, other)


def test_what_is_learnt_lowers_the_loss(make_task):
    settings = {"optim": {"epochs": 10, "optimizer": "adamw", "batch_size": 3}, "augment": PLAIN}
    task = make_task(settings, evaluate="last_epoch")
    losses = [r.metrics["train/loss"] for r in run(replace(task, sides=task.sides[:1]))]
    assert sum(losses[-3:]) / 3 < 0.75 * losses[0]


def test_a_loss_that_is_not_finite_stops_before_the_optimiser_moves(make_task, monkeypatch):
    weights = []

    class Broken(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(1))
            weights.append(self.weight)

        def forward(self, x):
            return x.mean(dim=(1, 2, 3, 4))[:, None].repeat(1, 2) * self.weight * math.nan

    monkeypatch.setattr(worker, "build_network", lambda *_: Broken())
    told = r"fold 0, epoch 0: the training loss became nan, in the batch of recordings R\d, R\d"
    with pytest.raises(DivergedError, match=told):
        run(make_task())
    assert weights[0].item() == 1.0


def test_weights_that_explode_in_the_last_step_of_an_epoch_are_a_divergence(make_task):
    # One step an epoch: its loss is finite, what it makes of the weights is not.
    task = make_task({"optim": {"learning_rate": 1e30, "batch_size": 6}})
    with pytest.raises(DivergedError, match="fold 0, epoch 0: the logits are not finite"):
        run(task)


def test_bfloat16_runs_and_keeps_the_weights_in_float32(make_task):
    exact = run(make_task({"optim": {"precision": "float32"}}))
    rounded = run(make_task({"optim": {"precision": "bfloat16"}}))
    assert all(
        tensor.dtype == torch.float32
        for tensor in rounded[-1].state["model"].values()
        if tensor.is_floating_point()
    )
    loss, other = exact[0].metrics["train/loss"], rounded[0].metrics["train/loss"]
    assert other == pytest.approx(loss, rel=0.1)
    assert other != loss


def test_automatic_precision_is_float32_on_a_cpu(make_task):
    for one, other in zip(
        run(make_task({"optim": {"precision": "float32"}})), run(make_task()), strict=True
    ):
        same(one, other)


def test_clipping_bounds_the_step(make_task):
    clip = {"gradient_clip": 1e-3, "learning_rate": 1.0, "weight_decay": 0.0, "batch_size": 6}
    task = make_task({"optim": clip})
    torch.manual_seed(0)
    first, second = (run(replace(task, epochs=epochs))[epochs - 1].state for epochs in (1, 2))
    moved = [
        (second["model"][name] - tensor).square().sum()
        for name, tensor in first["model"].items()
        if tensor.is_floating_point() and "running" not in name
    ]
    # Momentum 0.9: the second step is at most 1.9 gradients of norm 1e-3 at rate 1.
    assert 0 < math.sqrt(sum(moved)) < 1.9e-3 * 1.01


def test_closing_a_fit_ends_it(make_task):
    results = fit(make_task())
    next(results)
    results.close()
    assert list(results) == []


def test_a_class_without_a_training_recording_is_refused(make_task):
    task = make_task()
    # R0, R2 and R5 are slight, all others severe.
    sides = (FoldSides(training=(6, 8, 9), evaluation=(0, 1)),)
    with pytest.raises(ValueError, match="class 0 has no training recording"):
        run(replace(task, sides=sides))


def test_the_reported_rate_is_that_of_the_last_step(make_task):
    settings = {"optim": {"learning_rate": 0.1, "warmup_epochs": 2.0, "batch_size": 3}}
    rates = [result.metrics["train/learning_rate"] for result in run(make_task(settings))[:2]]
    # Two steps an epoch, each at its middle: 0.75 and 1.75 of 2 epochs.
    assert rates == pytest.approx([0.1 * 0.375, 0.1 * 0.875])


def test_a_compiled_fit_trains_the_same_weights_under_the_same_names(make_task, monkeypatch):
    usual = run(make_task())
    compiled = []

    def compile_nothing(network):
        compiled.append(network)
        return nn.Sequential(network)  # a module around it, as the compiler returns one

    monkeypatch.setattr(torch, "compile", compile_nothing)
    for first, second in zip(usual, run(make_task({"optim": {"compiled": True}})), strict=True):
        same(first, second)
    assert len(compiled) == 2  # a network a fold


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch's compiler, on its import
def test_a_network_that_cannot_be_compiled_says_what_to_do(make_task, monkeypatch):
    cause = RuntimeError("no C++ compiler")
    failed = torch._dynamo.exc.BackendCompilerFailed(print, cause, None)

    class Failing(nn.Module):
        def forward(self, *_):
            raise failed

    monkeypatch.setattr(torch, "compile", lambda network: Failing())
    wanted = r"optim.compiled: got true, but .* fails here: .*no C\+\+ compiler.*; set it to false"
    with pytest.raises(SettingsError, match=wanted):
        run(make_task({"optim": {"compiled": True}}))


@pytest.mark.parametrize("name", ["frame_resnet", "two_stream"])
def test_networks_in_2d_are_trained_too(make_task, name):
    task = make_task({"snippet": {"num_frames": 6}, "optim": {"epochs": 1}})
    tree = dump(task.config)
    tree["model"] = {"name": name, "depth": 18, "width_factor": 0.0625}
    if name == "two_stream":
        tree["model"]["stacked_frames"] = 6
    (result, *_) = run(replace(task, config=build(FitConfig, tree)))
    assert math.isfinite(result.metrics["train/loss"])


@pytest.fixture
def region_task(tmp_path, write_entry):
    return lambda **settings: make_region_task(tmp_path, write_entry, settings)


@pytest.mark.parametrize("cache", ["auto", "off"])
def test_a_fit_on_regions_resumed_after_any_epoch_ends_with_the_same_numbers(region_task, cache):
    task = region_task(model={"frozen_stages": 3, "dropout": 0.2}, features={"cache": cache})
    whole = run(task)
    for done in (1, 3):
        for one, other in zip(whole[done:], run(task, whole[done - 1].state), strict=True):
            same(one, other)


@pytest.mark.parametrize("cache", ["auto", "off"])
def test_frozen_stages_stay_as_they_were_and_the_others_learn(region_task, cache):
    task = region_task(model={"frozen_stages": 3}, features={"cache": cache})
    first, second, _, last = (result.state["model"] for result in run(task))
    changed = {name for name in first if not torch.equal(first[name], second[name])}
    assert "network.backbone.layer4.0.conv1.weight" in changed
    assert "network.backbone.layer4.0.bn1.running_mean" in changed
    assert "network.classifier.region_heads.out_RG" in changed
    built = build_network(task.config, 2)
    frozen = built.frozen_names()
    assert first.keys() == last.keys() - frozen
    assert {"network.backbone.conv1.weight", "network.backbone.layer3.1.bn2.running_var"} <= frozen
    assert all(torch.equal(last[name], built.state_dict()[name]) for name in frozen)


def test_regions_are_learnt_where_something_is_known_of_them(region_task):
    weighed = run(region_task(loss={"region_weight": 1.0}))
    ignored = run(region_task(loss={"region_weight": 0.0}))
    assert weighed[0].metrics["train/loss"] > ignored[0].metrics["train/loss"] + 0.1
    name = "network.classifier.region_heads.out_RG"
    before, after = (ignored[number].state["model"][name] for number in (0, 1))
    assert torch.equal(before, after)
    assert not torch.equal(*(weighed[number].state["model"][name] for number in (0, 1)))
    for result in weighed:
        assert result.predictions is not None
        assert {"logit_0", "logit_1"} <= set(result.predictions)
        assert "logit_2" not in result.predictions


@pytest.mark.parametrize(("name", "decoupled"), [("adam", False), ("adamw", True)])
def test_adam_s_weight_decay_is_where_its_name_says(make_task, name, decoupled):
    (group,) = run(make_task({"optim": {"optimizer": name}}))[0].state["optimizer"]["param_groups"]
    assert group.get("decoupled_weight_decay", False) == decoupled
