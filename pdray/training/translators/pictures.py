"""Pictures as translators take them, and how much a set of them varies."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

HALF = 127.5  # of the range of a code


def as_floats(pictures: NDArray[np.uint8], device: torch.device) -> Tensor:
    """Return (B, H, W, 3) uint8 pictures as (B, 3, H, W) float32 in -1..1 on a device."""
    codes = torch.from_numpy(pictures).to(device, non_blocking=True)
    return codes.permute(0, 3, 1, 2).float().div_(HALF).sub_(1.0)


def as_codes(pictures: Tensor) -> NDArray[np.uint8]:
    """Return (B, 3, H, W) float pictures in -1..1 as (B, H, W, 3) uint8, rounded."""
    codes = pictures.float().add(1.0).mul(HALF).round().clamp(0, 255).to(torch.uint8)
    return np.ascontiguousarray(codes.permute(0, 2, 3, 1).cpu().numpy())


def mean_distance(pictures: Tensor) -> float:
    """Return the mean Euclidean distance of all pairs of (B, 3, H, W) pictures, B at least 2."""
    return float(torch.pdist(pictures.float().flatten(1)).mean())
