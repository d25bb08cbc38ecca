from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from pdray.config import build
from pdray.errors import SettingsError
from pdray.models.layers.vision import load_torchvision
from pdray.models.networks.i3d import (
    HEAD_WINDOW,
    I3D,
    SameConv3d,
    SameMaxPool3d,
    build_i3d,
    inflate_inception,
    mean_of_windows,
    same_padding,
)
from pdray.models.networks.i3d_settings import I3DConfig, i3d_faults
from tests.fixtures.networks import draw, seeded, state_of, wake

TINY = 0.0625
NORM = ("weight", "bias", "running_mean", "running_var")

# (channels out, channels in, kernel) of every unit, as printed for a checkpoint of this family
# (sign language, 1064 classes) and as github.com/piergiaj/pytorch-i3d builds them; the blocks are
# b0, b1a, b1b, b2a, b2b, b3b.
STEM = {"Conv3d_1a_7x7": (64, 3, 7), "Conv3d_2b_1x1": (64, 64, 1), "Conv3d_2c_3x3": (192, 64, 3)}
BLOCKS = {
    "Mixed_3b": (192, (64, 96, 128, 16, 32, 32)),
    "Mixed_3c": (256, (128, 128, 192, 32, 96, 64)),
    "Mixed_4b": (480, (192, 96, 208, 16, 48, 64)),
    "Mixed_4c": (512, (160, 112, 224, 24, 64, 64)),
    "Mixed_4d": (512, (128, 128, 256, 24, 64, 64)),
    "Mixed_4e": (512, (112, 144, 288, 32, 64, 64)),
    "Mixed_4f": (528, (256, 160, 320, 32, 128, 128)),
    "Mixed_5b": (832, (256, 160, 320, 32, 128, 128)),
    "Mixed_5c": (832, (384, 192, 384, 48, 128, 128)),
}


def published_units() -> dict[str, tuple[int, int, int]]:
    units = dict(STEM)
    for name, (entering, (b0, b1a, b1b, b2a, b2b, b3b)) in BLOCKS.items():
        units[f"{name}.b0"] = (b0, entering, 1)
        units[f"{name}.b1a"] = (b1a, entering, 1)
        units[f"{name}.b1b"] = (b1b, b1a, 3)
        units[f"{name}.b2a"] = (b2a, entering, 1)
        units[f"{name}.b2b"] = (b2b, b2a, 3)
        units[f"{name}.b3b"] = (b3b, entering, 1)
    return units


def published_shapes(num_classes: int = 400) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {
        "logits.conv3d.weight": (num_classes, 1024, 1, 1, 1),
        "logits.conv3d.bias": (num_classes,),
    }
    for unit, (leaving, entering, kernel) in published_units().items():
        shapes[f"{unit}.conv3d.weight"] = (leaving, entering, kernel, kernel, kernel)
        shapes |= {f"{unit}.bn.{leaf}": (leaving,) for leaf in NORM}
        shapes[f"{unit}.bn.num_batches_tracked"] = ()
    return shapes


def made(num_classes: int = 3, seed: int = 0, **changes: Any) -> I3D:
    config = I3DConfig(**{"width_factor": TINY, "dropout": 0.0, **changes})
    model = wake(seeded(build_i3d, config, num_classes, 3, seed=seed))
    assert isinstance(model, I3D)
    return model


# An independent forward from the paper's figure 3: windows are laid out one by one.


