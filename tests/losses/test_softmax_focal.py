import itertools
import math

import pytest
import torch

from pdray.losses.softmax_focal import softmax_focal_loss


def slow_loss(logits: list[float], shares: list[float], *, alpha: float, gamma: float) -> float:
    """Eq. 4 for one snippet, term by term, of the probabilities of Eq. 2."""
    total = sum(math.exp(logit) for logit in logits)
    probabilities = [math.exp(logit) / total for logit in logits]
    return sum(
        -alpha * (1 - p) ** gamma * y * math.log(p)
        for p, y in zip(probabilities, shares, strict=True)
    )


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0, 5.0])
@pytest.mark.parametrize(("alpha", "num_classes"), [(0.5, 3), (1.0, 2), (0.25, 7)])
def test_loss_is_the_formula_term_by_term(gamma: float, alpha: float, num_classes: int) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = 4 * torch.randn(20, num_classes, generator=generator, dtype=torch.float64)
    shares = torch.rand(20, num_classes, generator=generator, dtype=torch.float64)
    shares /= shares.sum(dim=1, keepdim=True)
    loss = softmax_focal_loss(logits, shares, alpha=alpha, gamma=gamma)
    expected = [
        slow_loss(row, y, alpha=alpha, gamma=gamma)
        for row, y in zip(logits.tolist(), shares.tolist(), strict=True)
    ]
    torch.testing.assert_close(loss, torch.tensor(expected, dtype=torch.float64))


def test_a_class_is_the_one_hot_target_of_the_paper() -> None:
    logits = torch.tensor([[0.3, -1.2, 2.0], [-0.1, 4.0, 0.0]])
    hard = softmax_focal_loss(logits, torch.tensor([2, 0]), alpha=0.5, gamma=2.0)
    one_hot = torch.tensor([[0.0, 0, 1], [1, 0, 0]])
    torch.testing.assert_close(hard, softmax_focal_loss(logits, one_hot, alpha=0.5, gamma=2.0))


def test_alpha_one_and_gamma_zero_are_cross_entropy_of_classes_and_of_shares() -> None:
    generator = torch.Generator().manual_seed(1)
    logits = 3 * torch.randn(6, 4, generator=generator)
    shares = torch.softmax(torch.randn(6, 4, generator=generator), dim=1)
    for target in (torch.tensor([0, 1, 2, 3, 0, 1]), shares):
        loss = softmax_focal_loss(logits, target, alpha=1.0, gamma=0.0)
        expected = torch.nn.functional.cross_entropy(logits, target, reduction="none")
        torch.testing.assert_close(loss, expected)


def test_smoothed_labels_are_those_of_their_formula() -> None:
    generator = torch.Generator().manual_seed(2)
    logits = 3 * torch.randn(6, 4, generator=generator, dtype=torch.float64)
    classes = torch.tensor([0, 1, 2, 3, 0, 1])
    loss = softmax_focal_loss(logits, classes, label_smoothing=0.15)
    shares = [[0.0375 + 0.85 * (k == one) for k in range(4)] for one in classes.tolist()]
    expected = [
        slow_loss(row, y, alpha=1.0, gamma=0.0)
        for row, y in zip(logits.tolist(), shares, strict=True)
    ]
    torch.testing.assert_close(loss, torch.tensor(expected, dtype=torch.float64))
    theirs = torch.nn.functional.cross_entropy(
        logits, classes, reduction="none", label_smoothing=0.15
    )
    torch.testing.assert_close(loss, theirs)


@pytest.mark.parametrize("gamma", [0.0, 0.3, 1.0, 2.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_logits_of_any_size_give_finite_losses_and_gradients(
    gamma: float, dtype: torch.dtype
) -> None:
    rows = list(itertools.product((-3e4, 0.0, 3e4), repeat=3))
    logits = torch.tensor(rows, dtype=dtype, requires_grad=True)
    target = torch.zeros(len(rows), dtype=torch.int64)
    loss = softmax_focal_loss(logits, target, alpha=1.0, gamma=gamma)
    (slopes,) = torch.autograd.grad(loss.sum(), logits)
    assert loss.dtype == torch.float32
    assert loss.isfinite().all()
    assert slopes.isfinite().all()
    by_row = dict(zip(rows, loss.tolist(), strict=True))
    assert by_row[(3e4, -3e4, 0.0)] == 0
    assert by_row[(-3e4, 0.0, -3e4)] == pytest.approx(3e4, rel=4e-3)  # bfloat16 has three digits


def test_a_sure_answer_keeps_the_digits_of_its_loss() -> None:
    # p is 1 - 1e-30 and 1 - p would be 0 in float32: the loss is (1 - p)^(1 + gamma).
    sure = torch.tensor([[30 * math.log(10), 0.0]])
    loss = softmax_focal_loss(sure, torch.tensor([0]), alpha=1.0, gamma=0.2)
    assert loss.item() == pytest.approx(0, abs=1e-30)
    half_sure = torch.tensor([[12 * math.log(10), 0.0]], requires_grad=True)
    loss = softmax_focal_loss(half_sure, torch.tensor([1]), alpha=1.0, gamma=2.0)
    (slope,) = torch.autograd.grad(loss.sum(), half_sure)
    assert loss.item() == pytest.approx(12 * math.log(10))
    torch.testing.assert_close(slope, torch.tensor([[1.0, -1.0]]))


def test_equal_logits_share_the_top() -> None:
    logits = torch.zeros(1, 2, requires_grad=True)
    loss = softmax_focal_loss(logits, torch.tensor([1]), alpha=1.0, gamma=2.0)
    (slope,) = torch.autograd.grad(loss.sum(), logits)
    assert loss.item() == pytest.approx(0.25 * math.log(2))
    # d/dz of -(1 - p)^2 log p at p = 1/2 is p (1 - p) (2 (1 - p) log p - (1 - p)^2 / p).
    expected = 0.25 * (math.log(0.5) - 0.5)
    assert slope.tolist() == [[pytest.approx(-expected), pytest.approx(expected)]]


def test_a_larger_gamma_forgives_easy_snippets_more() -> None:
    logits = torch.tensor([[3.0, -3.0], [-1.0, 1.0]])

    def ratio(gamma: float) -> float:
        easy, hard = softmax_focal_loss(logits, torch.tensor([0, 0]), alpha=0.5, gamma=gamma)
        return float(easy / hard)

    assert ratio(0.0) > ratio(1.0) > ratio(2.0) > ratio(5.0)


def test_one_class_is_refused() -> None:
    with pytest.raises(ValueError, match="a softmax needs at least 2 classes, got 1"):
        softmax_focal_loss(torch.zeros(2, 1), torch.tensor([0, 0]), alpha=0.5, gamma=2.0)


def test_a_target_outside_the_classes_is_named() -> None:
    with pytest.raises(ValueError, match=r"target 2 at position 1 is outside 0\.\.1"):
        softmax_focal_loss(torch.zeros(2, 2), torch.tensor([0, 2]), alpha=0.5, gamma=2.0)
