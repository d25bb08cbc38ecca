from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pdray.config import build
from pdray.errors import SettingsError
from pdray.models.layers.vision import load_torchvision
from pdray.models.networks.resnet3d import ResNet3D, build_resnet3d
from pdray.models.networks.resnet3d_settings import (
    PLACES,
    SPACE_STRIDES,
    ResNet3DConfig,
    resnet3d_faults,
    sizes_after,
    time_steps,
)
from tests.fixtures.networks import draw, seeded, slow_conv, slow_norm, state_of, wake


def small(**changes: Any) -> ResNet3DConfig:
    return ResNet3DConfig(**{"depth": 10, "width_factor": 0.125, **changes})


def sizes_seen(model: ResNet3D, x: Tensor) -> list[tuple[int, ...]]:
    seen: list[tuple[int, ...]] = []
    hooks = [
        module.register_forward_hook(lambda _m, _i, out: seen.append(tuple(out.shape[2:])))
        for module in (model.conv1, model.maxpool, *stages(model))
    ]
    with torch.no_grad():
        model.eval()(x)
    for hook in hooks:
        hook.remove()
    return seen


def stages(model: ResNet3D) -> list[nn.Module]:
    return [model.layer1, model.layer2, model.layer3, model.layer4]


def slow_shortcut(
    x: Tensor, state: dict[str, Tensor], key: str, stride: tuple[int, ...], channels: int
) -> Tensor:
    if f"{key}.downsample.0.weight" in state:
        y = slow_conv(x, state[f"{key}.downsample.0.weight"], stride, (0, 0, 0))
        return slow_norm(y, state, f"{key}.downsample.1")
    y = nn.functional.avg_pool3d(x, 1, stride)
    return torch.cat([y, y.new_zeros(len(y), channels - y.shape[1], *y.shape[2:])], dim=1)


def slow_block(x: Tensor, state: dict[str, Tensor], key: str, stride: tuple[int, ...]) -> Tensor:
    one, none = (1, 1, 1), (0, 0, 0)
    if f"{key}.conv3.weight" in state:
        plan = [(one, none), (stride, one), (one, none)]
    else:
        plan = [(stride, one), (one, one)]
    y = x
    for number, (step, padding) in enumerate(plan, start=1):
        y = slow_conv(y, state[f"{key}.conv{number}.weight"], step, padding)
        y = slow_norm(y, state, f"{key}.bn{number}")
        y = y.clamp(min=0) if number < len(plan) else y
    return (y + slow_shortcut(x, state, key, stride, y.shape[1])).clamp(min=0)


