"""Generator and discriminator: published layouts, and values of independent float64 code."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import nn

from pdray.models.networks.translator import (
    PatchDiscriminator,
    ResnetGenerator,
    build_discriminator,
    build_generator,
)
from pdray.models.networks.translator_settings import (
    CUTConfig,
    CycleGANConfig,
    translator_faults,
    two_class_faults,
)
from tests.fixtures import plain_pictures as plain
from tests.fixtures.networks import draw, seeded
from tests.fixtures.plain_pictures import Picture, fill_by_rule


def count(network: nn.Module) -> int:
    return sum(weight.numel() for weight in network.parameters())


def conv_shapes(network: nn.Module, x: torch.Tensor) -> list[tuple[int, ...]]:
    """Return the shape behind each convolution, without the pictures' axis, in their order."""
    shapes: list[tuple[int, ...]] = []
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            layer.register_forward_hook(lambda _m, _i, out: shapes.append(tuple(out.shape[1:])))
    with torch.no_grad():
        network(x)
    return shapes


@pytest.mark.parametrize("is_antialiased", [False, True])
def test_the_generator_has_the_published_layout(is_antialiased: bool) -> None:
    network = ResnetGenerator(width=64, num_blocks=9, is_antialiased=is_antialiased)
    assert count(network) == 11_378_179  # 11.378 M
    first, second = (32, 16) if is_antialiased else (16, 8)
    assert conv_shapes(network, torch.zeros(1, 3, 32, 32)) == [
        (64, 32, 32), (128, first, first), (256, second, second),
        *[(256, 8, 8)] * 18,
        (128, 16, 16), (64, 32, 32), (3, 32, 32),
    ]  # fmt: skip


def test_the_discriminator_has_the_published_layout() -> None:
    with torch.device("meta"):
        network = PatchDiscriminator(width=64, num_layers=3)
        x = torch.empty(1, 3, 256, 256)
    assert count(network) == 2_764_737  # 2.765 M
    assert conv_shapes(network, x) == [
        (64, 128, 128), (128, 64, 64), (256, 32, 32), (512, 31, 31), (1, 30, 30),
    ]  # fmt: skip


@pytest.mark.parametrize(("num_layers", "patch"), [(1, 16), (2, 34), (3, 70)])
def test_a_score_depends_on_a_patch_of_the_published_size(num_layers: int, patch: int) -> None:
    network = PatchDiscriminator(width=2, num_layers=num_layers).double()
    # Without norms, which mix all places, only the convolutions reach.
    layers = [*network.convs, network.head]
    for layer in layers:
        nn.init.constant_(layer.weight, 1.0)
    x = torch.zeros(1, 3, 160, 160, dtype=torch.float64, requires_grad=True)
    y = nn.Sequential(*layers)(x)
    middle = y.shape[-1] // 2
    (slope,) = torch.autograd.grad(y[0, 0, middle, middle], x)
    reached = slope[0, 0].abs().sum(dim=0).nonzero()
    assert len(reached) == patch == int(reached[-1] - reached[0]) + 1


@pytest.mark.parametrize("is_antialiased", [False, True])
@pytest.mark.parametrize("num_blocks", [1, 2, 3])
def test_the_generator_computes_what_independent_code_computes(
    is_antialiased: bool, num_blocks: int
) -> None:
    network = ResnetGenerator(width=2, num_blocks=num_blocks, is_antialiased=is_antialiased)
    network = network.double()
    weights = fill_by_rule(network)
    x = draw(2, 3, 16, 20).clamp(-1, 1)
    with torch.no_grad():
        found, maps = network.with_maps(x)
    how = {"num_blocks": num_blocks, "is_antialiased": is_antialiased}
    right, right_maps = plain.generate(x.numpy(), weights, **how)  # type: ignore[arg-type]
    np.testing.assert_allclose(found.numpy(), right, rtol=0, atol=1e-12)
    assert right.std() > 0.1
    check_maps(maps, right_maps)
    assert [one.shape[1] for one in maps] == list(network.map_widths)
    with torch.no_grad():
        check_maps(network.maps(x), right_maps)
        assert torch.equal(network(x), found)


def check_maps(found: Sequence[torch.Tensor], right: Sequence[Picture]) -> None:
    assert len(found) == len(right)
    for one, other in zip(found, right, strict=True):
        np.testing.assert_allclose(one.numpy(), other, rtol=0, atol=1e-12)


