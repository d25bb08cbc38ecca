import pytest
import torch
from torch import Tensor

from pdray.models import NETWORKS
from pdray.models.layers.limits import check_snippets, frame_faults, side_faults, width_faults

# Its channels come in steps of eight; torchvision or CLIP decides those of the others.
NO_WIDTH_AT_FAULT = {"x3d", "r3d", "s3d", "expression_clip"}
LEAST_SIDES = {"r3d": 9, "region_attention": 19, "expression_clip": 32}  # of the others 17


def test_a_width_is_a_fault_when_no_channel_is_left() -> None:
    assert width_faults(1 / 64, narrowest=64) == []
    assert width_faults(0.0156, narrowest=64) == [
        "model.width_factor: 0.0156 leaves the first stage without channels; use at least 0.015625"
    ]
    (fault,) = width_faults(0.06, narrowest=16, place="a branch")
    assert fault.endswith("0.06 leaves a branch without channels; use at least 0.0625")


def test_no_frame_is_a_fault() -> None:
    assert frame_faults(1) == []
    assert frame_faults(0) == ["num_frames: 0 is too few; use at least 1"]


def test_each_short_side_is_a_fault() -> None:
    assert side_faults(height=17, width=17, least=17) == []
    assert side_faults(height=16, width=8, least=17) == [
        "height: 16 px shrink to 1 px before the last stage halves them; use at least 17 px",
        "width: 8 px shrink to 1 px before the last stage halves them; use at least 17 px",
    ]
    (fault,) = side_faults(height=9, width=8, least=9, place="pool")
    assert fault == "width: 8 px shrink to 1 px before the last pool halves them; use at least 9 px"


@pytest.mark.parametrize("key", NETWORKS)
def test_every_model_reports_its_faults_together(key: str) -> None:
    settings, faults = NETWORKS[key].settings, NETWORKS[key].faults
    wanted = {"num_frames": "0", "height": str(LEAST_SIDES.get(key, 17) - 1), "width": "3"}
    changes = {}
    if key not in NO_WIDTH_AT_FAULT:
        changes["width_factor"], wanted["model.width_factor"] = 0.01, "0.01"
    found = faults(settings(**changes), num_frames=0, height=int(wanted["height"]), width=3)
    told = dict(fault.split(": ", 1) for fault in found)
    assert len(told) == len(found)
    assert {name: told[name].split(" ")[0] for name in wanted} == wanted
    assert f"use at least {LEAST_SIDES.get(key, 17)} px" in told["height"]


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (torch.zeros(3, 4, 5, 5), r"five axes .* got \(3, 4, 5, 5\) torch.float32"),
        (torch.zeros(1, 4, 3, 5, 5), r"channels: expected 3, got \(1, 4, 3, 5, 5\)"),
        (
            torch.zeros(0, 3, 4, 5, 5),
            r"no axis of snippets \(B, C, T, H, W\) may be empty, got \(0, 3, 4, 5, 5\)",
        ),
        (torch.zeros(1, 3, 4, 5, 5, dtype=torch.uint8), r"floating point numbers, got .*uint8"),
    ],
)
def test_what_is_no_batch_of_snippets_is_refused(x: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_snippets(x, num_channels=3)
