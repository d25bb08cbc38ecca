import itertools
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn

from pdray.errors import DivergedError
from pdray.losses.adversarial import r1_penalty
from pdray.models.networks.translator import PatchDiscriminator
from pdray.training.translators.method import alone
from pdray.training.translators.optimise import descend, make_adam, set_linear_decay
from tests.fixtures.networks import draw, seeded


def rates(num_epochs: int) -> list[float]:
    optimizer = make_adam([nn.Linear(1, 1)], 0.2)
    found = []
    for epoch in range(num_epochs):
        set_linear_decay([optimizer], 0.2, epoch=epoch, num_epochs=num_epochs)
        found.append(optimizer.param_groups[0]["lr"])
    return found


def test_the_rate_is_constant_for_half_of_the_epochs_and_then_falls_in_a_straight_line() -> None:
    found = rates(200)
    assert found[:100] == [0.2] * 100
    assert found[100] == pytest.approx(0.2 * 100 / 101)
    assert found[199] == pytest.approx(0.2 / 101)
    falls = [before - after for before, after in itertools.pairwise(found[99:])]
    assert falls == pytest.approx([0.2 / 101] * 100)
    assert rates(1) == [0.2]
    assert rates(2) == pytest.approx([0.2, 0.1])
    assert rates(3) == pytest.approx([0.2, 0.2, 0.1])


def test_adam_has_the_published_betas_and_all_weights() -> None:
    one, other = nn.Linear(2, 3), nn.Linear(3, 1)
    optimizer = make_adam([one, other], 2e-4)
    (group,) = optimizer.param_groups
    assert (group["lr"], group["betas"], group["weight_decay"]) == (2e-4, (0.5, 0.999), 0)
    assert len(group["params"]) == 4


def test_a_step_goes_down_the_weighted_sum_and_returns_the_unweighted_losses() -> None:
    weight = nn.Parameter(torch.tensor([3.0]))
    other = nn.Parameter(torch.tensor([1.0]))
    optimizer = torch.optim.SGD([weight], lr=0.1)
    losses = {"square": (2.0, (weight**2 * other).sum()), "line": (0.5, weight.sum())}
    told = descend(optimizer, losses, alone)
    assert told == {"square": 9.0, "line": 3.0}
    assert weight.item() == pytest.approx(3 - 0.1 * (2 * 6 + 0.5))
    assert weight.grad is None
    assert other.grad is None  # it belongs to another optimiser


def test_workers_average_gradients_and_losses_before_the_step() -> None:
    weight = nn.Parameter(torch.tensor([3.0]))
    optimizer = torch.optim.SGD([weight], lr=0.1)

    def with_a_worker_that_has_zeros(tensors: Sequence[Tensor]) -> None:
        for tensor in tensors:
            tensor /= 2

    told = descend(optimizer, {"square": (1.0, (weight**2).sum())}, with_a_worker_that_has_zeros)
    assert told == {"square": 4.5}
    assert weight.item() == pytest.approx(3 - 0.1 * 3)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_is_named_and_nothing_moves(bad: float) -> None:
    weight = nn.Parameter(torch.tensor([3.0]))
    optimizer = torch.optim.SGD([weight], lr=0.1)
    losses = {"good": (1.0, weight.sum()), "cycle": (1.0, (weight * bad).sum())}
    with pytest.raises(DivergedError, match=f"^the cycle loss became {bad}$"):
        descend(optimizer, losses, alone)
    assert weight.item() == 3


def test_a_step_is_seen_at_once_under_autocast() -> None:
    layer = seeded(lambda: nn.Linear(4, 1, bias=False))
    optimizer = torch.optim.SGD(layer.parameters(), lr=1.0)
    x = torch.ones(1, 4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        before = layer(x)
        descend(optimizer, {"sum": (1.0, before.float().sum())}, alone)
        after = layer(x)
    assert after.item() == pytest.approx(before.item() - 4, abs=0.02)


def test_second_derivatives_are_float32_under_autocast() -> None:
    x = draw(2, 3, 12, 12, dtype=torch.float32)

    def gradients(is_autocast: bool) -> list[Tensor]:
        network = seeded(lambda: PatchDiscriminator(width=2, num_layers=1))
        seen: list[Tensor] = []
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=is_autocast):
            optimizer = make_adam([network], 1e-3)
            losses = {"r1": (1.0, r1_penalty(network, x)), "none": (0.0, network(x).float().sum())}
            descend(optimizer, losses, lambda tensors: seen.extend(one.clone() for one in tensors))
        return seen[:-1]  # the last are the losses

    for one, other in zip(gradients(False), gradients(True), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-7)
