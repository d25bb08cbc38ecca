"""What every loss of the table promises, and what the proper ones promise beside."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from pdray.losses.settings import LOSSES
from pdray.testing.losses import LOSS_CHECKS, NUM_CLASSES, LossContract

CASES = {kind: LossContract(kind) for kind in LOSSES} | {
    f"{kind}, gamma {gamma}": LossContract(kind, {"gamma": gamma})
    for kind, entry in LOSSES.items()
    if "gamma" in entry.settings
    for gamma in (0.0, 0.5, 1.0)
}
PROPER = ["cross_entropy", "focal, gamma 0.0", "coral", "cumulative_link"]


def test_there_are_losses() -> None:
    assert CASES.keys() > LOSSES.keys()


@pytest.mark.parametrize("check", LOSS_CHECKS)
@pytest.mark.parametrize("name", CASES)
def test_every_loss(name: str, check: Callable[[LossContract], None]) -> None:
    check(CASES[name])


# A focal loss with gamma above 0 prefers probabilities less certain than the shares.
@pytest.mark.parametrize("name", PROPER)
def test_disagreeing_raters_are_met_best_by_their_own_shares(name: str) -> None:
    shares = torch.tensor([[0.25, 0.5, 0.25]], dtype=torch.float64)
    case, free = CASES[name], torch.zeros(1, NUM_CLASSES, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([free], max_iter=100, line_search_fn="strong_wolfe")

    def step() -> Tensor:
        optimizer.zero_grad()
        cost = case.loss(case.outputs(free), shares).sum()
        cost.backward()
        return cost

    optimizer.step(step)
    outputs, is_ordered = case.outputs(free.detach()), case.entry.is_ordered
    above = outputs.sigmoid() if is_ordered else outputs.softmax(dim=1).flip(1).cumsum(1)[:, :2]
    expected = torch.tensor([[0.75, 0.25]] if is_ordered else [[0.25, 0.75]]).double()
    torch.testing.assert_close(above, expected, rtol=0, atol=1e-4)
