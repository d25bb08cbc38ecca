"""HRFAE's editor: encoder, modulation by the vector of a class, decoder with two skips.

Source: Yao et al. 2020 (High Resolution Face Age Editing, arXiv:2005.04410), section 3: the encoder
makes features of identity; a linear layer and a sigmoid turn the target into one factor in 0..1
for each channel of the features; the decoder reads the modulated features and, by two skips, the
encoder's maps of full and of half size. Differs: the target is a class, not one of 101 ages, so
the linear layer has one column of weights per class; a strength between 0 and 1 interpolates
between the factors of class 0 and those of the target; ``is_residual`` adds the output to the
source, with a last layer of zeros (not published). Kernels, padding, normalisation and
doubling are those of the generator of CUT (:mod:`pdray.models.networks.translator`).
Letters: B batch, C channel, H height, W width, D feature, K class.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from pdray.models.networks.face_editor_settings import HRFAEConfig
from pdray.models.networks.translator import (
    Block,
    ReflectedConv,
    draw_weights,
    finish,
    make_upsampling,
    normalised,
)


class Encoded(NamedTuple):
    """Pictures, their features (B, D, H/4, W/4), and their maps of half and of full size."""

    pictures: Tensor
    features: Tensor
    half: Tensor
    full: Tensor


class FaceEditor(nn.Module):
    """Changes a picture towards a class, by a strength."""

    def __init__(
        self, *, width: int, num_blocks: int, num_classes: int, is_residual: bool = False
    ) -> None:
        """Build the layers.

        Args:
            width: Channels of the first layer; 32 is not checked against the paper.
            num_blocks: Residual blocks of the encoder; 4 is not checked against the paper.
            num_classes: Classes K.
            is_residual: Whether the output is added to the picture; published: not.
        """
        super().__init__()
        self.stem = ReflectedConv(3, width, 7)
        self.down1 = nn.Conv2d(width, 2 * width, 3, stride=2, padding=1)
        self.down2 = nn.Conv2d(2 * width, 4 * width, 3, stride=2, padding=1)
        self.blocks = nn.Sequential(*(Block(4 * width) for _ in range(num_blocks)))
        self.up1 = make_upsampling(4 * width, 2 * width, is_antialiased=True)
        self.up2 = make_upsampling(4 * width, width, is_antialiased=True)
        self.head = ReflectedConv(2 * width, 3, 7)
        draw_weights(self)
        # Drawn as torch draws linear layers, so that classes differ from the start.
        self.modulation = nn.Linear(num_classes, 4 * width)
        self.is_residual = is_residual
        if is_residual:
            nn.init.zeros_(self.head.weight)

    def encode(self, x_BCHW: Tensor) -> Encoded:
        """Return what :meth:`decode` needs."""
        full_BDHW = normalised(self.stem(x_BCHW))
        half_BDHW = normalised(self.down1(full_BDHW))
        features_BDHW = self.blocks(normalised(self.down2(half_BDHW)))
        return Encoded(x_BCHW, features_BDHW, half_BDHW, full_BDHW)

    def vector(self, class_B: Tensor, strength_B: Tensor) -> Tensor:
        """Return the (B, D) factors of classes at strengths, in 0..1.

        Args:
            class_B: int64 class, 0 to K-1.
            strength_B: float strength of the edit, 0 (class 0) to 1 (the class).
        """
        factors_KD = torch.sigmoid(self.modulation.weight.T + self.modulation.bias)
        return torch.lerp(factors_KD[0], factors_KD[class_B], strength_B[:, None].to(factors_KD))

    def decode(self, encoded: Encoded, factors_BD: Tensor) -> Tensor:
        """Return (B, 3, H, W) pictures in -1..1 from encoded ones and their factors."""
        y_BDHW = normalised(
            self.up1(encoded.features * factors_BD.to(encoded.features)[:, :, None, None])
        )
        y_BDHW = normalised(self.up2(torch.cat([y_BDHW, encoded.half], dim=1)))
        y_BCHW = self.head(torch.cat([y_BDHW, encoded.full], dim=1))
        return finish(y_BCHW, encoded.pictures if self.is_residual else None)

    def forward(self, x_BCHW: Tensor, class_B: Tensor, strength_B: Tensor) -> Tensor:
        """Return edited pictures, (B, 3, H, W) in -1..1.

        Args:
            x_BCHW: Pictures in -1..1; H and W are multiples of 4.
            class_B: See :meth:`vector`.
            strength_B: See :meth:`vector`.
        """
        return self.decode(self.encode(x_BCHW), self.vector(class_B, strength_B))


def build_editor(config: HRFAEConfig, num_classes: int) -> FaceEditor:
    """Build the editor; its weights are drawn from torch's global generator."""
    return FaceEditor(
        width=int(config.first_width * config.width_factor),
        num_blocks=config.num_blocks,
        num_classes=num_classes,
        is_residual=config.residual,
    )
