"""Late fusion: each modality of a recording predicts by itself, and the predictions are joined.

Source: YouTubePD, section 5.2 (each modality predicts; the logits of each are L1-normalised and
summed), C.2 (Adam 0.02, batch 16, 50 epochs) and D.1 (frame voting against frame concatenation).
With l_m the K logits of modality m and P the modalities that a recording has:

    l1       sum over m in P of  l_m / sum_k |l_mk|
    mean     log of the mean over m in P of  softmax(l_m)
    stacking a regression on log softmax(l_m), learnt in training/estimators

Choices where the paper is silent: a recording that lacks a modality is predicted from the others;
inputs are standardised to mean 0 and standard deviation 1 of the training recordings (the caller
does it); the branches learn independently. lambda of the loss is 0.5 for all (C.2: 0.9 for faces,
0.5 for the others). YouTubePD names 10 frames (5.2) and 8 frames (C.2). D.1 trains "a frame-level
classifier for each frame", 5.2 sums the predictions of the frames: the setting ``told`` chooses
which of the two the loss compares with the class. L1-normalised logits are not probabilities: of
two logits with opposite signs the difference becomes 1 or -1, whatever the confidence.
Letters: M modality, B batch, F frame, D feature, K class.
"""

import torch
from torch import Tensor, nn

from pdray.models.estimators.fusion_settings import Rule


class FrameLinear(nn.Module):
    """Linear classifier of each frame by itself, or of all frames concatenated."""

    def __init__(
        self,
        *,
        is_voting: bool,
        num_frames: int,
        num_inputs: int,
        num_classes: int,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.is_voting = is_voting
        self.sizes = (num_frames, num_inputs)
        self.dropout = nn.Dropout(dropout)
        # torch's default initial weights, drawn from its global generator.
        self.head = nn.Linear(num_inputs * (1 if is_voting else num_frames), num_classes)

    def vote(self, x_BFD: Tensor) -> Tensor:
        """Return logits (B, F, K) of each frame of (B, F, D), or (B, 1, K) of all concatenated.

        Raises:
            ValueError: If the axes are wrong; names the shape.
        """
        if x_BFD.shape[1:] != self.sizes:
            wanted = ", ".join(map(str, self.sizes))
            raise ValueError(
                f"frames need the axes (B, F, D) = (B, {wanted}), got {tuple(x_BFD.shape)}"
            )
        x_BFD = x_BFD if self.is_voting else x_BFD.flatten(1)[:, None]
        logits_BFK: Tensor = self.head(self.dropout(x_BFD))
        return logits_BFK

    def forward(self, x_BFD: Tensor) -> Tensor:
        """Return logits (B, K), the sum of the votes; raises as :meth:`vote`."""
        return self.vote(x_BFD).sum(dim=1)


def l1_normalised(logits_BK: Tensor) -> Tensor:
    """Return logits (B, K) divided by the sum of their absolute values; zeros stay zeros."""
    size_B1 = logits_BK.abs().sum(dim=1, keepdim=True)
    return logits_BK / torch.where(size_B1 > 0, size_B1, 1.0)


def contributions(logits_MBK: Tensor, present_MB: Tensor, rule: Rule) -> Tensor:
    """Return the part of each modality in the fused result, (M, B, K).

    Args:
        logits_MBK: Float; any value, also NaN, where a modality is absent.
        present_MB: Bool, whether a recording has the modality.
        rule: ``l1`` or ``mean``.

    Returns:
        L1-normalised logits, or probabilities divided by the recording's number of modalities;
        zero where a modality is absent.

    Raises:
        ValueError: If a recording has no modality; names its position.
    """
    count_B = present_MB.sum(dim=0)
    if not count_B.all():
        first = int((count_B == 0).nonzero()[0])
        raise ValueError(f"the recording at position {first} has none of the modalities")
    # Filled first, since an absent modality may be NaN.
    known_MBK = torch.where(present_MB[..., None], logits_MBK, 0.0)
    if rule == "l1":
        return l1_normalised(known_MBK.flatten(0, 1)).view_as(known_MBK)
    p_MBK = known_MBK.softmax(dim=2) / count_B[None, :, None]
    return torch.where(present_MB[..., None], p_MBK, 0.0)


def fuse(logits_MBK: Tensor, present_MB: Tensor, rule: Rule) -> Tensor:
    """Return fused logits (B, K); arguments and errors as in :func:`contributions`.

    With ``mean`` they are the logarithm of the mean probabilities.
    """
    sum_BK = contributions(logits_MBK, present_MB, rule).sum(dim=0)
    return sum_BK if rule == "l1" else sum_BK.log()
