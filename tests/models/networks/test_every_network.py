"""What all networks share, at sizes that leave rests: maps, head, channels, dropout, gradients.

Whatever size they are given is in ``tests/contracts/test_models.py``.
"""

import hashlib
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch

from pdray.models import NETWORKS
from tests.fixtures.networks import check_same_logits, draw, map_shapes, public, seeded

EIGHTH = {"depth": 14, "width_factor": 0.125}


@dataclass(frozen=True)
class Case:
    """A network of three classes, a snippet, and what comes of it.

    Attributes:
        key: Of ``NETWORKS``.
        size: Of a snippet (C, T, H, W).
        num_features: Of the head.
        maps: Shapes of the layers of ``MAP_LAYERS``, without the snippets' axis.
        settings: Of the network, dropout apart.
    """

    key: str
    size: tuple[int, int, int, int]
    num_features: int
    maps: tuple[tuple[int, ...], ...]
    settings: dict[str, Any] = field(default_factory=dict)


CASES = {
    "c2d": Case("c2d", (3, 6, 40, 65), 256, (
        (8, 6, 10, 17), (32, 6, 10, 17), (64, 3, 5, 9), (128, 3, 3, 5), (256, 3, 2, 3),
    ), EIGHTH),
    "slowfast": Case("slowfast", (3, 10, 40, 65), 320, (
        (2, 10, 10, 17), (8, 3, 10, 17), (8, 10, 10, 17), (32, 3, 10, 17), (16, 10, 5, 9),
        (64, 3, 5, 9), (32, 10, 3, 5), (128, 3, 3, 5), (64, 10, 2, 3), (256, 3, 2, 3),
    ), {**EIGHTH, "width_ratio": 4}),
    "x3d": Case("x3d", (3, 5, 40, 65), 16, (
        (8, 5, 20, 33), (8, 5, 10, 17), (16, 5, 5, 9), (24, 5, 3, 5), (48, 5, 2, 3),
    ), {"width_factor": 0.5, "depth_factor": 0.6, "num_features": 16}),
    "frame_resnet of flow": Case("frame_resnet", (2, 3, 64, 32), 256, (
        (32, 16, 8), (64, 8, 4), (128, 4, 2), (256, 2, 1),
    ), {"depth": 50, "width_factor": 0.125}),
    "two_stream": Case("two_stream", (2, 5, 32, 64), 64, (
        (8, 8, 16), (16, 4, 8), (32, 2, 4), (64, 1, 2),
    ), {"depth": 18, "width_factor": 0.125, "stacked_frames": 5}),
    "resnet3d": Case("resnet3d", (3, 8, 32, 32), 64, (
        (8, 4, 8, 8), (16, 2, 4, 4), (32, 1, 2, 2), (64, 1, 1, 1),
    ), {"depth": 10, "width_factor": 0.125}),
    "r3d": Case("r3d", (3, 8, 32, 20), 512, (
        (64, 8, 16, 10), (64, 8, 16, 10), (128, 4, 8, 5), (256, 2, 4, 3), (512, 1, 2, 2),
    )),
    "s3d": Case("s3d", (3, 16, 64, 40), 1024, (
        (64, 8, 32, 20), (192, 8, 16, 10), (480, 8, 8, 5), (832, 4, 4, 3), (1024, 2, 2, 1),
    )),
    "i3d": Case("i3d", (3, 16, 48, 40), 64, (
        (4, 8, 24, 20), (12, 8, 12, 10), (30, 8, 6, 5), (52, 4, 3, 3), (64, 2, 2, 2),
    ), {"width_factor": 0.0625}),
    "i3d of other strides": Case("i3d", (3, 16, 48, 40), 64, (
        (4, 16, 24, 20), (12, 16, 12, 10), (30, 16, 6, 5), (52, 8, 3, 3), (64, 8, 2, 2),
    ), {"width_factor": 0.0625, "temporal_stride": "121"}),
}  # fmt: skip
EVERY_CASE = pytest.mark.parametrize("name", CASES)


def built(name: str, num_channels: int | None = None, dropout: float = 0.5) -> Any:
    case = CASES[name]
    config = NETWORKS[case.key].settings(**case.settings, dropout=dropout)
    channels = case.size[0] if num_channels is None else num_channels
    return seeded(NETWORKS[case.key].build, config, 3, channels)


