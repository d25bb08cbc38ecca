"""Attention over time at every place of a feature map, computed in blocks of places.

Source: Eq. 3 to 6 of Yin et al. (see ``tsa.py``). A block stays in the processor's cache. The
backward pass computes the attention weights of a block again instead of keeping those of the whole
batch (as Dao et al. 2022, arXiv:2205.14135). For a large input it also computes the queries, keys
and values again, so that only the input is kept between the two passes.
Letters: B batch, C channel in, D channel out, T time step, H height, W width, P place of a map (H
W), M sequence of a block, R row of a block (T M), A head, S sequence and head (M A), E key feature
of a head, V value feature of a head, F feature of all heads' keys, O feature of a row going out.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional
from torch.nn.grad import conv2d_weight

# Values of a block's input. On a CPU a block and its intermediate results fit the last-level cache;
# on an accelerator a block is so large that starting its kernels costs little.
BLOCK_VALUES = {"cpu": 1 << 18}
BLOCK_VALUES_ELSEWHERE = 1 << 26
# Up to this size of the whole input, queries, keys and values are kept for the backward pass.
KEPT_VALUES = {"cpu": 1 << 19}
KEPT_VALUES_ELSEWHERE = 1 << 25
SOFTMAX_WIDTH = 16
NUM_MAPS = 5


@runtime_checkable
class AttendsOverTime(Protocol):
    """Block that returns its attention weights over time, which ``jobs/explain.py`` draws."""

    def attention_over_time(self, x_BCTHW: Tensor) -> Tensor:
        """Return the weights (B, A, T, T, H, W) of features (B, C, T, H, W).

        Axis 2 is the time step that attends, axis 3 the one that it attends to; over it they sum
        to 1. T, H and W are those of the block's output.
        """


class Maps(NamedTuple):
    """Learned tensors of one attention block.

    Attributes:
        query: (F, C).
        key: (F, C).
        value: (D, C).
        out: (D, D), W^O of Eq. 5.
        relative: (T, T, E), the embedding of offset j - i at [i, j].
    """

    query: Tensor
    key: Tensor
    value: Tensor
    out: Tensor
    relative: Tensor


class Heads(NamedTuple):
    """Intermediate results of the attention heads of a block.

    Attributes:
        query: (T, S, E).
        key: (T, S, E).
        value: (T, S, V).
        weights: (S, T, T), of time step i (axis 1) for j (axis 2).
        out: (R, D), the heads side by side, before W^O.
    """

    query: Tensor
    key: Tensor
    value: Tensor
    weights: Tensor
    out: Tensor


def _uses_convolution(x: Tensor) -> bool:
    # On a CPU in float32, torch computes a linear map with MKL, which uses half the vector width of
    # an AMD processor, and a convolution with oneDNN, which uses all of it.
    return x.device.type == "cpu" and x.dtype == torch.float32


def _as_image(x_RC: Tensor) -> Tensor:
    """Return rows as the pixels of one channels-last picture (1, C, R, 1)."""
    return x_RC.view(1, -1, 1, x_RC.shape[1]).permute(0, 3, 1, 2)


def project(x_RC: Tensor, weight_OC: Tensor) -> Tensor:
    """Return (R, O): a linear map of contiguous rows (R, C)."""
    if not _uses_convolution(x_RC):
        return functional.linear(x_RC, weight_OC)
    # Dilation changes nothing for a 1x1 kernel. It only keeps torch from its own convolution, a
    # matrix product with MKL, if there is one thread.
    y = functional.conv2d(_as_image(x_RC), weight_OC[:, :, None, None], dilation=2)
    return y.permute(0, 2, 3, 1).reshape(len(x_RC), -1)


def project_gradient(g_RO: Tensor, x_RC: Tensor) -> Tensor:
    """Return (O, C): the gradient of :func:`project` with respect to its weight."""
    if not _uses_convolution(x_RC):
        return g_RO.T @ x_RC
    if len(x_RC) < x_RC.shape[1]:  # oneDNN's weight gradient is slow with few rows
        return project(g_RO.T.contiguous(), x_RC.T.contiguous())
    shape = (g_RO.shape[1], x_RC.shape[1], 1, 1)
    gradient: Callable[..., Tensor] = conv2d_weight
    return gradient(_as_image(x_RC), shape, _as_image(g_RO), dilation=2).view(shape[:2])


def relative_logits(q_TSE: Tensor, relative_TTE: Tensor) -> Tensor:
    """Return (S, T, T): S_rel[i, j] = q_i . r_{j-i} of Eq. 6, not yet divided by sqrt(d_k)."""
    return torch.bmm(q_TSE, relative_TTE.transpose(1, 2)).transpose(0, 1)


def time_weights(q_TSE: Tensor, k_TSE: Tensor, relative_TTE: Tensor) -> Tensor:
    """Return (S, T, T): softmax((Q K^T + S_rel) / sqrt(d_k)) over the last axis."""
    steps, sequences, key_dim = q_TSE.shape
    # torch's softmax on a CPU is several times slower on rows shorter than a vector register.
    width = max(steps, SOFTMAX_WIDTH) if q_TSE.device.type == "cpu" else steps
    logits = q_TSE.new_full((sequences, steps, width), -math.inf)
    # A product written with ``out=`` in another axis order takes ten times as long as a copy.
    logits[:, :, :steps] = torch.bmm(q_TSE.transpose(0, 1), k_TSE.permute(1, 2, 0))
    logits[:, :, :steps] += relative_logits(q_TSE, relative_TTE)
    logits *= key_dim**-0.5
    return torch.softmax(logits, dim=2)[:, :, :steps].contiguous()


def read(x_TMC: Tensor, maps: Maps, num_heads: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return queries and keys (T, S, E) and values (T, S, V) of a contiguous block (T, M, C)."""
    steps, sequences, channels = x_TMC.shape
    x_RC = x_TMC.view(-1, channels)
    shape = (steps, sequences * num_heads, -1)
    return (
        project(x_RC, maps.query).view(shape),
        project(x_RC, maps.key).view(shape),
        project(x_RC, maps.value).view(shape),
    )


