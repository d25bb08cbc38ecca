"""Residual recurrent network on the numbers of the videos of a visit.

Source: Huang et al. 2025 ("Dynamic Facial Expressions Analysis Based Parkinson's Disease Auxiliary
Diagnosis"), section 2.3: an LSTM (Table 3: or a GRU) "incorporating a residual structure".
Readings, where the paper is silent: each step is a video, with its 4 intensities or 8 statistics;
each layer adds a linear projection of its input to its output; the class is read from the last
step. A video that is absent is no step: the others follow each other in their order.
Letters: B batch, V video, D number, H unit, K class.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from pdray.models.estimators.intensity_settings import IntensityHeadConfig


class IntensityRecurrent(nn.Module):
    """Recurrent layers with dropout, and a linear head on the last step.

    Args:
        cell: Kind of the layers.
        num_inputs: Numbers D of a video.
        widths: Units H of each layer.
        residual: Whether the projected input of a layer is added to its output.
        dropout: Probability, after each layer.
        num_classes: Classes K.
    """

    def __init__(
        self,
        *,
        cell: Literal["gru", "lstm"],
        num_inputs: int,
        widths: Sequence[int],
        residual: bool,
        dropout: float,
        num_classes: int,
    ) -> None:
        super().__init__()
        kind = {"gru": nn.GRU, "lstm": nn.LSTM}[cell]
        shapes = list(pairwise([num_inputs, *widths]))
        # torch's default initial weights, drawn from its global generator.
        self.layers = nn.ModuleList(kind(*shape, batch_first=True) for shape in shapes)
        self.projections = nn.ModuleList(
            nn.Linear(*shape, bias=False) for shape in shapes if residual
        )
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(widths[-1], num_classes)

    def forward(self, x_BVD: Tensor) -> Tensor:
        """Return logits (B, K).

        Args:
            x_BVD: (B, V, D) float. A video whose numbers are all NaN is absent; a single NaN
                counts as 0, the training mean of standardised numbers. A visit without any video
                gets logits of zeros in their place.
        """
        is_absent_BV = x_BVD.isnan().all(dim=2)
        order_BV = is_absent_BV.int().argsort(dim=1, stable=True)
        steps_BVD = x_BVD.nan_to_num(0.0).take_along_dim(order_BV[:, :, None], dim=1)
        for number, layer in enumerate(self.layers):
            # Steps behind the last video do not change those before them.
            out_BVH, _ = layer(steps_BVD)
            if self.projections:
                out_BVH = out_BVH + self.projections[number](steps_BVD)
            steps_BVD = self.dropout(out_BVH)
        last_B = (~is_absent_BV).sum(dim=1) - 1
        logits_BK: Tensor = self.head(steps_BVD[torch.arange(len(last_B)), last_B])
        return logits_BK


def build_intensity_recurrent(
    config: IntensityHeadConfig, *, num_inputs: int, num_classes: int
) -> IntensityRecurrent:
    """Build the network; its weights are drawn from torch's global generator.

    Args:
        config: Settings whose classifier is gru or lstm.
        num_inputs: Numbers D of a video.
        num_classes: Classes K, at least 2.
    """
    assert config.classifier in ("gru", "lstm"), "checked before"
    return IntensityRecurrent(
        cell=config.classifier,
        num_inputs=num_inputs,
        widths=[config.num_hidden] * config.num_layers,
        residual=config.residual,
        dropout=config.dropout,
        num_classes=num_classes,
    )