@pytest.mark.parametrize("num_layers", [1, 3, 4])
def test_the_discriminator_computes_what_independent_code_computes(num_layers: int) -> None:
    network = PatchDiscriminator(width=1, num_layers=num_layers).double()
    weights = fill_by_rule(network)
    x = draw(2, 3, 48, 64).clamp(-1, 1)
    right = plain.score(x.numpy(), weights, num_layers=num_layers)
    with torch.no_grad():
        np.testing.assert_allclose(network(x).numpy(), right, rtol=0, atol=1e-12)
    assert right.shape[2:] == (48 // 2**num_layers - 2, 64 // 2**num_layers - 2)
    assert [conv.weight.shape[0] for conv in network.convs] == [1, 2, 4, 8, 8][: num_layers + 1]


def test_maps_of_cut_see_the_published_fields() -> None:
    network = ResnetGenerator(width=1, num_blocks=9, is_antialiased=True).double()
    fields = []
    for weight in network.parameters():
        nn.init.constant_(weight, 1.0)
    x = torch.zeros(1, 3, 160, 160, dtype=torch.float64, requires_grad=True)
    with pytest.MonkeyPatch.context() as patch:  # norms mix all places, so they are left out
        patch.setattr(nn.functional, "instance_norm", lambda x: x)
        for one in network.maps(x):
            middle = one.shape[-1] // 2
            (slope,) = torch.autograd.grad(one[0, 0, middle, middle], x, retain_graph=True)
            fields.append(len(slope[0, 0].abs().sum(dim=0).nonzero()))
    assert fields == [1, 9, 15, 35, 99]  # Park et al. 2020, appendix C.1


def test_a_residual_generator_starts_at_the_source_and_adds_to_it() -> None:
    network = ResnetGenerator(width=2, num_blocks=1, is_antialiased=True, is_residual=True).double()
    x = draw(2, 3, 16, 16).clamp(-1, 1)
    with torch.no_grad():
        assert torch.equal(network(x), x)
        weights = fill_by_rule(network)
        found = network(x).numpy()
    change, _ = plain.generate(x.numpy(), weights, num_blocks=1, is_antialiased=True)
    np.testing.assert_allclose(found, np.clip(x.numpy() + change, -1, 1), rtol=0, atol=1e-12)


def test_weights_are_drawn_with_the_published_spread() -> None:
    generator = seeded(lambda: build_generator(CUTConfig(num_blocks=1), is_antialiased=True))
    for name, weight in generator.named_parameters():
        if name.endswith("bias"):
            assert not weight.any()
        else:
            assert weight.std().item() == pytest.approx(0.02, rel=0.05), name


def test_settings_are_the_published_ones_and_reach_the_networks() -> None:
    assert CycleGANConfig().model_dump() == {
        "name": "cyclegan", "width_factor": 1.0, "num_blocks": 9, "discriminator_layers": 3,
        "residual": False, "learning_rate": 2e-4, "change_weight": 0.0,
        "discriminator_rate": 1.0, "other_weight": 0.0,
        "cycle_weight": 10.0, "identity_weight": 0.5, "pool_size": 50,
    }  # fmt: skip
    assert CUTConfig().model_dump() == {
        "name": "cut", "width_factor": 1.0, "num_blocks": 9, "discriminator_layers": 3,
        "residual": False, "learning_rate": 2e-4, "change_weight": 0.0,
        "discriminator_rate": 1.0, "other_weight": 0.0,
        "patch_weight": 1.0, "identity_weight": 1.0, "num_patches": 256,
        "temperature": 0.07,
    }  # fmt: skip
    small = build_generator(CUTConfig(width_factor=0.125, num_blocks=2), is_antialiased=True)
    assert small.stem.weight.shape[0] == 8
    assert len(small.blocks) == 2
    assert build_discriminator(0.125, 2).convs[0].weight.shape[0] == 8


def test_sizes_that_the_networks_cannot_take_are_refused() -> None:
    def faults(side: int, width: int | None = None, **settings: float) -> list[str]:
        config = CUTConfig.model_validate(settings)
        return translator_faults(config, num_frames=1, height=side, width=width or side)

    assert [faults(side) for side in (64, 96, 256, 512)] == [[]] * 4
    assert faults(70) == ["height: 70 px are no multiple of 4; use 68"]
    assert faults(48) == ["height: 48 px are outside 64 to 512 px; use 64"]
    assert faults(64, discriminator_layers=5) == ["height: 64 px are outside 96 to 512 px; use 96"]
    assert faults(64, 96) == ["height: 64 px differ from the width of 96 px; use squares"]
    assert faults(64, width_factor=0.01) == [
        "model.width_factor: 0.01 leaves the first stage without channels; use at least 0.015625"
    ]


def test_more_than_two_classes_are_refused() -> None:
    assert two_class_faults(CUTConfig(), 2) == []
    assert two_class_faults(CycleGANConfig(), 3) == [
        "model.name: cyclegan translates to one class, but there are 3 classes; join them "
        "(data.grade_cuts=[1]), or set model.name=hrfae"
    ]


def test_the_smallest_accepted_pictures_can_be_scored() -> None:
    for num_layers in range(1, 6):
        side = 3 * 2**num_layers
        network = PatchDiscriminator(width=1, num_layers=num_layers)
        assert network(torch.zeros(1, 3, side, side)).shape == (1, 1, 1, 1)
