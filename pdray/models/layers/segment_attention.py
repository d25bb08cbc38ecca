"""One prediction from the K snippets of a recording, each weighted by an attention unit.

Source: segment attention (the motion boundary paper), figure 1, Eq. 1 and 2. The unit is
FC-ReLU-FC-sigmoid on the mean over space and time of the last feature map and gives one weight in
0..1 per snippet. The weight multiplies the snippet's feature vector, and the consensus is the mean
over the K snippets; the softmax is computed by the caller. Without attention every weight is 1:
the consensus of temporal segment networks (Wang et al. 2016, arXiv:1608.00859).
Choices where the paper is silent: the hidden layer of the unit has a sixteenth of the features, as
in Hu et al. 2018 (arXiv:1709.01507); the bias of the scores is not weighted; in tests each snippet
is weighted alone.
Letters: B recording, K snippet of a recording, N = B K, C channel, T time step, H height, W width,
D feature, M class.
"""

from typing import Any, cast

import torch
from torch import Tensor, nn

SQUEEZE = 16


class AttentionUnit(nn.Module):
    """Two layers that compute the weight of a snippet from its features."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        num_hidden = max(1, num_features // SQUEEZE)
        self.squeeze = nn.Linear(num_features, num_hidden)
        self.relu = nn.ReLU(inplace=True)
        self.excite = nn.Linear(num_hidden, 1)

    def forward(self, f_ND: Tensor) -> Tensor:
        """Return (N, 1) weights in 0..1 of features (N, D)."""
        return torch.sigmoid(self.excite(self.relu(self.squeeze(f_ND))))


class SegmentNetwork(nn.Module):
    """Backbone that joins the features of a recording's snippets before its head."""

    def __init__(self, backbone: nn.Module, *, attention: bool) -> None:
        """Wrap a backbone.

        Args:
            backbone: A network with ``num_features``, ``features`` and ``classify``.
            attention: Whether snippets are weighted.
        """
        super().__init__()
        self.backbone = backbone
        self.unit = AttentionUnit(int(self._network.num_features)) if attention else None

    @property
    def _network(self) -> Any:
        # nn.Module does not declare the attributes that pdray's networks have.
        return cast(Any, self.backbone)

    @property
    def num_channels(self) -> int:
        """Channels of a snippet."""
        return int(self._network.num_channels)

    @property
    def num_features(self) -> int:
        """Length D of the features."""
        return int(self._network.num_features)

    @property
    def MAP_LAYERS(self) -> tuple[str, ...]:  # noqa: N802 - a network's name for it
        """Names of the submodules whose output is a map, early to late."""
        return tuple(f"backbone.{name}" for name in self._network.MAP_LAYERS)

    def weights(self, x_NCTHW: Tensor) -> Tensor:
        """Return (N,) weights of the snippets, all 1 without attention."""
        f_ND: Tensor = self._network.features(x_NCTHW)
        return f_ND.new_ones(len(f_ND)) if self.unit is None else self.unit(f_ND)[:, 0]

    def features(self, x_NCTHW: Tensor, num_segments: int = 1) -> Tensor:
        """Return (B, D) the mean over a recording's snippets of their weighted features.

        Args:
            x_NCTHW: Normalised snippets, the ``num_segments`` of a recording one after the other.
            num_segments: Snippets K per recording; 1 in tests, where each is used alone.

        Raises:
            ValueError: If ``num_segments`` is below 1 or does not divide the snippets.
        """
        if num_segments < 1 or len(x_NCTHW) % num_segments:
            raise ValueError(
                f"{len(x_NCTHW)} snippets cannot be split into recordings of {num_segments} "
                "segments; give a multiple of num_segments, which is at least 1"
            )
        f_ND: Tensor = self._network.features(x_NCTHW)
        if self.unit is not None:
            f_ND = self.unit(f_ND) * f_ND
        return f_ND.view(-1, num_segments, f_ND.shape[1]).mean(dim=1)

    def classify(self, f_BD: Tensor) -> Tensor:
        """Return the backbone's logits (B, M) of features (B, D)."""
        logits_BM: Tensor = self._network.classify(f_BD)
        return logits_BM

    def forward(self, x_NCTHW: Tensor, num_segments: int = 1) -> Tensor:
        """Return logits (B, M) of snippets (N, C, T, H, W); see :meth:`features`."""
        return self.classify(self.features(x_NCTHW, num_segments))
