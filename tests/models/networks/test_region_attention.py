import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pdray.config import build
from pdray.models.layers.region_align import align, clip_boxes
from pdray.models.networks.frame_resnet import build_frame_resnet
from pdray.models.networks.frame_resnet_settings import FrameResNetConfig
from pdray.models.networks.region_attention import RegionAttention, build_region_attention, map_grid
from pdray.models.networks.region_attention_settings import (
    RegionAttentionConfig,
    region_attention_faults,
)
from pdray.models.weights.pretrained import load_pretrained

SMALL: dict[str, Any] = {
    "depth": 18,
    "layout": "torchvision",
    "width_factor": 0.125,
    "token_dim": 24,
    "num_heads": 2,
    "max_frames": 3,
}
SIZE = (70, 52)


def seeded(num_classes: int = 6, **changes: Any) -> RegionAttention:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build_region_attention(RegionAttentionConfig(**{**SMALL, **changes}), num_classes)


def snippets(batch: int = 2, size: tuple[int, int] = SIZE) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(batch, 3, 3, *size, generator=generator)


def regions(batch: int = 2, size: tuple[int, int] = SIZE) -> Tensor:
    """Boxes (B, 3, 14, 4); the forehead is flat in a frame, region 5 absent from a snippet."""
    corners = torch.rand(batch, 3, 14, 2, 2, generator=torch.Generator().manual_seed(2)).sort(3)[0]
    boxes = (corners * torch.tensor([size[1], size[0]])).flatten(3)
    boxes[0, 1, 0, 3] = boxes[0, 1, 0, 1]
    boxes[-1, :, 5] = math.nan
    return boxes


def test_outputs_have_a_row_a_snippet_and_say_what_was_seen() -> None:
    outputs = seeded().eval()(snippets(), regions())
    assert (outputs.video.shape, outputs.regions.shape) == ((2, 6), (2, 14))
    assert outputs.video.isfinite().all()
    unseen = (~outputs.is_seen).nonzero().tolist()
    assert unseen == outputs.regions.isnan().nonzero().tolist() == [[1, 5]]


@pytest.mark.parametrize(("map_stage", "roi_size"), [(4, 1), (4, 3), (3, 2)])
def test_tokens_are_read_from_the_stage_of_each_frame(map_stage: int, roi_size: int) -> None:
    model = seeded(map_stage=map_stage, roi_size=roi_size).double().eval()
    x, boxes = snippets().double(), regions().double()
    seen: dict[int, Tensor] = {}
    stage = model.get_submodule(f"backbone.layer{map_stage}")
    with torch.no_grad():
        tokens = model.region_tokens(x, boxes)
        for t in range(3):
            hook = stage.register_forward_hook(lambda _m, _i, out, t=t: seen.update({t: out}))
            model.backbone.look(x[:, :, t])
            hook.remove()
    channels = 64 if map_stage == 4 else 32
    assert tokens.values.shape == (2, 3, 15, channels * roi_size**2)
    for t in range(3):
        cut, is_there = clip_boxes(boxes[:, [t]], height=SIZE[0], width=SIZE[1])
        assert torch.equal(tokens.is_there[:, t], is_there[:, 0])
        read = align(seen[t], cut[:, 0], map_grid("torchvision", map_stage), roi_size).flatten(2)
        torch.testing.assert_close(
            tokens.values[:, t, 1:], torch.where(is_there[:, 0, :, None], read, 0.0)
        )
        pooled = nn.functional.adaptive_avg_pool2d(seen[t], roi_size).flatten(1)
        torch.testing.assert_close(tokens.values[:, t, 0], pooled)


@pytest.mark.parametrize("frozen", [0, 1, 3, 4])
def test_either_cut_gives_what_the_whole_gives(frozen: int) -> None:
    model = seeded(frozen_stages=frozen).eval()
    x, boxes = snippets(), regions()
    whole = model(x, boxes)
    tokens = model.region_tokens(x, boxes)
    kept_maps = model.frozen_maps(x).clone()
    later = model.align_tokens(kept_maps, boxes, SIZE)
    assert not model.frozen_maps(x).requires_grad
    assert tokens.values.requires_grad == (frozen < 4)
    for outputs in (model.classify_tokens(tokens), model.classify_tokens(later)):
        assert torch.equal(outputs.video, whole.video)
    assert torch.equal(kept_maps, model.frozen_maps(x))  # the cache is left as it was
    f_BF = model.features(x, boxes)
    assert f_BF.shape == (2, model.num_features)
    assert torch.equal(model.classify(f_BF), whole.video)


