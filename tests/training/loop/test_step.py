from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import nn

from pdray.data.batches.boxes import REGION_MIRROR, region_boxes
from pdray.data.batches.plan import PlannedBatch
from pdray.data.batches.reader import Batch, Moved
from pdray.data.batches.settings import AugmentConfig, Views
from pdray.data.batches.views import view_moves
from pdray.data.modalities import KINETICS_MEAN, KINETICS_STD
from pdray.errors import DivergedError, SettingsError
from pdray.training.loop.step import Precision, evaluate_step, train_step

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


def make_batch(num_snippets=2, height=3, width=4, modality="rgb"):
    """Three recordings with some snippets each, of 2 frames of 3 x 4 px."""
    draw = np.random.default_rng(0)
    channels = 3 if modality == "rgb" else 2
    shape = (3, num_snippets, 2, height, width, channels)
    frames = torch.from_numpy(draw.integers(1, 256, shape, np.uint8))
    planned = PlannedBatch(0, 0, True, (5, 6, 7), 3)
    return Batch(planned, {modality: frames}, modality, CLASSES)


@pytest.fixture
def batch():
    return make_batch()


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


class Counting(nn.Module):
    """A model that remembers how many snippets it got, of which shape and dtype."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner
        self.seen = []

    def forward(self, x):
        self.seen.append((len(x), tuple(x.shape[1:]), x.dtype))
        return self.inner(x)


@pytest.mark.parametrize(
    ("max_snippets", "sizes"),
    [(None, [3] * 7), (4, [4] * 5 + [1]), (21, [21]), (1000, [21]), (1, [1] * 21)],
)
def test_many_views_are_evaluated_in_bounded_parts(model, max_snippets, sizes):
    batch = make_batch(num_snippets=7)
    given = {"objective": cross_entropy, "precision": FLOAT32}
    whole = evaluate_step(model, batch, max_snippets=21, **given)
    counting = Counting(model)
    parts = evaluate_step(counting, batch, max_snippets=max_snippets, **given)
    assert [size for size, _, _ in counting.seen] == sizes
    for got, expected in zip(parts, whole, strict=True):
        assert got.shape == expected.shape
        # A product of another number of rows may add in another order.
        torch.testing.assert_close(got, expected, rtol=0, atol=2e-6)


def test_a_bound_of_nothing_is_refused(model, batch):
    with pytest.raises(ValueError, match="max_snippets of at least 1, got 0"):
        evaluate_step(model, batch, objective=cross_entropy, precision=FLOAT32, max_snippets=0)


def test_evaluation_sees_the_centre_and_training_a_crop_of_its_size(model):
    batch = make_batch(height=7, width=6)
    crop = AugmentConfig(crop_size=(3, 4))
    inner = Batch(
        batch.planned,
        {"rgb": batch.frames[..., 2:5, 1:5, :].contiguous()},
        "rgb",
        batch.target,
    )
    counting = Counting(model)
    given = {"objective": cross_entropy, "precision": FLOAT32}
    logits, loss = evaluate_step(counting, batch, augment=crop, max_snippets=6, **given)
    expected = evaluate_step(model, inner, max_snippets=6, **given)
    assert torch.equal(logits, expected[0])
    assert torch.equal(loss, expected[1])
    step(counting, batch, augment=crop)
    assert {shape for _, shape, _ in counting.seen} == {(3, 2, 3, 4)}


def test_a_crop_that_does_not_fit_stops_both_steps(model, batch):
    crop = AugmentConfig(crop_size=(8, 4))
    with pytest.raises(SettingsError, match=r"crop_size: height 8, width 4 px does not fit"):
        step(model, batch, augment=crop)
    with pytest.raises(SettingsError, match=r"crop_size: height 8, width 4 px does not fit"):
        evaluate_step(
            model, batch, objective=cross_entropy, precision=FLOAT32, augment=crop, max_snippets=6
        )


@pytest.mark.parametrize("modality", ["flow", "boundaries"])
def test_motion_is_seen_by_its_own_name_in_two_channels(modality):
    batch = make_batch(modality=modality)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(2 * 2 * 3 * 4, 3))
    logits, _ = evaluate_step(model, batch, objective=cross_entropy, precision=FLOAT32)
    codes = batch.frames.numpy().reshape(6, 2, 3, 4, 2).transpose(0, 4, 1, 2, 3).astype(np.float64)
    weight, bias = (value.detach().numpy().astype(np.float64) for value in model[1].parameters())
    expected = ((codes - 128) / 127).reshape(6, -1) @ weight.T + bias
    np.testing.assert_allclose(logits.reshape(6, 3), expected, atol=1e-6)
    # Mirrored flow is not mirrored boundaries: the step hands the name on.
    mirror = AugmentConfig(flip=1.0, brightness=0.0, contrast=0.0, max_shift=0.0)
    sign = -1 if modality == "flow" else 1
    codes[:, 0] = 128 + sign * (codes[:, 0] - 128)
    mirrored = torch.tensor((codes[..., ::-1] - 128) / 127, dtype=torch.float32)
    loss = cross_entropy(model(mirrored), CLASSES.repeat_interleave(2)).sum()
    assert step(model, batch, augment=mirror).item() == pytest.approx(loss.item(), rel=1e-5)


@pytest.mark.parametrize("precision", [FLOAT32, BFLOAT16])
def test_the_model_gets_the_number_format_that_it_computes_in(model, batch, precision):
    counting = Counting(model)
    step(counting, batch, precision=precision)
    evaluate_step(counting, batch, objective=cross_entropy, precision=precision)
    assert {dtype for _, _, dtype in counting.seen} == {precision.dtype}


class BoxReader(nn.Module):
    """Gives the boxes of the first frame back, in three outputs of a region's left edge."""

    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.ones(()))
        self.asked = []

    def forward(self, x, boxes):
        self.asked.append((x, boxes))
        return self.gain * boxes[:, 0, :3, 0].nan_to_num()


