"""Networks filled from files give what the files' own networks gave, within 1e-3 of the spread.

torchvision and PyTorchVideo are asked themselves; the others are written down in float64 from
their public sources (tests/fixtures/published_layouts.py), with random weights of their names and
shapes.
"""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from torch import nn

from pdray.config import build
from pdray.data.batches.normalise import normalise_frames
from pdray.models import MODELS
from pdray.models.layers.vision import load_torchvision
from pdray.models.networks.c2d import build_c2d
from pdray.models.networks.frame_resnet import build_frame_resnet
from pdray.models.networks.frame_resnet_settings import FrameResNetConfig
from pdray.models.networks.i3d import build_i3d
from pdray.models.networks.i3d_settings import I3DConfig
from pdray.models.networks.pytorchvideo_settings import C2DConfig, SlowFastConfig, X3DConfig
from pdray.models.networks.r3d import build_r3d
from pdray.models.networks.resnet3d import build_resnet3d
from pdray.models.networks.resnet3d_settings import ResNet3DConfig
from pdray.models.networks.s3d import build_s3d
from pdray.models.networks.slowfast import build_slowfast
from pdray.models.networks.torchvision_settings import R3DConfig, S3DConfig
from pdray.models.networks.x3d import build_x3d
from pdray.models.weights.checkpoint import CheckpointError
from pdray.models.weights.pretrained import load_pretrained
from pdray.models.weights.published import PIXELS, VGGFACE2
from pdray.training.frozen.features import load_network
from pdray.training.network import build_network
from pdray.training.settings import FitConfig
from tests.fixtures.published_layouts import (
    agree,
    blank,
    draw,
    drawn,
    hara_2018,
    hara_2020,
    hara_forward,
    piergiaj,
    piergiaj_forward,
    run,
    vggface2,
    vggface2_forward,
    write,
)


@pytest.mark.parametrize(("content", "shortcut"), [(hara_2018, "A"), (hara_2020, "B")])
def test_hara_s_files_give_what_they_gave(
    tmp_path: Path, content: Callable[[], dict[str, Any]], shortcut: Literal["A", "B"]
) -> None:
    file = content()
    num_classes = 400 if shortcut == "A" else 700
    network = blank(build_resnet3d, ResNet3DConfig(depth=18, shortcut=shortcut), num_classes)
    report = load_pretrained(network, write(tmp_path, file))
    x = draw(1, 3, 5, 33, 20)
    agree(run(network, x), hara_forward(file, x.double()))
    assert len(report.loaded) == sum("num_batches" not in name for name in file["state_dict"])
    assert not report.left
    assert not report.dropped


@pytest.mark.parametrize("num_channels", [3, 2])
def test_piergiaj_s_files_give_what_they_gave(tmp_path: Path, num_channels: int) -> None:
    file = piergiaj(num_channels)
    network = blank(build_i3d, I3DConfig(), 400, num_channels)
    report = load_pretrained(network, write(tmp_path, file))
    x = draw(1, num_channels, 9, 34, 23)
    agree(run(network, x), piergiaj_forward(file, x.double()))
    assert len(report.loaded) == len(file)


def test_vggface2_s_file_gives_what_it_gave(tmp_path: Path) -> None:
    file = vggface2()
    path = tmp_path / "resnet50_ft_weight.pkl"
    path.write_bytes(pickle.dumps({name: value.numpy() for name, value in file.items()}))
    network = blank(build_frame_resnet, FrameResNetConfig(layout="vggface2"), 8631)
    report = load_pretrained(network, path, pixels=VGGFACE2)
    x = draw(2, 3, 1, 48, 35)
    agree(run(network, x), vggface2_forward(file, x[:, :, 0].double()))
    assert len(report.loaded) == len(file)
    assert "blue first" in report.notes[0]
    # Strides are no tensors: nothing else would tell that these weights do not belong there.
    network = blank(build_frame_resnet, FrameResNetConfig(), 3)
    with pytest.raises(CheckpointError, match=r"VGGFace2 \(8631 .*set model\.layout=vggface2"):
        load_pretrained(network, path)
    assert all(value.isnan().all() for value in network.parameters())


def test_torchvision_s_resnet_gives_what_it_gave(tmp_path: Path) -> None:
    original = drawn(load_torchvision().models.resnet50)
    path = write(tmp_path, original.state_dict())
    network = blank(build_frame_resnet, FrameResNetConfig(), 1000)
    load_pretrained(network, path)
    x = draw(2, 3, 1, 48, 35)
    agree(run(network, x), run(original, x[:, :, 0]))
    network = blank(build_frame_resnet, FrameResNetConfig(layout="vggface2"), 3)
    with pytest.raises(CheckpointError, match=r"ImageNet \(1000 .*set model\.layout=torchvision"):
        load_pretrained(network, path)
    assert all(value.isnan().all() for value in network.parameters())


# The heads of the originals refuse maps below their windows; here they average what is there.