def frozen_names(model: RegionAttention, count: int, map_stage: int) -> set[str]:
    stages = [("conv1", "bn1"), ("layer1",), ("layer2",), ("layer3",), ("layer4",)]
    still = (stages[: count + 1] if count else []) + stages[map_stage + 1 :]
    prefixes = tuple(f"backbone.{name}." for stage in still for name in stage)
    return {name for name, _ in model.named_parameters() if prefixes and name.startswith(prefixes)}


@pytest.mark.parametrize(("frozen", "map_stage"), [(0, 4), (1, 4), (3, 4), (4, 4), (3, 3), (2, 3)])
def test_gradients_reach_every_trained_parameter_and_no_frozen_one(
    frozen: int, map_stage: int
) -> None:
    model = seeded(frozen_stages=frozen, map_stage=map_stage).train()
    outputs = model(snippets(), regions())
    (outputs.video.square().sum() + outputs.regions[outputs.is_seen].square().sum()).backward()
    without = {n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()}
    assert without == frozen_names(model, frozen, map_stage)
    assert without == {n for n, p in model.named_parameters() if not p.requires_grad}


@pytest.mark.parametrize("frozen", [0, 2, 4])
def test_norms_of_frozen_stages_keep_their_statistics_in_training(frozen: int) -> None:
    model = seeded(frozen_stages=frozen)
    before = {name: part.clone() for name, part in model.named_buffers()}
    model.train()(snippets(), regions())
    moved = {
        name.split(".")[1]
        for name, part in model.named_buffers()
        if name.startswith("backbone.")
        and name.endswith("running_mean")
        and not torch.equal(part, before[name])
    }
    stages = ["bn1", "layer1", "layer2", "layer3", "layer4"]
    assert moved == set(stages[frozen + 1 if frozen else 0 :])
    norms = [part for part in model.modules() if isinstance(part, nn.BatchNorm2d)]
    assert any(part.training for part in norms) == (frozen < 4)
    assert model.classifier.training
    assert not any(part.training for part in model.eval().modules())


def mirrored(boxes: Tensor, width: int) -> Tensor:
    return torch.stack(
        [width - boxes[..., 2], boxes[..., 1], width - boxes[..., 0], boxes[..., 3]], dim=3
    )


@pytest.mark.parametrize(
    ("layout", "depth", "width"), [("torchvision", 18, 65), ("vggface2", 50, 69)]
)
@pytest.mark.parametrize("map_stage", [3, 4])
def test_a_mirrored_face_has_the_same_tokens(
    layout: str, depth: int, width: int, map_stage: int
) -> None:
    # With kernels that are their own mirror image and a width that leaves none of the strides a
    # rest, the maps are mirrored exactly: then the regions must be read at mirrored places.
    changes = {"layout": layout, "depth": depth, "map_stage": map_stage, "roi_size": 1}
    model = seeded(**changes).double().eval()
    with torch.no_grad():
        for part in model.modules():
            if isinstance(part, nn.Conv2d):
                part.weight += part.weight.flip(3)
    x, boxes = snippets(size=(40, width)).double(), regions(size=(40, width)).double()
    tokens = model.region_tokens(x, boxes)
    turned = model.region_tokens(x.flip(4), mirrored(boxes, width))
    torch.testing.assert_close(turned.values, tokens.values)
    assert torch.equal(turned.is_there, tokens.is_there)


def test_two_snippets_together_are_two_alone() -> None:
    model = seeded().double().eval()
    x, boxes = snippets().double(), regions().double()
    together = model(x, boxes)
    for b in range(2):
        alone = model(x[[b]], boxes[[b]])
        torch.testing.assert_close(alone.video, together.video[[b]])
        torch.testing.assert_close(alone.regions, together.regions[[b]], equal_nan=True)


