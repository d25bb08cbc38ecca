import re

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from pdray.models.landmark_mlp import (
    LandmarkMlp,
    LandmarkMlpConfig,
    build_landmark_mlp,
)

SMALL = {"num_frames": 3, "num_points": 5, "num_hidden": 7}


def seeded(frames: str = "fc", num_classes: int = 6, **changes: object) -> LandmarkMlp:
    config = LandmarkMlpConfig.model_validate({**SMALL, "frames": frames, **changes})
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build_landmark_mlp(config, num_classes)


def draw(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=dtype)


def reference(model: LandmarkMlp, x: np.ndarray) -> np.ndarray:
    """One recording and one unit after the other, in float64."""
    w1, b1, w2, b2 = (one.detach().double().numpy() for one in model.parameters())

    def score(values: list[float]) -> np.ndarray:
        units = [max(0.0, float(np.dot(row, values)) + b) for row, b in zip(w1, b1, strict=True)]
        return np.array([float(np.dot(row, units)) + b for row, b in zip(w2, b2, strict=True)])

    logits = []
    for recording in x:
        frames = [[v for point in frame for v in point] for frame in recording.tolist()]
        if model.is_voting:
            logits.append(sum(score(frame) for frame in frames))
        else:
            logits.append(score([v for frame in frames for v in frame]))
    return np.array(logits)


@pytest.mark.parametrize("frames", ["fc", "fv"])
def test_logits_are_those_of_the_reference(frames: str) -> None:
    model, x = seeded(frames).double(), draw(4, 3, 5, 2)
    np.testing.assert_allclose(model(x).detach().numpy(), reference(model, x.numpy()), atol=1e-12)


def test_voting_does_not_see_the_order_of_frames_and_concatenation_does() -> None:
    x = draw(2, 3, 5, 2)
    for frames, is_same in (("fv", True), ("fc", False)):
        model = seeded(frames).double()
        assert torch.allclose(model(x), model(x.flip(1))) == is_same


def test_votes_are_of_each_frame_and_sum_to_the_logits() -> None:
    x = draw(2, 3, 5, 2)
    voting, joined = seeded("fv").double(), seeded("fc").double()
    assert voting.vote(x).shape == (2, 3, 6)
    torch.testing.assert_close(voting.vote(x).sum(dim=1), voting(x))
    assert joined.vote(x).shape == (2, 1, 6)


def test_sizes_are_the_papers_by_default() -> None:
    config = LandmarkMlpConfig()
    joined = build_landmark_mlp(config, 6)
    assert joined.hidden.in_features == 10 * 106 * 2
    voting = build_landmark_mlp(config.model_copy(update={"frames": "fv"}), 6)
    assert voting.hidden.in_features == 106 * 2
    assert (voting.head.in_features, voting.head.out_features) == (128, 6)


@pytest.mark.parametrize("frames", ["fc", "fv"])
def test_every_parameter_learns_and_the_batch_does_not_mix(frames: str) -> None:
    model, x = seeded(frames), draw(4, 3, 5, 2, dtype=torch.float32)
    model(x).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())
    torch.testing.assert_close(model(x)[1:2], model(x[1:2]))
    torch.testing.assert_close(seeded(frames)(x), model(x))


def test_dropout_acts_in_training_alone() -> None:
    model, x = seeded(dropout=0.5, num_hidden=64), draw(2, 3, 5, 2, dtype=torch.float32)
    with torch.random.fork_rng():
        assert not torch.equal(model(x), model(x))
    model.eval()
    assert torch.equal(model(x), model(x))


@pytest.mark.parametrize(
    "shape", [(2, 4, 5, 2), (2, 3, 6, 2), (2, 3, 5, 3), (3, 5, 2), (0, 3, 5, 2)]
)
def test_other_axes_are_refused(shape: tuple[int, ...]) -> None:
    words = f"(B, F, P, C) = (B, 3, 5, 2), got {shape} torch.float32"
    with pytest.raises(ValueError, match=re.escape(words)):
        seeded()(torch.zeros(shape))


def test_integers_are_refused() -> None:
    with pytest.raises(ValueError, match=r"floating point numbers, got \(1, 3, 5, 2\) torch.int64"):
        seeded()(torch.zeros(1, 3, 5, 2, dtype=torch.int64))


@pytest.mark.parametrize("wrong", [{"frames": "vote"}, {"num_hidden": 0}, {"num_frames": 0}])
def test_impossible_settings_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        LandmarkMlpConfig.model_validate(wrong)
