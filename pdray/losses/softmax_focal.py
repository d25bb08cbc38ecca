"""Focal loss of class probabilities, and cross-entropy as its special case.

Source: the motion boundary paper, Eq. 4, after Lin et al. 2017
(arXiv:1708.02002). Differs: the paper's y is one-hot; here it may also be the shares of several
raters' votes, and be smoothed (Szegedy et al. 2016, arXiv:1512.00567, section 7).
Letters: B batch, K class.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional

from pdray.losses.soft_target import target_shares, widened


def softmax_focal_loss(
    logits_BK: Tensor,
    target: Tensor,
    *,
    alpha: float = 1.0,
    gamma: float = 0.0,
    label_smoothing: float = 0.0,
) -> Tensor:
    """Compute the focal loss of each snippet.

    Eq. 4: ``-alpha (1 - p)^gamma y log p``, summed over the classes, p the softmax of the logits
    (the paper's Eq. 2). With alpha 1 and gamma 0 it is cross-entropy. alpha is the same for all
    classes, so it only scales the loss. Computed in logs in float32 or wider, so that logits of any
    size give a finite loss and gradient.

    Args:
        logits_BK: (B, K) float, any real number; K at least 2.
        target: (B,) int64 class, 0 to K-1; or (B, K) float, shares y from 0 to 1 that sum to 1.
        alpha: Factor, above 0.
        gamma: Focusing exponent, at least 0.
        label_smoothing: Share e of the target, 0 to below 1, that is spread evenly over the
            classes: ``(1 - e) y + e / K``.

    Returns:
        (B,) loss in nats, not reduced; 0 is perfect where the target is one class.

    Raises:
        ValueError: If there are fewer than two classes, or the target is neither classes nor
            shares.
    """
    num_classes = logits_BK.shape[1]
    if num_classes < 2:
        raise ValueError(f"a softmax needs at least 2 classes, got {num_classes}")
    logits_BK = widened(logits_BK)
    y_BK = target_shares(target, num_classes, logits_BK.dtype)
    y_BK = (1.0 - label_smoothing) * y_BK + label_smoothing / num_classes
    log_p_BK = functional.log_softmax(logits_BK, dim=1)
    if gamma > 0:
        hardness_BK = torch.exp(gamma * _log_rest(logits_BK, log_p_BK))
        log_p_BK = hardness_BK * log_p_BK
    loss_B: Tensor = -alpha * (y_BK * log_p_BK).sum(dim=1)
    return loss_B


def _log_rest(logits_BK: Tensor, log_p_BK: Tensor) -> Tensor:
    """Return (B, K) log(1 - p), precise also if p is close to 1.

    Only the likeliest class can have p above 1/2; its 1 - p is summed from the other classes.
    """
    is_top_BK = functional.one_hot(logits_BK.argmax(dim=1), logits_BK.shape[1]).bool()
    others_B1 = logits_BK.masked_fill(is_top_BK, -math.inf).logsumexp(dim=1, keepdim=True)
    top_rest_B1 = others_B1 - logits_BK.logsumexp(dim=1, keepdim=True)
    # The likeliest class is masked before the logarithm, since a gradient of 0 * inf would be nan.
    masked_BK = log_p_BK.masked_fill(is_top_BK, -math.log(2))
    return torch.where(is_top_BK, top_rest_B1, torch.log1p(-masked_BK.exp()))