def test_boxes_beyond_the_picture_are_those_at_its_edge() -> None:
    model, boxes = seeded().eval(), regions()
    boxes[:, :, 2] = torch.tensor([20.0, 30.0, 52.0, 70.0])
    beyond = boxes.clone()
    beyond[:, :, 2, 2:] += 60
    x = snippets()
    assert torch.equal(model(x, boxes).video, model(x, beyond).video)


def test_autocast_gives_nearly_the_same() -> None:
    model = seeded().eval()
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        rough = model(snippets(), regions())
    with torch.no_grad():
        exact = model(snippets(), regions())
    torch.testing.assert_close(rough.video.float(), exact.video, rtol=0.1, atol=0.1)


@pytest.mark.parametrize("frozen", [3, 4])
def test_published_faces_are_loaded_into_the_backbone(tmp_path: Path, frozen: int) -> None:
    shape: dict[str, Any] = {"depth": 50, "width_factor": 0.125, "layout": "vggface2"}
    theirs = build_frame_resnet(FrameResNetConfig(**shape), 8631)
    torch.save(theirs.state_dict(), tmp_path / "faces.pt")
    model = seeded(**shape, frozen_stages=frozen)
    head = model.classifier.video_head[0].weight.clone()  # type: ignore[union-attr,operator]
    report = load_pretrained(model, tmp_path / "faces.pt")
    for name, part in model.backbone.state_dict().items():
        assert torch.equal(part, theirs.state_dict()[name])
    assert set(report.dropped) == {"fc.weight", "fc.bias"}
    assert all(name.startswith("classifier.") for name in report.left)
    assert torch.equal(model.classifier.video_head[0].weight, head)  # type: ignore[union-attr]


def test_what_is_no_snippet_or_no_box_of_it_is_refused() -> None:
    model, x = seeded(), snippets()
    with pytest.raises(ValueError, match=r"expected 3, got \(2, 5, 3, 70, 52\)"):
        model(torch.zeros(2, 5, 3, 70, 52), regions())
    with pytest.raises(ValueError, match=r"the axes \(B, T, 14, 4\), got \(2, 3, 13, 4\)"):
        model(x, regions()[:, :, :13])
    with pytest.raises(ValueError, match=r"boxes \(1, 3, 14, 4\) have 3 frames, expected 6"):
        model(x, regions()[:1])
    with pytest.raises(ValueError, match="of region 0 in frame 0 of snippet 0 is inverted"):
        model(x, regions().flip(3))
    long = torch.zeros(1, 3, 4, *SIZE)
    with pytest.raises(
        ValueError,
        match=r"a snippet has 4 frames, .* positions for 3; set max_frames to at least 4",
    ):
        model(long, torch.zeros(1, 4, 14, 4))


def test_defaults_are_the_papers() -> None:
    config = build(RegionAttentionConfig, {})
    assert region_attention_faults(config, num_frames=8, height=224, width=224) == []
    assert (config.depth, config.layout, config.frozen_stages) == (50, "vggface2", 3)
    with torch.device("meta"):
        model = build_region_attention(config, 6)
    trained = {n.split(".")[1] for n, p in model.named_parameters() if p.requires_grad}
    assert "layer4" in trained
    assert not trained & {"conv1", "bn1", "layer1", "layer2", "layer3", "fc"}
    assert model.classifier.project_region.in_features == 2048 * 9


def test_faults_are_reported_together() -> None:
    config = RegionAttentionConfig(
        depth=34, frozen_stages=4, map_stage=3, token_dim=9, num_heads=2, max_frames=4
    )
    faults = region_attention_faults(config, num_frames=8, height=18, width=224)
    assert [fault.split(" ")[:2] for fault in faults] == [
        ["height:", "18"],
        ["model.layout:", "vggface2"],
        ["model.frozen_stages:", "4"],
        ["model.num_heads:", "2"],
        ["model.max_frames:", "4"],
    ]
    assert (
        "is more than model.map_stage 3, the stage that the regions are read from; use 3"
        in faults[2]
    )
