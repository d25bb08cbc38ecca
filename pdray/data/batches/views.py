"""Views of a recording that are fixed before training, for what is computed of pictures once.

Stages that learn nothing give the same maps of a picture whenever they are asked, so their maps are
kept; a picture that is changed anew in every epoch has no such maps. What replaces that change are
a few views of each recording, each fixed for all epochs: the maps of each are kept, and training
draws one of them for each recording and epoch.

    view 0      the picture as evaluation sees it, the centre of it under ``augment.crop_size``
    view 1      the same, left and right changed
    view 2, ..  a draw of ``augment``: crop, shift and colour of the recording's own; the odd ones
                are mirrored

Evaluation sees view 0 alone. With one or two views nothing of ``augment`` but ``crop_size`` has an
effect.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from pydantic import Field

from pdray.config import Settings
from pdray.data.batches.augment import (
    Augmentation,
    AugmentConfig,
    Crop,
    central_view,
    draw_augmentation,
    seen_size,
)
from pdray.data.batches.plan import derive_seed
from pdray.data.batches.snippet import Draw

PLAIN, MIRRORED = 0, 1


class FeaturesConfig(Settings):
    """Whether the maps of frozen stages are computed once, and of what."""

    cache: Literal["auto", "off"] = Field(
        "auto",
        description="auto: maps of three frozen stages and more are computed once for each view of "
        "a recording, kept in the store and read in the place of its pictures; off: computed at "
        "every step, of pictures that augment.* changes anew",
    )
    views: int = Field(
        2,
        ge=1,
        le=64,
        description="kept views of a recording, of which training draws one an epoch [count]: the "
        "plain one, that evaluation sees; its mirror image; from the third on fixed draws of "
        "augment.*, which has no other effect then",
    )


@dataclass(frozen=True)
class Views:
    """The views of every recording.

    Attributes:
        augment: What the views from the third on are draws of.
        count: How many there are, at least 1.
        size: (height, width) of the stored pictures [px].
    """

    augment: AugmentConfig
    count: int
    size: tuple[int, int]

    @property
    def seen_size(self) -> tuple[int, int]:
        """Return the (height, width) of what the network sees [px]."""
        return seen_size(self.augment, height=self.size[0], width=self.size[1])

    def drawn(self, draw: Draw | None) -> int:
        """Return which view a snippet is read from; without a draw it is the plain one."""
        if draw is None:
            return PLAIN
        parts = (draw.seed, draw.fold, draw.epoch, draw.recording_id)
        return derive_seed("view", *parts) % self.count

    def augmentation(self, recording_id: str, view: int) -> Augmentation | None:
        """Return what makes a view of pictures of one snippet; None is nothing at all.

        Raises:
            SettingsError: If ``crop_size`` does not fit into the pictures.
        """
        snippet = torch.empty((1, 1, *self.size, 3), dtype=torch.uint8, device="meta")
        if view <= MIRRORED:
            plain = central_view(snippet, self.augment)
            return plain if view == PLAIN else replace(plain or _nothing(1), flipped=(True,))
        draws = torch.Generator().manual_seed(derive_seed("view", recording_id, view))
        drawn = draw_augmentation(snippet, self.augment, draws)
        return replace(drawn, flipped=(bool(view % 2),))

    def moves(self, recording_ids: Sequence[str], views: Sequence[int]) -> Augmentation:
        """Return what moved the pictures of snippets; their colours, which are past, are left out.

        Args:
            recording_ids: Of each snippet.
            views: Which view each was read from.
        """
        each = [
            self.augmentation(name, view) or _nothing(1)
            for name, view in zip(recording_ids, views, strict=True)
        ]
        crops = None
        if any(one.crops is not None for one in each):
            crops = tuple((one.crops or (Crop(0, 0, *self.size),))[0] for one in each)
        return replace(
            _nothing(len(each)),
            flipped=tuple(one.flipped[0] for one in each),
            shifts=tuple(one.shifts[0] for one in each),
            crops=crops,
            size=None if crops is None else self.seen_size,
        )


def _nothing(num_snippets: int) -> Augmentation:
    same = torch.ones(num_snippets)
    return Augmentation((False,) * num_snippets, ((0, 0),) * num_snippets, same, same)