def weigh(q_TSE: Tensor, k_TSE: Tensor, v_TSV: Tensor, maps: Maps) -> Heads:
    """Compute the heads of a block from its queries, keys and values."""
    weights_STT = time_weights(q_TSE, k_TSE, maps.relative)
    o_TSV = torch.bmm(weights_STT, v_TSV.transpose(0, 1)).transpose(0, 1)
    o_RD = o_TSV.reshape(-1, len(maps.out))
    return Heads(q_TSE, k_TSE, v_TSV, weights_STT, o_RD)


def logits_gradient(heads: Heads, do_TSV: Tensor) -> Tensor:
    """Return (S, T, T), the gradient with respect to Q K^T + S_rel.

    With p = softmax(l): dl = p (dp - sum_j p dp).
    """
    p_STT = heads.weights
    dl_STT = torch.bmm(do_TSV.transpose(0, 1), heads.value.permute(1, 2, 0)).mul_(p_STT)
    dl_STT -= p_STT * dl_STT.sum(dim=2, keepdim=True)
    dl_STT *= heads.query.shape[2] ** -0.5
    return dl_STT


def block_gradient(
    x_TMC: Tensor, g_TMD: Tensor, *, heads: Heads, maps: Maps
) -> tuple[Tensor, list[Tensor]]:
    """Return the gradients of a block: (R, C) of its input, and of the maps in their order.

    They are computed one after the other, to save memory.

    Args:
        x_TMC: The block.
        g_TMD: Gradient of its result.
        heads: Intermediate results of its heads.
        maps: Learned tensors.
    """
    x_RC, g_RD = x_TMC.flatten(0, 1), g_TMD.flatten(0, 1)
    do_TSV = project(g_RD, maps.out.T.contiguous()).view(heads.value.shape)
    out_DD = project_gradient(g_RD, heads.out)
    dl_STT = logits_gradient(heads, do_TSV)
    dv_STV = torch.bmm(heads.weights.transpose(1, 2), do_TSV.transpose(0, 1))
    del do_TSV
    dv_RD = dv_STV.transpose(0, 1).reshape(g_RD.shape)
    dx_RC = project(dv_RD, maps.value.T.contiguous())
    value_DC = project_gradient(dv_RD, x_RC)
    del dv_STV, dv_RD
    dk_STE = torch.bmm(dl_STT.transpose(1, 2), heads.query.transpose(0, 1))
    dk_RF = dk_STE.transpose(0, 1).reshape(len(x_RC), -1)
    dx_RC += project(dk_RF, maps.key.T.contiguous())
    key_FC = project_gradient(dk_RF, x_RC)
    del dk_STE, dk_RF
    dq_TSE = torch.bmm(dl_STT.transpose(0, 1), maps.relative)
    dq_TSE += torch.bmm(dl_STT, heads.key.transpose(0, 1)).transpose(0, 1)
    dq_RF = dq_TSE.view(len(x_RC), -1)
    dx_RC += project(dq_RF, maps.query.T.contiguous())
    relative_TTE = torch.bmm(dl_STT.permute(1, 2, 0), heads.query)
    return dx_RC, [project_gradient(dq_RF, x_RC), key_FC, value_DC, out_DD, relative_TTE]


