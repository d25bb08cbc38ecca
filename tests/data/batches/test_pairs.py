from collections import Counter
from itertools import pairwise

from pdray.data.batches.pairs import EpochPairs, Pairs

SOURCES, TARGETS = [3, 5, 8, 9, 11], [1, 2]


def pairs(epoch: int = 0, fold: int = 0, seed: int = 1, batch_size: int = 4) -> EpochPairs:
    key = (seed, fold, epoch)
    return EpochPairs(SOURCES, TARGETS, frames=3, batch_size=batch_size, key=key)


def steps(epoch: EpochPairs) -> list[Pairs]:
    return [epoch.step(number) for number in range(epoch.num_steps)]


def test_each_recording_of_the_larger_side_gives_its_pictures_and_the_last_step_is_filled() -> None:
    epoch = pairs()
    assert epoch.num_steps == 4  # 15 pictures in steps of 4
    drawn = [one.recording for step in steps(epoch) for one in step.source]
    assert len(drawn) == 16
    assert sorted(Counter(drawn).values()) == [3, 3, 3, 3, 4]
    assert set(drawn) == set(SOURCES)
    assert [sorted(drawn[first : first + 5]) for first in (0, 5, 10)] == [SOURCES] * 3
    targets = Counter(one.recording for step in steps(epoch) for one in step.target)
    assert targets == {1: 8, 2: 8}
    times = [one.time for step in steps(epoch) for side in step for one in side]
    assert len(set(times)) == 32
    assert 0 <= min(times) <= max(times) < 1


def test_every_picture_follows_from_seed_fold_epoch_and_step_alone() -> None:
    assert steps(pairs()) == steps(pairs())
    assert pairs().step(2) == steps(pairs())[2]
    other = [pairs(epoch=1), pairs(fold=1), pairs(seed=2)]
    assert all(steps(pairs()) != steps(one) for one in other)
    assert all(one.step(0) != two.step(0) for one, two in pairwise(other))


def test_workers_share_the_pictures_of_a_step() -> None:
    whole, parts = pairs().step(1), [pairs().step(1, rank=k, num_workers=2) for k in range(2)]
    for side in range(2):
        assert [one for both in zip(parts[0][side], parts[1][side], strict=True) for one in both] \
            == list(whole[side])  # fmt: skip


def test_some_pictures_are_of_different_recordings_as_far_as_there_are_any() -> None:
    shown = pairs().some(5)
    assert sorted(one.recording for one in shown.source) == SOURCES
    assert Counter(one.recording for one in shown.target) in ({1: 3, 2: 2}, {1: 2, 2: 3})
    assert len(pairs(batch_size=1).some(99).source) == 15
