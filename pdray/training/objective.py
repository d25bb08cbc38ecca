"""What a network is trained for: which loss on which outputs, and the probabilities they mean.

Six losses, two kinds of outputs: one logit a class, or ordered thresholds on one score. A training
loop asks how many outputs to build, wraps the network, and never learns which of the two it has.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional

from pdray.config import Settings
from pdray.losses.focal import class_balanced_focal_loss, class_balanced_weights
from pdray.losses.hierarchy import hierarchy_loss
from pdray.losses.ordinal import class_log_probabilities, coral_loss, cumulative_link_loss
from pdray.losses.soft_target import mean_over_votes
from pdray.losses.softmax_focal import softmax_focal_loss
from pdray.models.ordered import OrderedHead

_GAMMA, _ALPHA, _LAMBDA = 2.0, 0.5, 0.9
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


@dataclass(frozen=True)
class TrainingLoss:
    """The loss of a fold.

    Attributes:
        config: Settings.
        class_weights: (K,) float32; None for the losses that have none.
    """

    config: LossConfig
    class_weights: Tensor | None

    def loss(self, outputs: Tensor, target: Tensor) -> Tensor:
        """Return the loss of each snippet.

        Args:
            outputs: (B, K) logits of a network for classes, (B, K-1) of an ordered one; float.
            target: (B,) int64 class, or (B, K) float shares of the classes that sum to 1.

        Returns:
            (B,) loss in nats, not reduced.

        Raises:
            ValueError: If the target is neither, or a class is outside 0..K-1.
        """
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

    def log_probabilities(self, outputs: Tensor) -> Tensor:
        """Return (B, K) float32 or wider log probabilities of the classes.

        Args:
            outputs: As in :meth:`loss`. A network for classes means their softmax, also under the
                class-balanced loss, whose yes or no for every class does not sum to 1.
        """
        if self.config.kind in _ORDERED:
            return class_log_probabilities(outputs)
        dtype = torch.promote_types(outputs.dtype, torch.float32)
        return functional.log_softmax(outputs, dim=1, dtype=dtype)


def training_loss(
    config: LossConfig, counts: Sequence[float], device: torch.device
) -> TrainingLoss:
    """Make the loss of a fold.

    Only the class-balanced loss weights classes; the other sources do not.

    Args:
        config: Settings.
        counts: Training members of each class; with soft targets the expected ones, of
            :func:`pdray.data.raters.expected_counts`.
        device: Where the class weights go.

    Raises:
        ValueError: If a class has no member and the loss weights classes; names each such class.
    """
    if config.kind != "class_balanced_focal":
        return TrainingLoss(config, None)
    # The formula is smooth in the counts: an expected count need not be whole.
    weights = class_balanced_weights(counts, normalize=config.normalize)
    return TrainingLoss(config, weights.to(device))
