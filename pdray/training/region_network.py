"""Adapts the network on regions of the face to the training loop: one tensor of outputs.

Its inputs are pictures and the boxes of the regions. If the outputs of its frozen stages are cached
(:mod:`pdray.training.frozen.views`), these replace the pictures. Each row of its output is
one snippet: first the outputs for the classes (or ordered thresholds), then a logit per region.
"""

import math

import torch
from torch import Tensor, nn

from pdray.data.cohort.marks import NO_MARKS
from pdray.losses.hierarchy import region_targets
from pdray.models.networks.region_attention import RegionAttention
from pdray.training.task import FitTask

_SEED = 0  # for frozen stages without a weights file


class RegionNetwork(nn.Module):
    """A network on regions whose outputs are one tensor."""

    def __init__(
        self, network: RegionAttention, *, classes: nn.Module, map_size: tuple[int, int] | None
    ) -> None:
        """Keep the parts.

        Args:
            network: The network with its pretrained weights.
            classes: Turns its outputs for the recording into those that the loss takes.
            map_size: With cached maps: (height, width) of their pictures [px]; None if the input
                is pictures.
        """
        super().__init__()
        self.network, self.classes = network, classes
        self.map_size = map_size

    def forward(self, x: Tensor, boxes: Tensor) -> Tensor:
        """Return the outputs of N snippets.

        Args:
            x: (N, C, T, H, W) normalised snippets, or (N, T, H', W', D) maps of
                :meth:`RegionAttention.frozen_maps`; float.
            boxes: (N, T, R, 4), see :meth:`RegionAttention.align_tokens`.

        Returns:
            (N, J + R) float: J outputs for the classes, then R logits that a region shows the
            disease; NaN if no frame of the snippet shows the region.
        """
        if self.map_size is None:
            found = self.network(x, boxes)
        else:
            maps = x.flatten(0, 1).permute(0, 3, 1, 2)  # in memory, channels stay last
            tokens = self.network.align_tokens(maps, boxes, self.map_size)
            found = self.network.classify_tokens(tokens)
        outputs = self.classes(found.video)
        return torch.cat([outputs, found.regions.to(outputs.dtype)], dim=1)

    def frozen_names(self) -> frozenset[str]:
        """Return the names of the tensors that a fit never changes; a rebuilt network has them."""
        parts = self.network.still_parts()
        still = {id(value) for part in parts for value in (*part.parameters(), *part.buffers())}
        named = (*self.named_parameters(), *self.named_buffers())
        return frozenset(name for name, value in named if id(value) in still)


def draw_frozen(network: RegionAttention) -> None:
    """Initialise a frame network at random, with one seed for every fit and fold.

    Its frozen stages are then always the same, so their outputs can be cached.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_SEED)
        network.backbone.initialise()


def region_labels(task: FitTask) -> Tensor:
    """Return (M, R) float32: whether each region of each recording shows the disease.

    The regions of healthy people are normal (0). Regions of ill people without marks are unknown
    (NaN).

    Raises:
        ValueError: If a healthy recording has a mark above 0.
    """
    rows = [
        [math.nan if mark is None else float(mark) for mark in one.marks or NO_MARKS]
        for one in task.recordings
    ]
    grades = torch.tensor([one.grade for one in task.recordings])
    return region_targets(torch.tensor(rows), grades, unmarked=task.config.loss.unmarked)
