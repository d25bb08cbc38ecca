import re

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from pdray.models.estimators.landmark_mlp import LandmarkMlp, build_landmark_mlp
from pdray.models.estimators.landmark_settings import LandmarkMlpConfig

SMALL = {"num_frames": 3, "num_points": 5, "num_hidden": 7}


def seeded(frames: str = "fc", num_classes: int = 6, **changes: object) -> LandmarkMlp:
    config = LandmarkMlpConfig.model_validate({**SMALL, "frames": frames, **changes})
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build_landmark_mlp(config, num_classes)


def draw(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=dtype)


def reference(model: LandmarkMlp, x: np.ndarray, *, training: bool) -> np.ndarray:
    """One recording and one unit after the other, in float64."""
    w1, b1, scale, shift, w2, b2 = (one.detach().double().numpy() for one in model.parameters())

    def units(frame: list[list[float]]) -> list[float]:
        values = [v for point in frame for v in point]
        return [max(0.0, float(np.dot(row, values)) + b) for row, b in zip(w1, b1, strict=True)]

    per_frame = [[units(frame) for frame in recording.tolist()] for recording in x]
    if model.is_voting:
        rows = [one for recording in per_frame for one in recording]
    else:
        rows = [[v for one in recording for v in one] for recording in per_frame]
    mean, var = (one.double().numpy() for one in (model.norm.running_mean, model.norm.running_var))
    if training:
        columns = list(zip(*rows, strict=True))
        mean = np.array([sum(column) / len(column) for column in columns])
        var = np.array(
            [
                sum((v - m) ** 2 for v in column) / len(column)
                for column, m in zip(columns, mean, strict=True)
            ]
        )
    normed = [(np.array(row) - mean) / np.sqrt(var + 1e-5) * scale + shift for row in rows]
    votes = np.array([[float(w @ row) + b for w, b in zip(w2, b2, strict=True)] for row in normed])
    return votes.reshape(len(x), -1, votes.shape[1]).sum(axis=1)


@pytest.mark.parametrize("frames", ["fc", "fv"])
@pytest.mark.parametrize("training", [True, False])
def test_logits_are_those_of_the_reference(frames: str, training: bool) -> None:
    model, x = seeded(frames).double(), draw(4, 3, 5, 2)
    model(3 * draw(9, 3, 5, 2) + 1)  # so that the running statistics are some
    model.train(training)
    expected = reference(model, x.numpy(), training=training)
    np.testing.assert_allclose(model(x).detach().numpy(), expected, atol=1e-12)


@pytest.mark.parametrize(("frames", "num_frames"), [("fc", 3), ("fv", 1)])
def test_one_row_alone_is_normed_by_what_was_seen(frames: str, num_frames: int) -> None:
    model = seeded(frames, num_frames=num_frames).double()
    model(2 * draw(9, num_frames, 5, 2) + 1)
    before = {name: value.clone() for name, value in model.norm.named_buffers()}
    x = draw(1, num_frames, 5, 2)
    alone = model.train()(x)
    assert all(torch.equal(value, before[name]) for name, value in model.norm.named_buffers())
    assert torch.equal(alone, model.eval()(x))


def test_voting_does_not_see_the_order_of_frames_and_concatenation_does() -> None:
    x = draw(2, 3, 5, 2)
    for frames, is_same in (("fv", True), ("fc", False)):
        model = seeded(frames).double().eval()
        assert torch.allclose(model(x), model(x.flip(1))) == is_same


def test_votes_are_of_each_frame_and_sum_to_the_logits() -> None:
    x = draw(2, 3, 5, 2)
    voting, joined = seeded("fv").double().eval(), seeded("fc").double().eval()
    assert voting.vote(x).shape == (2, 3, 6)
    torch.testing.assert_close(voting.vote(x).sum(dim=1), voting(x))
    assert joined.vote(x).shape == (2, 1, 6)


def test_sizes_are_the_public_codes_by_default() -> None:
    config = LandmarkMlpConfig()
    joined = build_landmark_mlp(config, 6)
    assert joined.hidden.in_features == 106 * 2
    assert (joined.head.in_features, joined.head.out_features) == (8 * 256, 6)
    voting = build_landmark_mlp(config.model_copy(update={"frames": "fv"}), 6)
    assert voting.hidden.in_features == 106 * 2
    assert (voting.head.in_features, voting.head.out_features) == (256, 6)


@pytest.mark.parametrize("frames", ["fc", "fv"])
def test_every_parameter_learns_and_the_batch_does_not_mix(frames: str) -> None:
    model, x = seeded(frames), draw(4, 3, 5, 2, dtype=torch.float32)
    model(x).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())
    torch.testing.assert_close(seeded(frames)(x), model(x))
    model.eval()  # in training the norm is the batch's
    torch.testing.assert_close(model(x)[1:2], model(x[1:2]))


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
