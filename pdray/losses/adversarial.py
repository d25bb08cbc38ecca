"""Losses between a generator and a discriminator: least squares, and the R1 penalty.

Letters: B batch, C channel, H height, W width.
"""

from collections.abc import Callable

import torch
from torch import Tensor


def least_squares(scores: Tensor, *, is_real: bool) -> Tensor:
    """Return the least-squares loss of a discriminator's scores, () float32.

    Source: Mao et al. 2017 (arXiv:1611.04076), eq. 9 without its factor 1/2: real pictures should
    score b = 1, translated ones a = 0; a generator wants c = 1, so it takes ``is_real=True``.

    Args:
        scores: Any shape; one score per picture or patch.
        is_real: Whether the scores should be 1.
    """
    return (scores.float() - float(is_real)).square().mean()


def discriminator_loss(
    discriminator: Callable[[Tensor], Tensor],
    *,
    real: Tensor,
    made: Tensor,
    other: Tensor,
    other_weight: float,
) -> Tensor:
    """Return the least-squares loss of a discriminator of one class, () float32.

    Real pictures of another class may count as translated ones, after Reed et al. 2016
    (arXiv:1605.05396), section 4.2, whose discriminator also rejects real pictures with a wrong
    description.

    Args:
        discriminator: Maps pictures (B, 3, S, S) to scores.
        real: Real pictures of the class.
        made: Pictures that were translated to it, without gradient.
        other: Real pictures of the other class.
        other_weight: Weight of their loss; 0: they are left out.
    """
    parts = [real, made, other] if other_weight > 0 else [real, made]
    scores = torch.split(discriminator(torch.cat(parts)), [len(part) for part in parts])
    loss = least_squares(scores[0], is_real=True) + least_squares(scores[1], is_real=False)
    if other_weight > 0:
        loss = loss + other_weight * least_squares(scores[2], is_real=False)
    return loss


def r1_penalty(discriminator: Callable[[Tensor], Tensor], x_BCHW: Tensor) -> Tensor:
    """Return the mean squared norm of a discriminator's gradient at real pictures, () float32.

    Source: Mescheder et al. 2018 (arXiv:1801.04406), eq. 9 without its factor gamma/2. A score per
    patch counts as the mean over the picture's patches, which is what the losses average too.
    It is computed in float32, also under autocast, and it can be differentiated.

    Args:
        discriminator: Maps pictures to scores (B, ...), each picture by itself.
        x_BCHW: Real pictures, without gradient.
    """
    x_BCHW = x_BCHW.detach().float().requires_grad_()
    with torch.autocast(x_BCHW.device.type, enabled=False):
        scores_B = discriminator(x_BCHW).flatten(1).mean(dim=1)
        (slope_BCHW,) = torch.autograd.grad(scores_B.sum(), x_BCHW, create_graph=True)
        return slope_BCHW.square().flatten(1).sum(dim=1).mean()
