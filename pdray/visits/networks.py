"""Networks that classify a visit: four methods that combine frozen features of its items.

Source: TSA, section III-C, Eq. 7 to 13, Table I and footnote 3; squeeze-and-excitation after Hu et
al. 2018 (arXiv:1709.01507). The paper calls an item a task. There are two inputs: ``avgpool``, the
vector before the head of an item's network, and ``layer4``, its last feature map.

Choices where the paper is silent: Eq. 11 is summed over items; the output tokens of Eq. 12 are
averaged over items; M / r is rounded down and at least 1; one layer of 128 hidden units; no layer
of Eq. 8 to 13 has a bias (its footnote 2).
Differs: an item may be absent from a visit. It is left out, not counted as zero: weights that sum
to 1 are renormalised over the items present (Eq. 7, 8), a sum over items is scaled by M divided by
their number (Eq. 10, 11), and an absent item is neither key nor output token (Eq. 12). Its values,
also NaN, change neither output nor gradient, and the batch norm gets only combined maps. With all
items present the equations are the paper's.
Letters: B visit, M item, D feature, C channel, T time step, H height, W width, P place (T H W),
R reduced item (M / r), A head, E key feature of a head, V value feature of a head, K class.
"""

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from pdray.visits.settings import AssemblingConfig

Input = Literal["avgpool", "layer4"]


class Averaging(nn.Module):
    """Mean over the items present (Eq. 7 for vectors); a single item is unchanged."""

    def forward(self, x_BM: Tensor, present_BM: Tensor) -> Tensor:
        """Return (B, ...) of features (B, M, ...); absent items are zeros in ``x_BM``."""
        return _weighted_sum(x_BM, _shares(present_BM, x_BM.dtype))


class VectorWeighting(nn.Module):
    """Weighted mean with one learnt weight per item, the same for all visits (Eq. 8)."""

    def __init__(self, num_items: int) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(num_items))

    def item_weights(self) -> Tensor:
        """Return alpha (M,) for a visit with all items; positive, sums to 1."""
        return self.logits.softmax(dim=0)

    def forward(self, x_BMD: Tensor, present_BM: Tensor) -> Tensor:
        """Return (B, D); absent items are zeros in ``x_BMD`` and have no weight."""
        alpha_BM = self.logits.expand_as(present_BM).masked_fill(~present_BM, -math.inf)
        return _weighted_sum(x_BMD, alpha_BM.softmax(dim=1))


class ChannelAttention(nn.Module):
    """Squeeze-and-excitation with items instead of channels (Eq. 9 to 11)."""

    def __init__(self, num_items: int, *, reduction: float) -> None:
        super().__init__()
        num_reduced = max(1, int(num_items / reduction))
        self.reduce = nn.Linear(num_items, num_reduced, bias=False)
        self.expand = nn.Linear(num_reduced, num_items, bias=False)

    def item_weights(self, x_BMCTHW: Tensor, present_BM: Tensor) -> Tensor:
        """Return alpha (B, M), each in 0..1, 0 for an absent item."""
        z_BM = x_BMCTHW.flatten(2).mean(dim=2)
        # Absent items are zeros here; the sum over the others is scaled up to keep its size.
        squeezed_BR = self.reduce(z_BM) * _growth(present_BM)
        alpha_BM: Tensor = self.expand(squeezed_BR.relu()).sigmoid()
        return alpha_BM * present_BM

    def forward(self, x_BMCTHW: Tensor, present_BM: Tensor) -> Tensor:
        """Return (B, C, T, H, W)."""
        alpha_BM = self.item_weights(x_BMCTHW, present_BM)
        return _weighted_sum(x_BMCTHW, alpha_BM * _growth(present_BM))


