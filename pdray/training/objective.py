"""The loss of a fit, and the probabilities that the network's outputs stand for.

There are two kinds of outputs: one logit per class, or ordered thresholds on one score. The
training loop uses the functions of this module and need not know which kind it has.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pkgutil import resolve_name
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from pdray.losses.settings import LossConfig


def num_outputs(config: LossConfig, num_classes: int) -> int:
    """Return the number of outputs of a network: K, or 1 with ordered thresholds."""
    return 1 if config.entry.is_ordered else num_classes


def wrap(network: nn.Module, config: LossConfig, num_classes: int) -> nn.Module:
    """Return the network to train: the same, or with ordered thresholds on its score.

    Args:
        network: Built with :func:`num_outputs` outputs and its pretrained weights.
        config: Settings.
        num_classes: Classes K, at least 2.
    """
    if config.entry.is_ordered:
        from pdray.models.layers.ordered import OrderedHead

        return OrderedHead(network, num_classes=num_classes)
    return network


class RegionTarget(NamedTuple):
    """The training targets of a network on regions.

    Attributes:
        classes: (B,) int64 class, or (B, K) float shares of the classes that sum to 1.
        regions: (B, R) float, 0 to 1, whether each region shows the disease; NaN: unknown.
    """

    classes: Tensor
    regions: Tensor


@dataclass(frozen=True)
class TrainingLoss:
    """The loss of a fold.

    Attributes:
        config: Settings.
        class_weights: (K,) float32; None for losses without class weights.
        num_regions: R, the number of last outputs that are logits of regions.
    """

    config: LossConfig
    class_weights: Tensor | None
    num_regions: int = 0

    def loss(self, outputs: Tensor, target: Tensor | RegionTarget) -> Tensor:
        """Return the loss of each snippet.

        Args:
            outputs: (B, K) logits of classes, or (B, K-1) of ordered thresholds; float. With
                regions R more columns, NaN where the snippet does not show the region.
            target: (B,) int64 class, or (B, K) float shares of the classes that sum to 1; a
                :class:`RegionTarget` with regions.

        Returns:
            (B,) loss in nats, not reduced.

        Raises:
            ValueError: If the target has another shape, or a class is outside 0..K-1.
        """
        if not isinstance(target, RegionTarget):
            return self._class_loss(outputs, target)
        logits = outputs[:, -self.num_regions :]
        # A region that no frame shows has a NaN logit. If the network diverged, all are NaN.
        wanted = target.regions.masked_fill(logits.isnan(), math.nan)
        from pdray.losses.hierarchy import region_loss

        regions = region_loss(logits, wanted)
        classes = self._class_loss(self.class_outputs(outputs), target.classes)
        return classes + self.config.region_weight * regions

    def _class_loss(self, outputs: Tensor, target: Tensor) -> Tensor:
        entry = self.config.entry
        given: dict[str, Any] = {name: getattr(self.config, name) for name in entry.arguments}
        if self.class_weights is not None:
            given["weights_K"] = self.class_weights
        loss: Tensor = resolve_name(entry.function)(outputs, target, **given)
        return loss

    def class_outputs(self, outputs: Tensor) -> Tensor:
        """Return the outputs for classes out of (..., J) outputs, without the regions' logits."""
        return outputs[..., : outputs.shape[-1] - self.num_regions]

    def log_probabilities(self, outputs: Tensor) -> Tensor:
        """Return (B, K) float32 or wider log probabilities of the classes.

        Args:
            outputs: From :meth:`class_outputs`. Logits of classes mean their softmax, also with
                the class-balanced loss, whose sigmoids per class do not sum to 1.
        """
        if self.config.entry.is_ordered:
            from pdray.losses.ordinal import class_log_probabilities

            return class_log_probabilities(outputs)
        dtype = torch.promote_types(outputs.dtype, torch.float32)
        return functional.log_softmax(outputs, dim=1, dtype=dtype)


def training_loss(
    config: LossConfig, counts: Sequence[float], device: torch.device, *, num_regions: int = 0
) -> TrainingLoss:
    """Make the loss of a fold.

    Only the class-balanced loss uses class weights.

    Args:
        config: Settings.
        counts: Training recordings of each class; with soft targets the expected numbers, from
            :func:`pdray.data.cohort.rated.expected_counts`.
        device: Device of the class weights.
        num_regions: Number of last outputs that are logits of regions.

    Raises:
        ValueError: If the loss uses class weights and a class has no recording; names each.
    """
    if not config.entry.weighs_classes:
        return TrainingLoss(config, None, num_regions)
    from pdray.losses.focal import class_balanced_weights

    # The formula is smooth in the counts, so an expected count need not be an integer.
    weights = class_balanced_weights(counts, normalize=config.normalize)
    return TrainingLoss(config, weights.to(device), num_regions)
