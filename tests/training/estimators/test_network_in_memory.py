import math

import numpy as np
import pytest
import torch
from torch import nn

from pdray.errors import DivergedError
from pdray.losses.hierarchy import hierarchy_loss
from pdray.models.estimators.audio_mlp_settings import AudioMlpConfig
from pdray.models.estimators.fusion import FrameLinear
from pdray.training.estimators.network_in_memory import (
    NetworkLearner,
    draw_network,
    network_logits,
    train_network,
)

ONE_STEP = AudioMlpConfig(learning_rate=0.01, batch_size=99, num_epochs=1, hierarchy_lambda=0.3)
X = np.random.default_rng(0).normal(3, 2, (12, 4, 5))
Y = np.arange(12) % 3


def frames(seed: int = 0) -> FrameLinear:
    return draw_network(
        lambda: FrameLinear(is_voting=True, num_frames=4, num_inputs=5, num_classes=3), seed
    )


def slow_votes_loss(network: FrameLinear) -> float:
    """The mean over frames of Eq. 2, each told its recording's class, in plain numbers."""
    weight, bias = (one.detach().double().numpy() for one in network.parameters())
    losses = []
    for recording, target in zip(X, Y, strict=True):
        for frame in recording:
            scores = [math.exp(float(w @ frame + b)) for w, b in zip(weight, bias, strict=True)]
            shares = [score / math.fsum(scores) for score in scores]
            ill = 1 - shares[0] if target else shares[0]
            losses.append(-0.3 * math.log(ill) - 0.7 * math.log(shares[target]))
    return math.fsum(losses) / len(losses)


def test_a_vote_is_told_the_class_of_its_recording(monkeypatch: pytest.MonkeyPatch) -> None:
    network = frames()
    expected, seen = slow_votes_loss(network), []

    def spy(logits: torch.Tensor, target: torch.Tensor, **more: float) -> torch.Tensor:
        loss = hierarchy_loss(logits, target, **more)
        seen.append(loss.mean().item())
        return loss

    monkeypatch.setattr("pdray.training.estimators.network_in_memory.hierarchy_loss", spy)
    assert [*train_network(network, X, Y, ONE_STEP, seed=1, compute=network.vote)] == ["epoch 0"]
    assert seen == pytest.approx([expected], rel=1e-5)


def test_every_recording_is_seen_once_an_epoch() -> None:
    seen: list[float] = []

    class Spy(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(1, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            seen.extend(x[:, 0].tolist())
            return self.head(x)

    training = ONE_STEP.model_copy(update={"batch_size": 5, "num_epochs": 2})
    assert len([*train_network(Spy(), np.arange(12.0)[:, None], Y % 2, training, seed=1)]) == 2
    assert sorted(seen[:12]) == sorted(seen[12:]) == list(range(12))
    assert seen[:12] != seen[12:]


def test_the_seed_draws_the_weights_and_nothing_else() -> None:
    before = torch.get_rng_state()
    first, same, other = frames(1), frames(1), frames(2)
    assert torch.equal(first.head.weight, same.head.weight)
    assert not torch.equal(first.head.weight, other.head.weight)
    assert torch.equal(torch.get_rng_state(), before)


def test_inputs_are_scaled_by_what_was_learnt_from_alone() -> None:
    def build(shape: tuple[int, ...]) -> nn.Module:
        assert shape == (4, 5)
        return FrameLinear(is_voting=True, num_frames=4, num_inputs=5, num_classes=3)

    x = X.copy()
    x[..., 0] = 7.0  # the same everywhere: becomes 0, not nothing over nothing
    fitted = NetworkLearner(build, ONE_STEP, seed=3, scales="frames").fit(x[:8], Y[:8])
    rows = x[:8].reshape(32, 5)
    spread = np.where(rows.std(axis=0) > 0, rows.std(axis=0), 1.0)
    scaled = (x - rows.mean(axis=0)) / spread
    np.testing.assert_allclose(fitted.logits(x), network_logits(fitted.network, scaled), atol=1e-6)
    assert not scaled[..., 0].any()
    changed = x.copy()
    changed[8:] *= 100  # another recording's numbers change nothing
    np.testing.assert_allclose(fitted.logits(x)[:8], fitted.logits(changed)[:8], atol=1e-6)


def test_votes_and_their_sum_are_taught_differently() -> None:
    def build(shape: tuple[int, ...]) -> nn.Module:
        return FrameLinear(is_voting=True, num_frames=4, num_inputs=5, num_classes=3)

    training = ONE_STEP.model_copy(update={"num_epochs": 20})
    one, other = (
        NetworkLearner(build, training, seed=3, scales="frames", votes=votes).fit(X, Y).logits(X)
        for votes in (True, False)
    )
    assert np.abs(one - other).max() > 0.1


def test_a_loss_that_is_not_finite_stops_with_its_epoch() -> None:
    x = X.copy()
    x[3, 0, 0] = np.inf
    with pytest.raises(DivergedError, match="epoch 0: the training loss became nan"):
        next(train_network(frames(), x, Y, ONE_STEP, seed=0))


def test_predictions_between_epochs_change_nothing_of_the_training() -> None:
    def build(_: tuple[int, ...]) -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.BatchNorm1d(20), nn.Dropout(0.5), nn.Linear(20, 3))

    training = ONE_STEP.model_copy(update={"batch_size": 5, "num_epochs": 4})
    whole = NetworkLearner(build, training, seed=3).fit(X, Y).logits(X)
    looked = NetworkLearner(build, training, seed=3)
    curve = []
    for name in looked.epochs(X, Y):
        torch.rand(7)  # the caller's own draws
        curve.append((name, looked.logits(X)))
    assert [name for name, _ in curve] == [f"epoch {number}" for number in range(4)]
    np.testing.assert_array_equal(curve[-1][1], whole)
    assert np.abs(curve[0][1] - whole).max() > 0.01