class PixelAttention(nn.Module):
    """Self-attention over the items at each place of their maps (Eq. 12 and 13)."""

    def __init__(self, num_channels: int, *, num_heads: int, key_dim: int) -> None:
        super().__init__()
        self.num_heads, self.key_dim = num_heads, key_dim
        self.query = nn.Linear(num_channels, num_heads * key_dim, bias=False)
        self.key = nn.Linear(num_channels, num_heads * key_dim, bias=False)
        self.value = nn.Linear(num_channels, num_channels, bias=False)
        self.project = nn.Linear(num_channels, num_channels, bias=False)

    def item_weights(self, x_BPMC: Tensor, present_BM: Tensor) -> Tensor:
        """Return (B, P, A, M): weight of each item at each place and head; sums to 1."""
        q_BPAME = self.query(x_BPMC).unflatten(3, (self.num_heads, -1)).transpose(2, 3)
        k_BPAEM = self.key(x_BPMC).unflatten(3, (self.num_heads, -1)).permute(0, 1, 3, 4, 2)
        logits_BPAMM = q_BPAME @ k_BPAEM / math.sqrt(self.key_dim)
        is_key_B111M = present_BM[:, None, None, None]
        alpha_BPAMM = logits_BPAMM.masked_fill(~is_key_B111M, -math.inf).softmax(dim=4)
        share_BM = _shares(present_BM, x_BPMC.dtype)
        return torch.einsum("bq,bpaqm->bpam", share_BM, alpha_BPAMM)

    def forward(self, x_BMCTHW: Tensor, present_BM: Tensor) -> Tensor:
        """Return (B, C, T, H, W)."""
        sizes = x_BMCTHW.shape[3:]
        x_BPMC = x_BMCTHW.flatten(3).permute(0, 3, 1, 2)
        # The rest is linear in the values: weighting the items first needs one projection, not M.
        alpha_BPAM = self.item_weights(x_BPMC, present_BM)
        mixed_BPAC = alpha_BPAM @ x_BPMC
        w_AVC = self.value.weight.view(self.num_heads, -1, x_BPMC.shape[3])
        o_BPC = torch.einsum("bpac,avc->bpav", mixed_BPAC, w_AVC).flatten(2)
        f_BCTHW: Tensor = self.project(o_BPC).transpose(1, 2).unflatten(2, sizes)
        return f_BCTHW


class MapHead(nn.Module):
    """Layers after a combined map: batch norm, ReLU, mean over places, linear."""

    def __init__(self, num_channels: int, num_classes: int) -> None:
        super().__init__()
        self.bn = nn.BatchNorm3d(num_channels)
        self.fc = nn.Linear(num_channels, num_classes)

    def forward(self, x_BCTHW: Tensor) -> Tensor:
        """Return logits (B, K)."""
        logits_BK: Tensor = self.fc(self.bn(x_BCTHW).relu().mean(dim=(2, 3, 4)))
        return logits_BK


class Assembler(nn.Module):
    """Classifier of visits: combines the items of a visit, then classifies the result."""

    def __init__(self, combine: nn.Module, head: nn.Module, *, num_items: int) -> None:
        super().__init__()
        self.combine, self.head, self.num_items = combine, head, num_items

    def forward(self, x_BM: Tensor, present_BM: Tensor) -> Tensor:
        """Return logits (B, K).

        Args:
            x_BM: (B, M, D) vectors or (B, M, C, T, H, W) maps, float; any value for absent items.
            present_BM: (B, M) bool, which items a visit has; at least one per visit.

        Raises:
            ValueError: If the shapes do not fit, or a visit has no item; names the first one.
        """
        got = f"got {tuple(x_BM.shape)} and {tuple(present_BM.shape)} {present_BM.dtype}"
        if present_BM.dtype != torch.bool or x_BM.shape[:2] != present_BM.shape:
            raise ValueError(f"expected features (B, M, ...) and present (B, M) bool, {got}")
        if x_BM.shape[1] != self.num_items:
            raise ValueError(f"expected {self.num_items} items on axis 1, {got}")
        has_none_B = ~present_BM.any(dim=1)
        if has_none_B.any():
            raise ValueError(f"visit {int(has_none_B.nonzero()[0])} of the batch has no item")
        is_absent_BM = _wide(~present_BM, x_BM)
        f_B = self.combine(x_BM.masked_fill(is_absent_BM, 0.0), present_BM)
        logits_BK: Tensor = self.head(f_B)
        return logits_BK


