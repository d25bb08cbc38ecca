from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from pdray.models.layers.vision import load_torchvision
from pdray.models.networks.c2d import build_c2d
from pdray.models.networks.frame_resnet import build_frame_resnet, build_two_stream
from pdray.models.networks.frame_resnet_settings import FrameResNetConfig, TwoStreamConfig
from pdray.models.networks.i3d import build_i3d
from pdray.models.networks.i3d_settings import I3DConfig
from pdray.models.networks.pytorchvideo_settings import C2DConfig, SlowFastConfig, X3DConfig
from pdray.models.networks.r3d import build_r3d
from pdray.models.networks.resnet3d import build_resnet3d
from pdray.models.networks.resnet3d_settings import ResNet3DConfig
from pdray.models.networks.slowfast import build_slowfast
from pdray.models.networks.torchvision_settings import R3DConfig
from pdray.models.networks.tsa import build_tsa
from pdray.models.networks.tsa_settings import TsaConfig
from pdray.models.networks.x3d import build_x3d
from pdray.models.weights.pixels import Pixels, Stem
from pdray.models.weights.published import (
    C2D,
    FAMILIES,
    GOOGLENET,
    HARA_2018,
    HARA_2020,
    I3D,
    IMAGENET,
    MINUS_ONE_TO_ONE,
    R3D,
    RESNET2D,
    RESNET3D,
    S3D,
    SLOWFAST,
    TORCHVISION_VIDEO,
    VGGFACE2,
    X3D,
    Family,
    Pair,
    Place,
    describe,
    find_places,
    num_classes,
    trait_faults,
    traits,
)
from pdray.models.weights.trained_pixels import decide
from tests.fixtures.published_layouts import Drawing, State, piergiaj, residual_state


def shapes(make: Callable[[], Any]) -> dict[str, Tensor]:
    """Return a network's tensors without their numbers."""
    with torch.device("meta"):
        state: dict[str, Tensor] = make().state_dict()
    return state


def hara(depth: int, **changes: Any) -> State:
    settings = {"shortcut": "B", "num_classes": 400, "kernel": (7, 7, 7), "has_counters": False}
    return residual_state(depth, **{**settings, **changes})


