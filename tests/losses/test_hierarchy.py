import itertools
import math

import pytest
import torch
from torch import Tensor

from pdray.losses.hierarchy import hierarchy_loss, region_loss, region_targets

NAN = math.nan


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def slow_video(logits: list[float], grade: int, weight: float) -> float:
    """The first two terms of Eq. 2, of probabilities."""
    total = sum(math.exp(z) for z in logits)
    p = [math.exp(z) / total for z in logits]
    binary = -math.log(p[0]) if grade == 0 else -math.log(1 - p[0])
    return weight * binary - (1 - weight) * math.log(p[grade])


def slow_regions(logits: list[float], labels: list[float]) -> float:
    """The third term, each region with two outputs and a softmax."""
    terms = []
    for z, label in zip(logits, labels, strict=True):
        if not math.isnan(label):
            outputs = [0.0, z]
            total = sum(math.exp(output) for output in outputs)
            terms.append(-math.log(math.exp(outputs[int(label)]) / total))
    return sum(terms) / len(terms) if terms else 0.0


@pytest.mark.parametrize("weight", [0.0, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("num_classes", [2, 3, 6])
def test_loss_is_the_formula_term_by_term(weight: float, num_classes: int) -> None:
    logits, target = 3 * draw(12, num_classes), torch.arange(12) % num_classes
    region_logits = 2 * draw(12, 14, seed=1)
    labels = torch.tensor([0.0, 1.0, NAN])[(torch.arange(12 * 14) * 7 % 11 % 3).view(12, 14)]
    labels[3] = NAN
    video = hierarchy_loss(logits, target, hierarchy_lambda=weight)
    loss = video + 0.7 * region_loss(region_logits, labels)
    expected = [
        slow_video(logits[i].tolist(), int(target[i]), weight)
        + 0.7 * slow_regions(region_logits[i].tolist(), labels[i].tolist())
        for i in range(12)
    ]
    torch.testing.assert_close(loss, torch.tensor(expected, dtype=torch.float64))


def test_classes_weigh_in_the_grades_part_alone() -> None:
    logits, target = draw(6, 3), torch.tensor([0, 1, 2, 2, 1, 0])
    weights = [1.0, 2.5, 0.0]
    loss = hierarchy_loss(
        logits, target, hierarchy_lambda=0.4, class_weights_K=torch.tensor(weights)
    )
    expected = [
        slow_video(one.tolist(), int(k), 1.0) * 0.4
        + slow_video(one.tolist(), int(k), 0.0) * 0.6 * weights[int(k)]
        for one, k in zip(logits, target, strict=True)
    ]
    torch.testing.assert_close(loss, torch.tensor(expected, dtype=torch.float64))


def test_regions_that_do_not_count_add_nothing() -> None:
    assert region_loss(draw(4, 14), torch.full((4, 14), NAN)).tolist() == [0.0] * 4


def test_lambda_zero_is_cross_entropy_and_one_asks_only_who_is_ill() -> None:
    logits = draw(2, 4).requires_grad_()
    target = torch.tensor([0, 3])
    torch.testing.assert_close(
        hierarchy_loss(logits, target, hierarchy_lambda=0.0),
        torch.nn.functional.cross_entropy(logits, target, reduction="none"),
    )
    only_ill = hierarchy_loss(logits, target, hierarchy_lambda=1.0)
    other_grade = hierarchy_loss(logits, torch.tensor([0, 1]), hierarchy_lambda=1.0)
    torch.testing.assert_close(only_ill, other_grade)


@pytest.mark.parametrize("weight", [0.0, 0.3, 0.9, 1.0])
def test_gradients_are_those_of_finite_differences(weight: float) -> None:
    target = torch.tensor([0, 1, 4, 5])
    labels = torch.tensor([[0.0, 1.0, NAN], [NAN, NAN, NAN], [1.0, 1.0, 1.0], [0.0, NAN, 1.0]])
    shares = draw(4, 6, seed=3).softmax(dim=1)
    for what in (target, shares):
        assert torch.autograd.gradcheck(
            lambda z, r, y=what: (
                hierarchy_loss(z, y, hierarchy_lambda=weight) + 0.4 * region_loss(r, labels)
            ),
            (2 * draw(4, 6).requires_grad_(), 2 * draw(4, 3, seed=1).requires_grad_()),
            atol=1e-7,
        )


def test_shares_of_one_grade_cost_what_the_grade_costs() -> None:
    logits, target = draw(4, 6), torch.tensor([0, 5, 2, 1])
    torch.testing.assert_close(
        hierarchy_loss(logits, torch.eye(6).double()[target], hierarchy_lambda=0.9),
        hierarchy_loss(logits, target, hierarchy_lambda=0.9),
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_logits_of_any_size_give_finite_losses_and_gradients(dtype: torch.dtype) -> None:
    rows = list(itertools.product((-3e4, 0.0, 3e4), repeat=3))
    logits = torch.tensor(rows, dtype=dtype, requires_grad=True)
    for grade in range(3):
        target = torch.full((len(rows),), grade)
        labels = torch.full((len(rows), 3), float(grade > 0))
        loss = hierarchy_loss(logits, target, hierarchy_lambda=0.9) + region_loss(logits, labels)
        (slopes,) = torch.autograd.grad(loss.sum(), logits)
        assert loss.dtype == torch.float32
        assert loss.isfinite().all()
        assert slopes.isfinite().all()


def test_a_sure_mistake_keeps_the_digits_of_its_loss() -> None:
    # p_0 is 1 - 1e-20, so that 1 - p_0 is 0 in float32 and float64.
    logits = torch.tensor([[20 * math.log(10), 0.0, 0.0]], requires_grad=True)
    loss = hierarchy_loss(logits, torch.tensor([2]), hierarchy_lambda=1.0)
    (slopes,) = torch.autograd.grad(loss.sum(), logits)
    assert loss.item() == pytest.approx(20 * math.log(10) - math.log(2))
    torch.testing.assert_close(slopes, torch.tensor([[1.0, -0.5, -0.5]]))


def test_regions_that_do_not_count_change_nothing_whatever_they_hold() -> None:
    labels = torch.tensor([[1.0, NAN, 0.0, NAN]])
    logits = torch.tensor([[0.3, 2.0, -1.0, 5.0]], requires_grad=True)
    wild = torch.tensor([[0.3, NAN, -1.0, math.inf]], requires_grad=True)
    plain, same = region_loss(logits, labels), region_loss(wild, labels)
    torch.testing.assert_close(plain, same)
    alone = region_loss(logits[:, [0, 2]], labels[:, [0, 2]])
    torch.testing.assert_close(plain, alone)  # the mean is over those that count
    for values in (logits, wild):
        (slopes,) = torch.autograd.grad(region_loss(values, labels).sum(), values)
        assert slopes[0, [1, 3]].tolist() == [0.0, 0.0]
        assert slopes[0, [0, 2]].all()


def test_a_batch_without_a_label_adds_nothing_and_has_a_gradient_of_zero() -> None:
    logits = torch.full((2, 14), NAN, requires_grad=True)
    loss = region_loss(logits, torch.full((2, 14), NAN))
    (slopes,) = torch.autograd.grad(loss.sum(), logits)
    assert loss.tolist() == [0.0, 0.0]
    assert not slopes.any()


def test_a_nan_that_counts_is_not_hidden() -> None:
    assert region_loss(torch.tensor([[NAN, 0.0]]), torch.tensor([[1.0, 0.0]])).isnan().all()


def test_what_cannot_be_meant_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 2 classes, got 1"):
        hierarchy_loss(torch.zeros(2, 1), torch.tensor([0, 0]), hierarchy_lambda=0.5)
    with pytest.raises(ValueError, match=r"hierarchy_lambda 1.5 is outside 0\.\.1"):
        hierarchy_loss(torch.zeros(2, 2), torch.tensor([0, 0]), hierarchy_lambda=1.5)
    with pytest.raises(ValueError, match=r"target 6 at position 1 is outside 0\.\.5"):
        hierarchy_loss(torch.zeros(2, 6), torch.tensor([0, 6]), hierarchy_lambda=0.5)
    with pytest.raises(ValueError, match=r"logits \(2, 14\) and targets \(2, 13\) must both be"):
        region_loss(torch.zeros(2, 14), torch.zeros(2, 13))
    labels = torch.zeros(2, 14)
    labels[1, 3] = 7
    with pytest.raises(ValueError, match=r"target 7 of region 3 at position 1 is outside 0\.\.1"):
        region_loss(torch.zeros(2, 14), labels)


def test_marks_become_labels() -> None:
    marks = torch.tensor([[NAN, NAN, NAN], [9.0, 1.0, NAN], [NAN, NAN, NAN], [0.0, NAN, 4.0]])
    grades = torch.tensor([0, 2, 5, 1])
    normal = region_targets(marks, grades, unmarked="normal")
    unknown = region_targets(marks, grades, unmarked="unknown")
    for labels, filled in ((normal, 0.0), (unknown, NAN)):
        expected = [[0.0, 0.0, 0.0], [1.0, 1.0, filled], [NAN, NAN, NAN], [0.0, filled, 1.0]]
        torch.testing.assert_close(labels, torch.tensor(expected), equal_nan=True)


def test_a_mark_on_a_healthy_recording_is_refused() -> None:
    marks = torch.full((3, 14), NAN)
    marks[2, 13] = 8
    with pytest.raises(
        ValueError, match="region 13 at position 2 has a mark of 8 but its recording has grade 0"
    ):
        region_targets(marks, torch.tensor([0, 1, 0]), unmarked="normal")
