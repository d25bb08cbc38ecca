from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pdray.models.layers.segment_attention import SegmentNetwork
from pdray.models.layers.vision import load_torchvision
from pdray.models.networks.frame_resnet import build_two_stream
from pdray.models.networks.frame_resnet_settings import TwoStreamConfig
from pdray.models.networks.i3d import build_i3d
from pdray.models.networks.i3d_settings import I3DConfig
from pdray.models.networks.r3d import build_r3d
from pdray.models.networks.resnet3d import build_resnet3d
from pdray.models.networks.resnet3d_settings import ResNet3DConfig
from pdray.models.networks.torchvision_settings import R3DConfig
from pdray.models.networks.tsa import build_tsa
from pdray.models.networks.tsa_settings import TsaConfig
from pdray.models.weights.checkpoint import CheckpointError
from pdray.models.weights.pixels import Pixels
from pdray.models.weights.pretrained import load_pretrained
from pdray.models.weights.published import HARA_2018, HARA_2020
from tests.fixtures.published_layouts import (
    agree,
    blank,
    draw,
    drawn,
    piergiaj,
    run,
    write,
)


def small(**changes: Any) -> ResNet3DConfig:
    return ResNet3DConfig(**{"depth": 10, "width_factor": 0.125, **changes})


def small_tsa(**changes: Any) -> TsaConfig:
    return TsaConfig(**{"depth": 10, "width_factor": 0.125, "max_frames": 32, **changes})


def seen(p_BCTHW: Tensor, pixels: Pixels) -> Tensor:
    """Return what a network sees of pixels in 0..1."""
    mean, std = (torch.tensor(values).view(3, 1, 1, 1) for values in (pixels.mean, pixels.std))
    return (p_BCTHW - mean) / std


def assert_unchanged(network: nn.Module, before: dict[str, Tensor]) -> None:
    assert before
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name])


def copied(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items()}


# What is adapted, dropped and left.


def test_a_tsa_takes_what_a_convolving_network_has(tmp_path: Path) -> None:
    file = drawn(build_resnet3d, small(), 400).state_dict()
    network = drawn(build_tsa, small_tsa(), 3)
    before = copied(network)
    report = load_pretrained(network, write(tmp_path, {"state_dict": file}))
    own = network.state_dict()
    parts = ("query.weight", "key.weight", "value.weight", "out.weight", "relative_RE")
    convs = [f"layer{stage}.0.conv{number}" for stage in (3, 4) for number in (1, 2)]
    attention = {f"{conv}.{part}" for conv in convs for part in parts}
    assert set(report.left) == attention | {"fc.weight", "fc.bias"}
    assert set(report.dropped) == {f"{conv}.weight" for conv in convs} | {"fc.weight", "fc.bias"}
    assert set(report.loaded) | set(report.left) == {n for n in own if "num_batches" not in n}
    for name in report.loaded:
        assert torch.equal(own[name], file[name])
    for name in report.left:
        assert torch.equal(own[name], before[name])


def test_flow_takes_the_mean_of_the_colours(tmp_path: Path) -> None:
    file = drawn(build_resnet3d, small(), 400).state_dict()
    network = blank(build_tsa, small_tsa(attention_depth=0), 400, 2)
    report = load_pretrained(network, write(tmp_path, file))
    mean = file["conv1.weight"].mean(1)
    first = network.state_dict()["conv1.weight"]
    torch.testing.assert_close(first, torch.stack([mean, mean], dim=1))
    assert list(report.adapted) == ["conv1.weight"]
    assert "conv1.weight" not in report.loaded
    # A picture that is the same in each channel: two of three parts of its map are left.
    grey = draw(1, 1, 8, 20, 20)
    maps = [
        torch.nn.functional.conv3d(grey.expand(-1, count, -1, -1, -1), weight)
        for count, weight in ((2, first), (3, file["conv1.weight"]))
    ]
    torch.testing.assert_close(maps[0], maps[1] * 2 / 3)


def test_a_longer_table_changes_nothing_for_short_snippets(tmp_path: Path) -> None:
    short = drawn(build_tsa, small_tsa(max_frames=32), 3)
    long = blank(build_tsa, small_tsa(max_frames=128), 3)
    report = load_pretrained(long, write(tmp_path, short.state_dict()))
    assert {name.rpartition(".")[2] for name in report.adapted} == {"relative_RE"}
    x = draw(1, 3, 32, 20, 20)
    agree(run(long, x), run(short, x))