@pytest.mark.parametrize(
    ("name", "build", "sizes"),
    [
        ("r3d_18", lambda: build_r3d(R3DConfig(), 400), (1, 3, 4, 24, 20)),
        ("s3d", lambda: build_s3d(S3DConfig(), 400), (1, 3, 9, 33, 40)),
    ],
)
def test_torchvision_s_files_give_what_they_gave(
    tmp_path: Path, name: str, build: Callable[[], nn.Module], sizes: tuple[int, ...]
) -> None:
    original = drawn(getattr(load_torchvision().models.video, name))
    original.avgpool = nn.AdaptiveAvgPool3d(1)
    network = blank(build)
    load_pretrained(network, write(tmp_path, original.state_dict()))
    x = draw(*sizes)
    agree(run(network, x), run(original, x))


def test_pytorchvideo_s_slowfast_gives_what_it_gave(tmp_path: Path) -> None:
    hub = pytest.importorskip("pytorchvideo.models.hub")
    original = drawn(hub.slowfast_r50)
    original.blocks[5].pool = nn.ModuleList([nn.AdaptiveAvgPool3d(1), nn.AdaptiveAvgPool3d(1)])
    network = blank(build_slowfast, SlowFastConfig(), 400)
    load_pretrained(network, write(tmp_path, {"model_state": original.state_dict()}))
    x = draw(1, 3, 8, 33, 40)
    agree(run(network, x), run(original, [x[:, :, ::4], x]))


@pytest.mark.parametrize(
    ("name", "build", "sizes"),
    [
        ("x3d_xs", lambda: build_x3d(X3DConfig(), 400), (1, 3, 4, 160, 160)),
        ("c2d_r50", lambda: build_c2d(C2DConfig(), 400), (1, 3, 8, 33, 40)),
        ("slow_r50", lambda: build_c2d(C2DConfig(time_kernels="slow"), 400), (1, 3, 5, 33, 40)),
        ("i3d_r50", lambda: build_c2d(C2DConfig(time_kernels="i3d"), 400), (1, 3, 8, 33, 40)),
    ],
)
def test_pytorchvideo_s_files_give_what_they_gave(
    tmp_path: Path, name: str, build: Callable[[], nn.Module], sizes: tuple[int, ...]
) -> None:
    hub = pytest.importorskip("pytorchvideo.models.hub")
    original = drawn(getattr(hub, name))
    if name != "x3d_xs":
        original.blocks[-1].pool = nn.AdaptiveAvgPool3d(1)
    original.blocks[-1].activation = None  # X3D's ends in a softmax
    network = blank(build)
    load_pretrained(network, write(tmp_path, {"model_state": original.state_dict()}))
    x = draw(*sizes)
    agree(run(network, x), run(original, x))


# As a study uses the network: built by its settings, from pixels in uint8, with zeros around them.

PUBLISHERS = {
    "i3d": "minus_one_to_one",
    "resnet3d": "hara_2018",
    "r3d": "torchvision_video",
    "s3d": "torchvision_video",
    "slowfast": "pytorchvideo",
    "x3d": "pytorchvideo",
    "c2d": "pytorchvideo",
    "frame_resnet": "vggface2",
}


def edge_deviation(folder: Path, name: str, trained_on: str) -> tuple[float, float]:
    """Return how far logits and features are from the publisher's, in their spread.

    Args:
        folder: For the file.
        name: Of the network.
        trained_on: ``pretrained_pixels``.
    """
    pixels, model = PIXELS[PUBLISHERS[name]], {"name": name, **MODELS[name].small}
    tree: dict[str, Any] = {"model": model}
    original = drawn(build_network, build(FitConfig, tree), 400)
    state = original.state_dict()
    if PUBLISHERS[name] == "hara_2018":  # what earlier versions knew the file by
        state = {key: value for key, value in state.items() if "num_batches" not in key}
    # No padding has the same mean over a picture of one colour, so bright ones show the edges best.
    frames = torch.randint(90, 256, (3, 16, 40, 50, 3), dtype=torch.uint8)
    p = frames.permute(0, 4, 1, 2, 3).double() / 255
    mean, std = (torch.tensor(row).view(3, 1, 1, 1) for row in (pixels.mean, pixels.std))
    u = ((p - mean) / std).float()
    started = {**tree, "pretrained": str(write(folder, state)), "pretrained_pixels": trained_on}
    network = build_network(build(FitConfig, started), 400)
    x = normalise_frames(frames)
    # What a trial saves, and what whoever opens the winner builds from it.
    saved = torch.load(write(folder, network.state_dict(), "model.pt"), weights_only=True)
    again = load_network(build(FitConfig, started), 400, saved)
    assert torch.equal(run(again, x), run(network, x))
    u = u.flip(1) if pixels.is_bgr else u
    with torch.no_grad():
        there, here = original.eval().features(u), network.eval().features(x)
    pairs = ((run(network, x), run(original, u)), (here, there))
    logits, features = (float((a - b).abs().max() / b.std()) for a, b in pairs)
    return logits, features


@pytest.mark.parametrize(
    "name",
    [
        # These two cost as much as all others; they have their padding in common with i3d.
        pytest.param(name, marks=pytest.mark.slow) if name in ("r3d", "s3d") else name
        for name in PUBLISHERS
    ],
)
def test_a_study_sees_what_the_publisher_saw_at_the_edges_too(tmp_path: Path, name: str) -> None:
    torch.manual_seed(4)
    assert max(edge_deviation(tmp_path, name, PUBLISHERS[name])) < 1e-3
