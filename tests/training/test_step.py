from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import nn

from pdray.data.augment import KINETICS_MEAN, KINETICS_STD, AugmentConfig
from pdray.data.plan import PlannedBatch
from pdray.data.reader import Batch
from pdray.errors import DivergedError
from pdray.training.step import Precision, evaluate_step, train_step

FLOAT32 = Precision(torch.device("cpu"), torch.float32)
BFLOAT16 = Precision(torch.device("cpu"), torch.bfloat16)
PLAIN = AugmentConfig(flip=0.0, brightness=0.0, contrast=0.0, max_shift=0.0)
CLASSES = torch.tensor([2, 0, 1])


class Reference(NamedTuple):
    """What numpy makes of a linear model and a mean cross-entropy, in float64."""

    logits: np.ndarray
    losses: np.ndarray
    weight: np.ndarray
    bias: np.ndarray


@pytest.fixture
def batch():
    """Three recordings with two snippets each, of 2 frames of 3 x 4 px."""
    draw = np.random.default_rng(0)
    frames = torch.from_numpy(draw.integers(0, 256, (3, 2, 2, 3, 4, 3), np.uint8))
    return Batch(PlannedBatch(0, 0, True, (5, 6, 7), 3), frames, CLASSES)


@pytest.fixture
def model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 2 * 3 * 4, 3))


def cross_entropy(logits, target):
    return nn.functional.cross_entropy(logits, target, reduction="none")


def reference(model, batch):
    frames = batch.frames.numpy().astype(np.float64).reshape(6, 2, 3, 4, 3) / 255
    x = ((frames - KINETICS_MEAN) / KINETICS_STD).transpose(0, 4, 1, 2, 3).reshape(6, -1)
    linear = model[1]
    logits = x @ linear.weight.detach().numpy().astype(np.float64).T + linear.bias.detach().numpy()
    share = np.exp(logits - logits.max(axis=1, keepdims=True))
    share /= share.sum(axis=1, keepdims=True)
    target = np.repeat(CLASSES.numpy(), 2)
    error = (share - np.eye(3)[target]) / 6
    losses = -np.log(share[np.arange(6), target])
    return Reference(logits, losses, error.T @ x, error.sum(axis=0))


def step(model, batch, *, precision=FLOAT32, objective=cross_entropy, augment=PLAIN, scale=1 / 6):
    draws = torch.Generator().manual_seed(0)
    return train_step(
        model,
        batch,
        objective=objective,
        precision=precision,
        scale=scale,
        augment=(augment, draws),
    )


def test_the_gradient_is_that_of_the_mean_loss_of_all_snippets(model, batch):
    expected = reference(model, batch)
    loss = step(model, batch)
    # float32 sums of 72 products of size 1: errors of 1e-6 at most.
    assert loss.item() == pytest.approx(expected.losses.sum(), rel=1e-5)
    np.testing.assert_allclose(model[1].weight.grad, expected.weight, atol=2e-6)
    np.testing.assert_allclose(model[1].bias.grad, expected.bias, atol=2e-6)


def test_the_loss_is_float64_on_the_cpu_without_a_graph(model, batch):
    loss = step(model, batch)
    assert (loss.dtype, loss.device.type, loss.requires_grad) == (torch.float64, "cpu", False)


def test_gradients_add_up_over_steps(model, batch):
    step(model, batch)
    once = model[1].weight.grad.clone()
    step(model, batch)
    torch.testing.assert_close(model[1].weight.grad, 2 * once)


def test_augmentation_comes_from_the_given_generator_alone(model, batch):
    strong = AugmentConfig(flip=0.5, brightness=0.5, contrast=0.5, max_shift=0.3)
    first = step(model, batch, augment=strong)
    torch.manual_seed(99)
    assert step(model, batch, augment=strong) == first
    assert step(model, batch) != first


def test_bfloat16_keeps_weights_gradients_and_losses_in_float32(model, batch):
    seen = []

    def objective(logits, target):
        seen.append(logits.dtype)
        return cross_entropy(logits, target)

    exact = step(model, batch).item()
    model.zero_grad()
    rounded = step(model, batch, precision=BFLOAT16, objective=objective).item()
    assert seen == [torch.float32]
    assert model[1].weight.grad.dtype == torch.float32
    # 8 bits of mantissa: close, and not the same, or nothing would have been in bfloat16.
    assert rounded == pytest.approx(exact, rel=0.02)
    assert rounded != exact


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_leaves_no_gradient(model, batch, value):
    def objective(logits, target):
        return cross_entropy(logits, target) * torch.tensor([1.0, 1, 1, 1, 1, value])

    with pytest.raises(DivergedError, match=f"training loss became {value}"):
        step(model, batch, objective=objective)
    assert model[1].weight.grad is None


def test_evaluation_gives_logits_and_losses_by_recording_and_snippet(model, batch):
    expected = reference(model, batch)
    logits, loss = evaluate_step(model, batch, objective=cross_entropy, precision=FLOAT32)
    np.testing.assert_allclose(logits, expected.logits.reshape(3, 2, 3), atol=1e-5)
    np.testing.assert_allclose(loss, expected.losses.reshape(3, 2), atol=1e-5)
    assert model[1].weight.grad is None
    assert (logits.dtype, loss.dtype) == (torch.float32, torch.float32)
