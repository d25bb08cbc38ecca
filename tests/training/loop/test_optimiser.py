import pytest
import torch
from torch import nn

from pdray.training.loop.optimiser import learning_rate_factor, make_optimizer
from pdray.training.settings import OptimConfig


class Parts(nn.Module):
    """A network of four parts, two of which have rates of their own, and one frozen weight."""

    def __init__(self) -> None:
        super().__init__()
        self.image, self.imagery = nn.Linear(2, 2), nn.Linear(2, 1)
        self.prompts = nn.Parameter(torch.zeros(3))
        self.still = nn.Parameter(torch.zeros(1), requires_grad=False)
        self.learning_rates = {"image": 1e-5, "prompts": 0.1}


def test_parts_of_a_network_within_others_have_rates_of_their_own():
    inner = Parts()
    model = nn.Sequential(nn.Linear(1, 1), inner)
    config = OptimConfig(optimizer="adamw", learning_rate=0.5, weight_decay=0.25)
    optimizer, rates = make_optimizer(config, model)
    groups = zip(rates, optimizer.param_groups, strict=True)
    held = {rate: {id(one) for one in group["params"]} for rate, group in groups}
    assert rates[0] == 0.5
    assert held == {
        0.5: {id(one) for one in (*model[0].parameters(), *inner.imagery.parameters())},
        1e-5: {id(one) for one in inner.image.parameters()},
        0.1: {id(inner.prompts)},
    }
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.25] * 3


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("constant", [0.0, 0.25, 0.5, 1.0, 1.0, 1.0]),
        # From the end of the warm-up at 2 to the end at 10, half of a cosine.
        ("cosine", [0.0, 0.25, 0.5, 1.0, 0.5, 0.0]),
    ],
)
def test_the_learning_rate_warms_up_and_then_follows_its_schedule(schedule, expected):
    config = OptimConfig(schedule=schedule, warmup_epochs=2.0, epochs=10)
    found = [learning_rate_factor(config, epochs) for epochs in (0.0, 0.5, 1.0, 2.0, 6.0, 10.0)]
    assert found == pytest.approx(expected, abs=1e-12)


def test_without_warm_up_the_rate_starts_at_its_highest():
    assert learning_rate_factor(OptimConfig(schedule="cosine", epochs=4), 0.0) == 1.0
    assert learning_rate_factor(OptimConfig(), 0.01) == 1.0


def test_a_warm_up_longer_than_the_fit_is_just_cut():
    config = OptimConfig(schedule="cosine", warmup_epochs=8.0, epochs=4)
    assert learning_rate_factor(config, 3.5) == pytest.approx(3.5 / 8)