def slow_windows(x: Tensor, axis: int, kernel: int, stride: int, fill: float) -> Tensor:
    """TensorFlow's SAME: ceil(n / s) windows; half of their overhang, rounded down, in front."""
    size = x.shape[axis]
    count = (size + stride - 1) // stride
    overhang = max(0, (count - 1) * stride + kernel - size)
    first = -(overhang // 2)
    windows = []
    for number in range(count):
        places = range(first + number * stride, first + number * stride + kernel)
        parts = [
            x.narrow(axis, place, 1)
            if 0 <= place < size
            else torch.full_like(x.narrow(axis, 0, 1), fill)
            for place in places
        ]
        windows.append(torch.stack([part.squeeze(axis) for part in parts], dim=-1))
    return torch.stack(windows, dim=axis)


def slow_patches(
    x: Tensor, kernel: tuple[int, ...], stride: tuple[int, ...], fill: float
) -> Tensor:
    for axis, (size, step) in enumerate(zip(kernel, stride, strict=True), start=2):
        x = slow_windows(x, axis, size, step, fill)
    return x


def slow_unit(
    x: Tensor, state: dict[str, Tensor], name: str, stride: tuple[int, ...] = (1, 1, 1)
) -> Tensor:
    weight = state[f"{name}.conv3d.weight"]
    patches = slow_patches(x, tuple(weight.shape[2:]), stride, 0.0)
    y = torch.einsum("bcthwxyz,dcxyz->bdthw", patches, weight)
    scale, shift, mean, var = (state[f"{name}.bn.{leaf}"].view(1, -1, 1, 1, 1) for leaf in NORM)
    z: Tensor = (y - mean) / (var + 1e-3).sqrt() * scale + shift
    return z.clamp(min=0)


def slow_pool(x: Tensor, kernel: tuple[int, ...], stride: tuple[int, ...]) -> Tensor:
    return slow_patches(x, kernel, stride, -torch.inf).amax(dim=(5, 6, 7))


def slow_block(x: Tensor, state: dict[str, Tensor], name: str) -> Tensor:
    b0 = slow_unit(x, state, f"{name}.b0")
    b1 = slow_unit(slow_unit(x, state, f"{name}.b1a"), state, f"{name}.b1b")
    b2 = slow_unit(slow_unit(x, state, f"{name}.b2a"), state, f"{name}.b2b")
    b3 = slow_unit(slow_pool(x, (3, 3, 3), (1, 1, 1)), state, f"{name}.b3b")
    return torch.cat([b0, b1, b2, b3], dim=1)


def slow_forward(model: I3D, x: Tensor, temporal_stride: str) -> Tensor:
    state: dict[str, Tensor] = state_of(model)
    first, fourth, fifth = (int(digit) for digit in temporal_stride)
    y = slow_unit(x, state, "Conv3d_1a_7x7", (first, 2, 2))
    y = slow_pool(y, (1, 3, 3), (1, 2, 2))
    y = slow_unit(slow_unit(y, state, "Conv3d_2b_1x1"), state, "Conv3d_2c_3x3")
    y = slow_pool(y, (1, 3, 3), (1, 2, 2))
    for name in BLOCKS:
        if name == "Mixed_4b":
            y = slow_pool(y, (3, 3, 3), (fourth, 2, 2))
        if name == "Mixed_5b":
            y = slow_pool(y, (fifth, 2, 2), (fifth, 2, 2))
        y = slow_block(y, state, name)
    logits: Tensor = y.mean(dim=(2, 3, 4)) @ state["logits.conv3d.weight"].flatten(1).T
    return logits + state["logits.conv3d.bias"]


@pytest.mark.parametrize(
    ("temporal_stride", "size"),
    [
        ("222", (9, 21, 34)),
        ("222", (8, 32, 17)),
        ("111", (2, 18, 40)),
        ("121", (4, 33, 23)),
        ("212", (7, 19, 20)),
    ],
)
def test_forward_is_the_written_out_network(
    temporal_stride: str, size: tuple[int, int, int]
) -> None:
    model = made(temporal_stride=temporal_stride).double().eval()
    x = draw(2, 3, *size)
    with torch.no_grad():
        expected = slow_forward(model, x, temporal_stride)
        assert expected.std() > 1e-3
        # Float64 throughout: only the order of summation differs.
        torch.testing.assert_close(model(x), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("kernel", "stride"), [(7, 2), (7, 1), (3, 1), (1, 1), (3, 2)])
def test_a_convolution_pads_as_tensorflow_does(kernel: int, stride: int) -> None:
    for size in range(1, 12):
        conv = SameConv3d(2, 3, kernel=kernel, stride=(1, stride, stride)).double()
        x = draw(1, 2, 2, size, 13 - size)
        patches = slow_patches(x, conv.kernel_size, (1, stride, stride), 0.0)
        expected = torch.einsum("bcthwxyz,dcxyz->bdthw", patches, conv.weight)
        torch.testing.assert_close(conv(x), expected)


@pytest.mark.parametrize(
    ("kernel", "stride"),
    [((1, 3, 3), (1, 2, 2)), ((3, 3, 3), (1, 1, 1)), ((3, 3, 3), (2, 2, 2)), ((2, 2, 2),) * 2],
)
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last_3d])
def test_a_pool_pads_as_tensorflow_does(
    kernel: tuple[int, int, int], stride: tuple[int, int, int], memory_format: torch.memory_format
) -> None:
    pool = SameMaxPool3d(kernel, stride)
    for size in range(1, 9):
        x = draw(1, 3, size, 9 - size, size + 1).relu().contiguous(memory_format=memory_format)
        torch.testing.assert_close(pool(x), slow_pool(x, kernel, stride))


