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
from dataclasses import replace

import torch

from pdray.data.batches.augment import Augmentation, Crop, central_view, draw_augmentation
from pdray.data.batches.plan import derive_seed
from pdray.data.batches.settings import Views
from pdray.data.batches.snippet import Draw

PLAIN, MIRRORED = 0, 1


def drawn_view(views: Views, draw: Draw | None) -> int:
    """Return which view a snippet is read from; without a draw it is the plain one."""
    if draw is None:
        return PLAIN
    parts = (draw.seed, draw.fold, draw.epoch, draw.recording_id)
    return derive_seed("view", *parts) % views.count


def view_augmentation(views: Views, recording_id: str, view: int) -> Augmentation | None:
    """Return what makes a view of pictures of one snippet; None is nothing at all.

    Raises:
        SettingsError: If ``crop_size`` does not fit into the pictures.
    """
    snippet = torch.empty((1, 1, *views.size, 3), dtype=torch.uint8, device="meta")
    if view <= MIRRORED:
        plain = central_view(snippet, views.augment)
        return plain if view == PLAIN else replace(plain or _nothing(1), flipped=(True,))
    draws = torch.Generator().manual_seed(derive_seed("view", recording_id, view))
    drawn = draw_augmentation(snippet, views.augment, draws)
    return replace(drawn, flipped=(bool(view % 2),))


def view_moves(views: Views, recording_ids: Sequence[str], numbers: Sequence[int]) -> Augmentation:
    """Return what moved the pictures of snippets; their colours, which are past, are left out.

    Args:
        views: Those of every recording.
        recording_ids: Of each snippet.
        numbers: Which view each was read from.
    """
    each = [
        view_augmentation(views, name, number) or _nothing(1)
        for name, number in zip(recording_ids, numbers, strict=True)
    ]
    crops = None
    if any(one.crops is not None for one in each):
        crops = tuple((one.crops or (Crop(0, 0, *views.size),))[0] for one in each)
    return replace(
        _nothing(len(each)),
        flipped=tuple(one.flipped[0] for one in each),
        shifts=tuple(one.shifts[0] for one in each),
        crops=crops,
        size=None if crops is None else views.seen_size,
    )


def _nothing(num_snippets: int) -> Augmentation:
    same = torch.ones(num_snippets)
    return Augmentation((False,) * num_snippets, ((0, 0),) * num_snippets, same, same)