@EVERY_CASE
def test_maps_head_dropout_and_channels(name: str) -> None:
    model, case = built(name), CASES[name]
    x = draw(2, *case.size, dtype=torch.float32)
    shapes = list(map_shapes(model, x).values())
    assert [shape[1:] for shape in shapes] == list(case.maps)
    # Maps of a network of frames have no axis of time: all frames stand one after the other.
    assert {shape[0] for shape in shapes} <= {2, 2 * case.size[1]}
    with torch.no_grad(), torch.random.fork_rng():
        f = model.eval().features(x)
        assert f.shape == (2, model.num_features) == (2, case.num_features)
        assert torch.equal(model.classify(f), model(x))
        ones = torch.ones(4, case.num_features)
        assert torch.equal(model.classify(ones), model.classify(ones))
        assert not torch.equal(model.train().classify(ones), model.classify(ones))
    other = 5 - case.size[0]
    got = ", ".join(str(size) for size in (1, other, *case.size[1:]))
    with pytest.raises(ValueError, match=rf"expected {case.size[0]}, got \({got}\)"):
        model(torch.zeros(1, other, *case.size[1:]))


@pytest.mark.parametrize("num_channels", [2, 3])
@pytest.mark.parametrize("name", ["r3d", "s3d", "i3d"])
def test_every_parameter_has_a_gradient_at_the_least_odd_size(name: str, num_channels: int) -> None:
    # Of 5 frames, the first temporal kernel of s3d's 7 reaches over both ends.
    model = built(name, num_channels, dropout=0.0)
    model(draw(2, num_channels, 5, 17, 19, dtype=torch.float32)).square().sum().backward()
    for parameter_name, parameter in model.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.isfinite().all(), parameter_name
        assert parameter.grad.any(), parameter_name


@pytest.mark.parametrize("side", [3, 4])
@pytest.mark.parametrize(
    ("name", "layer", "num_frames"),
    [("c2d", "blocks.4", 2), ("slowfast", "blocks.3.multipathway_blocks.1", 5),
     ("x3d", "blocks.3", 1)],
)  # fmt: skip
def test_a_side_is_a_fault_when_nothing_is_left_to_halve(
    name: str, layer: str, num_frames: int, side: int
) -> None:
    for size in (1, 15, 16, 17, 18, 33):
        shape = [1, 3, num_frames, 40, 40]
        shape[side] = size
        case = CASES[name]
        entry = NETWORKS[case.key]
        shapes = map_shapes(built(name), torch.ones(shape))
        faults = entry.faults(
            entry.settings(**case.settings), num_frames=num_frames, height=shape[3], width=shape[4]
        )
        assert bool(faults) == (shapes[layer][side] == 1), size
        begin = [["", "", "", "height:", "width:"][side], str(size)]
        assert [fault.split(" ")[:2] for fault in faults] == [begin] * len(faults)


# Tensors, parameters, and the hash of "name shape" of every tensor, sorted: those of pytorchvideo
# 0.1.5, whose models.hub reads the public checkpoints C2D_8x8_R50, SLOWFAST_8x8_R50 and X3D_XS.
@pytest.mark.parametrize(
    ("key", "num_tensors", "num_parameters", "digest"),
    [
        ("c2d", 320, 24_327_632, "7b67fbaf620347b7"),
        ("slowfast", 662, 34_566_488, "b64258d537dd0d36"),
        ("x3d", 563, 3_794_274, "92cf6db9a1a73822"),
    ],
)
def test_names_and_shapes_are_those_of_the_public_checkpoint(
    key: str, num_tensors: int, num_parameters: int, digest: str
) -> None:
    with torch.device("meta"):
        model = NETWORKS[key].build(NETWORKS[key].settings(), 400, 3)
    lines = sorted(f"{name} {tuple(t.shape)}" for name, t in model.state_dict().items())
    assert len(lines) == num_tensors
    assert sum(p.numel() for p in model.parameters()) == num_parameters
    assert hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16] == digest


# Larger than the training snippets, so that the windows of the heads slide.
@pytest.mark.parametrize(
    ("key", "theirs", "options", "settings", "size"),
    [
        ("c2d", "c2d_r50", {"stem_dim_out": 8}, {"width_factor": 0.125}, (11, 224, 256)),
        ("slowfast", "slowfast_r50", {"stem_dim_outs": (8, 1)}, {"width_factor": 0.125},
         (33, 224, 256)),
        ("x3d", "x3d_xs", {"head_activation": None}, {}, (5, 182, 182)),
    ],
)  # fmt: skip
def test_the_public_model_gives_the_same_logits(
    key: str, theirs: str, options: Any, settings: Any, size: tuple[int, int, int]
) -> None:
    other, x = public(theirs, **options), draw(1, 3, *size, dtype=torch.float32)
    model = NETWORKS[key].build(NETWORKS[key].settings(**settings), 400, 3)
    check_same_logits(model, x, other, [x[:, :, ::4], x] if key == "slowfast" else x)
