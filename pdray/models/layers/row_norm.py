"""Batch normalisation (Ioffe and Szegedy 2015, arXiv:1502.03167) of rows, even of a single one.

In training a norm takes mean and variance from its input rows. A single row has no variance, and
torch refuses it. Then the running statistics are used, as in evaluation.
Letters: N row, D feature.
"""

from torch import Tensor, nn
from torch.nn import functional


def norm_rows(norm: nn.BatchNorm1d, x_ND: Tensor) -> Tensor:
    """Return (N, D) normalised rows.

    Args:
        norm: Norm with running statistics; a single row does not change them.
        x_ND: (N, D) float, N at least 1.
    """
    if len(x_ND) > 1:
        y_ND: Tensor = norm(x_ND)
        return y_ND
    return functional.batch_norm(
        x_ND, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps
    )
