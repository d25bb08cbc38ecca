"""What every loss promises: right gradients, a value a snippet, least at the truth."""

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor

from pdray.losses.focal import class_balanced_focal_loss

NUM_CLASSES = 3
Loss = Callable[[Tensor, Tensor], Tensor]
WEIGHTS = torch.tensor([0.4, 0.8, 1.8], dtype=torch.float64)
LOSSES: dict[str, Loss] = {
    f"class-balanced focal, gamma {gamma}": partial(
        class_balanced_focal_loss, weights_K=WEIGHTS, gamma=gamma
    )
    for gamma in (0.0, 0.5, 1.0, 2.0)
}


def test_there_are_losses() -> None:
    assert LOSSES


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_are_those_of_finite_differences(name: str) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(6, NUM_CLASSES, generator=generator, dtype=torch.float64)
    target = torch.tensor([0, 1, 2, 0, 1, 2])
    assert torch.autograd.gradcheck(
        lambda z: LOSSES[name](z, target), logits.requires_grad_(), atol=1e-7
    )


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_a_snippet_that_does_not_hang_on_the_others(name: str) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(4, NUM_CLASSES, generator=generator, dtype=torch.float64)
    target = torch.tensor([0, 1, 2, 2])
    together = LOSSES[name](logits, target)
    alone = torch.cat([LOSSES[name](logits[i : i + 1], target[i : i + 1]) for i in range(4)])
    assert together.shape == (4,)
    torch.testing.assert_close(together, alone)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("truth", range(NUM_CLASSES))
def test_the_truth_costs_nothing_and_anything_else_more(name: str, truth: int) -> None:
    surest = 40 * (2 * torch.eye(NUM_CLASSES, dtype=torch.float64) - 1)
    costs = LOSSES[name](surest, torch.full((NUM_CLASSES,), truth))
    assert costs[truth] == pytest.approx(0, abs=1e-12)
    assert all(costs[other] > 1 for other in range(NUM_CLASSES) if other != truth)
