"""Compares attention over time with other layers: the section ``tsa`` of ``models.py``.

Memory is the peak resident size of a separate process, minus its size before the layer is made. It
includes weights, input, all gradients and what the libraries allocate in both passes. Linux only.
"""

import gc
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.compare import Row, best, cpu
from benchmarks.networks import LAST, Scale
from pdray.models.networks.tsa import TemporalSelfAttention

HEADS = 8
SPEED_GOAL, MEMORY_GOAL = 12.0, 2.0  # times faster than the convolution, times less memory
SHAPES = (
    (2, 256, 4, 14),
    (2, 256, 8, 14),
    (2, 256, 16, 14),
    (2, 256, 32, 14),
    (2, 512, 2, 7),
    (2, 512, 8, 7),
    (2, 512, 16, 7),
    (2, 512, 32, 7),
)
MEMORY_SHAPES = (*SHAPES, (15, 256, 4, 14), (15, 512, 2, 7))  # 15: the batch of TSA
QUICK_SHAPES = ((2, 16, 3, 4),)
_RESET = Path("/proc/self/clear_refs")

Shape = tuple[int, int, int, int]
"""Snippets, channels, time steps, height and width."""


class WrittenOut(nn.Module):
    """The same attention, written directly from the paper: ``softmax(Q K^T + S_rel) V``."""

    def __init__(self, attention: TemporalSelfAttention, *, is_fused: bool = False) -> None:
        super().__init__()
        self.attention = attention
        self.is_fused = is_fused

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, D, T, H, W) of features (B, C, T, H, W)."""
        maps, (batch, _, steps, high, wide) = self.attention.maps(x.shape[2]), x.shape
        rows = x.permute(0, 3, 4, 2, 1).reshape(batch * high * wide, steps, -1)
        query, key, value = (
            functional.linear(rows, weight).view(len(rows), steps, HEADS, -1).transpose(1, 2)
            for weight in (maps.query, maps.key, maps.value)
        )
        scale = query.shape[3] ** -0.5
        bias = torch.einsum("naie,ije->naij", query, maps.relative)
        if self.is_fused:
            out = functional.scaled_dot_product_attention(query, key, value, bias * scale)
        else:
            out = torch.softmax((query @ key.transpose(2, 3) + bias) * scale, dim=3) @ value
        y = functional.linear(out.transpose(1, 2).flatten(2), maps.out)
        y = y.view(batch, high, wide, steps, -1).permute(0, 4, 3, 1, 2)
        return y.contiguous(memory_format=LAST)


LAYERS = ("pdray", "3x3x3 convolution", "written out", "scaled_dot_product")


def make_layer(name: str, channels: int, steps: int) -> nn.Module:
    """Return one of ``LAYERS``; the attentions have the same weights."""
    torch.manual_seed(0)
    if name == "3x3x3 convolution":
        layer = nn.Conv3d(channels, channels, 3, padding=1, bias=False)
        return layer.to(memory_format=LAST)  # type: ignore[call-overload, no-any-return]
    ours = TemporalSelfAttention(
        channels, channels, (1, 1, 1), num_heads=HEADS, key_dim=None, max_time_steps=steps
    )
    if name == "pdray":
        return ours
    return WrittenOut(ours, is_fused=name == "scaled_dot_product")


def passes(layer: nn.Module, shape: Shape) -> Callable[[], Tensor]:
    """Return a function that runs forward and backward of a layer and returns the result."""
    batch, channels, steps, side = shape
    generator = torch.Generator().manual_seed(2)
    x, gradient = (
        torch.randn((batch, channels, steps, side, side), generator=generator) for _ in range(2)
    )
    x = x.contiguous(memory_format=LAST).requires_grad_()
    gradient = gradient.contiguous(memory_format=LAST)

    def run() -> Tensor:
        x.grad = None
        layer.zero_grad(set_to_none=True)
        y: Tensor = layer(x)
        y.backward(gradient)  # type: ignore[no-untyped-call]
        return y.detach()

    return run


def products_ratio(channels: int, steps: int) -> float:
    """Return the products of a 3x3x3 convolution divided by those of attention.

    Per position, attention needs four maps of C x C and three products with T time steps; the
    convolution needs 27 C x C.
    """
    return 27 * channels / (4 * channels + 3 * steps)


def time_rows(scale: Scale) -> Iterator[str]:
    """Compare the times of forward and backward."""
    torch.set_num_threads(scale.threads)
    clock = cpu if scale.threads == 1 else time.perf_counter
    for shape in QUICK_SHAPES if scale.is_quick else SHAPES:
        _, channels, steps, _ = shape
        ways = {name: passes(make_layer(name, channels, steps), shape) for name in LAYERS}
        expected = ways["written out"]()
        for name in ("pdray", "scaled_dot_product"):
            assert torch.allclose(ways[name](), expected, atol=1e-3), f"{name}: another result"
        rounds = scale.rounds(8 if steps < 16 else 5)
        ours, *others = best(list(ways.values()), rounds=rounds, clock=clock)
        goals = (SPEED_GOAL, 1.0, 0.0)
        for name, cost, goal in zip(LAYERS[1:], others, goals, strict=True):
            what = f"tsa {told(shape)}"
            if goal == SPEED_GOAL:
                what += f", {products_ratio(channels, steps):.1f}x fewer products"
            yield Row(what, ours, cost, name, goal).told()


def told(shape: Shape) -> str:
    """Return a shape as text."""
    batch, channels, steps, side = shape
    return f"{batch}x{channels}x{steps}x{side}x{side}"


def memory_rows(scale: Scale) -> Iterator[str]:
    """Compare the peaks of memory of forward and backward."""
    if not can_measure_peaks():
        yield "tsa, memory: left out, this system does not report the peak memory of a process"
        return
    for shape in QUICK_SHAPES if scale.is_quick else MEMORY_SHAPES:
        peaks = {}
        for name in LAYERS[:3]:
            peaks[name] = fresh_peak(name, shape, scale.threads)
        ours = peaks.pop("pdray") / 1e6
        for (name, peak), goal in zip(peaks.items(), (MEMORY_GOAL, 1.0), strict=True):
            yield Row(f"tsa {told(shape)}, peak", ours, peak / 1e6, name, goal, "MB").told()


def can_measure_peaks() -> bool:
    """Return whether this system reports the peak memory of a process and can reset it."""
    return os.access(_RESET, os.W_OK)


def fresh_peak(name: str, shape: Shape, threads: int) -> int:
    """Return :func:`peak_bytes` of a new process that has imported all libraries."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    with context.Pool(1) as pool:
        return pool.apply(peak_bytes, (name, shape, threads))


def peak_bytes(name: str, shape: Shape, threads: int) -> int:
    """Return the peak memory of a layer, its input and both passes, in a new process [byte]."""
    torch.set_num_threads(threads)
    passes(make_layer(name, HEADS, 2), (2, HEADS, 2, 3))()  # loads the libraries
    gc.collect()
    before = _status("VmRSS")
    layer = make_layer(name, shape[1], shape[2])
    gc.collect()
    _RESET.write_text("5")  # drawing the weights takes more than having them
    passes(layer, shape)()
    return _status("VmHWM") - before


def _status(wanted: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == wanted:
            return int(value.split()[0]) * 1024
    raise AssertionError(f"no {wanted} in /proc/self/status")


def tsa(scale: Scale) -> Iterator[str]:
    """Compare times and peaks of memory."""
    yield from time_rows(scale)
    yield from memory_rows(scale)
