"""Checks of a loss: right gradients, one value per snippet, least at the truth.

Letters: B batch, K class.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from pdray.losses.entry import LossEntry
from pdray.losses.settings import LOSSES, LossConfig
from pdray.training.objective import training_loss

NUM_CLASSES = 3
_IN_CLASSES = 40 * (2 * torch.eye(NUM_CLASSES, dtype=torch.float64) - 1)
_PASSED = torch.ones(NUM_CLASSES, NUM_CLASSES - 1, dtype=torch.float64).tril(-1)
_TARGET = torch.tensor([0, 1, 2, 2])


def check_loss(kind: str) -> None:
    """Check what every loss promises, with its default settings.

    Args:
        kind: Name of the loss, as in ``loss.kind``; that of an installed plug-in too.

    Raises:
        AssertionError: At the first promise that is not kept.
    """
    for check in LOSS_CHECKS:
        check(LossContract(kind))


@dataclass(frozen=True)
class LossContract:
    """The promises of one loss; see :func:`check_loss`."""

    kind: str
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def entry(self) -> LossEntry:
        """Entry of the loss."""
        return LOSSES[self.kind]

    def loss(self, outputs: Tensor, target: Tensor) -> Tensor:
        """Return the loss (B,) of outputs of classes that have 60, 20 and 5 members."""
        config = LossConfig(kind=self.kind, **self.settings)
        return training_loss(config, [60, 20, 5], torch.device("cpu")).loss(outputs, target)

    def outputs(self, free_BK: Tensor) -> Tensor:
        """Turn any numbers into outputs: logits, or (B, K-1) falling logits of "grade > k"."""
        if not self.entry.is_ordered:
            return free_BK
        gaps = torch.nn.functional.softplus(free_BK[:, 2:])
        return torch.cat([free_BK[:, :1], -gaps], dim=1).cumsum(dim=1) + free_BK[:, 1:2]

    def gradients_of_classes(self) -> None:
        """Have the gradients of finite differences, of classes."""
        target = torch.tensor([0, 1, 2, 0, 1, 2])
        assert torch.autograd.gradcheck(
            lambda z: self.loss(self.outputs(z), target),
            free_numbers(6).requires_grad_(),
            atol=1e-7,
        )

    def gradients_of_shares(self) -> None:
        """Have the gradients of finite differences, of shares of the raters."""
        shares = free_numbers(4).softmax(dim=1)
        assert torch.autograd.gradcheck(
            lambda z: self.loss(self.outputs(z), shares),
            free_numbers(4).flip(0).requires_grad_(),
            atol=1e-7,
        )

    def each_alone(self) -> None:
        """Return one value per snippet, which does not depend on the others."""
        outputs = self.outputs(free_numbers(4))
        together = self.loss(outputs, _TARGET)
        alone = [self.loss(outputs[i : i + 1], _TARGET[i : i + 1]) for i in range(4)]
        assert together.shape == (4,), f"expected 4 values, not reduced; got {together.shape}"
        torch.testing.assert_close(together, torch.cat(alone))

    def least_at_the_truth(self) -> None:
        """Cost nothing at the sure truth, and more than 1 nat at a sure error."""
        surest = 40 * (2 * _PASSED - 1) if self.entry.is_ordered else _IN_CLASSES
        for truth in range(NUM_CLASSES):
            costs = self.loss(surest, torch.full((NUM_CLASSES,), truth))
            assert costs[truth].abs() <= 1e-12, f"the truth costs {costs[truth]:g}"
            assert all(costs[other] > 1 for other in range(NUM_CLASSES) if other != truth), costs

    def shares_of_one_class(self) -> None:
        """Cost for shares of one class what the class costs."""
        outputs = self.outputs(free_numbers(4))
        shares = torch.eye(NUM_CLASSES).double()[_TARGET]
        torch.testing.assert_close(self.loss(outputs, shares), self.loss(outputs, _TARGET))


LOSS_CHECKS: tuple[Callable[[LossContract], None], ...] = (
    LossContract.gradients_of_classes,
    LossContract.gradients_of_shares,
    LossContract.each_alone,
    LossContract.least_at_the_truth,
    LossContract.shares_of_one_class,
)
"""What :func:`check_loss` checks, one promise each."""


def free_numbers(num: int) -> Tensor:
    """Return (num, K) random float64 numbers, always the same."""
    generator = torch.Generator().manual_seed(0)
    return 2 * torch.randn(num, NUM_CLASSES, generator=generator, dtype=torch.float64)
