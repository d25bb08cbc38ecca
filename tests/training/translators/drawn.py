"""SYNTHETIC pictures of two classes, and a guide that tells them: a bar that is dark or bright."""

import torch
from torch import Tensor, nn

SIDE = 16
ROWS, COLUMNS = torch.meshgrid(*[torch.linspace(-1, 1, SIDE)] * 2, indexing="ij")
BAR = (COLUMNS.abs() < 0.45) & ((ROWS - 0.4).abs() < 0.15)
TONE = 0.6


def draw_pictures(count: int, of_class: int, generator: torch.Generator) -> Tensor:
    """Return pictures (count, 3, 16, 16) of waves with a bar, dark (0) or bright (1)."""
    phase = 2 * torch.pi * torch.rand(count, 3, 2, 1, 1, generator=generator)
    waves = torch.sin(3 * COLUMNS + phase[:, :, 0]) + torch.sin(3 * ROWS + phase[:, :, 1])
    return torch.where(BAR, TONE if of_class else -TONE, waves / 4)


class BarReader(nn.Module):
    """Logits of both classes from the mean tone of the bar; it looks nowhere else."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(6.0))

    def forward(self, x: Tensor) -> Tensor:
        tone = self.scale * x[:, :, BAR].mean(dim=(1, 2))
        return torch.stack([-tone, tone], dim=1)
