import math

import pytest
import torch
from torch import nn

from pdray.config import build, dump
from pdray.errors import SettingsError
from pdray.losses.focal import class_balanced_focal_loss, class_balanced_weights
from pdray.losses.hierarchy import hierarchy_loss
from pdray.losses.ordinal import coral_loss, cumulative_link_loss
from pdray.losses.settings import LossConfig
from pdray.losses.softmax_focal import softmax_focal_loss
from pdray.models.layers.ordered import OrderedHead
from pdray.training.objective import RegionTarget, num_outputs, training_loss, wrap

KINDS = ("class_balanced_focal", "focal", "cross_entropy", "hierarchy", "coral", "cumulative_link")
ORDERED = ("coral", "cumulative_link")
COUNTS = [12, 30, 5]
TARGET = torch.tensor([0, 1, 2, 2])
SHARES = torch.tensor([[1.0, 0, 0], [0.5, 0.5, 0], [0, 0.25, 0.75], [0, 0, 1]])
CPU = torch.device("cpu")


def outputs(kind):
    logits = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    return logits.sort(dim=1, descending=True).values[:, :2] if kind in ORDERED else logits


def objective(kind, **settings):
    return training_loss(LossConfig(kind=kind, **settings), COUNTS, CPU)


def test_the_default_is_the_class_balanced_loss_as_it_was():
    config = LossConfig()
    assert config.kind == "class_balanced_focal"
    assert (config.gamma, config.normalize) == (2.0, True)
    assert build(LossConfig, {"gamma": 1.5, "normalize": False}).gamma == 1.5
    weights = class_balanced_weights(COUNTS, normalize=True)
    expected = class_balanced_focal_loss(outputs(""), TARGET, weights_K=weights, gamma=2.0)
    assert training_loss(config, COUNTS, CPU).loss(outputs(""), TARGET).equal(expected)


def test_each_kind_is_its_loss():
    z, falling = outputs("focal"), outputs("coral")
    assert (
        objective("focal", alpha=0.25, gamma=1.0)
        .loss(z, TARGET)
        .equal(softmax_focal_loss(z, TARGET, alpha=0.25, gamma=1.0))
    )
    torch.testing.assert_close(
        objective("cross_entropy").loss(z, TARGET),
        nn.functional.cross_entropy(z, TARGET, reduction="none"),
    )
    assert (
        objective("hierarchy", hierarchy_lambda=0.3)
        .loss(z, TARGET)
        .equal(hierarchy_loss(z, TARGET, hierarchy_lambda=0.3))
    )
    assert objective("coral").loss(falling, TARGET).equal(coral_loss(falling, TARGET))
    link = objective("cumulative_link").loss(falling, TARGET)
    assert link.equal(cumulative_link_loss(falling, TARGET))


@pytest.mark.parametrize("kind", KINDS)
def test_shares_are_taken_by_every_kind_and_one_hot_ones_are_classes(kind):
    loss, z = objective(kind, soft_targets=True), outputs(kind)
    one_hot = nn.functional.one_hot(TARGET, 3).float()
    torch.testing.assert_close(loss.loss(z, one_hot), loss.loss(z, TARGET))
    soft = loss.loss(z, SHARES)
    by_class = torch.stack([loss.loss(z, torch.full((4,), k)) for k in range(3)], dim=1)
    torch.testing.assert_close(soft, (by_class * SHARES).sum(dim=1))


@pytest.mark.parametrize("kind", KINDS)
def test_log_probabilities_are_of_every_class_and_sum_to_one(kind):
    log_shares = objective(kind).log_probabilities(outputs(kind))
    assert log_shares.shape == (4, 3)
    torch.testing.assert_close(log_shares.exp().sum(dim=1), torch.ones(4))
    half = objective(kind).log_probabilities(outputs(kind).bfloat16())
    assert half.dtype == torch.float32
    # What a predictions table makes of logits.
    torch.testing.assert_close(log_shares.softmax(dim=1), log_shares.exp())


def test_class_logits_mean_their_softmax():
    z = outputs("focal")
    for kind in ("class_balanced_focal", "focal", "cross_entropy", "hierarchy"):
        torch.testing.assert_close(objective(kind).log_probabilities(z).exp(), z.softmax(dim=1))


@pytest.mark.parametrize("kind", KINDS)
def test_a_network_is_built_and_wrapped_for_its_kind(kind):
    config = LossConfig(kind=kind)
    network = nn.Linear(6, num_outputs(config, 3))
    model = wrap(network, config, 3)
    assert isinstance(model, OrderedHead) == (kind in ORDERED)
    z = model(torch.randn(4, 6))
    assert z.shape == (4, 2 if kind in ORDERED else 3)
    loss = training_loss(config, COUNTS, CPU).loss(z, TARGET)
    assert loss.shape == (4,)
    loss.sum().backward()
    assert all(p.grad is not None for p in model.parameters())


