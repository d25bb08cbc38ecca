from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from pdray.models.networks.frame_resnet import build_frame_resnet
from pdray.models.networks.frame_resnet_settings import FrameResNetConfig
from pdray.models.networks.i3d import build_i3d
from pdray.models.networks.i3d_settings import I3DConfig
from pdray.models.networks.pytorchvideo_settings import X3DConfig
from pdray.models.networks.resnet3d import build_resnet3d
from pdray.models.networks.resnet3d_settings import ResNet3DConfig
from pdray.models.networks.tsa import build_tsa
from pdray.models.networks.tsa_settings import TsaConfig
from pdray.models.networks.x3d import build_x3d
from pdray.models.weights.pixels import Pixels
from pdray.models.weights.published import (
    HARA_2018,
    HARA_2020,
    IMAGENET,
    MINUS_ONE_TO_ONE,
    PIXELS,
    PYTORCHVIDEO,
    VGGFACE2,
    find_places,
)
from pdray.models.weights.trained_pixels import Decision, decide, pixel_spread
from pdray.training.settings import FitConfig
from tests.fixtures.published_layouts import drawn


def pictures(pixels: Pixels, *, frames: int = 8) -> Tensor:
    """Return smooth SYNTHETIC pictures (4, 3, T, 48, 48) in 0..1 as a network saw them."""
    generator = torch.Generator().manual_seed(8)
    coarse = torch.rand(4, 1, 3, 7, 7, generator=generator)
    size = (frames, 48, 48)
    grey = functional.interpolate(coarse, size, mode="trilinear", align_corners=True)
    colour = torch.rand(4, 3, 1, 7, 7, generator=generator).expand(-1, -1, 3, -1, -1)
    p = 0.8 * grey + 0.2 * functional.interpolate(colour, size, mode="trilinear")
    p = (0.45 + (p - p.mean()) * 0.23 / p.std()).clamp(0, 1)
    shape = (3, 1, 1, 1)
    u = (p - torch.tensor(pixels.mean).view(shape)) / torch.tensor(pixels.std).view(shape)
    return u.flip(1) if pixels.is_bgr else u


def trained(network: Any, pixels: Pixels, *, conv: str, norm: str) -> dict[str, Tensor]:
    """Return a network's tensors, with the statistics that pictures leave behind its stem."""
    state: dict[str, Tensor] = network.state_dict()
    weight, u = state[f"{conv}.weight"], pictures(pixels)
    weight[::2] -= weight[::2].flatten(1).mean(1).view(-1, *[1] * (weight.ndim - 1))
    if weight.ndim == 4:
        y = functional.conv2d(u[:, :, 0], weight, stride=2).movedim(1, 0).flatten(1)
    else:
        y = functional.conv3d(u, weight, stride=(1, 2, 2)).movedim(1, 0).flatten(1)
    state[f"{norm}.running_mean"], state[f"{norm}.running_var"] = y.mean(1), y.var(1)
    return state


def hara(pixels: Pixels, classes: int, *, counters: bool, **changes: Any) -> dict[str, Tensor]:
    config = ResNet3DConfig(**{"depth": 10, "width_factor": 0.125, **changes})
    state = trained(drawn(build_resnet3d, config, classes), pixels, conv="conv1", norm="bn1")
    return {name: v for name, v in state.items() if counters or "num_batches" not in name}


def flat(pixels: Pixels, classes: int) -> dict[str, Tensor]:
    config = FrameResNetConfig(depth=18, width_factor=0.125)
    network = drawn(build_frame_resnet, config, classes)
    return trained(network, pixels, conv="conv1", norm="bn1")


def headless(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value for name, value in state.items() if not name.startswith("fc.")}


def decided(state: dict[str, Tensor], asked: str = "auto") -> Decision:
    (place,) = find_places(state)
    return decide(state, place, asked)


STATES: dict[str, tuple[Callable[[], dict[str, Tensor]], Pixels, str]] = {
    "2018, saved again with counters": (
        lambda: hara(HARA_2018, 400, counters=True), HARA_2018, "since its first layer",
    ),
    "2018 as published": (
        lambda: hara(HARA_2018, 400, counters=False), HARA_2018, "hara_2018 has 59",
    ),
    "2018, fine-tuned on UCF-101": (
        lambda: hara(HARA_2018, 101, counters=True), HARA_2018, "set pretrained_pixels",
    ),
    "2018, fine-tuned on HMDB-51, B": (
        lambda: hara(HARA_2018, 51, counters=False, shortcut="B"), HARA_2018, "hara_2018 (red",
    ),
    "2018, without a head": (
        lambda: headless(hara(HARA_2018, 400, counters=True)), HARA_2018, "hara_2020 has 0.84",
    ),
    "2018, stem of 3 frames, 100 classes": (
        lambda: hara(HARA_2018, 100, counters=True, stem_time_kernel=3), HARA_2018, "since",
    ),
    "2020 as published": (
        lambda: hara(HARA_2020, 700, counters=True, shortcut="B"), HARA_2020, "by its 700 classes;",
    ),
    "2020, trained on 400 classes, without counters": (
        lambda: hara(HARA_2020, 400, counters=False), HARA_2020, "hara_2020 (red",
    ),
    "2020, fine-tuned on UCF-101": (
        lambda: hara(HARA_2020, 101, counters=True), HARA_2020, "since its first layer",
    ),
    "ImageNet": (lambda: flat(IMAGENET, 1000), IMAGENET, "by its 1000 classes;"),
    "ImageNet, fine-tuned": (lambda: flat(IMAGENET, 7), IMAGENET, "vggface2 has 59"),
    "VGGFace2": (lambda: flat(VGGFACE2, 8631), VGGFACE2, "by its 8631 classes;"),
    "VGGFace2, fine-tuned": (lambda: flat(VGGFACE2, 7), VGGFACE2, "imagenet has 1"),
    "VGGFace2, without a head": (lambda: headless(flat(VGGFACE2, 7)), VGGFACE2, "blue first"),
}  # fmt: skip


