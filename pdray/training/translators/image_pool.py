"""Pool of earlier translated pictures, from which a discriminator learns beside the newest ones."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


class ImagePool:
    """Up to a fixed number of pictures that a generator made.

    Source: Shrivastava et al. 2017 (arXiv:1612.07828), section 2.3; Zhu et al. 2017
    (arXiv:1703.10593), section 4: 50 pictures. A new picture fills the pool until it is full. Then
    the pool returns it as it is, or an earlier one whose place it takes, each with probability 1/2.
    """

    def __init__(self, size: int) -> None:
        """Make an empty pool of ``size`` pictures; 0: pictures are returned as they are."""
        self.size = size
        self.pictures: list[Tensor] = []

    def exchange(self, new: Tensor, generator: torch.Generator) -> Tensor:
        """Return (B, C, H, W) new or earlier pictures, without gradient.

        Args:
            new: New pictures.
            generator: On the CPU.
        """
        if self.size == 0:
            return new.detach()
        return torch.stack([self._exchange(picture, generator) for picture in new.detach()])

    def _exchange(self, picture: Tensor, generator: torch.Generator) -> Tensor:
        if len(self.pictures) < self.size:
            self.pictures.append(picture.clone())
            return picture
        is_new, place = torch.rand(2, generator=generator, dtype=torch.float64).tolist()
        if is_new < 0.5:
            return picture
        index = int(place * self.size)
        earlier = self.pictures[index]
        self.pictures[index] = picture.clone()
        return earlier.to(picture.device)

    def state(self) -> dict[str, Any]:
        """Return the pictures, on the CPU."""
        return {"pictures": [picture.cpu() for picture in self.pictures]}

    def load(self, state: Mapping[str, Any]) -> None:
        """Take up a state that :meth:`state` returned."""
        self.pictures = list(state["pictures"])