@pytest.mark.parametrize("kind", KINDS)
def test_only_the_class_balanced_loss_needs_every_class(kind):
    config = LossConfig(kind=kind)
    if kind != "class_balanced_focal":
        assert training_loss(config, [4, 0, 2], CPU).class_weights is None
        return
    with pytest.raises(ValueError, match="class 1 has no training recording"):
        training_loss(config, [4, 0, 2], CPU)


def test_expected_counts_need_not_be_whole():
    weights = training_loss(LossConfig(normalize=False), [2.5, 1.0], CPU).class_weights
    total = 3.5
    beta = (total - 1) / total
    expected = [(1 - beta) / (1 - beta**2.5), 1.0]
    assert weights is not None
    assert weights.tolist() == pytest.approx(expected)


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({"kind": "coral", "gamma": 1.0}, "gamma 1 needs kind class_balanced_focal or focal; with"),
        ({"kind": "cross_entropy", "gamma": 0.0}, "kind cross_entropy leave it at 2"),
        ({"alpha": 0.25}, "alpha 0.25 needs kind focal; with kind class_balanced_focal leave it"),
        ({"kind": "focal", "normalize": False}, "normalize false needs kind class_balanced_focal"),
        ({"kind": "focal", "alpha": 1.5}, "alpha: got 1.5"),
        ({"kind": "focal", "alpha": 0.0}, "alpha: got 0.0"),
        ({"gamma": -1.0}, "gamma: got -1.0"),
        ({"kind": "hinge"}, "kind: got 'hinge'"),
        ({"hierarchy_lambda": 0.5}, "hierarchy_lambda 0.5 needs kind hierarchy; with kind class_b"),
        ({"kind": "hierarchy", "hierarchy_lambda": 1.5}, "hierarchy_lambda: got 1.5"),
    ],
)
def test_bad_and_idle_settings_are_named(tree, message):
    with pytest.raises(SettingsError, match=message):
        build(LossConfig, tree)


def test_idle_settings_come_together():
    with pytest.raises(SettingsError, match=r"gamma 1 .*; alpha 0\.25 .*; normalize false"):
        build(LossConfig, {"kind": "coral", "gamma": 1.0, "alpha": 0.25, "normalize": False})


@pytest.mark.parametrize("kind", KINDS)
def test_written_out_defaults_are_never_idle(kind):
    config = LossConfig(kind=kind)
    assert build(LossConfig, dump(config)) == config


def with_regions(kind="cross_entropy", **settings):
    config = LossConfig(kind=kind, **settings)
    return training_loss(config, [1, 1, 1], torch.device("cpu"), num_regions=2)


@pytest.mark.parametrize("kind", ["cross_entropy", "hierarchy", "coral"])
def test_regions_that_are_known_and_seen_add_their_mean(kind):
    torch.manual_seed(0)
    num_outputs = 2 if kind == "coral" else 3
    classes, target = torch.randn(3, num_outputs), torch.tensor([0, 2, 1])
    regions = torch.tensor([[0.5, -1.0], [2.0, math.nan], [0.3, 0.7]])
    known = torch.tensor([[1.0, 0.0], [0.0, 1.0], [math.nan, math.nan]])
    found = with_regions(kind, region_weight=0.5).loss(
        torch.cat([classes, regions], dim=1), RegionTarget(target, known)
    )
    alone = training_loss(LossConfig(kind=kind), [1, 1, 1], torch.device("cpu"))
    first = (math.log1p(math.exp(-0.5)) + math.log1p(math.exp(-1.0))) / 2
    second = math.log1p(math.exp(2.0))  # the other region is in no frame
    expected = alone.loss(classes, target) + 0.5 * torch.tensor([first, second, 0.0])
    torch.testing.assert_close(found, expected)


def test_a_region_that_is_not_seen_leaves_no_gradient_behind():
    outputs = torch.tensor([[0.1, 0.2, 0.3, math.nan, 1.0]], requires_grad=True)
    target = RegionTarget(torch.tensor([1]), torch.tensor([[1.0, math.nan]]))
    with_regions().loss(outputs, target).sum().backward()
    assert outputs.grad is not None
    assert outputs.grad.isfinite().all()
    assert outputs.grad[0, 3:].tolist() == [0.0, 0.0]


def test_classes_are_what_stands_before_the_regions():
    outputs = torch.arange(10.0).view(2, 5)
    assert with_regions().class_outputs(outputs).tolist() == [[0, 1, 2], [5, 6, 7]]
    plain = training_loss(LossConfig(kind="focal"), [1, 1], torch.device("cpu"))
    assert torch.equal(plain.class_outputs(outputs), outputs)


def test_settings_of_regions_are_told_apart():
    assert LossConfig().region_settings == []
    changed = LossConfig(region_weight=0.5, unmarked="unknown")
    assert changed.region_settings == ["region_weight", "unmarked"]
