import math

import numpy as np
import pytest
import torch

from pdray.config import build
from pdray.errors import SettingsError
from pdray.models.estimators.fusion import FrameLinear, contributions, fuse, l1_normalised
from pdray.models.estimators.fusion_settings import FusionConfig


def slow_fuse(logits: np.ndarray, present: np.ndarray, rule: str) -> np.ndarray:
    """Section 5.2 of YouTubePD with loops, in double precision."""
    num_modalities, num_recordings, num_classes = logits.shape
    fused = np.zeros((num_recordings, num_classes))
    for b in range(num_recordings):
        there = [m for m in range(num_modalities) if present[m, b]]
        for m in there:
            row = [float(value) for value in logits[m, b]]
            if rule == "l1":
                total = math.fsum(abs(value) for value in row)
                part = [value / total for value in row]
            else:
                total = math.fsum(math.exp(value) for value in row)
                part = [math.exp(value) / total / len(there) for value in row]
            for k in range(num_classes):
                fused[b, k] += part[k]
    return fused if rule == "l1" else np.log(fused)


@pytest.mark.parametrize("rule", ["l1", "mean"])
def test_fused_logits_are_those_of_the_formula(rule: str) -> None:
    rng = np.random.default_rng(0)
    logits, present = rng.normal(0, 3, (3, 40, 5)), rng.random((3, 40)) < 0.6
    present[0] |= ~present.any(axis=0)
    expected = slow_fuse(logits, present, rule)
    logits[~present] = np.nan  # what is absent is not looked at
    found = fuse(torch.from_numpy(logits), torch.from_numpy(present), rule)  # type: ignore[arg-type]
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12)


def test_a_loud_modality_counts_as_much_as_a_quiet_one() -> None:
    logits = torch.tensor([[[1.0, -2.0, 0.5]], [[-3.0, 1.0, 1.0]]], dtype=torch.float64)
    there = torch.ones(2, 1, dtype=torch.bool)
    loud = logits * torch.tensor([1000.0, 1.0])[:, None, None]
    torch.testing.assert_close(fuse(loud, there, "l1"), fuse(logits, there, "l1"))
    assert not torch.allclose(fuse(loud, there, "mean"), fuse(logits, there, "mean"))


def test_a_modality_alone_decides_as_it_does_by_itself() -> None:
    logits = torch.randn(2, 6, 4, dtype=torch.float64)
    alone = torch.tensor([[True] * 6, [False] * 6])
    for rule in ("l1", "mean"):
        fused = fuse(logits, alone, rule)  # type: ignore[arg-type]
        torch.testing.assert_close(fused.argmax(1), logits[0].argmax(1))
    torch.testing.assert_close(fuse(logits, alone, "mean"), logits[0].log_softmax(1))


def test_contributions_sum_to_what_is_fused_and_are_zero_where_absent() -> None:
    logits = torch.randn(2, 3, 4)
    present = torch.tensor([[True, True, False], [True, False, True]])
    parts = contributions(logits, present, "mean")
    torch.testing.assert_close(parts.sum(dim=(0, 2)), torch.ones(3))
    assert not parts[0, 2].any()
    assert not parts[1, 1].any()
    l1 = contributions(logits, present, "l1").abs().sum(dim=2)
    torch.testing.assert_close(l1, present.float())


def test_logits_of_zero_stay_zero() -> None:
    assert torch.equal(l1_normalised(torch.zeros(2, 3)), torch.zeros(2, 3))


def test_a_recording_without_any_modality_is_refused_with_its_position() -> None:
    present = torch.tensor([[True, False], [True, False]])
    with pytest.raises(ValueError, match="recording at position 1 has none of the modalities"):
        fuse(torch.zeros(2, 2, 3), present, "l1")


def test_frames_vote_or_are_concatenated() -> None:
    x = np.random.default_rng(1).normal(size=(4, 3, 5))
    for is_voting in (True, False):
        network = FrameLinear(is_voting=is_voting, num_frames=3, num_inputs=5, num_classes=2)
        network = network.double().eval()
        weight, bias = network.head.weight.detach().numpy(), network.head.bias.detach().numpy()
        if is_voting:
            expected = sum(x[:, frame] @ weight.T + bias for frame in range(3))
        else:
            expected = x.reshape(4, 15) @ weight.T + bias
        with torch.no_grad():
            found = network(torch.from_numpy(x)).numpy()
            votes = network.vote(torch.from_numpy(x))
        np.testing.assert_allclose(found, expected, rtol=1e-12)
        assert votes.shape == (4, 3 if is_voting else 1, 2)
    with pytest.raises(ValueError, match=r"\(B, F, D\) = \(B, 3, 5\), got \(4, 2, 5\)"):
        network(torch.zeros(4, 2, 5))


def test_the_defaults_are_the_papers() -> None:
    config = FusionConfig()
    assert config.modalities == ("rgb", "landmarks", "mfcc")
    assert (config.learning_rate, config.batch_size, config.num_epochs) == (0.02, 16, 50)
    assert (config.rule, config.frames, config.num_frames) == ("l1", "fv", 10)
    assert (config.backbone.depth, config.backbone.layout) == (50, "vggface2")
    assert config.has_votes


def test_branches_have_one_order() -> None:
    assert FusionConfig(branches="waveform+rgb").modalities == ("rgb", "waveform")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"branches": "rgb+voice"},
            r"'voice' is not a branch; use some of rgb, landmarks, mfcc, log",
        ),
        ({"branches": "rgb+rgb"}, "rgb is listed 2 times; list it once"),
        ({"branches": ""}, "'' is not a branch"),
        (
            {"frames": "fc", "told": "recording"},
            "told recording needs frames that vote, but frames is fc .*; set frames=fv",
        ),
    ],
)
def test_what_cannot_be_fused_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        build(FusionConfig, changes)