def test_the_odd_zero_lies_behind() -> None:
    # TensorFlow's own example of SAME: width 13, filter 6, stride 5 pads 1 and 2.
    assert same_padding(13, kernel=6, stride=5) == (1, 2)
    assert same_padding(224, kernel=7, stride=2) == (2, 3)
    assert same_padding(225, kernel=7, stride=2) == (3, 3)
    assert same_padding(4, kernel=1, stride=2) == (0, 0)


@pytest.mark.parametrize("size", [(1, 1, 1), (2, 7, 7), (2, 4, 9), (5, 7, 8), (3, 16, 7)])
def test_the_head_averages_windows_as_the_published_network(size: tuple[int, int, int]) -> None:
    x = draw(2, 3, *size).requires_grad_()
    window = [min(most, length) for most, length in zip(HEAD_WINDOW, size, strict=True)]
    expected = functional.avg_pool3d(x, window, stride=1).mean(dim=(2, 3, 4))
    torch.testing.assert_close(mean_of_windows(x, HEAD_WINDOW), expected)
    (mine,) = torch.autograd.grad(mean_of_windows(x, HEAD_WINDOW).square().sum(), x)
    (theirs,) = torch.autograd.grad(expected.square().sum(), x)
    torch.testing.assert_close(mine, theirs)


def test_the_head_weighs_half_precision_in_single() -> None:
    x = (draw(1, 4, 9, 10, 11) + 3).bfloat16()
    f = mean_of_windows(x, HEAD_WINDOW)
    assert f.dtype == torch.bfloat16
    expected = mean_of_windows(x.float(), HEAD_WINDOW)
    # One rounding to 8 bits of mantissa.
    torch.testing.assert_close(f.float(), expected, rtol=2**-8, atol=0)


def test_keys_and_shapes_are_those_of_the_published_file() -> None:
    with torch.device("meta"):
        state = build_i3d(I3DConfig(), 400).state_dict()
    expected = published_shapes()
    assert len(expected) == 57 * 6 + 2
    assert {key: tuple(tensor.shape) for key, tensor in state.items()} == expected


def test_a_flow_network_differs_in_its_first_weight_only() -> None:
    with torch.device("meta"):
        rgb, flow = (build_i3d(I3DConfig(), 400, channels).state_dict() for channels in (3, 2))
    differing = [key for key in rgb if rgb[key].shape != flow[key].shape]
    assert differing == ["Conv3d_1a_7x7.conv3d.weight"]
    assert flow[differing[0]].shape == (64, 2, 7, 7, 7)


def test_a_file_older_than_the_batch_counter_loads_strictly() -> None:
    model, other = made(seed=1), made(seed=2)
    old = {k: v for k, v in model.state_dict().items() if "num_batches_tracked" not in k}
    assert len(old) == 57 * 5 + 2
    other.load_state_dict(old)
    x = draw(1, 3, 5, 17, 17, dtype=torch.float32)
    with torch.no_grad():
        assert torch.equal(model.eval()(x), other.eval()(x))


def test_channels_last_stays_so_and_changes_nothing() -> None:
    model = made().eval()
    x = draw(2, 3, 6, 20, 27, dtype=torch.float32)
    last = x.contiguous(memory_format=torch.channels_last_3d)
    seen: list[Tensor] = []
    for name in model.MAP_LAYERS:
        model.get_submodule(name).register_forward_hook(lambda _m, _i, out: seen.append(out))
    with torch.no_grad():
        y = model(last)
        assert all(z.is_contiguous(memory_format=torch.channels_last_3d) for z in seen)
        torch.testing.assert_close(y, model(x), rtol=1e-4, atol=1e-5)