def test_a_stream_of_stacked_flow_takes_pictures(tmp_path: Path) -> None:
    file = drawn(load_torchvision().models.resnet18).state_dict()
    network = blank(build_two_stream, TwoStreamConfig(depth=18), 1000, 2)
    report = load_pretrained(network, write(tmp_path, file))
    first = network.state_dict()["conv1.weight"]
    averaged = file["conv1.weight"].mean(dim=1, keepdim=True)
    assert torch.equal(first, averaged.expand(-1, 20, -1, -1))
    assert list(report.adapted) == ["conv1.weight"]
    assert not report.left
    assert run(network, draw(1, 2, 10, 33, 33)).isfinite().all()


def test_a_googlenet_is_inflated(tmp_path: Path) -> None:
    original = drawn(lambda: load_torchvision().models.googlenet(init_weights=False))
    network = drawn(build_i3d, I3DConfig(), 3)
    report = load_pretrained(network, write(tmp_path, original.state_dict()))
    inflated = network.state_dict()["Mixed_4c.b2b.conv3d.weight"]
    flat = original.state_dict()["inception4b.branch3.1.conv.weight"]
    torch.testing.assert_close(inflated.sum(2), flat)
    assert set(report.left) == {"logits.conv3d.weight", "logits.conv3d.bias"}
    assert set(report.adapted) == {
        name for name in network.state_dict() if name.endswith("conv3d.weight")
    } - set(report.left)
    assert "inflated: repeated along time" in report.adapted["Mixed_5c.b0.conv3d.weight"]


def test_a_study_s_own_weights_come_back_whole(tmp_path: Path) -> None:
    first = drawn(lambda: SegmentNetwork(build_tsa(small_tsa(), 3), attention=True))
    file = write(tmp_path, first.state_dict(), "model.pt")
    again = blank(lambda: SegmentNetwork(build_tsa(small_tsa(), 3), attention=True))
    report = load_pretrained(again, file)
    x = draw(4, 3, 16, 20, 20)
    assert torch.equal(run(again, x), run(first, x))
    assert not report.left
    assert not report.dropped


def test_weights_pass_between_a_network_alone_and_inside_segments(tmp_path: Path) -> None:
    alone = drawn(build_tsa, small_tsa(), 3)
    inside = drawn(lambda: SegmentNetwork(build_tsa(small_tsa(), 3), attention=True))
    report = load_pretrained(inside, write(tmp_path, alone.state_dict()))
    names = ("squeeze.weight", "squeeze.bias", "excite.weight", "excite.bias")
    assert report.left == tuple(f"unit.{name}" for name in names)
    again = blank(build_tsa, small_tsa(), 3)
    report = load_pretrained(again, write(tmp_path, inside.state_dict(), "model.pt"))
    assert report.dropped == tuple(f"unit.{name}" for name in names)
    x = draw(1, 3, 16, 20, 20)
    assert torch.equal(run(again, x), run(alone, x))


def test_pixels_are_refitted(tmp_path: Path) -> None:
    original = drawn(build_resnet3d, small(), 400)
    network = blank(build_resnet3d, small(), 400)
    here = Pixels((0.4, 0.5, 0.3), (0.25, 0.2, 0.3))
    path = write(tmp_path, original.state_dict())
    report = load_pretrained(network, path, pixels=here, trained_on="hara_2018")
    p = torch.rand(2, 3, 5, 33, 20, generator=torch.Generator().manual_seed(2))
    agree(run(network, seen(p, here)), run(original, seen(p, HARA_2018)))
    assert list(report.adapted) == ["conv1.weight"]
    assert "from red, green, blue in 0..1 minus (0.4501" in report.adapted["conv1.weight"]
    assert any("as pretrained_pixels says" in note for note in report.notes)


def test_pixels_that_are_given_anyway_change_nothing(tmp_path: Path) -> None:
    original = drawn(build_resnet3d, small(), 400)
    network = blank(build_resnet3d, small(), 400)
    path = write(tmp_path, original.state_dict())
    report = load_pretrained(network, path, pixels=HARA_2020)
    assert not report.adapted
    assert network.state_dict().keys() == original.state_dict().keys()
    assert any(note.startswith("pixels: trained on hara_2020") for note in report.notes)


def test_an_earlier_study_goes_on_with_its_norm_refitted(tmp_path: Path) -> None:
    original = drawn(build_resnet3d, small(), 400)
    file = {n: v for n, v in original.state_dict().items() if "num_batches" not in n}
    network = blank(build_resnet3d, small(), 400)
    # With the means of 2018 the zeros around the picture are the same pixel, so all is equal.
    here = Pixels(HARA_2018.mean, (0.25, 0.2, 0.3))
    path = write(tmp_path, file)
    report = load_pretrained(network, path, pixels=here, trained_on="earlier")
    p = torch.rand(2, 3, 5, 33, 20, generator=torch.Generator().manual_seed(2))
    agree(run(network, seen(p, here)), run(original, seen(p, HARA_2018)))
    assert list(report.adapted) == ["conv1.weight", "bn1.running_mean"]
    assert network.state_dict().keys() == original.state_dict().keys()


