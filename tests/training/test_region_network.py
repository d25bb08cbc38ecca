from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from pdray.data.cohort.rated import FoldSides
from pdray.data.face.points import VERTICES
from pdray.data.store.entry import EntryWriter
from pdray.data.store.settings import StoreConfig
from pdray.models.networks.region_attention import RegionAttention
from pdray.models.networks.region_attention_settings import RegionAttentionConfig
from pdray.training.loop.worker import fit
from pdray.training.network import build_network
from pdray.training.region_network import RegionNetwork, draw_frozen, region_labels
from tests.fixtures.region_task import PLAIN, REGION_SETTINGS, SIDE, make_region_task

SHAPE = {**REGION_SETTINGS["model"], "frozen_stages": 3}


def network(seed: int = 0, **changes: Any) -> RegionAttention:
    torch.manual_seed(seed)
    config = RegionAttentionConfig(**{**SHAPE, **changes})
    return RegionAttention(config, num_classes=2, num_channels=3).eval()


def snippets() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(2)
    x = torch.randn(2, 3, 5, SIDE, SIDE, generator=generator)
    low = 40 * torch.rand(2, 5, 14, 2, generator=generator)
    boxes = torch.cat([low, low + 20], dim=-1)
    boxes[0, :, 6] = torch.nan
    return x, boxes


def test_a_row_has_the_classes_and_then_a_logit_for_each_region() -> None:
    inner, (x, boxes) = network(), snippets()
    rows = RegionNetwork(inner, classes=nn.Identity(), map_size=None)(x, boxes)
    expected = inner(x, boxes)
    assert rows.shape == (2, 2 + 14)
    torch.testing.assert_close(rows[:, :2], expected.video)
    torch.testing.assert_close(rows[:, 2:], expected.regions, equal_nan=True)
    assert rows.isnan().nonzero().tolist() == [[0, 2 + 6]]


@pytest.mark.parametrize("stages", [3, 4])
def test_kept_maps_stand_for_pictures(stages: int) -> None:
    inner, (x, boxes) = network(frozen_stages=stages), snippets()
    maps = inner.frozen_maps(x).permute(0, 2, 3, 1)
    from_maps = RegionNetwork(inner, classes=nn.Identity(), map_size=(SIDE, SIDE))
    from_pictures = RegionNetwork(inner, classes=nn.Identity(), map_size=None)
    found = from_maps(maps.reshape(2, 5, *maps.shape[1:]), boxes)
    torch.testing.assert_close(found, from_pictures(x, boxes), equal_nan=True)


def test_thresholds_stand_on_the_score_of_the_recording(tmp_path: Path, write_entry: Any) -> None:
    task = make_region_task(tmp_path, write_entry, {"loss": {"kind": "coral"}})
    built = build_network(task.config, 3)
    maps = torch.randn(2, 4, 2, 2, 32)
    rows = built.eval()(maps, snippets()[1][:, :4])
    assert rows.shape == (2, 2 + 14)
    assert bool((rows[:, 0] >= rows[:, 1]).all())


def test_frozen_stages_that_no_file_gives_are_the_same_everywhere() -> None:
    one, other = network(0), network(1)
    weights = [net.backbone.layer2[0].conv1.weight.clone() for net in (one, other)]
    assert not torch.equal(*weights)
    state = torch.get_rng_state()
    for net in (one, other):
        draw_frozen(net)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(one.backbone.layer2[0].conv1.weight, other.backbone.layer2[0].conv1.weight)
    heads = [net.classifier.project_region.weight for net in (one, other)]
    assert not torch.equal(*heads)


def test_labels_are_the_marks_and_absent_is_not_normal(
    tmp_path: Path, write_entry: Callable[..., Path]
) -> None:
    task = make_region_task(tmp_path, write_entry)
    labels = region_labels(task)
    assert labels.shape == (8, 14)
    assert not labels[[0, 1, 6, 7]].any()  # healthy
    assert labels[2].tolist() == [0, 1, *[0] * 12]  # the ill one with marks
    assert labels[[3, 4, 5]].isnan().all()
    unknown = make_region_task(tmp_path, write_entry, {"loss": {"unmarked": "unknown"}})
    assert region_labels(unknown)[2].isnan().tolist() == [True, False, *[True] * 12]


def test_a_fit_learns_that_a_region_looks_ill(tmp_path: Path, write_entry: Any) -> None:
    """A region is bright, or a place between them: the picture as a whole tells nothing."""
    model = {"width_factor": 0.125, "token_dim": 24, "roi_size": 1, "map_stage": 3}
    settings = {
        **PLAIN,
        "model": {**model, "frozen_stages": 0},
        "loss": {"region_weight": 0.0},
        "optim": {"batch_size": 8, "epochs": 9, "learning_rate": 0.003},
    }
    task = make_region_task(tmp_path, write_entry, settings)
    draw, recordings = np.random.default_rng(0), []
    for number in range(136):
        target = number // 2 % 2
        places = draw.permutation(16)  # of the regions, and of two cells between them
        corners = np.stack([places % 4, places // 4], axis=1) * (SIDE // 4)
        frames = draw.integers(0, 60, (4, SIDE, SIDE, 3), np.uint8)
        x, y = corners[draw.integers(14) if target else 14]
        frames[:, y : y + SIDE // 4, x : x + SIDE // 4] += 180
        square = np.array([[0, 0], [16, 0], [16, 16], [0, 16], [0, 8]], np.float32)
        points = np.concatenate(
            [corner + square[:count] for corner, count in zip(corners[:14], VERTICES, strict=True)]
        ).astype(np.float32)
        paths = {}
        for name, items in (("rgb", frames), ("regions", np.repeat(points[None], 4, axis=0))):
            paths[name] = tmp_path / "made" / f"{name}{number}" / f"{name}{number}.arrow"
            paths[name].parent.mkdir(parents=True)
            with EntryWriter(paths[name], StoreConfig(codec="raw")) as out:
                for step, item in enumerate(items):
                    out.append(step / 25, item)
        one = replace(task.recordings[0], recording_id=f"M{number}", subject_id=f"M{number // 2}")
        recordings.append(replace(one, target=target, grade=2 * target, stored=paths))
    sides = (FoldSides(tuple(range(120)), tuple(range(120, 136))),)
    made = replace(task, recordings=tuple(recordings), sides=sides, evaluate="last_epoch")
    *_, last = fit(made)
    assert last.metrics["val/auroc"] > 0.95
