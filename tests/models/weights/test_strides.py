from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pdray.models.networks.resnet3d import build_resnet3d
from pdray.models.networks.resnet3d_settings import ResNet3DConfig
from pdray.models.networks.tsa import build_tsa
from pdray.models.networks.tsa_settings import TsaConfig
from pdray.models.weights.published import RESNET2D, RESNET3D, Pair, Place
from pdray.models.weights.strides import stride_faults, stride_notes


class Block(nn.Module):
    """A bottleneck of pictures that strides at its first or at its second convolution."""

    def __init__(self, *, first: int, second: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(2, 2, 1, stride=first)
        self.conv2 = nn.Conv2d(2, 2, 3, stride=second)
        self.conv3 = nn.Conv2d(2, 2, 1)


class Pictures(nn.Module):
    """What is looked at of a network of pictures."""

    def __init__(self, **strides: int) -> None:
        super().__init__()
        self.layer2 = nn.Sequential(Block(**strides))


EARLY, LATE = {"first": 2, "second": 1}, {"first": 1, "second": 2}
PICTURES = Pair(Place(RESNET2D, ""), Place(RESNET2D, ""))
SNIPPETS = Pair(Place(RESNET3D, ""), Place(RESNET3D, ""))


def head(num_classes: int) -> dict[str, Tensor]:
    return {"fc.weight": torch.zeros(num_classes, 1)}


@pytest.mark.parametrize(
    ("num_classes", "strides", "message"),
    [
        (8631, LATE, "VGGFace2 (8631 classes), whose blocks stride at their first convolution"),
        (1000, EARLY, "ImageNet (1000 classes), whose blocks stride at their second convolution"),
    ],
)
def test_strides_of_the_other_kind_are_refused(
    num_classes: int, strides: dict[str, int], message: str
) -> None:
    faults = stride_faults(Pictures(**strides), head(num_classes), PICTURES)
    assert len(faults) == 1
    assert message in faults[0]
    assert "would load and give useless features; set model.layout=" in faults[0]


@pytest.mark.parametrize(("num_classes", "strides"), [(8631, EARLY), (1000, LATE)])
def test_strides_of_the_same_kind_pass(num_classes: int, strides: dict[str, int]) -> None:
    network = Pictures(**strides)
    assert stride_faults(network, head(num_classes), PICTURES) == []
    assert stride_notes(network, head(num_classes), PICTURES) == []


@pytest.mark.parametrize(("strides", "where"), [(EARLY, "VGGFace2"), (LATE, "torchvision")])
@pytest.mark.parametrize("state", [head(3), {}])
def test_a_file_that_does_not_tell_its_strides_gets_a_note(
    state: dict[str, Tensor], strides: dict[str, int], where: str
) -> None:
    network = Pictures(**strides)
    assert stride_faults(network, state, PICTURES) == []
    (note,) = stride_notes(network, state, PICTURES)
    assert "neither 1000 nor 8631 classes" in note
    assert note.endswith(f"like {where}'s")


def test_the_network_may_lie_inside_another() -> None:
    network = nn.ModuleDict({"backbone": Pictures(**LATE)})
    pair = Pair(Place(RESNET2D, ""), Place(RESNET2D, "backbone."))
    assert len(stride_faults(network, head(8631), pair)) == 1


def test_basic_blocks_stride_in_one_place_only() -> None:
    network = Pictures(**EARLY)
    del network.layer2[0].conv3
    assert stride_faults(network, head(1000), PICTURES) == []
    assert stride_notes(network, head(3), PICTURES) == []


@pytest.mark.parametrize("depth", [10, 50])
@pytest.mark.parametrize("temporal_stride", ["121222", "211111", "212121"])
def test_other_time_strides_than_published_get_a_note(depth: Any, temporal_stride: str) -> None:
    config = ResNet3DConfig(depth=depth, width_factor=0.125, temporal_stride=temporal_stride)
    with torch.device("meta"):
        notes = stride_notes(build_resnet3d(config, 2), {}, SNIPPETS)
    expected = (
        f"note: published weights were trained with the time strides 121222, the "
        f"network has {temporal_stride}; use a file that was trained with {temporal_stride}"
    )
    assert notes == ([] if temporal_stride == "121222" else [expected])


def test_time_strides_of_attention_are_seen() -> None:
    config = TsaConfig(depth=10, width_factor=0.125, temporal_stride="212112")
    with torch.device("meta"):
        (note,) = stride_notes(build_tsa(config, 2), {}, SNIPPETS)
    assert "the network has 212112; use a file that was trained with 212112" in note
