from typing import Any

import pytest
import torch
from torch import Tensor

from pdray.models.layers.segment_attention import SegmentNetwork
from pdray.models.networks.frame_resnet import build_frame_resnet, build_two_stream
from pdray.models.networks.frame_resnet_settings import (
    FrameResNetConfig,
    TwoStreamConfig,
    two_stream_faults,
)
from tests.fixtures.networks import draw, seeded


def small(**changes: Any) -> TwoStreamConfig:
    return TwoStreamConfig(
        **{"depth": 18, "width_factor": 0.125, "dropout": 0.0, "stacked_frames": 5, **changes}
    )


def test_the_first_layer_sees_every_frame_one_after_the_other() -> None:
    model = seeded(build_two_stream, small(), 3, 2).double().eval()
    seen: list[Tensor] = []
    model.conv1.register_forward_pre_hook(lambda _m, inputs: seen.append(inputs[0]))
    x = draw(2, 2, 5, 20, 24)
    model(x)
    expected = torch.stack([x[:, k % 2, k // 2] for k in range(10)], dim=1)
    assert torch.equal(seen[0], expected)


def test_a_stack_gives_what_the_frame_network_gives_for_one_picture_of_it() -> None:
    # The frame network has a written-out reference of its own.
    model = seeded(build_two_stream, small(), 3, 2).double().eval()
    config = FrameResNetConfig(depth=18, width_factor=0.125)
    frame = build_frame_resnet(config, 3, num_channels=10).double().eval()
    frame.load_state_dict(model.state_dict())
    x = draw(2, 2, 5, 33, 24)
    picture = x.transpose(1, 2).reshape(2, 10, 1, 33, 24)
    with torch.no_grad():
        assert torch.equal(model(x), frame(picture))
        assert torch.equal(model.features(x), frame.features(picture))


def test_one_frame_of_colours_is_the_spatial_stream() -> None:
    model = seeded(build_two_stream, small(stacked_frames=1), 3, 3).double().eval()
    assert model.conv1.weight.shape[1] == 3
    assert model(draw(2, 3, 1, 20, 20)).shape == (2, 3)


def test_under_the_mean_consensus_it_is_a_temporal_segment_network() -> None:
    model = seeded(build_two_stream, small(), 3, 2).double().eval()
    x = draw(6, 2, 5, 20, 20)
    with torch.no_grad():
        found = SegmentNetwork(model, attention=False)(x, num_segments=3)
        scores = torch.stack([model(one[None])[0] for one in x])
        # The head is linear: the mean of features and the mean of scores are one.
        torch.testing.assert_close(found, scores.view(2, 3, 3).mean(dim=1))


@pytest.mark.parametrize("num_frames", [4, 6])
def test_another_number_of_frames_is_refused(num_frames: int) -> None:
    with pytest.raises(ValueError, match=f"snippets of 5 frames, got {num_frames} in .1, 2, "):
        seeded(build_two_stream, small(), 3, 2)(torch.zeros(1, 2, num_frames, 20, 20))


def test_sound_settings_have_no_fault() -> None:
    assert two_stream_faults(TwoStreamConfig(), num_frames=10, height=224, width=224) == []


def test_faults_are_reported_together() -> None:
    config = TwoStreamConfig(width_factor=0.01)
    faults = two_stream_faults(config, num_frames=32, height=16, width=224)
    assert [fault.split(" ")[:2] for fault in faults] == [
        ["model.width_factor:", "0.01"],
        ["height:", "16"],
        ["model.stacked_frames:", "10"],
    ]
    assert "takes all 32 frames of a snippet; set model.stacked_frames=32" in faults[2]
    assert "use at least 17 px" in faults[1]
    (fault,) = two_stream_faults(TwoStreamConfig(), num_frames=0, height=17, width=17)
    assert fault == "num_frames: 0 is too few; use at least 1"