def assembling_faults(config: AssemblingConfig, *, num_items: int, num_channels: int) -> list[str]:
    """List the values with which a method cannot be built, each with its key and a right value.

    Args:
        config: Settings, the section ``assembling``.
        num_items: Items M per visit.
        num_channels: Channels C of the items' last maps.

    Returns:
        One sentence per fault; empty if every method can be built.
    """
    faults = []
    if num_channels % config.num_heads:
        valid = [str(n) for n in range(1, num_channels + 1) if num_channels % n == 0]
        faults.append(
            f"assembling.num_heads: {config.num_heads} does not divide the {num_channels} channels "
            f"of the last map; use one of {', '.join(valid)}"
        )
    if config.reduction > num_items:
        faults.append(
            f"assembling.reduction: {config.reduction:g} is more than the {num_items} items; use "
            f"at most {num_items}"
        )
    return faults


def build_assembler(
    method: str, config: AssemblingConfig, *, num_items: int, num_channels: int, num_classes: int
) -> Assembler:
    """Build a method; its weights are drawn from torch's global generator.

    Args:
        method: A key of :data:`METHODS`.
        config: Settings for which :func:`assembling_faults` returns nothing.
        num_items: Items M per visit; 1 for a single-item baseline.
        num_channels: Size D of a vector or channels C of a map.
        num_classes: Classes K, at least 2.
    """
    kind, make = METHODS[method]
    combine = make(config, num_items, num_channels)
    if kind == "layer4":
        return Assembler(combine, MapHead(num_channels, num_classes), num_items=num_items)
    layers: list[nn.Module] = []
    size = num_channels
    for _ in range(config.hidden_layers):
        layers += [nn.Linear(size, config.hidden_units), nn.ReLU()]
        size = config.hidden_units
    head = nn.Sequential(*layers, nn.Linear(size, num_classes))
    return Assembler(combine, head, num_items=num_items)


METHODS: dict[str, tuple[Input, Callable[[AssemblingConfig, int, int], nn.Module]]] = {
    "vector_averaging": ("avgpool", lambda *_: Averaging()),
    "vector_weighting": ("avgpool", lambda _, items, __: VectorWeighting(items)),
    "channel_attention": (
        "layer4",
        lambda config, items, _: ChannelAttention(items, reduction=config.reduction),
    ),
    "pixel_attention": (
        "layer4",
        lambda config, _, channels: PixelAttention(
            channels,
            num_heads=config.num_heads,
            key_dim=config.key_dim or channels // config.num_heads,
        ),
    ),
    # Baselines of one item; the mean over one item is the item.
    "single_vector": ("avgpool", lambda *_: Averaging()),
    "single_map": ("layer4", lambda *_: Averaging()),
}
"""Input of each method, and the function that makes its combination from settings and sizes."""


def _wide(values_BM: Tensor, x_BM: Tensor) -> Tensor:
    """Return (B, M, 1, ...) with as many axes as the features."""
    return values_BM.reshape(*values_BM.shape, *(1,) * (x_BM.ndim - 2))


def _weighted_sum(x_BM: Tensor, weights_BM: Tensor) -> Tensor:
    """Return (B, ...), the sum over items of (B, M, ...) times (B, M)."""
    return torch.einsum("bm...,bm->b...", x_BM, weights_BM)


def _shares(present_BM: Tensor, dtype: torch.dtype) -> Tensor:
    """Return (B, M) equal weights of the items present; they sum to 1."""
    counts_BM = present_BM.to(dtype)
    return counts_BM / counts_BM.sum(dim=1, keepdim=True)


def _growth(present_BM: Tensor) -> Tensor:
    """Return (B, 1), the factor (all items / items present) for a sum over items."""
    return present_BM.shape[1] / present_BM.sum(dim=1, keepdim=True)
