"""Class-balanced focal loss.

Source: Yin et al. (the TSA paper), Eq. 1 and 2, after Cui et al. 2019 (arXiv:1901.05555).
Letters: B batch, K class.
"""

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from pdray.losses.soft_target import check_classes, mean_over_votes, widened


def class_balanced_weights(counts_K: Sequence[float], *, normalize: bool) -> Tensor:
    """Return class weights from the effective number of training snippets per class.

    Eq. 1: ``(1 - beta) / (1 - beta^{n_y})`` with ``beta = (N - 1) / N``, N the size of the training
    set. A weight is 1 for a class with one member and about 1.6/N for a class with all members.

    Args:
        counts_K: Training snippets n_y of each class, or expected ones; N is their sum.
        normalize: Whether to scale the weights to the sum K, so that they do not depend on N.

    Returns:
        (K,) float32.

    Raises:
        ValueError: If a class has no member; names each such class.
    """
    absent = [index for index, count in enumerate(counts_K) if count < 1]
    if absent:
        raise ValueError(
            f"class {', '.join(map(str, absent))} has no training recording (counts "
            f"{list(counts_K)}); give every class at least 1"
        )
    n_K = torch.tensor(counts_K, dtype=torch.float64)
    total = n_K.sum()
    if total == 1:  # beta is 0: one class with one member
        weights_K = torch.ones_like(n_K)
    else:
        # expm1 keeps digits that 1 - beta^n would lose for large N.
        weights_K = (1 / total) / -torch.expm1(n_K * torch.log1p(-1 / total))
    if normalize:
        weights_K = weights_K * (len(counts_K) / weights_K.sum())
    return weights_K.float()


def class_balanced_focal_loss(
    logits_BK: Tensor, target: Tensor, *, weights_K: Tensor, gamma: float
) -> Tensor:
    """Compute the focal loss of each snippet, with a sigmoid per class.

    Eq. 1: ``-w_y sum_c (1 - p_c^t)^gamma log p_c^t`` where ``p_c^t`` is ``sigmoid(z_c)`` for the
    true class and ``1 - sigmoid(z_c)`` for the others (Eq. 2). Computed from log-sigmoids in
    float32 or wider, so that logits of any size give a finite loss and gradient.

    Args:
        logits_BK: (B, K) float, any real number.
        target: (B,) int64 class, 0 to K-1; or (B, K) float, shares from 0 to 1 that sum to 1.
        weights_K: (K,) float, :func:`class_balanced_weights`.
        gamma: Focusing exponent, at least 0.

    Returns:
        (B,) loss in nats, not reduced; 0 is perfect.

    Raises:
        ValueError: If a class is outside 0..K-1, or shares are not from 0 to 1 with the sum 1;
            names the first one and its position.
    """
    if target.is_floating_point():
        loss = partial(class_balanced_focal_loss, weights_K=weights_K, gamma=gamma)
        return mean_over_votes(loss, logits_BK, target)
    num_classes = logits_BK.shape[1]
    check_classes(target, num_classes)
    logits_BK = widened(logits_BK)
    is_true_BK = target[:, None] == torch.arange(num_classes, device=target.device)
    signed_BK = torch.where(is_true_BK, logits_BK, -logits_BK)
    # p^t = sigmoid(signed), 1 - p^t = sigmoid(-signed): the power is computed in logs, so that its
    # gradient has no 0^(gamma - 1).
    hardness_BK = torch.exp(gamma * functional.logsigmoid(-signed_BK))
    loss_BK = -hardness_BK * functional.logsigmoid(signed_BK)
    return weights_K.to(loss_BK)[target] * loss_BK.sum(dim=1)
