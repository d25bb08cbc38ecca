import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from pdray.config import build
from pdray.visits.networks import (
    METHODS,
    Assembler,
    ChannelAttention,
    PixelAttention,
    VectorWeighting,
    assembling_faults,
    build_assembler,
)
from pdray.visits.settings import AssemblingConfig

Array = np.ndarray[Any, np.dtype[np.float64]]

NUM_ITEMS, NUM_CHANNELS, NUM_CLASSES = 4, 6, 3
JOINT = [method for method in METHODS if not method.startswith("single_")]
MASK = [[True, True, True, True], [True, False, True, False], [False, False, False, True]]


def make(method: str, **changes: Any) -> Assembler:
    config = build(AssemblingConfig, {"hidden_units": 5, "num_heads": 2, **changes})
    with torch.random.fork_rng():
        torch.manual_seed(0)
        assembler = build_assembler(
            method,
            config,
            num_items=1 if method.startswith("single_") else NUM_ITEMS,
            num_channels=NUM_CHANNELS,
            num_classes=NUM_CLASSES,
        )
    if isinstance(assembler.combine, VectorWeighting):
        with torch.no_grad():
            assembler.combine.logits.copy_(torch.tensor([0.3, -1.0, 0.7, 2.0]))
    return assembler.double()


def inputs(method: str, num_visits: int = 3, num_items: int = NUM_ITEMS) -> Tensor:
    size = (NUM_CHANNELS,) if METHODS[method][0] == "avgpool" else (NUM_CHANNELS, 2, 3, 2)
    generator = torch.Generator().manual_seed(1)
    return torch.randn((num_visits, num_items, *size), generator=generator, dtype=torch.float64)


def weights(assembler: Assembler) -> dict[str, Array]:
    return {name: p.detach().numpy() for name, p in assembler.named_parameters()}


# The references: every visit by itself, only the items it has, loops over what the paper indexes.


def slow_averaging(x: Array, present: list[int], _: dict[str, Array]) -> Array:
    return sum((x[m] for m in present), np.zeros_like(x[0])) / len(present)


def slow_weighting(x: Array, present: list[int], w: dict[str, Array]) -> Array:
    powers = {m: math.exp(w["combine.logits"][m]) for m in present}
    total = sum(powers.values())
    return sum((powers[m] / total * x[m] for m in present), np.zeros_like(x[0]))


def slow_channel(x: Array, present: list[int], w: dict[str, Array]) -> Array:
    growth = len(x) / len(present)
    reduced, expanded = w["combine.reduce.weight"], w["combine.expand.weight"]
    z = {m: x[m].sum() / x[m].size for m in present}
    hidden = [max(0.0, growth * sum(row[m] * z[m] for m in present)) for row in reduced]
    out = np.zeros_like(x[0])
    for m in present:
        score = sum(expanded[m, r] * hidden[r] for r in range(len(hidden)))
        out += growth * x[m] / (1 + math.exp(-score))
    return out


