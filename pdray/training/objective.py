"""What a network is trained for: which loss on which outputs, and the probabilities they mean.

Six losses, two kinds of outputs: one logit a class, or ordered thresholds on one score. A training
loop asks how many outputs to build, wraps the network, and never learns which of the two it has.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, NamedTuple, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional

from pdray.config import Settings
from pdray.losses.focal import class_balanced_focal_loss, class_balanced_weights
from pdray.losses.hierarchy import Unmarked, hierarchy_loss, region_loss
from pdray.losses.ordinal import class_log_probabilities, coral_loss, cumulative_link_loss
from pdray.losses.soft_target import mean_over_votes
from pdray.losses.softmax_focal import softmax_focal_loss
from pdray.models.layers.ordered import OrderedHead

_GAMMA, _ALPHA, _LAMBDA, _REGION_WEIGHT = 2.0, 0.5, 0.9, 1.0
_ORDERED = ("coral", "cumulative_link")
_FOCUSED = ("class_balanced_focal", "focal")


class LossConfig(Settings):
    """What is minimised."""

    kind: Literal[
        "class_balanced_focal", "focal", "cross_entropy", "hierarchy", "coral", "cumulative_link"
    ] = Field(
        "class_balanced_focal",
        description="class_balanced_focal: 002 eq. 1; focal: 004 eq. 4; cross_entropy; hierarchy: "
        "000 eq. 2, ill or not and the class; coral, cumulative_link: ordered grades, thresholds "
        "on one score",
    )
    gamma: float = Field(
        _GAMMA,
        ge=0,
        description="focusing exponent of both focal losses; 0 is cross-entropy (002 gives none)",
    )
    alpha: float = Field(_ALPHA, gt=0, le=1, description="factor of kind focal")
    hierarchy_lambda: float = Field(
        _LAMBDA,
        ge=0,
        le=1,
        description="hierarchy: weight of class 0, healthy, against all others; the rest is that "
        "of the class. 000: 0.9 for video, 0.5 for landmarks and sound",
    )
    region_weight: float = Field(
        _REGION_WEIGHT,
        ge=0,
        description="factor of the mean loss of the regions that have a label, beside the loss of "
        "the recording, of networks on regions; 1 in 000 eq. 2",
    )
    unmarked: Unmarked = Field(
        "normal",
        description="an unmarked region of an ill recording with marks on others; normal: the "
        "marks are all that showed the disease; unknown: it has no label",
    )
    normalize: bool = Field(
        True,
        description="class_balanced_focal: scale class weights to sum to the number of classes, as "
        "Cui 2019; false: the literal weights of 002, which shrink the gradient by the counts",
    )
    soft_targets: bool = Field(
        False, description="learn the shares of the raters' grades, not the consensus grade"
    )

    @model_validator(mode="after")
    def _no_idle_setting(self) -> Self:
        """Refuse a setting that would have no effect."""
        idle = []
        if self.gamma != _GAMMA and self.kind not in _FOCUSED:
            idle.append(
                f"gamma {self.gamma:g} needs kind class_balanced_focal or focal; with kind "
                f"{self.kind} leave it at {_GAMMA:g}"
            )
        if self.alpha != _ALPHA and self.kind != "focal":
            idle.append(
                f"alpha {self.alpha:g} needs kind focal; with kind {self.kind} leave it at "
                f"{_ALPHA:g}"
            )
        if self.hierarchy_lambda != _LAMBDA and self.kind != "hierarchy":
            idle.append(
                f"hierarchy_lambda {self.hierarchy_lambda:g} needs kind hierarchy; with kind "
                f"{self.kind} leave it at {_LAMBDA:g}"
            )
        if not self.normalize and self.kind != "class_balanced_focal":
            idle.append(
                f"normalize false needs kind class_balanced_focal; with kind {self.kind} leave it "
                "at true"
            )
        if idle:
            raise ValueError("; ".join(idle))
        return self

    @property
    def region_settings(self) -> list[str]:
        """Return the settings that were changed and need a network on regions."""
        fields = LossConfig.model_fields
        names = ("region_weight", "unmarked")
        return [name for name in names if getattr(self, name) != fields[name].default]


def num_outputs(config: LossConfig, num_classes: int) -> int:
    """Return how many outputs a network is built with: K, or 1 under ordered thresholds."""
    return 1 if config.kind in _ORDERED else num_classes


def wrap(network: nn.Module, config: LossConfig, num_classes: int) -> nn.Module:
    """Return the network to train: itself, or with ordered thresholds on its score.

    Args:
        network: Built with :func:`num_outputs` outputs, its pretrained weights loaded.
        config: Settings.
        num_classes: Classes K, at least 2.
    """
    if config.kind in _ORDERED:
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
        regions = region_loss(logits, wanted)
        classes = self._class_loss(self.class_outputs(outputs), target.classes)
        return classes + self.config.region_weight * regions

    def _class_loss(self, outputs: Tensor, target: Tensor) -> Tensor:
        config = self.config
        if config.kind == "coral":
            return coral_loss(outputs, target)
        if config.kind == "cumulative_link":
            return cumulative_link_loss(outputs, target)
        if config.kind == "hierarchy":
            return hierarchy_loss(outputs, target, hierarchy_lambda=config.hierarchy_lambda)
        if self.class_weights is None:
            focal = config.kind == "focal"
            alpha, gamma = (config.alpha, config.gamma) if focal else (1.0, 0.0)
            return softmax_focal_loss(outputs, target, alpha=alpha, gamma=gamma)
        balanced = partial(
            class_balanced_focal_loss, weights_K=self.class_weights, gamma=config.gamma
        )
        if target.is_floating_point():
            return mean_over_votes(balanced, outputs, target)
        return balanced(outputs, target)

    def class_outputs(self, outputs: Tensor) -> Tensor:
        """Return what (..., J) outputs say of the classes; the logits of regions are left out."""
        return outputs[..., : outputs.shape[-1] - self.num_regions]

    def log_probabilities(self, outputs: Tensor) -> Tensor:
        """Return (B, K) float32 or wider log probabilities of the classes.

        Args:
            outputs: Of :meth:`class_outputs`. A network for classes means their softmax, also under
                the class-balanced loss, whose yes or no for every class does not sum to 1.
        """
        if self.config.kind in _ORDERED:
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
    if config.kind != "class_balanced_focal":
        return TrainingLoss(config, None, num_regions)
    # The formula is smooth in the counts: an expected count need not be whole.
    weights = class_balanced_weights(counts, normalize=config.normalize)
    return TrainingLoss(config, weights.to(device), num_regions)