def region_batch(**changes):
    """Two recordings with one snippet of 2 frames of 40 x 60 px, and polygons on them."""
    draw = np.random.default_rng(0)
    frames = torch.from_numpy(draw.integers(0, 256, (2, 1, 2, 40, 60, 3), np.uint8))
    points = torch.from_numpy(draw.uniform(0, 40, (2, 1, 2, 58, 2)).astype(np.float32))
    inputs = {"rgb": frames, "regions": points}
    planned = PlannedBatch(0, 0, True, (5, 6), 2)
    known = torch.arange(28.0).view(2, 14)
    batch = Batch(planned, inputs, "rgb", torch.tensor([1, 0]), region_target=known)
    return replace(batch, **changes)


def heard(batch, augment, *, evaluate=False):
    """Return what a network and an objective were given of a batch."""
    model, targets = BoxReader(), []

    def objective(outputs, target):
        targets.append(target)
        return outputs.sum(dim=1)

    if evaluate:
        given = {"objective": objective, "precision": FLOAT32, "augment": augment}
        evaluate_step(model, batch, max_snippets=1, **given)
    else:
        step(model, batch, objective=objective, augment=augment)
    return model.asked, targets


def test_boxes_and_what_regions_show_are_flipped_with_the_pictures():
    batch = region_batch()
    ((x, boxes),), (target,) = heard(batch, PLAIN)
    plain = region_boxes(batch.inputs["regions"].flatten(0, 1), None, (40, 60))
    torch.testing.assert_close(boxes, plain)
    assert torch.equal(target.regions, batch.region_target)
    mirror = AugmentConfig(flip=1.0, brightness=0.0, contrast=0.0, max_shift=0.0)
    ((mirrored, flipped),), (changed,) = heard(batch, mirror)
    torch.testing.assert_close(mirrored, x.flip(4))
    torch.testing.assert_close(flipped[..., REGION_MIRROR, 0], 60 - boxes[..., 2])
    torch.testing.assert_close(flipped[..., REGION_MIRROR, 1], boxes[..., 1])
    assert torch.equal(changed.regions, target.regions[:, REGION_MIRROR])
    assert torch.equal(changed.classes, target.classes)


def test_evaluation_sees_the_plain_boxes_of_each_part():
    crop = AugmentConfig(flip=1.0, crop_size=(20, 30))
    asked, targets = heard(region_batch(), crop, evaluate=True)
    assert [x.shape[3:] for x, _ in asked] == [(20, 30)] * 2
    whole = region_boxes(region_batch().inputs["regions"].flatten(0, 1), None, (40, 60))
    for number, (_, boxes) in enumerate(asked):
        torch.testing.assert_close(boxes[0, ..., 0], whole[number, ..., 0] - 15)
        torch.testing.assert_close(boxes[0, ..., 3], whole[number, ..., 3] - 10)
        assert torch.equal(targets[number].regions, region_batch().region_target[[number]])


def test_kept_maps_go_as_they_are_and_their_view_moves_the_boxes():
    maps = torch.randn(2, 1, 2, 3, 5, 4).half()
    views = Views(AugmentConfig(), 2, (40, 60))
    moved = Moved(view_moves(views, ["a", "b"], [0, 1]), (40, 60))
    points = region_batch().inputs["regions"]
    batch = region_batch(inputs={"rgb": maps, "regions": points}, moved=moved)
    ((x, boxes),), (target,) = heard(batch, AugmentConfig())
    assert torch.equal(x, maps[:, 0].float())
    plain = region_boxes(points.flatten(0, 1), None, (40, 60))
    torch.testing.assert_close(boxes[0], plain[0])
    torch.testing.assert_close(boxes[1][:, REGION_MIRROR, 2], 60 - plain[1][..., 0])
    assert torch.equal(target.regions[0], batch.region_target[0])
    assert torch.equal(target.regions[1], batch.region_target[1, REGION_MIRROR])
    asked, _ = heard(replace(batch, moved=moved), AugmentConfig(), evaluate=True)
    torch.testing.assert_close(torch.cat([one for _, one in asked]), plain)


def test_what_nothing_moves_with_the_pictures_is_refused(model):
    batch = region_batch()
    strange = replace(batch, inputs={**batch.inputs, "mfcc": torch.zeros(2, 1, 2, 13)})
    with pytest.raises(ValueError, match="only rgb and regions can be augmented; got mfcc"):
        step(model, strange)