def slow_pixel(x: Array, present: list[int], w: dict[str, Array]) -> Array:
    num_heads = 2
    names = ("query", "key", "value", "project")
    w_q, w_k, w_v, w_o = (w[f"combine.{name}.weight"] for name in names)
    out = np.zeros_like(x[0])
    for place in np.ndindex(x.shape[2:]):
        tokens = {m: x[(m, slice(None), *place)] for m in present}
        q, k, v = ({m: mat @ tokens[m] for m in present} for mat in (w_q, w_k, w_v))
        outputs = []
        for m in present:
            heads = []
            for head in range(num_heads):
                keys, values = (
                    slice(head * len(vec) // num_heads, (head + 1) * len(vec) // num_heads)
                    for vec in (q[m], v[m])
                )
                scale = math.sqrt(len(q[m][keys]))
                powers = [math.exp(q[m][keys] @ k[n][keys] / scale) for n in present]
                heads.append(
                    sum(
                        power / sum(powers) * v[n][values]
                        for power, n in zip(powers, present, strict=True)
                    )
                )
            outputs.append(w_o @ np.concatenate(heads))
        out[(slice(None), *place)] = sum(outputs) / len(present)
    return out


SLOW = {
    "vector_averaging": slow_averaging,
    "vector_weighting": slow_weighting,
    "channel_attention": slow_channel,
    "pixel_attention": slow_pixel,
}


def test_every_joint_method_has_a_reference() -> None:
    assert SLOW.keys() == set(JOINT)


@pytest.mark.parametrize("method", JOINT)
def test_a_combination_is_the_papers_equation_over_the_items_present(method: str) -> None:
    assembler, x, present = make(method), inputs(method), torch.tensor(MASK)
    combined = assembler.combine(x.masked_fill(~wide(present, x), 0.0), present)
    for visit, mask in enumerate(MASK):
        items = [m for m, is_there in enumerate(mask) if is_there]
        expected = SLOW[method](x[visit].numpy(), items, weights(assembler))
        # float64 sums in another order
        np.testing.assert_allclose(combined[visit].detach().numpy(), expected, atol=1e-12)


def wide(present: Tensor, x: Tensor) -> Tensor:
    return present.view(*present.shape, *(1,) * (x.ndim - 2))


@pytest.mark.parametrize("method", JOINT)
@pytest.mark.parametrize("filler", [math.nan, math.inf, 1e6, 0.0])
def test_what_stands_for_an_absent_item_changes_neither_output_nor_gradient(
    method: str, filler: float
) -> None:
    assembler, present = make(method), torch.tensor(MASK)
    x = inputs(method).requires_grad_()
    assembler(x, present).square().sum().backward()
    grads = [p.grad.clone() for p in assembler.parameters() if p.grad is not None]
    other = inputs(method)
    other[~present] = filler
    other.requires_grad_()
    assembler.zero_grad()
    again = assembler(other, present)
    again.square().sum().backward()
    assert again.isfinite().all()
    for old, parameter in zip(grads, assembler.parameters(), strict=True):
        assert torch.equal(old, parameter.grad)
    assert other.grad is not None
    assert not other.grad[~present].any()
    assert other.grad[present].any()


@pytest.mark.parametrize("method", ["channel_attention", "pixel_attention", "single_map"])
def test_batch_norm_is_the_same_whatever_stands_for_absent_maps(method: str) -> None:
    num_items = 1 if method == "single_map" else NUM_ITEMS
    present = torch.tensor([mask[:num_items] for mask in MASK[:2]])
    states = []
    for filler in (0.0, 1e6):
        assembler, x = make(method).train(), inputs(method, 2, num_items)
        x[~present] = filler
        assembler(x, present)
        states.append(assembler.head.get_submodule("bn").state_dict())
    for name, values in states[0].items():
        assert torch.equal(values, states[1][name]), name
    assert states[0]["running_mean"].any()


def test_the_map_head_is_norm_relu_mean_and_linear() -> None:
    assembler, x = make("single_map").train(), inputs("single_map", 5, 1)
    logits = assembler(x, torch.ones(5, 1, dtype=torch.bool))
    values, w = x[:, 0].numpy(), weights(assembler)
    axes = (0, 2, 3, 4)
    mean, var = values.mean(axes, keepdims=True), values.var(axes, keepdims=True)
    rectified = np.maximum((values - mean) / np.sqrt(var + 1e-5), 0.0)
    expected = rectified.mean((2, 3, 4)) @ w["head.fc.weight"].T + w["head.fc.bias"]
    np.testing.assert_allclose(logits.detach().numpy(), expected, atol=1e-12)


@pytest.mark.parametrize("hidden_layers", [0, 1, 2])
def test_a_combined_vector_passes_the_hidden_layers_asked_for(hidden_layers: int) -> None:
    assembler = make("vector_averaging", hidden_layers=hidden_layers)
    x, present = inputs("vector_averaging"), torch.tensor(MASK)
    w = list(weights(assembler).values())
    assert len(w) == 2 * (hidden_layers + 1)
    value = np.stack(
        [x[b].numpy()[mask].mean(axis=0) for b, mask in enumerate(np.array(MASK))], axis=0
    )
    for layer in range(hidden_layers + 1):
        value = value @ w[2 * layer].T + w[2 * layer + 1]
        value = np.maximum(value, 0.0) if layer < hidden_layers else value
    np.testing.assert_allclose(assembler(x, present).detach().numpy(), value, atol=1e-12)


def test_vector_weighting_begins_as_the_mean() -> None:
    combine = VectorWeighting(NUM_ITEMS).double()
    x, present = inputs("vector_weighting"), torch.tensor(MASK)
    x[~present] = 0.0
    mean = make("vector_averaging").combine(x, present)
    assert torch.allclose(combine(x, present), mean, rtol=0, atol=1e-12)
    assert combine.item_weights().sum().item() == pytest.approx(1)


def test_attention_weights_of_items_sum_to_one_and_absent_items_have_none() -> None:
    present = torch.tensor(MASK)
    x = inputs("pixel_attention")
    pixel = make("pixel_attention").combine
    assert isinstance(pixel, PixelAttention)
    alpha = pixel.item_weights(x.flatten(3).permute(0, 3, 1, 2), present)
    assert alpha.shape == (3, 12, 2, NUM_ITEMS)
    assert torch.allclose(alpha.sum(dim=3), torch.ones((), dtype=torch.float64))
    assert not alpha[1, :, :, [1, 3]].any()
    channel = make("channel_attention").combine
    assert isinstance(channel, ChannelAttention)
    alpha_BM = channel.item_weights(x.masked_fill(~wide(present, x), 0.0), present)
    assert ((alpha_BM > 0) == present).all()
    assert (alpha_BM < 1).all()


@pytest.mark.parametrize("method", METHODS)
def test_two_visits_together_are_the_two_alone(method: str) -> None:
    num_items = 1 if method.startswith("single_") else NUM_ITEMS
    assembler = make(method).eval()
    x, present = inputs(method, 2, num_items), torch.ones(2, num_items, dtype=torch.bool)
    together = assembler(x, present)
    assert together.shape == (2, NUM_CLASSES)
    alone = torch.cat([assembler(x[at : at + 1], present[at : at + 1]) for at in range(2)])
    assert torch.allclose(together, alone, rtol=0, atol=1e-12)


@pytest.mark.parametrize("method", METHODS)
def test_every_parameter_has_a_gradient(method: str) -> None:
    num_items = 1 if method.startswith("single_") else NUM_ITEMS
    assembler = make(method)
    x, present = inputs(method, 3, num_items), torch.ones(3, num_items, dtype=torch.bool)
    assembler(x, present).square().sum().backward()
    assert [name for name, p in assembler.named_parameters() if p.grad is None] == []


def test_the_items_are_reduced_to_at_least_one() -> None:
    assert make("channel_attention", reduction=4.0).combine.reduce.weight.shape == (1, NUM_ITEMS)  # type: ignore[union-attr]
    assert make("channel_attention", reduction=1.5).combine.reduce.weight.shape == (2, NUM_ITEMS)  # type: ignore[union-attr]


def test_a_visit_without_any_item_is_refused_by_its_place() -> None:
    present = torch.tensor(MASK)
    present[1] = False
    with pytest.raises(ValueError, match="visit 1 of the batch has no item"):
        make("vector_averaging")(inputs("vector_averaging"), present)


def test_shapes_that_do_not_fit_are_refused() -> None:
    assembler, x = make("vector_averaging"), inputs("vector_averaging")
    with pytest.raises(ValueError, match=r"got \(3, 4, 6\) and \(3, 4\) torch.float32"):
        assembler(x, torch.ones(3, 4))
    with pytest.raises(ValueError, match=r"got \(3, 4, 6\) and \(3, 2\) torch.bool"):
        assembler(x, torch.ones(3, 2, dtype=torch.bool))
    with pytest.raises(ValueError, match=r"expected 4 items on axis 1, got \(3, 2, 6\)"):
        assembler(x[:, :2], torch.ones(3, 2, dtype=torch.bool))


def test_settings_that_cannot_be_built_are_named() -> None:
    config = build(AssemblingConfig, {"num_heads": 5, "reduction": 8.0})
    heads, reduction = assembling_faults(config, num_items=7, num_channels=12)
    assert heads == (
        "assembling.num_heads: 5 does not divide the 12 channels of the last map; "
        "use one of 1, 2, 3, 4, 6, 12"
    )
    assert reduction == "assembling.reduction: 8 is more than the 7 items; use at most 7"
    assert assembling_faults(AssemblingConfig(), num_items=7, num_channels=512) == []