@pytest.mark.parametrize("name", STATES)
def test_pixels_follow_from_what_survives_saving_again(name: str) -> None:
    make, pixels, said = STATES[name]
    found = decided(make())
    assert found.pixels == pixels
    assert said in found.told


@pytest.mark.parametrize("pixels", [HARA_2018, HARA_2020, MINUS_ONE_TO_ONE, PYTORCHVIDEO])
def test_the_spread_of_pixels_shows_in_the_first_layer(pixels: Pixels) -> None:
    expected = 0.23 / pixels.std[0]
    state = hara(pixels, 3, counters=True)
    assert pixel_spread(state, find_places(state)[0]) == pytest.approx(expected, rel=0.5)
    config = I3DConfig(width_factor=0.125)
    names = {"conv": "Conv3d_1a_7x7.conv3d", "norm": "Conv3d_1a_7x7.bn"}
    state = trained(drawn(build_i3d, config, 3), pixels, **names)
    assert pixel_spread(state, find_places(state)[0]) == pytest.approx(expected, rel=0.5)
    state = drawn(build_x3d, X3DConfig(depth_factor=0.5), 3).state_dict()
    space, time = (state[f"blocks.0.conv.{name}.weight"] for name in ("conv_t", "conv_xy"))
    y = functional.conv3d(functional.conv3d(pictures(pixels), space), time, groups=len(time))
    state["blocks.0.norm.running_var"] = y.var((0, 2, 3, 4))
    assert pixel_spread(state, find_places(state)[0]) == pytest.approx(expected, rel=0.5)


def test_a_scale_that_contradicts_the_classes_is_told() -> None:
    found = decided(hara(HARA_2018, 700, counters=True))
    assert found.pixels == HARA_2020
    assert "but its first layer has the scale of pixels with a spread of" in found.told
    raw = Pixels((0.0, 0.0, 0.0), (1 / 255, 1 / 255, 1 / 255))
    names = {"conv": "Conv3d_1a_7x7.conv3d", "norm": "Conv3d_1a_7x7.bn"}
    state = trained(drawn(build_i3d, I3DConfig(width_factor=0.125), 101), raw, **names)
    found = decided(state)
    assert found.pixels == MINUS_ONE_TO_ONE
    assert "(minus_one_to_one has 0.46): check this; if that is wrong, set pretr" in found.told


def test_a_setting_overrules_what_the_file_says() -> None:
    state = hara(HARA_2018, 101, counters=True)
    for name, pixels in PIXELS.items():
        found = decided(state, name)
        assert found.pixels == pixels
        assert found.told.startswith(f"pixels: trained on {name} (")
    assert decided(state, "pdray") == (None, "pixels: those of pdray, as pretrained_pixels says")
    # As earlier versions did: by counters, and not at all where the classes are unknown.
    assert decided(state, "earlier").pixels is None
    assert decided(hara(HARA_2018, 400, counters=True), "earlier").pixels == HARA_2020
    assert decided(hara(HARA_2018, 400, counters=False), "earlier").pixels == HARA_2018


def test_the_setting_knows_every_kind_of_pixels() -> None:
    field = FitConfig.model_fields["pretrained_pixels"]
    assert set(field.annotation.__args__) == {"auto", "pdray", "earlier", *PIXELS}  # type: ignore[union-attr]


def test_networks_that_pdray_alone_trains_saw_its_pixels() -> None:
    tsa = TsaConfig(depth=10, width_factor=0.125, max_frames=32)
    files = [
        drawn(build_resnet3d, ResNet3DConfig(depth=10, width_factor=0.125, norm="group"), 400),
        drawn(build_tsa, tsa, 400),
    ]
    states = [file.state_dict() for file in files]
    states.append({**hara(HARA_2018, 400, counters=True), "conv1.zero_pixel": torch.zeros(3)})
    for state in states:
        assert decided(state) == (None, "pixels: those of pdray, which alone trains such a network")
    flow = drawn(build_resnet3d, ResNet3DConfig(depth=10, width_factor=0.125), 400, 2)
    assert decided(flow.state_dict()) == (None, "")
