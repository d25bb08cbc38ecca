"""Ordered thresholds (K-1) on a network that gives one number per snippet.

Sources: McCullagh 1980, the proportional odds model: ``logit P(grade > k) = g(x) - theta_k``;
Cao, Mirjalili and Raschka 2020 (CORAL, arXiv:1901.07884), where the thresholds are K-1 biases
and the weights are shared. Differs from CORAL: the thresholds are in order by construction, not
only at the optimum, so P(grade > k) falls with k at any weights. The last bias of the network
shifts all thresholds equally; it is kept so that the network is the same as with other losses.
Letters: B batch, D feature, J threshold (K-1).
"""

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

MIN_GAP = 1e-3  # between two thresholds [logit]; a class between them keeps at most 0.025 percent


class OrderedHead(nn.Module):
    """Network with one output, and the thresholds that it is compared with.

    Inputs, features and names of maps are those of the network. Pretrained weights are loaded into
    the network before it is wrapped.
    """

    def __init__(self, scorer: nn.Module, *, num_classes: int) -> None:
        """Wrap a network.

        Args:
            scorer: Network that gives (B, 1), built for a single class.
            num_classes: Grades K, at least 2.

        Raises:
            ValueError: If there are fewer than two classes.
        """
        super().__init__()
        if num_classes < 2:
            raise ValueError(
                f"num_classes: {num_classes} is too few for ordered grades; use at least 2"
            )
        self.scorer = scorer
        self.first_threshold = nn.Parameter(torch.empty(1))
        # Two classes have one threshold and no gap; weights files may hold no empty tensor.
        self.raw_gap_I: nn.Parameter | None = None
        if num_classes > 2:
            self.raw_gap_I = nn.Parameter(torch.empty(num_classes - 2))
        self.initialise(num_classes)

    def initialise(self, num_classes: int) -> None:
        """Place the thresholds so that every class is equally likely where the score is 0."""
        share_below_J = torch.arange(1, num_classes, dtype=torch.float64) / num_classes
        threshold_J = torch.logit(share_below_J)
        gap_I = threshold_J.diff() - MIN_GAP
        with torch.no_grad():
            self.first_threshold.copy_(threshold_J[:1])
            if self.raw_gap_I is not None:
                self.raw_gap_I.copy_(torch.log(torch.expm1(gap_I)))  # softplus backwards

    @property
    def num_channels(self) -> int:
        """Channels of a snippet."""
        return int(self._network.num_channels)

    @property
    def num_features(self) -> int:
        """Length D of the pooled features."""
        return int(self._network.num_features)

    @property
    def MAP_LAYERS(self) -> tuple[str, ...]:  # noqa: N802 - a network's name for it
        """Names of the submodules whose output is a map, early to late."""
        return tuple(f"scorer.{name}" for name in self._network.MAP_LAYERS)

    @property
    def _network(self) -> Any:
        # nn.Module does not declare the attributes that pdray's networks have.
        return cast(Any, self.scorer)

    def thresholds(self) -> Tensor:
        """Return (J,) float32 thresholds, each at least :data:`MIN_GAP` above the one before."""
        if self.raw_gap_I is None:
            return self.first_threshold
        gap_I = functional.softplus(self.raw_gap_I) + MIN_GAP
        return torch.cat([self.first_threshold, gap_I]).cumsum(dim=0)

    def features(self, *args: Any, **kwargs: Any) -> Tensor:
        """Return the network's features of the network's inputs."""
        f_BD: Tensor = self._network.features(*args, **kwargs)
        return f_BD

    def classify(self, f_BD: Tensor) -> Tensor:
        """Return threshold logits (B, K-1) of features (B, D)."""
        return self._compare(self._network.classify(f_BD))

    def forward(self, *args: Any, **kwargs: Any) -> Tensor:
        """Return (B, K-1) logits of "grade > k", falling along k.

        Args:
            *args: Inputs of the network, such as snippets.
            **kwargs: Inputs by name, such as ``num_segments``.

        Raises:
            ValueError: If the network does not give one number per snippet.
        """
        return self._compare(self.scorer(*args, **kwargs))

    def _compare(self, score_B1: Tensor) -> Tensor:
        if score_B1.dim() != 2 or score_B1.shape[1] != 1:
            raise ValueError(
                f"the network with ordered thresholds gave {tuple(score_B1.shape)}, expected "
                "(B, 1); build it for one class"
            )
        # In the precision of the thresholds: in bfloat16 two of them may be equal.
        theta_J = self.thresholds()
        return score_B1.to(torch.promote_types(score_B1.dtype, theta_J.dtype)) - theta_J
