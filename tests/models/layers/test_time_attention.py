import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor

from pdray.models.layers import time_attention
from pdray.models.layers.time_attention import (
    Maps,
    attend_over_time,
    blocks,
    order_of,
    project,
    project_gradient,
    time_weights,
)

CPU = torch.device("cpu")
PLAIN, LAST = torch.contiguous_format, torch.channels_last_3d


def draw(*shape: int, seed: int = 1, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def make_maps(
    channels: int, out: int, steps: int, *, num_heads: int, dtype: torch.dtype = torch.float64
) -> Maps:
    shapes = [(channels, channels), (channels, channels), (out, channels), (out, out)]
    drawn = [draw(*shape, seed=seed, dtype=dtype) for seed, shape in enumerate(shapes)]
    relative = draw(steps, steps, channels // num_heads, seed=9, dtype=dtype)
    parts = [(part / math.sqrt(channels)).requires_grad_() for part in [*drawn, relative]]
    return Maps(*parts)


def written_out(x_BCTHW: Tensor, maps: Maps, num_heads: int) -> Tensor:
    """Eq. 6 with whole matrices, as one writes it from the paper."""
    batch, channels, steps, high, wide = x_BCTHW.shape
    x = x_BCTHW.permute(0, 3, 4, 2, 1).reshape(-1, steps, channels)
    q, k, v = (
        (x @ part.T).unflatten(2, (num_heads, -1)).transpose(1, 2)
        for part in (maps.query, maps.key, maps.value)
    )
    relative = torch.einsum("naie,ije->naij", q, maps.relative)
    logits = (q @ k.transpose(2, 3) + relative) / math.sqrt(q.shape[3])
    y = (torch.softmax(logits, dim=3) @ v).transpose(1, 2).flatten(2) @ maps.out.T
    return y.view(batch, high, wide, steps, -1).permute(0, 4, 3, 1, 2).contiguous()


def gradients(y: Tensor, x: Tensor, maps: Maps) -> tuple[Tensor, ...]:
    return torch.autograd.grad((y * draw(*y.shape, seed=5).to(y.dtype)).sum(), [x, *maps])


@pytest.mark.parametrize("kept_values", [0, 1 << 19])
@pytest.mark.parametrize("block_values", [1, 130, 1 << 19])
@pytest.mark.parametrize("order", [PLAIN, LAST])
@pytest.mark.parametrize("steps", [1, 2, 5, 17])
def test_result_and_gradients_are_those_of_the_formula_in_blocks_of_any_size(
    steps: int,
    order: torch.memory_format,
    block_values: int,
    kept_values: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(time_attention.BLOCK_VALUES, "cpu", block_values)
    monkeypatch.setitem(time_attention.KEPT_VALUES, "cpu", kept_values)
    maps = make_maps(6, 9, steps, num_heads=3)
    x = draw(3, 6, steps, 2, 5).contiguous(memory_format=order).requires_grad_()
    y = attend_over_time(x, maps, num_heads=3, order=order)
    expected = written_out(x, maps, 3)
    torch.testing.assert_close(y, expected, rtol=1e-10, atol=1e-10)
    assert y.is_contiguous(memory_format=order)
    for ours, plain in zip(gradients(y, x, maps), gradients(expected, x, maps), strict=True):
        torch.testing.assert_close(ours, plain, rtol=1e-9, atol=1e-9)


def test_features_that_lie_in_neither_order_are_taken_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(time_attention.BLOCK_VALUES, "cpu", 100)
    maps = make_maps(4, 4, 3, num_heads=2)
    x = draw(2, 3, 5, 4, 4).permute(0, 3, 1, 4, 2).requires_grad_()
    assert not x.is_contiguous()
    assert order_of(x) is PLAIN
    y = attend_over_time(x, maps, num_heads=2, order=LAST)
    expected = written_out(x, maps, 2)
    torch.testing.assert_close(y, expected, rtol=1e-10, atol=1e-10)
    for ours, plain in zip(gradients(y, x, maps), gradients(expected, x, maps), strict=True):
        torch.testing.assert_close(ours, plain, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("rows", [1, 7, 64])
def test_float32_goes_through_convolutions_and_gives_the_same(rows: int) -> None:
    x, weight = (draw(*shape, dtype=torch.float32) for shape in ((rows, 24), (10, 24)))
    g = draw(rows, 10, seed=3, dtype=torch.float32)
    torch.testing.assert_close(project(x, weight), x @ weight.T, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(project_gradient(g, x), g.T @ x, rtol=1e-4, atol=1e-5)


def test_float32_gradients_are_those_of_float64(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(time_attention.BLOCK_VALUES, "cpu", 1000)
    maps = make_maps(16, 16, 4, num_heads=4)
    x = draw(2, 16, 4, 3, 5).requires_grad_()
    expected = gradients(written_out(x, maps, 4), x, maps)
    low_maps = Maps(*(part.detach().float().requires_grad_() for part in maps))
    low_x = x.detach().float().requires_grad_()
    y = attend_over_time(low_x, low_maps, num_heads=4, order=PLAIN)
    for ours, exact in zip(gradients(y, low_x, low_maps), expected, strict=True):
        torch.testing.assert_close(ours.double(), exact, rtol=1e-3, atol=1e-4)


def test_logits_beyond_the_range_of_exp_are_no_trouble() -> None:
    q, k = draw(3, 2, 4) * 1e4, draw(3, 2, 4, seed=2) * 1e4
    weights = time_weights(q, k, draw(3, 3, 4))
    assert weights.isfinite().all()
    torch.testing.assert_close(weights.sum(dim=2), torch.ones(2, 3, dtype=torch.float64))


@pytest.mark.parametrize(
    ("batch", "places", "steps"), [(1, 1, 1), (5, 3, 2), (2, 50, 4), (3, 7, 9)]
)
@pytest.mark.parametrize("block_values", [1, 64, 100, 10_000])
def test_every_sequence_is_in_one_block_and_no_block_is_too_large(
    batch: int, places: int, steps: int, block_values: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(time_attention.BLOCK_VALUES, "cpu", block_values)
    seen = torch.zeros(batch, places, dtype=torch.int64)
    for block in blocks(torch.Size((batch, steps, places, 8)), CPU):
        seen[block] += 1
        assert seen[block].numel() * steps * 8 <= max(block_values, steps * 8)
    assert (seen == 1).all()


@contextmanager
def bytes_kept() -> Iterator[Callable[[], int]]:
    """Count the memory that autograd keeps for the backward pass."""
    storages: dict[int, int] = {}
    alive: list[Tensor] = []

    def keep(tensor: Tensor) -> Tensor:
        alive.append(tensor)
        storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        yield lambda: sum(storages.values())


@pytest.mark.parametrize("steps", [2, 8, 16])
def test_backward_keeps_no_more_memory_than_the_formula_written_out(steps: int) -> None:
    maps = make_maps(32, 32, steps, num_heads=4, dtype=torch.float32)
    x = draw(2, 32, steps, 4, 4, dtype=torch.float32).requires_grad_()
    with bytes_kept() as kept:
        attend_over_time(x, maps, num_heads=4, order=PLAIN)
        ours = kept()
    with bytes_kept() as kept:
        written_out(x, maps, 4)
        plain = kept()
    assert 0 < ours <= plain


def test_of_a_large_input_it_and_the_maps_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(time_attention.KEPT_VALUES, "cpu", 1000)
    maps = make_maps(32, 32, 8, num_heads=4, dtype=torch.float32)
    x = draw(2, 32, 8, 4, 4, dtype=torch.float32).requires_grad_()
    with bytes_kept() as kept:
        attend_over_time(x, maps, num_heads=4, order=PLAIN)
        assert kept() == 4 * sum(part.numel() for part in (x, *maps))