def blocks(shape_BTPC: torch.Size, device: torch.device) -> Iterator[tuple[slice, slice]]:
    """Yield (entries of the batch, places) of blocks that together cover every sequence once."""
    batch, steps, places, channels = shape_BTPC
    most = BLOCK_VALUES.get(device.type, BLOCK_VALUES_ELSEWHERE) // (steps * channels)
    if most >= places:
        step = math.ceil(batch / math.ceil(batch / (most // places)))
        for first in range(0, batch, step):
            yield slice(first, first + step), slice(0, places)
        return
    step = math.ceil(places / math.ceil(places / max(1, most)))
    for entry in range(batch):
        for first in range(0, places, step):
            yield slice(entry, entry + 1), slice(first, first + step)


def places_last(x_BCTHW: Tensor) -> Tensor:
    """Return (B, T, P, C): a view, if height and width are contiguous with each other."""
    return x_BCTHW.flatten(3).permute(0, 2, 3, 1)


def take(x_BTPC: Tensor, block: tuple[slice, slice]) -> Tensor:
    """Return a block as contiguous (T, M, C)."""
    entries, places = block
    x_TBPC = x_BTPC[entries, :, places].transpose(0, 1)
    return x_TBPC.reshape(len(x_TBPC), -1, x_TBPC.shape[3]).contiguous()


def put(x_BTPC: Tensor, block: tuple[slice, slice], rows_RC: Tensor) -> None:
    """Write the rows (T M, C) of a block to their place."""
    entries, places = block
    target_TBPC = x_BTPC[entries, :, places].transpose(0, 1)
    target_TBPC.copy_(rows_RC.view(target_TBPC.shape))


class TimeAttention(torch.autograd.Function):
    """Multi-head attention over T of (B, C, T, H, W); the result is (B, D, T, H, W)."""

    @staticmethod
    def forward(
        ctx: Any,
        x_BCTHW: Tensor,
        num_heads: int,
        memory_format: torch.memory_format,
        *maps: Tensor,
    ) -> Tensor:
        """Attend; keep the input and the maps, and queries, keys and values of a small input."""
        named = Maps(*maps)
        ctx.num_heads = num_heads
        y_BDTHW = _empty(x_BCTHW, len(named.out), memory_format)
        x_BTPC, y_BTPD = places_last(x_BCTHW), places_last(y_BDTHW)
        is_small = x_BCTHW.numel() <= KEPT_VALUES.get(x_BCTHW.device.type, KEPT_VALUES_ELSEWHERE)
        kept: list[Tensor] = []
        for block in blocks(x_BTPC.shape, x_BCTHW.device):
            parts = read(take(x_BTPC, block), named, num_heads)
            put(y_BTPD, block, project(weigh(*parts, named).out, named.out))
            kept += parts if is_small else ()
        ctx.save_for_backward(x_BCTHW, *maps, *kept)
        return y_BDTHW

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g_BDTHW: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of the input and of every map."""
        x_BCTHW, *saved = ctx.saved_tensors
        maps, kept = Maps(*saved[:NUM_MAPS]), saved[NUM_MAPS:]
        totals: list[Tensor] = []
        dx_BCTHW = _empty(x_BCTHW, x_BCTHW.shape[1], order_of(x_BCTHW))
        x_BTPC, g_BTPD, dx_BTPC = map(places_last, (x_BCTHW, g_BDTHW, dx_BCTHW))
        for number, block in enumerate(blocks(x_BTPC.shape, x_BCTHW.device)):
            x_TMC, g_TMD = take(x_BTPC, block), take(g_BTPD, block)
            q_TSE, k_TSE, v_TSV = kept[3 * number : 3 * number + 3] or read(
                x_TMC, maps, ctx.num_heads
            )
            heads = weigh(q_TSE, k_TSE, v_TSV, maps)
            dx_RC, parts = block_gradient(x_TMC, g_TMD, heads=heads, maps=maps)
            put(dx_BTPC, block, dx_RC)
            totals = [a.add_(b) for a, b in zip(totals, parts, strict=True)] if totals else parts
        return dx_BCTHW, None, None, *totals


def order_of(x_BCTHW: Tensor) -> torch.memory_format:
    """Return the memory order of a map: channels-last or contiguous."""
    last = torch.channels_last_3d
    if x_BCTHW.is_contiguous(memory_format=last) and not x_BCTHW.is_contiguous():
        return last
    return torch.contiguous_format


def _empty(x_BCTHW: Tensor, channels: int, memory_format: torch.memory_format) -> Tensor:
    shape = (len(x_BCTHW), channels, *x_BCTHW.shape[2:])
    return torch.empty(
        shape, dtype=x_BCTHW.dtype, device=x_BCTHW.device, memory_format=memory_format
    )


def attend_over_time(
    x_BCTHW: Tensor, maps: Maps, *, num_heads: int, order: torch.memory_format
) -> Tensor:
    """Return (B, D, T, H, W): multi-head attention over T at each place.

    Args:
        x_BCTHW: (B, C, T, H, W) floating features.
        maps: Learned tensors of the same dtype and device.
        num_heads: Heads, a divisor of F and D.
        order: Order of the result's axes in memory.
    """
    attend: Callable[..., Tensor] = TimeAttention.apply
    return attend(x_BCTHW, num_heads, order, *maps)