def test_a_zero_pixel_comes_and_goes_with_its_weights(tmp_path: Path) -> None:
    here, path = Pixels((0.4, 0.5, 0.3), (0.25, 0.2, 0.3)), tmp_path / "weights.pth"
    write(tmp_path, drawn(build_resnet3d, small(), 400).state_dict())
    refitted = drawn(build_resnet3d, small(), 400)
    load_pretrained(refitted, path, pixels=here, trained_on="imagenet")
    zero = refitted.state_dict()["conv1.zero_pixel"]
    torch.testing.assert_close(zero, torch.tensor([0.085 / 0.25, -0.044 / 0.2, 0.106 / 0.3]))
    assert "conv1.zero_pixel" not in dict(refitted.named_parameters())
    own = write(tmp_path, refitted.state_dict(), "model.pt")
    x = draw(1, 3, 8, 20, 20)
    # Inside segments, renamed, into flow, and then the published file once more.
    inside = blank(lambda: SegmentNetwork(build_resnet3d(small(), 400), attention=False))
    load_pretrained(inside, own)
    assert torch.equal(run(inside.backbone, x), run(refitted, x))
    again = blank(build_resnet3d, small(), 400)
    renamed = write(tmp_path, refitted.state_dict(), "other.pth")
    report = load_pretrained(again, renamed, pixels=here)
    assert torch.equal(run(again, x), run(refitted, x))
    assert any("pdray, which alone trains" in note for note in report.notes)
    flow = blank(build_resnet3d, small(), 400, 2)
    load_pretrained(flow, own)
    assert "conv1.zero_pixel" not in flow.state_dict()
    load_pretrained(again, path)
    agree(run(again, x), run(drawn(build_resnet3d, small(), 400), x))


def test_what_is_done_to_a_tensor_is_told_in_order(tmp_path: Path) -> None:
    original = drawn(lambda: load_torchvision().models.googlenet(init_weights=False))
    network = drawn(build_i3d, I3DConfig(), 3, 2)
    path = write(tmp_path, original.state_dict())
    told = load_pretrained(network, path, pixels=HARA_2018).adapted["Conv3d_1a_7x7.conv3d.weight"]
    places = [told.index(word) for word in ("inflated", "from ", "the mean over red")]
    assert places == sorted(places)


def test_pixels_of_weights_of_other_classes_are_decided_and_told(tmp_path: Path) -> None:
    file = drawn(build_resnet3d, small(), 5).state_dict()
    network = blank(build_resnet3d, small(), 5)
    report = load_pretrained(network, write(tmp_path, file), pixels=HARA_2020)
    assert torch.equal(network.state_dict()["conv1.weight"], file["conv1.weight"])
    assert any("since its first layer has the scale of pixels" in note for note in report.notes)
    report = load_pretrained(network, tmp_path / "weights.pth", pixels=HARA_2018)
    assert "conv1.weight" in report.adapted
    report = load_pretrained(
        network, tmp_path / "weights.pth", pixels=HARA_2018, trained_on="pdray"
    )
    assert "conv1.weight" in report.loaded


def test_a_report_is_told_in_lines(tmp_path: Path) -> None:
    file = drawn(build_resnet3d, small(), 400).state_dict()
    network = drawn(build_tsa, small_tsa(temporal_stride="211111"), 3, 2)
    path = write(tmp_path, file)
    lines = load_pretrained(network, path, pixels=HARA_2020).told()
    assert lines[:2] == [
        f"weights: {path}, 3D ResNet (Hara) with depth 10, shortcut A, stem_time_kernel 7, "
        "norm batch, width 8, channels 3, 400 classes",
        "loaded unchanged: 40 tensors",
    ]
    assert lines[2].startswith("adapted, the mean over red, green and blue for each of 2 channels")
    assert lines[3].startswith("start from random values: layer3.0.conv1.relative_RE, ")
    assert lines[3].endswith(" and 18 more")
    assert lines[4].startswith("not used: layer3.0.conv1.weight, ")
    assert "time strides 121222, the network has 211111; use a file" in lines[5]
    assert lines[6].startswith("pixels: trained on hara_2020 (red, green, blue in 0..1 minus (0.43")
    assert len(lines) == 7


# What does not fit is refused, and nothing is written.


def stripped(state: dict[str, Tensor], *, of: str) -> dict[str, Tensor]:
    return {name: value for name, value in state.items() if name != of}


