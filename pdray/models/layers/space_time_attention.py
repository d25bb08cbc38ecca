"""Divided attention: over the tokens of a frame, then over the frames of a token.

Source: Bertasius et al. 2021 (arXiv:2102.05095), section 3, as used by YouTubePD (section 5.1):
space first, then time. Each attention is ``x + W^O MHSA(LayerNorm(x))``.
Differs: there is no feed-forward part; YouTubePD names none, and its region heads replace it.
A token may be absent: the other tokens ignore it.
The axes of time and tokens are exchanged before the attention over frames. YouTubePD's public code
reshapes (B T, R, D) to (B R, T, D) instead, which mixes regions with frames, and it does not use
the result of its attention over regions.
Letters: B batch, T time step, R token of a frame, D feature, N sequence, S place in a sequence,
A head, E feature of a head.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional


class TokenAttention(nn.Module):
    """Multi-head self-attention over sequences of tokens, some of which may be absent."""

    def __init__(self, num_features: int, *, num_heads: int, dropout: float) -> None:
        super().__init__()
        if num_features % num_heads:
            raise ValueError(f"num_heads {num_heads} must divide the {num_features} features")
        self.num_heads = num_heads
        self.norm = nn.LayerNorm(num_features)
        self.query_key_value = nn.Linear(num_features, 3 * num_features)
        self.out = nn.Linear(num_features, num_features)
        self.dropout = nn.Dropout(dropout)
        self.initialise()

    def initialise(self) -> None:
        """Draw each weight matrix uniformly (Glorot and Bengio 2010); biases start at zero."""
        for weight_DD in self.query_key_value.weight.chunk(3):
            nn.init.xavier_uniform_(weight_DD)
        nn.init.xavier_uniform_(self.out.weight)
        nn.init.zeros_(self.query_key_value.bias)
        nn.init.zeros_(self.out.bias)

    def forward(self, x_NSD: Tensor, is_there_NS: Tensor) -> Tensor:
        """Return (N, S, D) tokens after attention to the tokens that are present.

        Args:
            x_NSD: (N, S, D) float tokens, finite also where absent.
            is_there_NS: (N, S) bool.
        """
        qkv_NSX: Tensor = self.query_key_value(self.norm(x_NSD))
        shape = (*x_NSD.shape[:2], 3, self.num_heads, -1)
        q_NASE, k_NASE, v_NASE = qkv_NSX.view(shape).permute(2, 0, 3, 1, 4).unbind(0)
        # A token attends to itself, so that a sequence of absent tokens has a softmax.
        itself_SS = torch.eye(x_NSD.shape[1], dtype=torch.bool, device=x_NSD.device)
        y_NASE = functional.scaled_dot_product_attention(
            q_NASE,
            k_NASE,
            v_NASE,
            attn_mask=(is_there_NS[:, None, :] | itself_SS)[:, None],
            dropout_p=self.dropout.p if self.training else 0.0,
        )
        y_NSD: Tensor = self.dropout(self.out(y_NASE.transpose(1, 2).flatten(2)))
        return x_NSD + y_NSD


class SpaceTimeAttention(nn.Module):
    """Attention over the tokens of each frame and then over the frames of each token."""

    def __init__(
        self,
        num_features: int,
        *,
        num_heads: int,
        dropout: float,
        over_space: bool,
        over_time: bool,
    ) -> None:
        super().__init__()

        def make() -> TokenAttention:
            return TokenAttention(num_features, num_heads=num_heads, dropout=dropout)

        self.space = make() if over_space else None
        self.time = make() if over_time else None

    def forward(self, x_BTRD: Tensor, is_there_BTR: Tensor) -> Tensor:
        """Return (B, T, R, D).

        Args:
            x_BTRD: (B, T, R, D) float tokens, finite also where absent.
            is_there_BTR: (B, T, R) bool.
        """
        batch, steps, num_tokens, _ = x_BTRD.shape
        if self.space is not None:
            y_NRD = self.space(x_BTRD.flatten(0, 1), is_there_BTR.flatten(0, 1))
            x_BTRD = y_NRD.view(batch, steps, num_tokens, -1)
        if self.time is not None:
            x_NTD = x_BTRD.transpose(1, 2).flatten(0, 1)
            y_NTD = self.time(x_NTD, is_there_BTR.transpose(1, 2).flatten(0, 1))
            x_BTRD = y_NTD.view(batch, num_tokens, steps, -1).transpose(1, 2)
        return x_BTRD