@pytest.fixture(autouse=True)
def draw_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the lists of shapes without drawing their millions of numbers."""

    def conv(drawing: Drawing, name: str, *shape: int) -> None:
        drawing.state[f"{name}.weight"] = torch.empty(shape, device="meta")

    monkeypatch.setattr(Drawing, "conv", conv)


VIDEO = load_torchvision().models.video
FILES: dict[str, tuple[Callable[[], dict[str, Tensor]], Family, Pixels | None]] = {
    "rgb_imagenet.pt": (lambda: piergiaj(3), I3D, MINUS_ONE_TO_ONE),
    "flow_imagenet.pt": (lambda: piergiaj(2), I3D, None),
    "resnet-34-kinetics.pth": (lambda: hara(34, shortcut="A"), RESNET3D, HARA_2018),
    "resnet-50-kinetics.pth": (lambda: hara(50), RESNET3D, HARA_2018),
    "r3d50_K_200ep.pth": (
        lambda: hara(50, num_classes=700, has_counters=True),
        RESNET3D,
        HARA_2020,
    ),
    "resnet50_ft_weight.pkl": (
        lambda: hara(50, num_classes=8631, kernel=(7, 7)),
        RESNET2D,
        VGGFACE2,
    ),
    "resnet50 of torchvision": (
        lambda: shapes(load_torchvision().models.resnet50),
        RESNET2D,
        IMAGENET,
    ),
    "googlenet": (
        lambda: shapes(lambda: load_torchvision().models.googlenet(init_weights=False)),
        GOOGLENET,
        MINUS_ONE_TO_ONE,
    ),
    "r3d_18": (lambda: shapes(VIDEO.r3d_18), R3D, TORCHVISION_VIDEO),
    "s3d": (lambda: shapes(VIDEO.s3d), S3D, TORCHVISION_VIDEO),
}

NETWORKS: dict[str, tuple[Callable[[], Any], Family]] = {
    "i3d": (lambda: build_i3d(I3DConfig(), 400), I3D),
    "resnet3d": (lambda: build_resnet3d(ResNet3DConfig(), 400), RESNET3D),
    "tsa": (lambda: build_tsa(TsaConfig(), 400), RESNET3D),
    "slowfast": (lambda: build_slowfast(SlowFastConfig(), 400), SLOWFAST),
    "x3d": (lambda: build_x3d(X3DConfig(), 400), X3D),
    "c2d": (lambda: build_c2d(C2DConfig(), 400), C2D),
    "frame_resnet": (lambda: build_frame_resnet(FrameResNetConfig(), 400), RESNET2D),
    "two_stream": (lambda: build_two_stream(TwoStreamConfig(), 400, 2), RESNET2D),
    "r3d": (lambda: build_r3d(R3DConfig(), 400), R3D),
}


@pytest.mark.parametrize("name", FILES)
def test_a_published_file_is_recognised(name: str) -> None:
    make, family, pixels = FILES[name]
    state = make()
    assert find_places(state) == [Place(family, "")]
    assert decide(state, Place(family, ""), "earlier").pixels == pixels


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_is_recognised_wherever_it_lies(name: str) -> None:
    make, family = NETWORKS[name]
    state = shapes(make)
    assert find_places(state) == [Place(family, "")]
    assert num_classes(state, Place(family, "")) == 400
    inside = {f"_orig_mod.backbone.{key}": value for key, value in state.items()}
    assert find_places(inside) == [Place(family, "_orig_mod.backbone.")]
    both = {f"{side}.{key}": value for side in ("b", "a") for key, value in state.items()}
    assert find_places(both) == [Place(family, "a."), Place(family, "b.")]


@pytest.mark.parametrize("name", [name for name in FILES if "imagenet" not in name])
def test_earlier_versions_took_other_classes_for_other_pixels(name: str) -> None:
    make, family, _ = FILES[name]
    state, head = make(), f"{family.head}.weight"
    state[head] = state[head][:5]
    assert decide(state, Place(family, ""), "earlier").pixels is None
    del state[head]
    assert num_classes(state, Place(family, "")) is None
    assert decide(state, Place(family, ""), "earlier").pixels is None


def test_group_norm_has_no_published_pixels() -> None:
    state = shapes(lambda: build_resnet3d(ResNet3DConfig(norm="group"), 400))
    assert decide(state, Place(RESNET3D, "")).pixels is None
    assert decide(state, Place(RESNET3D, ""), "earlier").pixels is None


def test_families_have_stems_that_their_files_have() -> None:
    assert len({family.title for family in FAMILIES}) == len(FAMILIES)
    states = [make() for make, _, _ in FILES.values()] + [
        shapes(make) for make, _ in NETWORKS.values()
    ]
    seen = set()
    for state in states:
        (place,) = find_places(state)
        seen.add(place.family)
        for stem in place.stems:
            assert {f"{conv}.weight" for conv in stem.convs} <= set(state)
            assert f"{stem.norm}.running_mean" in state
            assert (
                state[f"{stem.norm}.weight"].shape[0] == state[f"{stem.convs[-1]}.weight"].shape[0]
            )
        assert f"{place.family.head}.bias" in state
    assert seen == set(FAMILIES)


def test_stems_carry_the_prefix() -> None:
    assert Place(X3D, "backbone.").stems == (
        Stem(
            ("backbone.blocks.0.conv.conv_t", "backbone.blocks.0.conv.conv_xy"),
            "backbone.blocks.0.norm",
        ),
    )


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, {"depth": "34", "shortcut": "A", "stem_time_kernel": "7", "norm": "batch"}),
        ({"depth": 18, "norm": "group"}, {"depth": "18", "norm": "group"}),
        ({"depth": 50, "shortcut": "B"}, {"depth": "50", "shortcut": "B"}),
        ({"depth": 10, "width_factor": 0.5}, {"depth": "10", "width": "32"}),
        ({"depth": 152, "stem_time_kernel": 3}, {"depth": "152", "stem_time_kernel": "3"}),
        ({"depth": 101}, {"depth": "101", "channels": "3"}),
    ],
)
def test_traits_are_those_of_the_settings(
    changes: dict[str, Any], expected: dict[str, str]
) -> None:
    config = ResNet3DConfig(**changes)
    found = traits(shapes(lambda: build_resnet3d(config, 2)), Place(RESNET3D, ""))
    assert found.items() >= expected.items()


def test_attention_does_not_hide_the_depth() -> None:
    state = shapes(lambda: build_tsa(TsaConfig(depth=18, attention_depth=4), 2))
    assert traits(state, Place(RESNET3D, ""))["depth"] == "18"


def test_an_unknown_depth_is_told_by_its_blocks() -> None:
    state = hara(18)
    for name in [name for name in state if name.startswith("layer2.1.")]:
        del state[name]
    found = traits(state, Place(RESNET3D, ""))
    assert found["depth"] == "of (2, 1, 2, 2) basic blocks"


def test_differing_traits_are_named_with_what_would_be_right() -> None:
    own = shapes(lambda: build_resnet3d(ResNet3DConfig(depth=18, shortcut="B"), 3))
    pair = Pair(Place(RESNET3D, ""), Place(RESNET3D, ""))
    assert trait_faults(hara(34, shortcut="A"), own, pair) == [
        "depth is 34 in the file and 18 in the network; set model.depth=34 or use another file",
        "shortcut is A in the file and B in the network; set model.shortcut=A or use another file",
    ]
    assert trait_faults(hara(18), own, pair) == []


def test_colours_fit_any_number_of_channels_and_nothing_else_does() -> None:
    flow = shapes(lambda: build_i3d(I3DConfig(), 3, 2))
    pair = Pair(Place(I3D, ""), Place(I3D, ""))
    assert trait_faults(piergiaj(3), flow, pair) == []
    assert trait_faults(flow, piergiaj(3), pair) == [
        "channels is 2 in the file and 3 in the network; use another file"
    ]


def test_weights_are_described() -> None:
    state = hara(34, shortcut="A")
    assert describe(state, find_places(state)) == (
        "3D ResNet (Hara) with depth 34, shortcut A, stem_time_kernel 7, norm batch, width 64, "
        "channels 3, 400 classes"
    )
    del state["fc.weight"]
    assert describe(state, find_places(state)).endswith("channels 3, no head")
    assert describe({"a": torch.ones(1)}, []) == "1 tensors of no known family"
