import itertools
import math

import pytest
import torch
from torch import Tensor

from pdray.losses.ordinal import class_log_probabilities, coral_loss, cumulative_link_loss


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def slow_probabilities(logits: list[float]) -> list[float]:
    """Differences of the shares above each threshold, as McCullagh defines the classes."""
    above = [1.0, *(sigmoid(logit) for logit in logits), 0.0]
    return [high - low for high, low in itertools.pairwise(above)]


def slow_coral(logits: list[float], grade: int) -> float:
    """K-1 binary cross-entropies, one a threshold."""
    return -sum(
        math.log(sigmoid(z)) if grade > k else math.log(1 - sigmoid(z))
        for k, z in enumerate(logits)
    )


def falling(num_rows: int, num_classes: int) -> Tensor:
    generator = torch.Generator().manual_seed(num_classes)
    logits = 3 * torch.randn(num_rows, num_classes - 1, generator=generator, dtype=torch.float64)
    return logits.sort(dim=1, descending=True).values


@pytest.mark.parametrize("num_classes", [2, 3, 5])
def test_coral_is_the_formula_term_by_term(num_classes: int) -> None:
    logits = falling(20, num_classes)
    grade = torch.arange(20) % num_classes
    expected = [slow_coral(row, k) for row, k in zip(logits.tolist(), grade.tolist(), strict=True)]
    torch.testing.assert_close(coral_loss(logits, grade), torch.tensor(expected).double())


@pytest.mark.parametrize("num_classes", [2, 3, 5])
def test_cumulative_link_is_the_formula_term_by_term(num_classes: int) -> None:
    logits = falling(20, num_classes)
    grade = torch.arange(20) % num_classes
    expected = [
        -math.log(slow_probabilities(row)[k])
        for row, k in zip(logits.tolist(), grade.tolist(), strict=True)
    ]
    torch.testing.assert_close(cumulative_link_loss(logits, grade), torch.tensor(expected).double())


@pytest.mark.parametrize("num_classes", [2, 3, 5])
def test_class_probabilities_are_differences_of_sigmoids(num_classes: int) -> None:
    logits = falling(20, num_classes)
    probabilities = class_log_probabilities(logits).exp()
    expected = [slow_probabilities(row) for row in logits.tolist()]
    torch.testing.assert_close(probabilities, torch.tensor(expected).double())
    torch.testing.assert_close(probabilities.sum(dim=1), torch.ones(20).double())
    above = probabilities.flip(1).cumsum(dim=1).flip(1)
    assert (above.diff(dim=1) <= 1e-12).all()


def test_two_classes_are_one_binary_cross_entropy() -> None:
    logits, grade = falling(6, 2), torch.tensor([0, 1, 0, 1, 1, 0])
    expected = torch.nn.functional.binary_cross_entropy_with_logits(
        logits[:, 0], grade.double(), reduction="none"
    )
    torch.testing.assert_close(coral_loss(logits, grade), expected)
    torch.testing.assert_close(cumulative_link_loss(logits, grade), expected)


@pytest.mark.parametrize("loss", [coral_loss, cumulative_link_loss])
def test_shares_cost_the_mean_of_the_raters_losses(loss) -> None:
    logits = falling(3, 4)
    votes = torch.tensor([[0, 1, 1], [3, 3, 3], [2, 0, 3]])
    shares = torch.nn.functional.one_hot(votes, 4).double().mean(dim=1)
    expected = torch.stack([loss(logits, votes[:, i]) for i in range(3)]).mean(dim=0)
    torch.testing.assert_close(loss(logits, shares), expected)


@pytest.mark.parametrize("loss", [coral_loss, cumulative_link_loss])
def test_a_grade_further_off_costs_more(loss) -> None:
    logits = torch.tensor([[9.0, 6.0, -6.0, -9.0]])  # grade 2 of 0..4
    costs = [float(loss(logits, torch.tensor([grade]))) for grade in range(5)]
    assert costs[0] > costs[1] > costs[2] < costs[3] < costs[4]


@pytest.mark.parametrize("loss", [coral_loss, cumulative_link_loss])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_scores_of_any_size_give_finite_losses_and_gradients(loss, dtype: torch.dtype) -> None:
    score = torch.tensor([[-1e6], [-200.0], [0.0], [200.0], [1e6]])
    logits = (score - torch.tensor([-1.0, 0.0, 1e-3])).to(dtype).repeat(4, 1).requires_grad_()
    grade = torch.arange(4).repeat_interleave(5)
    cost = loss(logits, grade)
    (slopes,) = torch.autograd.grad(cost.sum(), logits)
    assert cost.dtype == torch.float32
    assert cost.isfinite().all()
    assert slopes.isfinite().all()
    assert class_log_probabilities(logits).isfinite().all()
    torch.testing.assert_close(class_log_probabilities(logits).exp().sum(dim=1), torch.ones(20))


def test_a_class_far_out_keeps_its_likelihood() -> None:
    # In float32 sigmoid(90) - sigmoid(89) is 0 - 0 apart from 1; in logs it is exp(-89) (1 - 1/e).
    logits = torch.tensor([[90.0, 89.0]])
    cost = cumulative_link_loss(logits, torch.tensor([1]))
    assert cost.item() == pytest.approx(89 - math.log1p(-math.exp(-1)), rel=1e-6)


def test_logits_that_rise_are_named() -> None:
    logits = torch.tensor([[1.0, 0.0], [0.25, 0.5]])
    message = r"'grade > k' at position 1 rise: \[0\.25, 0\.5\]"
    with pytest.raises(ValueError, match=message):
        cumulative_link_loss(logits, torch.tensor([0, 0]))
    with pytest.raises(ValueError, match=message):
        class_log_probabilities(logits)


@pytest.mark.parametrize("loss", [coral_loss, cumulative_link_loss])
def test_bad_targets_and_no_threshold_are_named(loss) -> None:
    with pytest.raises(ValueError, match=r"target 3 at position 0 is outside 0\.\.2"):
        loss(torch.zeros(1, 2), torch.tensor([3]))
    with pytest.raises(ValueError, match=r"there is no threshold: .*; use K of at least 2"):
        loss(torch.zeros(1, 0), torch.tensor([0]))
