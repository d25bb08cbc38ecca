"""Strength of the edit of a method that translates wholly or not at all."""

import torch
from torch import Tensor, nn


def blend(generator: nn.Module, source: Tensor, strength: Tensor) -> Tensor:
    """Return the pixel-wise mixture of pictures and their translations.

    A strength s gives (1 - s) source + s translation. So 0 is the source, 1 the translation, and
    values between show both at once; they are no weaker edit.

    Args:
        generator: Translates (B, 3, S, S) pictures.
        source: (B, 3, S, S) pictures in -1..1.
        strength: (B,) float, 0 to 1.

    Returns:
        (B, 3, S, S) float32 pictures in -1..1.
    """
    made = generator(source).float()
    return torch.lerp(source.float(), made, strength.to(made)[:, None, None, None])
