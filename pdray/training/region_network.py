"""The network on regions of the face as the training loop knows networks: one tensor of outputs.

It takes the pictures and the boxes of the regions; where the maps of its frozen stages are kept
(:mod:`pdray.training.frozen.region_views`), it takes those maps instead of the pictures. It gives a
row per snippet: the outputs for the classes, which may be ordered thresholds, and after them a
logit for each region.
"""

import math

import torch
from torch import Tensor, nn

from pdray.data.cohort.marks import NO_MARKS
from pdray.losses.hierarchy import region_targets
from pdray.models.networks.region_attention import RegionAttention
from pdray.training.task import FitTask

_SEED = 0  # of frozen stages that no file gives


class RegionNetwork(nn.Module):
    """A network on regions, with what is made of its score of the recording."""

    def __init__(
        self, network: RegionAttention, *, classes: nn.Module, map_size: tuple[int, int] | None
    ) -> None:
        """Put the parts together.

        Args:
            network: The network, its pretrained weights loaded.
            classes: From its outputs for the recording to those that the loss takes.
            map_size: Of kept maps, (height, width) of the pictures that they are of [px]; None
                where it is given pictures.
        """
        super().__init__()
        self.network, self.classes = network, classes
        self.map_size = map_size

    def forward(self, x: Tensor, boxes: Tensor) -> Tensor:
        """Return the outputs of N snippets.

        Args:
            x: (N, C, T, H, W) normalised snippets, or (N, T, H', W', D) maps of
                :meth:`RegionAttention.frozen_maps`; float.
            boxes: (N, T, R, 4) as :meth:`RegionAttention.align_tokens` takes them.

        Returns:
            (N, J + R) float: J outputs for the classes, R logits that a region shows the disease,
            NaN where no frame of the snippet shows the region.
        """
        if self.map_size is None:
            found = self.network(x, boxes)
        else:
            maps = x.flatten(0, 1).permute(0, 3, 1, 2)  # in memory the channels are last already
            tokens = self.network.align_tokens(maps, boxes, self.map_size)
            found = self.network.classify_tokens(tokens)
        outputs = self.classes(found.video)
        return torch.cat([outputs, found.regions.to(outputs.dtype)], dim=1)

    def frozen_names(self) -> frozenset[str]:
        """Return the names of the tensors that a fit never changes.

        Whoever builds the network of a fit again finds them as they were.
        """
        parts = self.network.still_parts()
        still = {id(value) for part in parts for value in (*part.parameters(), *part.buffers())}
        named = (*self.named_parameters(), *self.named_buffers())
        return frozenset(name for name, value in named if id(value) in still)


def draw_frozen(network: RegionAttention) -> None:
    """Draw the weights of a frame network that no file gives the same for every fit and fold.

    Stages that nothing trains are then one network, whose maps are worth keeping.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_SEED)
        network.backbone.initialise()


def region_labels(task: FitTask) -> Tensor:
    """Return (M, R) float32 whether the regions of a task's recordings show the disease.

    NaN where it is not known: without marks nothing is known of the regions of an ill recording;
    those of a healthy one are normal.

    Raises:
        ValueError: If a healthy recording has a mark above 0.
    """
    rows = [
        [math.nan if mark is None else float(mark) for mark in one.marks or NO_MARKS]
        for one in task.recordings
    ]
    grades = torch.tensor([one.grade for one in task.recordings])
    return region_targets(torch.tensor(rows), grades, unmarked=task.config.loss.unmarked)
