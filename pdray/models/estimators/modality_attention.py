"""Attention over the modalities of a recording, which may lack some of them.

Source: UFNet (Islam et al. 2025, section 3). Each modality m of a recording is a token
``h_m = LayerNorm(relu(W_m x_m))`` of its numbers x_m. The attention of modality m to n is the
softmax over n of

    q(h_m) . k(h_n) / sqrt(H) - lambda (v_m + v_n),    z_m = sum over n of a_mn value(h_n)

where v_m is the uncertainty of the classifier of modality m, so that modalities with uncertain
predictions are attended to less. With l_m its log probabilities and P the modalities that a
recording has, the fused logits are

    b + sum over m in P of (w_m l_m / |P| + U_m z_m)

Choices that differ from the paper: absent modalities are masked; U starts at 0 and w at 1, so that
before training the result is the mean of the log probabilities (in the paper a layer on all z and
predictions is learnt from random weights); scores are divided by sqrt(H), as in transformers; v is
the entropy of the probabilities in units of log K, since any classifier has one (the paper takes
the standard deviation over passes with dropout).
Letters: B batch, M modality, D numbers of all modalities, H hidden, K class.
"""

from collections.abc import Sequence
from math import log, sqrt

import torch
from torch import Tensor, nn


class ModalityAttention(nn.Module):
    """Network that joins the numbers and the predictions of modalities.

    Args:
        sizes: Numbers of each modality, M entries; their sum is D.
        num_classes: Classes K.
        num_hidden: H.
        uncertainty: lambda, at least 0.
        dropout: Dropout probability of tokens and contexts.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        num_classes: int,
        *,
        num_hidden: int,
        uncertainty: float,
        dropout: float,
    ) -> None:
        super().__init__()
        self.sizes, self.num_classes, self.uncertainty = list(sizes), num_classes, uncertainty
        self.tokens = nn.ModuleList([nn.Linear(size, num_hidden) for size in sizes])
        self.norm = nn.LayerNorm(num_hidden)
        self.query, self.key, self.value = (nn.Linear(num_hidden, num_hidden) for _ in range(3))
        self.dropout = nn.Dropout(dropout)
        self.weight_M = nn.Parameter(torch.ones(len(sizes)))
        self.bias_K = nn.Parameter(torch.zeros(num_classes))
        self.context_MHK = nn.Parameter(torch.zeros(len(sizes), num_hidden, num_classes))

    def forward(self, x_BX: Tensor) -> Tensor:
        """Return fused logits (B, K) of what :func:`packed` returns."""
        return self.bias_K + self.parts(x_BX).sum(dim=1)

    def parts(self, x_BX: Tensor) -> Tensor:
        """Return the part of each modality in the fused logits, (B, M, K); zero where absent."""
        num = len(self.sizes)
        *numbers, logs_BX, present_BM = torch.split(
            x_BX, [*self.sizes, num * self.num_classes, num], dim=1
        )
        has_BM = present_BM > 0
        logs_BMK = logs_BX.reshape(-1, num, self.num_classes)
        h_BMH = torch.stack(
            [layer(one).relu() for layer, one in zip(self.tokens, numbers, strict=True)], dim=1
        )
        h_BMH = self.norm(self.dropout(h_BMH))
        doubt_BM = -(logs_BMK.exp() * logs_BMK).sum(dim=2) / log(self.num_classes)
        scores_BMM = self.query(h_BMH) @ self.key(h_BMH).mT / sqrt(h_BMH.shape[2])
        scores_BMM = scores_BMM - self.uncertainty * (doubt_BM[:, :, None] + doubt_BM[:, None])
        scores_BMM = scores_BMM.masked_fill(~has_BM[:, None], float("-inf"))
        z_BMH = self.dropout(scores_BMM.softmax(dim=2) @ self.value(h_BMH))
        own_BMK = self.weight_M[:, None] * logs_BMK / present_BM.sum(dim=1)[:, None, None]
        found: Tensor = own_BMK + torch.einsum("bmh,mhk->bmk", z_BMH, self.context_MHK)
        return torch.where(has_BM[:, :, None], found, 0.0)


def packed(numbers: Sequence[Tensor], logs_MBK: Tensor, present_MB: Tensor) -> Tensor:
    """Return the inputs of :class:`ModalityAttention` in one tensor, (B, D + M K + M).

    Args:
        numbers: (B, D_m) of each modality; any finite number where absent.
        logs_MBK: Log probabilities; any finite number where absent.
        present_MB: Bool; each recording has at least one modality.
    """
    logs_BX = logs_MBK.transpose(0, 1).flatten(1)
    return torch.cat([*numbers, logs_BX, present_MB.T.to(logs_BX)], dim=1)
