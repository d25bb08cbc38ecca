"""Projections of a generator's maps at sampled places, for PatchNCE.

Source: Park et al. 2020 (CUT, arXiv:2007.15651), section 3: a two-layer perceptron of 256 units
for each map, followed by division by the Euclidean norm. Only the sampled places are projected.
Letters: B batch, D channel of a map, H height, W width, P place, E 256 units.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

NUM_UNITS = 256
_SMALL = 1e-7  # smallest norm


class PatchHeads(nn.Module):
    """One perceptron per map."""

    def __init__(self, map_widths: Sequence[int]) -> None:
        """Build the layers for maps of these numbers of channels."""
        super().__init__()
        self.heads = nn.ModuleList(
            nn.Sequential(nn.Linear(width, NUM_UNITS), nn.ReLU(), nn.Linear(NUM_UNITS, NUM_UNITS))
            for width in map_widths
        )

    def forward(self, maps: Sequence[Tensor], places: Sequence[Tensor]) -> list[Tensor]:
        """Return (B, P, E) float32 vectors of norm 1 for each map.

        Args:
            maps: (B, D, H, W), of one size per head.
            places: (P,) int64 for each map, positions in its H x W places, row by row.
        """
        return [
            functional.normalize(
                head(x_BDHW.flatten(2)[:, :, places_P].transpose(1, 2)).float(), dim=2, eps=_SMALL
            )
            for head, x_BDHW, places_P in zip(self.heads, maps, places, strict=True)
        ]


def draw_places(
    maps: Sequence[Tensor], num_places: int, generator: torch.Generator
) -> list[Tensor]:
    """Draw different places of each map, the same ones for all pictures.

    Args:
        maps: (B, D, H, W).
        num_places: Places per map; all H x W of a smaller map.
        generator: On the CPU.

    Returns:
        (P,) int64 for each map, on its device.
    """
    return [
        torch.randperm(x_BDHW[0, 0].numel(), generator=generator)[:num_places].to(x_BDHW.device)
        for x_BDHW in maps
    ]
