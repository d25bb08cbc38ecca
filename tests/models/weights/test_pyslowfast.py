from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from torch import Tensor, nn

from pdray.models.networks.c2d import build_c2d
from pdray.models.networks.pytorchvideo_settings import C2DConfig, SlowFastConfig, X3DConfig
from pdray.models.networks.slowfast import build_slowfast
from pdray.models.networks.x3d import build_x3d
from pdray.models.weights.checkpoint import CheckpointError
from pdray.models.weights.pretrained import load_pretrained
from pdray.models.weights.pyslowfast import renamed
from tests.fixtures.published_layouts import State, agree, blank, draw, drawn, run, write
from tests.fixtures.pyslowfast_layouts import (
    NUM_CLASSES,
    resnet,
    resnet_forward,
    slowfast,
    slowfast_forward,
    x3d,
    x3d_forward,
)

Kind = Literal["c2d", "slow", "i3d"]


def small_c2d(kind: Kind) -> nn.Module:
    return blank(build_c2d, C2DConfig(depth=26, width_factor=0.125, time_kernels=kind), NUM_CLASSES)


CASES: dict[str, tuple[Callable[[], State], Callable[[], nn.Module], Callable[..., Tensor]]] = {
    "C2D": (
        lambda: resnet("c2d"),
        lambda: small_c2d("c2d"),
        lambda state, x: resnet_forward(state, x, "c2d"),
    ),
    "I3D": (
        lambda: resnet("i3d"),
        lambda: small_c2d("i3d"),
        lambda state, x: resnet_forward(state, x, "i3d"),
    ),
    "Slow": (
        lambda: resnet("slow"),
        lambda: small_c2d("slow"),
        lambda state, x: resnet_forward(state, x, "slow"),
    ),
    "SlowFast": (
        slowfast,
        lambda: blank(build_slowfast, SlowFastConfig(depth=26, width_factor=0.25), NUM_CLASSES),
        lambda state, x: slowfast_forward(state, x, 4),
    ),
    "X3D": (x3d, lambda: blank(build_x3d, X3DConfig(), NUM_CLASSES), x3d_forward),
}


@pytest.mark.parametrize("name", CASES)
def test_pyslowfast_s_files_give_what_they_gave(tmp_path: Path, name: str) -> None:
    make, build, forward = CASES[name]
    file, network = make(), build()
    # As PySlowFast saves it, and as a network around it would.
    content = {"epoch": 196, "model_state": file, "cfg": "MODEL: {}"}
    report = load_pretrained(network, write(tmp_path, content))
    assert not report.left
    assert not report.dropped
    assert sum("num_batches" not in key for key in file) - len(report.loaded) in (0, 4)
    x = draw(1, 3, 4 if name == "X3D" else 8, 33, 40)  # X3D-XS averages windows of 4 frames
    expected = forward(file, x.double())
    agree(run(network, x), expected)
    around = {f"backbone.{key}": value for key, value in file.items()} | {"epoch": torch.tensor(3)}
    again = build()
    load_pretrained(again, write(tmp_path, {"net": around}))
    agree(run(again, x), expected)


def test_other_networks_of_pyslowfast_are_refused_by_name(tmp_path: Path) -> None:
    for kind, right in (("slow", "slow"), ("i3d", "i3d")):
        path = write(tmp_path, {"model_state": resnet(kind)})
        with pytest.raises(CheckpointError, match=rf"set model\.time_kernels={right}"):
            load_pretrained(small_c2d("c2d"), path)
    nonlocal_one = resnet("c2d") | {"s3.pathway0_nonlocal1.conv_theta.weight": torch.ones(1)}
    with pytest.raises(CheckpointError, match=r"has no '.*nonlocal1"):
        load_pretrained(small_c2d("c2d"), write(tmp_path, nonlocal_one))
    short = {name: value[:, :, :5] if "f2s" in name and value.ndim == 5 else value
             for name, value in slowfast().items()}  # fmt: skip
    with pytest.raises(CheckpointError, match=r"conv_fast_to_slow.weight' is \(4, 2, 5, 1, 1\)"):
        load_pretrained(CASES["SlowFast"][1](), write(tmp_path, short))


def test_pytorchvideo_s_slow_network_gets_the_numbers_of_its_siblings() -> None:
    ours: Any = drawn(small_c2d, "slow").state_dict()
    published = {}
    for name, value in ours.items():
        _, number, rest = name.split(".", 2)
        published[f"blocks.{int(number) - (int(number) > 2)}.{rest}"] = value
    assert "blocks.5.proj.weight" in published
    found = renamed(published)
    assert list(found) == list(ours)
    assert all(found[name] is ours[name] for name in ours)
    others = drawn(small_c2d, "c2d").state_dict()
    assert renamed(others) is others