def slow_forward(model: ResNet3D, x: Tensor, temporal_stride: str, num_blocks: list[int]) -> Tensor:
    state = state_of(model)
    digits = [int(digit) for digit in temporal_stride]
    kernel = state["conv1.weight"].shape[2]
    y = slow_conv(x, state["conv1.weight"], (digits[0], 2, 2), (kernel // 2, 3, 3))
    y = slow_norm(y, state, "bn1").clamp(min=0)
    y = nn.functional.pad(y, (1, 1, 1, 1, 1, 1), value=-torch.inf)
    y = y.unfold(2, 3, digits[1]).unfold(3, 3, 2).unfold(4, 3, 2).amax(dim=(5, 6, 7))
    for stage in range(1, 5):
        space = 1 if stage == 1 else 2
        for number in range(num_blocks[stage - 1]):
            stride = (digits[stage + 1], space, space) if number == 0 else (1, 1, 1)
            y = slow_block(y, state, f"layer{stage}.{number}", stride)
    logits: Tensor = y.mean(dim=(2, 3, 4)) @ state["fc.weight"].T + state["fc.bias"]
    return logits


@pytest.mark.parametrize("shortcut", ["A", "B"])
@pytest.mark.parametrize(("depth", "num_blocks"), [(10, [1, 1, 1, 1]), (50, [3, 4, 6, 3])])
@pytest.mark.parametrize("temporal_stride", ["121222", "212111"])
def test_forward_is_the_written_out_network(
    depth: int, num_blocks: list[int], shortcut: str, temporal_stride: str
) -> None:
    config = small(depth=depth, shortcut=shortcut, temporal_stride=temporal_stride)
    model = wake(seeded(build_resnet3d, config, 3)).double().eval()
    x = draw(2, 3, 9, 21, 18)
    with torch.no_grad():
        expected = slow_forward(model, x, temporal_stride, num_blocks)
        # Float64 throughout: only the order of summation differs.
        torch.testing.assert_close(model(x), expected, rtol=1e-9, atol=1e-9)


def test_a_network_of_torchvision_gives_the_same_features() -> None:
    other = load_torchvision().models.video.r3d_18().double().eval()
    config = ResNet3DConfig(depth=18, shortcut="B", temporal_stride="111222", stem_time_kernel=3)
    model = seeded(build_resnet3d, config, 400).double().eval()
    renamed = {}
    for name, tensor in other.state_dict().items():
        name = name.replace("stem.0", "conv1").replace("stem.1", "bn1")
        for number in (1, 2):
            name = name.replace(f"conv{number}.0.", f"conv{number}.")
            name = name.replace(f".conv{number}.1.", f".bn{number}.")
        renamed[name] = tensor
    model.load_state_dict(renamed)
    x = draw(1, 3, 4, 32, 32)
    with torch.no_grad():
        y = model.relu(model.bn1(model.conv1(x)))  # torchvision has no pool after its stem
        for stage in stages(model):
            y = stage(y)
        torch.testing.assert_close(model.fc(y.mean(dim=(2, 3, 4))), other(x))


def test_resnet18_has_as_many_parameters_as_torchvision_publishes() -> None:
    # torchvision documents num_params 33371472 for r3d_18, whose stem is 3 frames long.
    config = ResNet3DConfig(depth=18, shortcut="B", stem_time_kernel=3)
    with torch.device("meta"):
        model = build_resnet3d(config, 400)
    assert sum(p.numel() for p in model.parameters()) == 33_371_472


@pytest.mark.parametrize(
    ("depth", "shortcut", "num_convolutions"),
    [(10, "A", 9), (18, "A", 17), (34, "A", 33), (34, "B", 36), (50, "B", 53), (101, "B", 104)],
)
def test_depth_counts_convolutions(depth: int, shortcut: str, num_convolutions: int) -> None:
    config = ResNet3DConfig(depth=depth, shortcut=shortcut)  # type: ignore[arg-type]
    with torch.device("meta"):
        model = build_resnet3d(config, 2)
    count = sum(isinstance(module, nn.Conv3d) for module in model.modules())
    assert count == num_convolutions


def test_parameter_names_and_shapes_are_those_of_the_public_code() -> None:
    with torch.device("meta"):
        state = build_resnet3d(ResNet3DConfig(depth=50, shortcut="B"), 400).state_dict()
    norm = {"weight", "bias", "running_mean", "running_var", "num_batches_tracked"}
    expected = {"conv1.weight", "fc.weight", "fc.bias", *(f"bn1.{name}" for name in norm)}
    for stage, count in enumerate((3, 4, 6, 3), start=1):
        for block in range(count):
            for number in (1, 2, 3):
                expected.add(f"layer{stage}.{block}.conv{number}.weight")
                expected |= {f"layer{stage}.{block}.bn{number}.{name}" for name in norm}
        expected.add(f"layer{stage}.0.downsample.0.weight")
        expected |= {f"layer{stage}.0.downsample.1.{name}" for name in norm}
    assert set(state) == expected
    assert state["conv1.weight"].shape == (64, 3, 7, 7, 7)
    assert state["layer4.2.conv2.weight"].shape == (512, 512, 3, 3, 3)
    assert state["fc.weight"].shape == (400, 2048)


def test_shortcut_a_has_no_parameter() -> None:
    assert not [
        name for name in seeded(build_resnet3d, small(), 2).state_dict() if "downsample" in name
    ]


@pytest.mark.parametrize("stem_time_kernel", [1, 3, 7])
@pytest.mark.parametrize("temporal_stride", ["121222", "221111", "111111", "222222", "112121"])
def test_time_steps_are_those_of_a_forward(temporal_stride: str, stem_time_kernel: int) -> None:
    config = small(temporal_stride=temporal_stride, stem_time_kernel=stem_time_kernel)
    model = seeded(build_resnet3d, config, 2)
    for num_frames in (1, 2, 5, 16, 17, 33):
        seen = sizes_seen(model, draw(1, 3, num_frames, 17, 17, dtype=torch.float32))
        assert tuple(size[0] for size in seen) == time_steps(num_frames, config)


def test_spatial_sizes_are_those_of_a_forward() -> None:
    model = seeded(build_resnet3d, small(), 2)
    for size in (1, 16, 17, 48, 63):
        seen = sizes_seen(model, draw(1, 3, 2, size, 20, dtype=torch.float32))
        high = tuple(shape[1] for shape in seen)
        assert high == sizes_after(size, SPACE_STRIDES, stem_kernel=7)


def test_hara_leaves_two_time_steps_of_32_frames() -> None:
    assert dict(zip(PLACES, time_steps(32, ResNet3DConfig()), strict=True)) == {
        "stem": 32, "pool": 16, "layer1": 16, "layer2": 8, "layer3": 4, "layer4": 2
    }  # fmt: skip


def test_a_snippet_of_one_value_is_valid() -> None:
    logits = seeded(build_resnet3d, small(), 4).eval()(torch.ones(1, 3, 1, 1, 1))
    assert logits.shape == (1, 4)
    assert logits.isfinite().all()


def test_group_norm_does_not_mix_snippets_in_training() -> None:
    model = seeded(build_resnet3d, small(norm="group"), 2).double().train()
    x = draw(3, 3, 4, 20, 20)
    with torch.no_grad():
        together, alone = model(x), torch.cat([model(one[None]) for one in x])
    torch.testing.assert_close(together, alone, rtol=1e-10, atol=1e-10)


def test_convolutions_start_normal_with_fan_out() -> None:
    weight = seeded(build_resnet3d, ResNet3DConfig(depth=10), 2).layer3[0].conv2.weight  # type: ignore[union-attr]
    assert isinstance(weight, Tensor)
    expected = (2 / (256 * 27)) ** 0.5
    # 1.8 million draws: the standard error of a standard deviation is 0.05%.
    assert weight.std().item() == pytest.approx(expected, rel=0.005)
    assert abs(weight.mean().item()) < 0.01 * expected


def test_sound_settings_have_no_fault() -> None:
    assert resnet3d_faults(ResNet3DConfig(), num_frames=1, height=17, width=17) == []


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (121222, r"temporal_stride: got 121222; .*put it in quotes, '121222'"),
        ("12122", r"temporal_stride: got '12122'; expected six digits, each 1 or 2"),
        ("121223", r"temporal_stride: got '121223'; expected six digits, each 1 or 2"),
    ],
)
def test_a_bad_temporal_stride_is_named(value: object, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        build(ResNet3DConfig, {"temporal_stride": value})
