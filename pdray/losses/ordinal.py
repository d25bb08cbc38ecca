"""Losses for ordered grades, on logits of "grade > k".

Sources: Cao, Mirjalili and Raschka 2020 (CORAL, arXiv:1901.07884) for the binary cross-entropies;
McCullagh 1980 (Regression models for ordinal data), the proportional odds model, for the
cumulative link. Both take the same outputs: one number per snippet minus K-1 thresholds. Differs:
the target may be the shares of several raters' votes; the thresholds must be in order, while CORAL
shows (its Theorem 1) that they are in order at the optimum.
Letters: B batch, K class, J threshold (K-1).
"""

import torch
from torch import Tensor
from torch.nn import functional

from pdray.losses.soft_target import target_shares, widened


def coral_loss(logits_BJ: Tensor, target: Tensor) -> Tensor:
    """Return CORAL's loss: binary cross-entropies of "grade > k", summed over the thresholds.

    Every task weight lambda^(k) is 1:
    ``-sum_k [t_k log sigmoid(z_k) + (1 - t_k) log(1 - sigmoid(z_k))]`` with ``t_k`` the share of
    the target above k: 0 or 1 where it is one class.

    Args:
        logits_BJ: (B, K-1) float, one logit per threshold; any real number.
        target: (B,) int64 class, 0 to K-1; or (B, K) float, shares from 0 to 1 that sum to 1.

    Returns:
        (B,) loss in nats, not reduced; 0 is perfect where the target is one class.

    Raises:
        ValueError: If there is no threshold, or the target is neither classes nor shares.
    """
    logits_BJ, shares_BK = _prepared(logits_BJ, target)
    above_BJ = _above(shares_BK)
    loss_BJ = functional.binary_cross_entropy_with_logits(logits_BJ, above_BJ, reduction="none")
    return loss_BJ.sum(dim=1)


def cumulative_link_loss(logits_BJ: Tensor, target: Tensor) -> Tensor:
    """Return the negative log likelihood of ordered grades, ``-sum_k y_k log P(k)``.

    Args:
        logits_BJ: (B, K-1) float, one logit per threshold, never rising along a row.
        target: (B,) int64 class, 0 to K-1; or (B, K) float, shares y from 0 to 1 that sum to 1.

    Returns:
        (B,) loss in nats, not reduced; 0 is perfect where the target is one class.

    Raises:
        ValueError: If there is no threshold, logits rise along a row, or the target is neither
            classes nor shares.
    """
    logits_BJ, shares_BK = _prepared(logits_BJ, target)
    loss_B: Tensor = -(shares_BK * _log_likelihood(logits_BJ)).sum(dim=1)
    return loss_B


def class_log_probabilities(logits_BJ: Tensor) -> Tensor:
    """Turn logits of "grade > k" into log probabilities of the classes.

    ``P(k) = sigmoid(z_{k-1}) - sigmoid(z_k)``; for the first class the first term is 1, for the
    last class the second term is 0.

    Args:
        logits_BJ: (B, K-1) float, one logit per threshold, never rising along a row.

    Returns:
        (B, K) float32 or wider, at most 0; the probabilities of a row sum to 1.

    Raises:
        ValueError: If there is no threshold, or logits rise along a row.
    """
    # Equal logits are separated slightly (below); the softmax makes the sum 1 again.
    return functional.log_softmax(_log_likelihood(_checked(logits_BJ)), dim=1)


def _log_likelihood(logits_BJ: Tensor) -> Tensor:
    """Return (B, K) log P(k), from log-sigmoids: a difference of sigmoids could round to 0.

    ``sigmoid(a) - sigmoid(b) = sigmoid(a) sigmoid(-b) (1 - exp(b - a))``.
    """
    gap_BI = logits_BJ[:, :-1] - logits_BJ[:, 1:]
    rising_B = (gap_BI < 0).any(dim=1)
    # Thresholds of a network never rise; torch.export cannot follow a question about values.
    if not torch.compiler.is_exporting() and rising_B.any():
        position = int(rising_B.nonzero()[0])
        shown = [round(logit, 4) for logit in logits_BJ[position].tolist()]
        raise ValueError(
            f"the logits of 'grade > k' at position {position} rise: {shown}; give logits that "
            "never rise along k, since 'grade > k' implies 'grade > k-1'"
        )
    # Equal logits would make the class between them impossible and its loss infinite.
    gap_BI = gap_BI.clamp_min(torch.finfo(logits_BJ.dtype).eps)
    above_BJ, below_BJ = functional.logsigmoid(logits_BJ), functional.logsigmoid(-logits_BJ)
    inner_BI = above_BJ[:, :-1] + below_BJ[:, 1:] + torch.log(-torch.expm1(-gap_BI))
    return torch.cat([below_BJ[:, :1], inner_BI, above_BJ[:, -1:]], dim=1)


def _prepared(logits_BJ: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    logits_BJ = _checked(logits_BJ)
    return logits_BJ, target_shares(target, logits_BJ.shape[1] + 1, logits_BJ.dtype)


def _checked(logits_BJ: Tensor) -> Tensor:
    if logits_BJ.shape[1] < 1:
        raise ValueError(
            "there is no threshold: K classes have K-1 thresholds; use K of at least 2"
        )
    return widened(logits_BJ)


def _above(shares_BK: Tensor) -> Tensor:
    """Return (B, K-1): the share of the target above each threshold."""
    above_BK = shares_BK.flip(1).cumsum(dim=1).flip(1)
    # A sum of shares may exceed 1 by a rounding error.
    return above_BK[:, 1:].clamp(0, 1)
