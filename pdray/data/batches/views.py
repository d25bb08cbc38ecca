"""Fixed views of a recording, whose maps of frozen stages are cached.

Frozen stages always give the same maps for a picture, so the maps can be cached. A picture that is
augmented anew in each epoch cannot. So each recording gets a few views that are fixed for all
epochs: their maps are cached, and training draws one view per recording and epoch.

    view 0      the picture as in evaluation (its centre, if ``augment.crop_size`` is set)
    view 1      its mirror image
    view 2, ..  a draw of ``augment`` per recording: crop, shift and colour; odd views are mirrored

Evaluation uses only view 0. With one or two views, only ``crop_size`` of ``augment`` has an effect.
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
    """Return the view that a snippet is read from; the plain one without a draw."""
    if draw is None:
        return PLAIN
    parts = (draw.seed, draw.fold, draw.epoch, draw.recording_id)
    return derive_seed("view", *parts) % views.count


def view_augmentation(views: Views, recording_id: str, view: int) -> Augmentation | None:
    """Return the augmentation that makes a view of one snippet; None: the picture unchanged.

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
    """Return the movement of the pictures of snippets, without changes of colour.

    Args:
        views: Views per recording.
        recording_ids: Recording of each snippet.
        numbers: View of each snippet.
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
