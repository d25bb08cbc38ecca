"""Targets as shares of the classes: one certain class, or the votes of several raters.

Source: label distributions (Geng 2016, arXiv:1408.6027); the raters' votes are the target
distribution. Every loss of shares here is the mean of the loss over the votes, in closed form if
there is one.
Letters: B batch, K class, S any outputs.
"""

from collections.abc import Callable

import torch
from torch import Tensor

_TOLERANCE = 1e-4  # of a sum of float32 shares


def widened(logits: Tensor) -> Tensor:
    """Return logits in float32, or in their own dtype if it is wider."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def target_shares(target: Tensor, num_classes: int, dtype: torch.dtype) -> Tensor:
    """Return a target as shares.

    Args:
        target: (B,) int64 class, 0 to K-1; or (B, K) float, shares from 0 to 1 that sum to 1.
        num_classes: K.
        dtype: Floating type of the result.

    Returns:
        (B, K); one-hot for a class.

    Raises:
        ValueError: If the axes or the dtype are wrong, a class is outside 0..K-1, or shares are
            negative or do not sum to 1; names the first one and its position.
    """
    if target.dim() == 1 and not target.is_floating_point():
        check_classes(target, num_classes)
        shares_BK = torch.nn.functional.one_hot(target, num_classes)
    elif target.dim() == 2 and target.is_floating_point() and target.shape[1] == num_classes:
        _check_shares(target)
        shares_BK = target
    else:
        raise ValueError(
            f"a target of shape {tuple(target.shape)} and type {target.dtype} is neither (B,) "
            f"classes in int64 nor (B, {num_classes}) shares in floating point"
        )
    return shares_BK.to(dtype)


def check_classes(target_B: Tensor, num_classes: int) -> None:
    """Refuse (B,) integer classes outside 0..K-1.

    Raises:
        ValueError: If there is one; names the first one and its position.
    """
    outside_B = (target_B < 0) | (target_B >= num_classes)
    if outside_B.any():
        position = int(outside_B.nonzero()[0])
        raise ValueError(
            f"target {int(target_B[position])} at position {position} is outside "
            f"0..{num_classes - 1}"
        )


def _check_shares(shares_BK: Tensor) -> None:
    off_B = (shares_BK < 0).any(dim=1) | ~((shares_BK.sum(dim=1) - 1).abs() < _TOLERANCE)
    if off_B.any():
        position = int(off_B.nonzero()[0])
        shown = [round(share, 4) for share in shares_BK[position].tolist()]
        raise ValueError(
            f"shares {shown} at position {position} must be from 0 to 1 with the sum 1"
        )


def mean_over_votes(
    loss: Callable[[Tensor, Tensor], Tensor], outputs_BS: Tensor, shares_BK: Tensor
) -> Tensor:
    """Average a loss over the shares of a target; for losses without a closed form.

    Args:
        loss: Maps outputs and (B,) int64 classes to (B,) losses.
        outputs_BS: (B, S) float, outputs that the loss takes.
        shares_BK: (B, K) float, shares from 0 to 1 that sum to 1.

    Returns:
        (B,) sum over the classes of share times loss.

    Raises:
        ValueError: If the shares are not from 0 to 1 with the sum 1.
    """
    num_classes = shares_BK.shape[1]
    shares_BK = target_shares(shares_BK, num_classes, outputs_BS.dtype)
    losses_KB = [
        loss(outputs_BS, torch.full_like(shares_BK[:, 0], label, dtype=torch.int64))
        for label in range(num_classes)
    ]
    mean_B: Tensor = (torch.stack(losses_KB, dim=1) * shares_BK).sum(dim=1)
    return mean_B
