import itertools
import math
from fractions import Fraction

import pytest
import torch
from torch import Tensor

from pdray.losses.focal import class_balanced_focal_loss, class_balanced_weights


def slow_loss(logits: list[float], target: int, counts: list[int], gamma: float) -> float:
    """Eq. 1 and 2 for one snippet, term by term, with the literal weight."""
    total = sum(counts)
    beta = (total - 1) / total
    weight = (1 - beta) / (1 - beta ** counts[target])
    loss = 0.0
    for index, logit in enumerate(logits):
        p = 1 / (1 + math.exp(-logit))
        p_t = p if index == target else 1 - p
        loss -= (1 - p_t) ** gamma * math.log(p_t)
    return weight * loss


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0, 5.0])
@pytest.mark.parametrize("counts", [[30, 12], [5, 1, 80], [7, 7, 7, 7, 7]])
def test_loss_is_the_formula_term_by_term(gamma: float, counts: list[int]) -> None:
    generator = torch.Generator().manual_seed(0)
    num_classes = len(counts)
    logits = 4 * torch.randn(20, num_classes, generator=generator, dtype=torch.float64)
    target = torch.randint(num_classes, (20,), generator=generator)
    weights = class_balanced_weights(counts, normalize=False).double()
    loss = class_balanced_focal_loss(logits, target, weights_K=weights, gamma=gamma)
    expected = [
        slow_loss(row, int(y), counts, gamma)
        for row, y in zip(logits.tolist(), target, strict=True)
    ]
    # Weights are float32: six digits.
    torch.testing.assert_close(
        loss, torch.tensor(expected, dtype=torch.float64), rtol=1e-6, atol=1e-12
    )


def test_gamma_zero_is_the_sum_of_binary_cross_entropies() -> None:
    logits = torch.tensor([[0.3, -1.2, 2.0], [-0.1, 4.0, 0.0]])
    target = torch.tensor([2, 0])
    loss = class_balanced_focal_loss(logits, target, weights_K=torch.ones(3), gamma=0.0)
    one_hot = torch.tensor([[0.0, 0, 1], [1, 0, 0]])
    expected = torch.nn.functional.binary_cross_entropy_with_logits(
        logits, one_hot, reduction="none"
    )
    torch.testing.assert_close(loss, expected.sum(dim=1))


@pytest.mark.parametrize("gamma", [0.0, 0.3, 1.0, 2.0, 5.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_logits_of_120_give_finite_losses_and_gradients(gamma: float, dtype: torch.dtype) -> None:
    rows = list(itertools.product((-120.0, 0.0, 120.0), repeat=2))
    logits = torch.tensor(rows, dtype=dtype, requires_grad=True)
    target = torch.zeros(len(rows), dtype=torch.int64)
    loss = class_balanced_focal_loss(logits, target, weights_K=torch.ones(2), gamma=gamma)
    (slopes,) = torch.autograd.grad(loss.sum(), logits)
    assert loss.dtype == torch.float32
    assert loss.isfinite().all()
    assert slopes.isfinite().all()
    by_row = dict(zip(rows, loss.tolist(), strict=True))
    assert by_row[(120.0, -120.0)] == pytest.approx(0, abs=1e-30)
    assert by_row[(-120.0, 120.0)] == pytest.approx(240, rel=1e-6)
    wrong = slopes[rows.index((-120.0, 120.0))].float()
    torch.testing.assert_close(wrong, torch.tensor([-1.0, 1.0]))


def test_weights_are_exact_for_many_snippets() -> None:
    counts = [1_000_000, 3]
    weights = class_balanced_weights(counts, normalize=False)
    total = sum(counts)
    beta = 1 - Fraction(1, total)
    assert weights[1].item() == pytest.approx(float((1 - beta) / (1 - beta**3)), rel=1e-6)
    # beta^n tends to exp(-n/N) as N grows.
    many = 1 / total / -math.expm1(-counts[0] / total)
    assert weights[0].item() == pytest.approx(many, rel=1e-5)


def test_a_class_with_one_member_has_weight_one() -> None:
    assert class_balanced_weights([1, 40], normalize=False)[0].item() == pytest.approx(1)
    assert class_balanced_weights([1], normalize=False).tolist() == [1]


def test_normalised_weights_keep_their_ratio_and_sum_to_the_classes() -> None:
    counts = [120, 9, 31]
    literal = class_balanced_weights(counts, normalize=False)
    scaled = class_balanced_weights(counts, normalize=True)
    assert scaled.sum().item() == pytest.approx(3)
    torch.testing.assert_close(scaled / scaled[0], literal / literal[0])
    assert scaled[1] > scaled[2] > scaled[0]


def test_absent_classes_are_all_named() -> None:
    message = r"class 1, 3 has no training recording \(counts \[4, 0, 2, 0\]\)"
    with pytest.raises(ValueError, match=message):
        class_balanced_weights([4, 0, 2, 0], normalize=True)


@pytest.mark.parametrize(("target", "value"), [([0, 1, 2, 7], 2), ([1, -1, 0, 0], -1)])
def test_the_first_target_outside_the_classes_is_named(target: list[int], value: int) -> None:
    position = target.index(value)
    message = rf"target {value} at position {position} is outside 0\.\.1"
    with pytest.raises(ValueError, match=message):
        class_balanced_focal_loss(
            torch.zeros(4, 2), torch.tensor(target), weights_K=torch.ones(2), gamma=2.0
        )


def test_a_larger_gamma_forgives_easy_snippets_more() -> None:
    def ratio(gamma: float) -> float:
        logits = torch.tensor([[3.0, -3.0], [-1.0, 1.0]])
        target = torch.tensor([0, 0])
        easy, hard = class_balanced_focal_loss(logits, target, weights_K=torch.ones(2), gamma=gamma)
        return float(easy / hard)

    assert ratio(0.0) > ratio(1.0) > ratio(2.0) > ratio(5.0)


def test_weights_follow_the_snippet_and_not_the_class_axis() -> None:
    logits: Tensor = torch.zeros(2, 2)
    loss = class_balanced_focal_loss(
        logits, torch.tensor([0, 1]), weights_K=torch.tensor([1.0, 10.0]), gamma=0.0
    )
    torch.testing.assert_close(loss, 2 * math.log(2) * torch.tensor([1.0, 10.0]))
