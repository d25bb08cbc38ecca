"""Loss of a fit on the outputs of its network, and the probabilities that they mean.

Six losses, two kinds of outputs: one logit a class, or ordered thresholds on one score. A training
loop asks how many outputs to build, wraps the network, and never learns which of the two it has.
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
    """Return how many outputs a network is built with: K, or 1 under ordered thresholds."""
    return 1 if config.entry.is_ordered else num_classes


def wrap(network: nn.Module, config: LossConfig, num_classes: int) -> nn.Module:
    """Return the network to train: itself, or with ordered thresholds on its score.

    Args:
        network: Built with :func:`num_outputs` outputs, its pretrained weights loaded.
        config: Settings.
        num_classes: Classes K, at least 2.
    """
    if config.entry.is_ordered:
        from pdray.models.layers.ordered import OrderedHead

        return OrderedHead(network, num_classes=num_classes)
    return network


class RegionTarget(NamedTuple):
    """What a network on regions learns.

    Attributes:
        classes: (B,) int64 class, or (B, K) float shares of the classes that sum to 1.
        regions: (B, R) float, 0 to 1, whether each region shows the disease; NaN: not known.
    """

    classes: Tensor
    regions: Tensor


@dataclass(frozen=True)
class TrainingLoss:
    """The loss of a fold.

    Attributes:
        config: Settings.
        class_weights: (K,) float32; None for the losses that have none.
        num_regions: R, how many of a network's last outputs are logits of regions.
    """

    config: LossConfig
    class_weights: Tensor | None
    num_regions: int = 0

    def loss(self, outputs: Tensor, target: Tensor | RegionTarget) -> Tensor:
        """Return the loss of each snippet.

        Args:
            outputs: (B, K) logits of a network for classes, (B, K-1) of an ordered one; float.
                With regions R more, NaN where the snippet does not show the region.
            target: (B,) int64 class, or (B, K) float shares of the classes that sum to 1; with
                regions both.

        Returns:
            (B,) loss in nats, not reduced.

        Raises:
            ValueError: If the target is neither, or a class is outside 0..K-1.
        """
        if not isinstance(target, RegionTarget):
            return self._class_loss(outputs, target)
        logits = outputs[:, -self.num_regions :]
        # What no frame shows has no logit. A network that diverged has none at all, of classes too.
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
        """Return what (..., J) outputs say of the classes; the logits of regions are left out."""
        return outputs[..., : outputs.shape[-1] - self.num_regions]

    def log_probabilities(self, outputs: Tensor) -> Tensor:
        """Return (B, K) float32 or wider log probabilities of the classes.

        Args:
            outputs: Of :meth:`class_outputs`. A network for classes means their softmax, also under
                the class-balanced loss, whose yes or no for every class does not sum to 1.
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

    Only the class-balanced loss weights classes; the other sources do not.

    Args:
        config: Settings.
        counts: Training members of each class; with soft targets the expected ones, of
            :func:`pdray.data.cohort.raters.expected_counts`.
        device: Where the class weights go.
        num_regions: How many of the network's last outputs are logits of regions.

    Raises:
        ValueError: If a class has no member and the loss weights classes; names each such class.
    """
    if not config.entry.weighs_classes:
        return TrainingLoss(config, None, num_regions)
    from pdray.losses.focal import class_balanced_weights

    # The formula is smooth in the counts: an expected count need not be whole.
    weights = class_balanced_weights(counts, normalize=config.normalize)
    return TrainingLoss(config, weights.to(device), num_regions)