@pytest.fixture(scope="module")
def googlenet() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        models = load_torchvision().models
        model: nn.Module = models.googlenet(weights=None, init_weights=False, num_classes=7)
    for name, tensor in model.state_dict().items():
        if ".bn." in name and tensor.is_floating_point():
            tensor.add_(draw(*tensor.shape, seed=len(name)).abs() * 0.3)
    return model.eval()


def test_an_inflated_network_sees_a_still_snippet_as_the_picture(googlenet: nn.Module) -> None:
    model = build_i3d(I3DConfig(), 7).eval()
    model.load_state_dict(inflate_inception(googlenet.state_dict()))
    picture = draw(1, 3, 31, 31, dtype=torch.float32)
    maps: list[Tensor] = []
    last = googlenet.get_submodule("inception5b")
    hook = last.register_forward_hook(lambda _m, _i, out: maps.append(out))
    model.get_submodule("Mixed_5c").register_forward_hook(lambda _m, _i, out: maps.append(out))
    with torch.no_grad():
        googlenet(picture)
        # A step of Mixed_5c sees 99 frames: of 112, those of the middle step are all there.
        model(picture.unsqueeze(2).expand(-1, -1, 112, -1, -1))
    hook.remove()
    assert maps[0].std() > 1e-3
    torch.testing.assert_close(maps[1][:, :, 7], maps[0], rtol=1e-4, atol=1e-5)
    assert not torch.allclose(maps[1][:, :, 0], maps[0], rtol=1e-2)


def test_an_inflated_state_shares_no_memory(googlenet: nn.Module) -> None:
    state_2d = googlenet.state_dict()
    before = {tensor.data_ptr() for tensor in state_2d.values()}
    assert not before & {tensor.data_ptr() for tensor in inflate_inception(state_2d).values()}


def test_a_state_of_another_network_is_refused(googlenet: nn.Module) -> None:
    state = {k: v for k, v in googlenet.state_dict().items() if not k.startswith("inception3a")}
    message = (
        r"torchvision's googlenet: 36 keys are missing, the first is 'inception3a.branch1.bn.bias'$"
    )
    with pytest.raises(ValueError, match=message):
        inflate_inception(state)
    state = {**googlenet.state_dict(), "layer1.0.conv1.weight": torch.zeros(1)}
    with pytest.raises(
        ValueError, match=r"1 keys are unknown, the first is 'layer1.0.conv1.weight'$"
    ):
        inflate_inception(state)


@pytest.mark.parametrize(
    ("temporal_stride", "least"), [("222", 5), ("122", 3), ("211", 2), ("112", 2), ("111", 1)]
)
def test_frames_must_outlast_the_time_strides(temporal_stride: Any, least: int) -> None:
    config = I3DConfig(temporal_stride=temporal_stride)
    assert i3d_faults(config, num_frames=least, height=17, width=17) == []
    (fault,) = i3d_faults(config, num_frames=least - 1, height=17, width=17)
    assert fault.startswith(f"num_frames: {least - 1} is too few, ")
    assert f"model.temporal_stride '{temporal_stride}'" in fault
    assert f"use at least {least} frames, or fewer digits 2" in fault


@pytest.mark.parametrize(("value", "message"), [(222, "got 222"), ("221122", "got '221122'")])
def test_a_bad_temporal_stride_is_named(value: object, message: str) -> None:
    with pytest.raises(SettingsError, match=rf"temporal_stride: {message}; .*'121'.* '222'"):
        build(I3DConfig, {"temporal_stride": value})


def test_norms_keep_the_asked_share_of_a_batch() -> None:
    for settings, expected in (({}, 0.01), ({"norm_momentum": 0.1}, 0.1)):
        network = build_i3d(I3DConfig(width_factor=0.25, **settings), 2)
        norms = [one for one in network.modules() if isinstance(one, nn.BatchNorm3d)]
        assert {one.momentum for one in norms} == {expected}
        assert {one.eps for one in norms} == {1e-3}
