"""Several modalities of a recording, each judged by itself, their judgements joined.

Source: YouTubePD, section 5.2 (each modality predicts; the logits of each are L1-normalised and
summed), C.2 (Adam 0.02, batch 16, 50 epochs) and D.1 (frame voting against frame concatenation).
With l_m the K logits of modality m and P the modalities that a recording has:

    l1       sum over m in P of  l_m / sum_k |l_mk|
    mean     log of the mean over m in P of  softmax(l_m)
    stacking a regression on log softmax(l_m), learnt elsewhere

Differs, where the paper is silent: a recording that lacks a modality is judged by the others;
inputs are brought to mean 0 and standard deviation 1 of the recordings learnt from (the caller's
part); lambda of the loss (C.2: 0.9 for faces, 0.5 for the others; 0.5 here); the branches learn
independently of each other. YouTubePD gives its frames as 10 (5.2) and as 8 (C.2). D.1 trains "a
frame-level classifier for each frame", 5.2 sums the frames' predictions: ``told`` says which of the
two is compared with the class. L1-normalised logits are no probabilities, and two logits of
opposite signs become shares of 1 whose difference is 1 or -1, whatever the confidence.
Letters: M modality, B batch, F frame, D feature, K class.
"""

import torch
from torch import Tensor, nn

from pdray.models.estimators.fusion_settings import Rule


class FrameLinear(nn.Module):
    """A linear classifier of frames: of all at once, or of each frame by itself."""

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
        # torch's own initial weights; the numbers come from the ambient torch generator.
        self.head = nn.Linear(num_inputs * (1 if is_voting else num_frames), num_classes)

    def vote(self, x_BFD: Tensor) -> Tensor:
        """Return logits (B, F, K) of each frame of (B, F, D), or (B, 1, K) of all concatenated.

        Raises:
            ValueError: If the axes are not those of frames; names the shape.
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
    """Return logits (B, K) over the sum of their sizes; zeros stay zeros."""
    size_B1 = logits_BK.abs().sum(dim=1, keepdim=True)
    return logits_BK / torch.where(size_B1 > 0, size_B1, 1.0)


def contributions(logits_MBK: Tensor, present_MB: Tensor, rule: Rule) -> Tensor:
    """Return what each modality adds to the fused result, (M, B, K).

    Args:
        logits_MBK: Float; anything, NaN too, where a modality is absent.
        present_MB: Bool, whether a recording has the modality.
        rule: ``l1`` or ``mean``.

    Returns:
        L1-normalised logits, or probabilities over the number of modalities that the recording
        has; zero where a modality is absent.

    Raises:
        ValueError: If a recording has no modality at all; names its position.
    """
    count_B = present_MB.sum(dim=0)
    if not count_B.all():
        first = int((count_B == 0).nonzero()[0])
        raise ValueError(f"the recording at position {first} has none of the modalities")
    # Filled first: what is absent may be NaN.
    known_MBK = torch.where(present_MB[..., None], logits_MBK, 0.0)
    if rule == "l1":
        return l1_normalised(known_MBK.flatten(0, 1)).view_as(known_MBK)
    p_MBK = known_MBK.softmax(dim=2) / count_B[None, :, None]
    return torch.where(present_MB[..., None], p_MBK, 0.0)


def fuse(logits_MBK: Tensor, present_MB: Tensor, rule: Rule) -> Tensor:
    """Return fused logits (B, K); takes and raises what :func:`contributions` does.

    Of ``mean`` they are the logarithm of the mean probabilities.
    """
    sum_BK = contributions(logits_MBK, present_MB, rule).sum(dim=0)
    return sum_BK if rule == "l1" else sum_BK.log()
