"""What every loss of the table promises: right gradients, a value a snippet, least at the truth."""

from collections.abc import Callable
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from pdray.losses.settings import LOSSES, LossConfig
from pdray.training.objective import training_loss

NUM_CLASSES = 3


class Case(NamedTuple):
    """A loss, how any (B, K) numbers become outputs, and the (K, ...) outputs surest of a class."""

    loss: Callable[[Tensor, Tensor], Tensor]
    outputs: Callable[[Tensor], Tensor]
    surest: Tensor


def falling(free_BK: Tensor) -> Tensor:
    """Return (B, K-1) logits of "grade > k": a score, and gaps below it."""
    gaps = torch.nn.functional.softplus(free_BK[:, 2:])
    return torch.cat([free_BK[:, :1], -gaps], dim=1).cumsum(dim=1) + free_BK[:, 1:2]


IN_CLASSES = 40 * (2 * torch.eye(NUM_CLASSES, dtype=torch.float64) - 1)
PASSED = torch.ones(NUM_CLASSES, NUM_CLASSES - 1, dtype=torch.float64).tril(-1)


def case(**settings: object) -> Case:
    config = LossConfig(**settings)
    loss = training_loss(config, [60, 20, 5], torch.device("cpu")).loss
    if config.entry.is_ordered:
        return Case(loss, falling, 40 * (2 * PASSED - 1))
    return Case(loss, lambda free: free, IN_CLASSES)


CASES = {kind: case(kind=kind) for kind in LOSSES} | {
    f"{kind}, gamma {gamma}": case(kind=kind, gamma=gamma)
    for kind, entry in LOSSES.items()
    if "gamma" in entry.settings
    for gamma in (0.0, 0.5, 1.0)
}
PROPER = ["cross_entropy", "focal, gamma 0.0", "coral", "cumulative_link"]


def free_numbers(num: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return 2 * torch.randn(num, NUM_CLASSES, generator=generator, dtype=torch.float64)


def test_there_are_losses() -> None:
    assert CASES.keys() > LOSSES.keys()


@pytest.mark.parametrize("name", CASES)
def test_gradients_are_those_of_finite_differences(name: str) -> None:
    case, target = CASES[name], torch.tensor([0, 1, 2, 0, 1, 2])
    assert torch.autograd.gradcheck(
        lambda z: case.loss(case.outputs(z), target), free_numbers(6).requires_grad_(), atol=1e-7
    )


@pytest.mark.parametrize("name", CASES)
def test_gradients_of_shares_are_those_of_finite_differences(name: str) -> None:
    outputs, shares = CASES[name].outputs, free_numbers(4).softmax(dim=1)
    assert torch.autograd.gradcheck(
        lambda z: CASES[name].loss(outputs(z), shares),
        free_numbers(4).flip(0).requires_grad_(),
        atol=1e-7,
    )


@pytest.mark.parametrize("name", CASES)
def test_a_loss_a_snippet_that_does_not_hang_on_the_others(name: str) -> None:
    case, target = CASES[name], torch.tensor([0, 1, 2, 2])
    outputs = case.outputs(free_numbers(4))
    together = case.loss(outputs, target)
    alone = torch.cat([case.loss(outputs[i : i + 1], target[i : i + 1]) for i in range(4)])
    assert together.shape == (4,)
    torch.testing.assert_close(together, alone)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("truth", range(NUM_CLASSES))
def test_the_truth_costs_nothing_and_anything_else_more(name: str, truth: int) -> None:
    case = CASES[name]
    costs = case.loss(case.surest, torch.full((NUM_CLASSES,), truth))
    assert costs[truth] == pytest.approx(0, abs=1e-12)
    assert all(costs[other] > 1 for other in range(NUM_CLASSES) if other != truth)


@pytest.mark.parametrize("name", CASES)
def test_shares_of_one_class_cost_what_the_class_costs(name: str) -> None:
    case, target = CASES[name], torch.tensor([0, 1, 2, 2])
    outputs, shares = case.outputs(free_numbers(4)), torch.eye(NUM_CLASSES).double()[target]
    torch.testing.assert_close(CASES[name].loss(outputs, shares), case.loss(outputs, target))


# A focal loss with gamma above 0 prefers probabilities less certain than the shares.
@pytest.mark.parametrize("name", PROPER)
def test_disagreeing_raters_are_met_best_by_their_own_shares(name: str) -> None:
    shares = torch.tensor([[0.25, 0.5, 0.25]], dtype=torch.float64)
    case, free = CASES[name], torch.zeros(1, NUM_CLASSES, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([free], max_iter=100, line_search_fn="strong_wolfe")

    def step() -> Tensor:
        optimizer.zero_grad()
        cost = CASES[name].loss(case.outputs(free), shares).sum()
        cost.backward()
        return cost

    optimizer.step(step)
    outputs, is_ordered = case.outputs(free.detach()), LOSSES[name.partition(",")[0]].is_ordered
    above = outputs.sigmoid() if is_ordered else outputs.softmax(dim=1).flip(1).cumsum(1)[:, :2]
    expected = torch.tensor([[0.75, 0.25]] if is_ordered else [[0.25, 0.75]]).double()
    torch.testing.assert_close(above, expected, rtol=0, atol=1e-4)
