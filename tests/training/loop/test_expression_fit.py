"""Fits of the expression network: rates by part, cached frames, resumption."""

import math
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from pdray.config import build, dump, merge
from pdray.data.store.entry import Entry
from pdray.models import NETWORKS
from pdray.training.frozen.views import frozen_stages, keep_views, lacking_views
from pdray.training.loop.worker import fit
from pdray.training.network import describe_start
from pdray.training.settings import FitConfig
from pdray.training.task import FitTask

MODEL = {"name": "expression_clip", **NETWORKS["expression_clip"].small}
PLAIN = {"augment": {"flip": 0.0, "brightness": 0.0, "contrast": 0.0, "max_shift": 0.0}}
FROZEN = {"image_learning_rate": 0.0}


@pytest.fixture
def make(make_task: Any, tmp_path: Path) -> Callable[..., FitTask]:
    """Return a function that makes a task whose entries lie as in a store."""

    def make(*changes: dict[str, Any]) -> FitTask:
        task = make_task({"decode": {"height": 24, "width": 24}})
        tree = dump(task.config)
        tree |= {"model": MODEL, "loss": {"kind": "cross_entropy"}, "features": {"views": 1}}
        tree["augment"], tree["optim"]["optimizer"] = {}, "adamw"
        for change in changes:
            tree = merge(tree, change)
        recordings = []
        for one in task.recordings:
            path = tmp_path / "store" / one.recording_id / f"{one.recording_id}.arrow"
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(one.stored["rgb"], path)
            recordings.append(replace(one, stored={"rgb": path}))
        config = build(FitConfig, tree)
        return replace(task, config=config, recordings=tuple(recordings))

    return make


def test_each_part_learns_at_its_rate_and_the_text_encoder_does_not(make: Any) -> None:
    rates = {"image_learning_rate": 1e-4, "prompt_learning_rate": 0.1}
    schedule = {"optim": {"schedule": "cosine", "epochs": 2}, "features": {"views": 2}}
    first, second, *_ = fit(make({"model": rates}, schedule))
    groups = first.state["optimizer"]["param_groups"]
    assert first.metrics["train/learning_rate"] == pytest.approx(groups[0]["lr"])
    shares = {group["lr"] / groups[0]["lr"] for group in groups}
    assert sorted(shares) == pytest.approx([0.01, 1.0, 10.0]), "of optim.learning_rate 0.01"
    states = first.state["model"], second.state["model"]
    assert "text.prompts" in states[0]
    assert not any(n.startswith("text.") and n != "text.prompts" for n in states[0])


@pytest.mark.parametrize("image", [{"image_learning_rate": 1e-3}, FROZEN], ids=["all", "frozen"])
def test_a_fit_resumed_after_any_epoch_ends_with_the_same_numbers(make: Any, image: Any) -> None:
    task = make({"model": image}, {} if image is FROZEN else {"features": {"views": 2}})
    whole = [(one, {k: v.clone() for k, v in one.state["model"].items()}) for one in fit(task)]
    starts = fit(task)
    for done in (1, 3):
        state = [next(starts) for _ in range(2 if done == 3 else 1)][-1].state
        for (one, weights), other in zip(whole[done:], fit(task, resume=state), strict=True):
            assert one.metrics["val/loss"] == other.metrics["val/loss"]
            assert all(torch.equal(weights[n], value) for n, value in other.state["model"].items())


@pytest.mark.parametrize("gate", ["tokens", "frames"])
def test_frames_that_are_kept_teach_what_pictures_teach(make: Any, gate: str) -> None:
    model = {"model": {**FROZEN, "gate": gate}}
    kept = make(model)
    read = make(model, PLAIN, {"features": {"cache": "off", "views": 2}})
    assert len(lacking_views(kept.recordings, kept.config)) == 10
    for one, other in zip(fit(kept), fit(read), strict=True):
        # float16 has 11 bits: frames differ by 1/2048, and what was learnt by some of it.
        for name in ("train/loss", "val/loss"):
            assert one.metrics[name] == pytest.approx(other.metrics[name], rel=5e-3)
    assert lacking_views(kept.recordings, kept.config) == []
    (recording,) = keep_views(kept.recordings[:1], kept.config)
    entry = Entry(recording.views[0])
    assert entry.shape == ((10, 16) if gate == "tokens" else (16,))
    assert frozen_stages(kept.config).item_bytes == 2 * math.prod(entry.shape)


def test_what_follows_the_image_encoder_makes_no_other_frames(make: Any) -> None:
    first = make({"model": FROZEN})
    keep_views(first.recordings, first.config)
    changes = {"time_depth": 2, "num_prompts": 2, "tau": 0.1, "prompt_learning_rate": 0.1}
    same = make({"model": {**FROZEN, **changes}})
    assert lacking_views(same.recordings, same.config) == []
    for other in ({"image_depth": 1}, {"gate": "none"}, {"activation": "quick_gelu"}):
        task = make({"model": {**FROZEN, **other}})
        assert len(lacking_views(task.recordings, task.config)) == 10, other


def test_the_start_tells_what_is_random_and_which_class_has_which_phrase(make: Any) -> None:
    notes = describe_start(make({"model": FROZEN}).config, 2)
    assert notes[0].startswith("note: pretrained is not set: the frozen network keeps its random")
    assert notes[1] == "note: class 0 is 'a relaxed face at rest, lips closed and brows level'"
    assert "its vocabulary is closed: each word of the phrases is a token" in notes[-1]
