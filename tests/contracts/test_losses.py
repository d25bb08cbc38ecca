"""What every loss promises: right gradients, a value a snippet, least at the truth."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from pdray.losses.focal import class_balanced_focal_loss
from pdray.losses.ordinal import coral_loss, cumulative_link_loss
from pdray.losses.soft_target import mean_over_votes
from pdray.losses.softmax_focal import softmax_focal_loss

NUM_CLASSES = 3
Loss = Callable[[Tensor, Tensor], Tensor]
WEIGHTS = torch.tensor([0.4, 0.8, 1.8], dtype=torch.float64)


class Case(NamedTuple):
    """A loss, how any (B, K) numbers become outputs, and the (K, ...) outputs surest of a class."""

    loss: Loss
    outputs: Callable[[Tensor], Tensor]
    surest: Tensor


def falling(free_BK: Tensor) -> Tensor:
    """Return (B, K-1) logits of "grade > k": a score, and gaps below it."""
    gaps = torch.nn.functional.softplus(free_BK[:, 2:])
    return torch.cat([free_BK[:, :1], -gaps], dim=1).cumsum(dim=1) + free_BK[:, 1:2]


IN_CLASSES = 40 * (2 * torch.eye(NUM_CLASSES, dtype=torch.float64) - 1)
PASSED = torch.ones(NUM_CLASSES, NUM_CLASSES - 1, dtype=torch.float64).tril(-1)
BALANCED = {
    f"class-balanced focal, gamma {gamma}": partial(
        class_balanced_focal_loss, weights_K=WEIGHTS, gamma=gamma
    )
    for gamma in (0.0, 0.5, 1.0, 2.0)
}
FOCAL = {
    f"softmax focal, gamma {gamma}": partial(softmax_focal_loss, alpha=0.5, gamma=gamma)
    for gamma in (0.0, 0.5, 1.0, 2.0)
}
ORDERED = {"coral": coral_loss, "cumulative link": cumulative_link_loss}
LOSSES: dict[str, Case] = {
    **{
        name: Case(loss, lambda free: free, IN_CLASSES) for name, loss in (BALANCED | FOCAL).items()
    },
    **{name: Case(loss, falling, 40 * (2 * PASSED - 1)) for name, loss in ORDERED.items()},
}
SOFT: dict[str, Loss] = {
    **{name: partial(mean_over_votes, loss) for name, loss in BALANCED.items()},
    **FOCAL,
    **ORDERED,
}


def free_numbers(num: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return 2 * torch.randn(num, NUM_CLASSES, generator=generator, dtype=torch.float64)


def test_there_are_losses() -> None:
    assert LOSSES
    assert set(SOFT) == set(LOSSES)


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_are_those_of_finite_differences(name: str) -> None:
    case, target = LOSSES[name], torch.tensor([0, 1, 2, 0, 1, 2])
    assert torch.autograd.gradcheck(
        lambda z: case.loss(case.outputs(z), target), free_numbers(6).requires_grad_(), atol=1e-7
    )


@pytest.mark.parametrize("name", SOFT)
def test_gradients_of_shares_are_those_of_finite_differences(name: str) -> None:
    outputs, shares = LOSSES[name].outputs, free_numbers(4).softmax(dim=1)
    assert torch.autograd.gradcheck(
        lambda z: SOFT[name](outputs(z), shares),
        free_numbers(4).flip(0).requires_grad_(),
        atol=1e-7,
    )


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_a_snippet_that_does_not_hang_on_the_others(name: str) -> None:
    case, target = LOSSES[name], torch.tensor([0, 1, 2, 2])
    outputs = case.outputs(free_numbers(4))
    together = case.loss(outputs, target)
    alone = torch.cat([case.loss(outputs[i : i + 1], target[i : i + 1]) for i in range(4)])
    assert together.shape == (4,)
    torch.testing.assert_close(together, alone)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("truth", range(NUM_CLASSES))
def test_the_truth_costs_nothing_and_anything_else_more(name: str, truth: int) -> None:
    case = LOSSES[name]
    costs = case.loss(case.surest, torch.full((NUM_CLASSES,), truth))
    assert costs[truth] == pytest.approx(0, abs=1e-12)
    assert all(costs[other] > 1 for other in range(NUM_CLASSES) if other != truth)


@pytest.mark.parametrize("name", SOFT)
def test_shares_of_one_class_cost_what_the_class_costs(name: str) -> None:
    case, target = LOSSES[name], torch.tensor([0, 1, 2, 2])
    outputs, shares = case.outputs(free_numbers(4)), torch.eye(NUM_CLASSES).double()[target]
    torch.testing.assert_close(SOFT[name](outputs, shares), case.loss(outputs, target))


# A focal loss with gamma above 0 prefers probabilities less certain than the shares.
@pytest.mark.parametrize("name", ["softmax focal, gamma 0.0", *ORDERED])
def test_disagreeing_raters_are_met_best_by_their_own_shares(name: str) -> None:
    shares = torch.tensor([[0.25, 0.5, 0.25]], dtype=torch.float64)
    case, free = LOSSES[name], torch.zeros(1, NUM_CLASSES, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([free], max_iter=100, line_search_fn="strong_wolfe")

    def step() -> Tensor:
        optimizer.zero_grad()
        cost = SOFT[name](case.outputs(free), shares).sum()
        cost.backward()
        return cost

    optimizer.step(step)
    outputs = case.outputs(free.detach())
    above = (
        outputs.sigmoid() if name in ORDERED else outputs.softmax(dim=1).flip(1).cumsum(1)[:, :2]
    )
    expected = torch.tensor([[0.75, 0.25]] if name in ORDERED else [[0.25, 0.75]]).double()
    torch.testing.assert_close(above, expected, rtol=0, atol=1e-4)
