"""Self-attention and transformer blocks, as the networks of CLIP have them.

Source: Vaswani et al. 2017 (arXiv:1706.03762), section 3, with the norm in front of each part, as
Radford et al. 2021 (CLIP, arXiv:2103.00020), section 2.4. Parameters have the names of OpenAI's and
open_clip's files; queries, keys and values share one matrix.
Letters: N sequence, S token of a sequence, D feature, A head, E feature of a head, F hidden.
"""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

Activation = Literal["gelu", "quick_gelu"]
_QUICK = 1.702  # of the sigmoid that stands for the normal distribution in quick_gelu


def quick_gelu(x: Tensor) -> Tensor:
    """Return ``x sigmoid(1.702 x)``, the approximation of GELU that CLIP was trained with.

    Written with SiLU, which keeps one tensor for the gradient where the formula keeps three.
    """
    return functional.silu(x * _QUICK) * (1 / _QUICK)


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": functional.gelu,
    "quick_gelu": quick_gelu,
}


class SelfAttention(nn.Module):
    """Multi-head self-attention; the weights start as those of torch's own layer."""

    def __init__(self, num_features: int, *, num_heads: int, is_causal: bool = False) -> None:
        super().__init__()
        self.num_heads, self.is_causal = num_heads, is_causal
        self.in_proj_weight = nn.Parameter(torch.empty(3 * num_features, num_features))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * num_features))
        self.out_proj = nn.Linear(num_features, num_features)
        nn.init.xavier_uniform_(self.in_proj_weight)
        nn.init.zeros_(self.out_proj.bias)

    def forward(self, x_NSD: Tensor, some: slice | None = None) -> Tensor:
        """Return (N, S, D); with ``is_causal`` a token reads itself and those before it.

        Args:
            x_NSD: (N, S, D) float tokens.
            some: The tokens to return, without ``is_causal``; they read all. None: all.
        """
        if some is None:
            joined_NSX = functional.linear(x_NSD, self.in_proj_weight, self.in_proj_bias)
            q_NSD, k_NSD, v_NSD = joined_NSX.chunk(3, dim=2)
        else:
            weight_XD, bias_X, width = self.in_proj_weight, self.in_proj_bias, x_NSD.shape[2]
            q_NSD = functional.linear(x_NSD[:, some], weight_XD[:width], bias_X[:width])
            k_NSD, v_NSD = functional.linear(x_NSD, weight_XD[width:], bias_X[width:]).chunk(2, 2)
        q_NASE, k_NASE, v_NASE = (
            one.unflatten(2, (self.num_heads, -1)).transpose(1, 2)  # type: ignore[no-untyped-call]
            for one in (q_NSD, k_NSD, v_NSD)
        )
        y_NASE = functional.scaled_dot_product_attention(
            q_NASE, k_NASE, v_NASE, is_causal=self.is_causal
        )
        y_NSD: Tensor = self.out_proj(y_NASE.transpose(1, 2).flatten(2))
        return y_NSD


class FeedForward(nn.Module):
    """Two linear layers with an activation between them."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.c_fc = nn.Linear(num_features, 4 * num_features)
        self.c_proj = nn.Linear(4 * num_features, num_features)

    def forward(self, x_NSD: Tensor, activation: Activation) -> Tensor:
        """Return (N, S, D)."""
        y_NSD: Tensor = self.c_proj(ACTIVATIONS[activation](self.c_fc(x_NSD)))
        return y_NSD


class Block(nn.Module):
    """Attention and a feed-forward part, each behind a norm and added to its input."""

    def __init__(self, num_features: int, *, num_heads: int, is_causal: bool = False) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(num_features)
        self.attn = SelfAttention(num_features, num_heads=num_heads, is_causal=is_causal)
        self.ln_2 = nn.LayerNorm(num_features)
        self.mlp = FeedForward(num_features)

    def forward(self, x_NSD: Tensor, activation: Activation = "gelu") -> Tensor:
        """Return (N, S, D)."""
        x_NSD = x_NSD + self.attn(self.ln_1(x_NSD))
        y_NSD: Tensor = x_NSD + self.mlp(self.ln_2(x_NSD), activation)
        return y_NSD


class Blocks(nn.Module):
    """Transformer blocks in a row."""

    def __init__(
        self, num_features: int, *, depth: int, num_heads: int, is_causal: bool = False
    ) -> None:
        super().__init__()
        self.resblocks = nn.ModuleList(
            Block(num_features, num_heads=num_heads, is_causal=is_causal) for _ in range(depth)
        )

    def forward(
        self,
        x_NSD: Tensor,
        activation: Activation = "gelu",
        *,
        some: slice = slice(None),
        recomputes: bool = False,
    ) -> Tensor:
        """Return (N, S, D).

        Args:
            x_NSD: (N, S, D) float tokens.
            activation: That of the feed-forward parts.
            some: The blocks to run.
            recomputes: Compute each block a second time for its gradient, which needs the memory
                of one block (Chen et al. 2016, arXiv:1604.06174).
        """
        for block in self.resblocks[some]:
            if recomputes and torch.is_grad_enabled():
                x_NSD = checkpoint(block, x_NSD, activation, use_reentrant=False)
            else:
                x_NSD = block(x_NSD, activation)
        return x_NSD
