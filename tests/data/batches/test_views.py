from collections import Counter

import pytest
import torch

from pdray.data.batches.augment import Crop
from pdray.data.batches.settings import AugmentConfig, Views
from pdray.data.batches.snippet import Draw
from pdray.data.batches.views import drawn_view, view_augmentation, view_moves

PICTURE = (48, 64)
CROPPED = AugmentConfig(crop_size=(40, 40))


def test_the_plain_view_is_the_one_of_evaluation_and_the_next_its_mirror_image() -> None:
    views = Views(AugmentConfig(), 2, PICTURE)
    assert view_augmentation(views, "r", 0) is None
    mirror = view_augmentation(views, "r", 1)
    assert mirror is not None
    assert mirror.flipped == (True,)
    assert mirror.crops is None
    assert mirror.shifts == ((0, 0),)
    assert torch.equal(mirror.brightness, torch.ones(1))
    assert views.seen_size == PICTURE


def test_a_crop_is_the_centre_in_both() -> None:
    views = Views(CROPPED, 2, PICTURE)
    found = [view_augmentation(views, "r", number) for number in (0, 1)]
    assert [one.crops for one in found if one] == [(Crop(4, 12, 40, 40),)] * 2
    assert [one.flipped for one in found if one] == [(False,), (True,)]
    assert views.seen_size == (40, 40)


def test_further_views_are_draws_of_the_recording_and_of_nothing_else() -> None:
    views = Views(AugmentConfig(max_shift=0.2), 6, PICTURE)
    found = [view_augmentation(views, "r", number) for number in range(2, 6)]
    assert [one.flipped[0] for one in found if one] == [False, True, False, True]
    assert len({one.shifts for one in found if one}) == 4
    again, other = view_augmentation(views, "r", 4), view_augmentation(views, "s", 4)
    assert again is not None
    assert other is not None
    assert found[2] is not None
    assert again.shifts == found[2].shifts
    assert other.shifts != found[2].shifts


def test_training_draws_every_view_equally_often_and_evaluation_none() -> None:
    views = Views(AugmentConfig(), 3, PICTURE)
    drawn = [
        drawn_view(views, Draw(1, 0, epoch, f"R{r}")) for epoch in range(30) for r in range(30)
    ]
    counts = Counter(drawn)
    assert sorted(counts) == [0, 1, 2]
    assert all(250 < count < 350 for count in counts.values())
    assert drawn[:30] != drawn[30:60]
    assert drawn_view(views, Draw(1, 0, 4, "R2")) == drawn[4 * 30 + 2]
    assert drawn_view(views, None) == 0


@pytest.mark.parametrize("augment", [AugmentConfig(), CROPPED, AugmentConfig(crop_scales=(1, 0.5))])
def test_a_batch_joins_what_moved_each_of_its_recordings(augment: AugmentConfig) -> None:
    views = Views(augment, 4, PICTURE)
    names, numbers = ["a", "a", "b", "c"], [0, 2, 3, 1]
    joined = view_moves(views, names, numbers)
    assert len(joined.brightness) == 4
    for place, (name, number) in enumerate(zip(names, numbers, strict=True)):
        one = view_augmentation(views, name, number)
        assert joined.flipped[place] == (one is not None and one.flipped[0])
        assert joined.shifts[place] == (one.shifts[0] if one else (0, 0))
        if joined.crops is not None:
            whole = Crop(0, 0, *PICTURE)
            assert joined.crops[place] == (one.crops[0] if one and one.crops else whole)
            assert joined.size == views.seen_size