REFUSED: dict[str, tuple[Callable[[], Any], Callable[[], nn.Module], str]] = {
    "another depth": (
        lambda: drawn(build_resnet3d, small(depth=18), 400).state_dict(),
        lambda: drawn(build_resnet3d, small(), 3),
        r"depth is 18 in the file and 10 in the network; set model\.depth=18",
    ),
    "shortcut A into B": (
        lambda: drawn(build_resnet3d, small(), 400).state_dict(),
        lambda: drawn(build_resnet3d, small(shortcut="B"), 3),
        r"shortcut is A in the file and B in the network; set model\.shortcut=A",
    ),
    "shortcut B into A": (
        lambda: drawn(build_resnet3d, small(shortcut="B"), 700).state_dict(),
        lambda: drawn(build_tsa, small_tsa(), 3),
        r"shortcut is B in the file and A in the network; set model\.shortcut=B",
    ),
    "another norm": (
        lambda: drawn(build_resnet3d, small(), 400).state_dict(),
        lambda: drawn(build_resnet3d, small(norm="group"), 3),
        r"norm is batch in the file and group in the network; set model\.norm=batch",
    ),
    "another width": (
        lambda: drawn(build_resnet3d, small(), 400).state_dict(),
        lambda: drawn(build_resnet3d, small(width_factor=0.25), 3),
        "width is 8 in the file and 16 in the network",
    ),
    "flow into colours": (
        lambda: piergiaj(2),
        lambda: drawn(build_i3d, I3DConfig(), 3),
        "channels is 2 in the file and 3 in the network",
    ),
    "another family": (
        lambda: piergiaj(3),
        lambda: drawn(build_resnet3d, small(), 3),
        r"\(Inception I3D with .*the network is 3D ResNet \(Hara\) with depth 10.*use a file of 3D",
    ),
    "pictures into snippets": (
        lambda: drawn(load_torchvision().models.resnet18).state_dict(),
        lambda: drawn(build_resnet3d, small(), 3),
        r"\(2D ResNet with depth 18.*1000 classes\) does not fit.*use a file of 3D ResNet \(Hara\)",
    ),
    "a sibling of torchvision": (
        lambda: drawn(load_torchvision().models.video.mc3_18).state_dict(),
        lambda: drawn(build_r3d, R3DConfig(), 3),
        r"'layer2\.0\.conv1\.0\.weight' is \(128, 64, 1, 3, 3\) in the file and \(128, 64, 3, 3",
    ),
    "an unknown family": (
        lambda: {"features.conv0.weight": torch.ones(1)},
        lambda: drawn(build_resnet3d, small(), 3),
        r"1 tensors of no known family\).*its first tensors are 'features\.conv0\.weight'; use",
    ),
    "a tensor too few": (
        lambda: stripped(drawn(build_resnet3d, small(), 400).state_dict(), of="bn1.running_var"),
        lambda: drawn(build_resnet3d, small(), 3),
        "norm is group in the file",
    ),
    "a weight too few": (
        lambda: stripped(drawn(build_resnet3d, small(), 400).state_dict(), of="layer1.0.bn2.bias"),
        lambda: drawn(build_resnet3d, small(), 3),
        r"the file has no 'layer1\.0\.bn2\.bias'",
    ),
    "attention into convolutions": (
        lambda: drawn(build_tsa, small_tsa(), 3).state_dict(),
        lambda: drawn(build_resnet3d, small(), 3),
        r"the network has no 'layer3\.0\.conv1\.\w+.*and \d+ more",
    ),
    "weights that are not finite": (
        lambda: blank(build_resnet3d, small(), 400).state_dict(),
        lambda: drawn(build_resnet3d, small(), 3),
        r"'conv1\.weight' .* values that are not finite",
    ),
    "a network without a family": (
        lambda: drawn(build_resnet3d, small(), 400).state_dict(),
        lambda: nn.Linear(2, 2),
        "the network has no published weights; use a model.pt of the same network",
    ),
    "two backbones into one": (
        lambda: nn.ModuleList(drawn(build_resnet3d, small(), 3) for _ in range(2)).state_dict(),
        lambda: drawn(build_resnet3d, small(), 3),
        "it holds 2 backbones and the network 1; use a file with 1 backbone",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_is_refused_and_not_written(tmp_path: Path, case: str) -> None:
    content, build, message = REFUSED[case]
    network = build()
    before = copied(network)
    with pytest.raises(CheckpointError, match=rf"(?s)weights\.pth .*{message}"):
        load_pretrained(network, write(tmp_path, content()))
    assert_unchanged(network, before)


def test_a_network_of_no_family_takes_its_own(tmp_path: Path) -> None:
    first, again = nn.Linear(3, 2), nn.Linear(3, 2)
    load_pretrained(again, write(tmp_path, first.state_dict(), "model.pt"))
    assert torch.equal(again.weight, first.weight)
    with pytest.raises(CheckpointError, match=r"'weight' is \(2, 3\) in the file and \(2, 4\)"):
        load_pretrained(nn.Linear(4, 2), tmp_path / "model.pt")
