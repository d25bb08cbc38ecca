import subprocess
import sys
from collections import Counter
from dataclasses import replace
from itertools import groupby

import pytest

from pdray.data.batches.plan import Schedule, derive_seed, plan_batches
from pdray.data.cohort.rated import FoldSides, RatedRecording, check_sides
from pdray.errors import FoldsError, SettingsError

SIDES = (
    FoldSides(training=tuple(range(23)), evaluation=tuple(range(23, 30))),
    FoldSides(training=tuple(range(7, 30)), evaluation=tuple(range(7))),
)
SCHEDULE = Schedule(seed=5, batch_size=4, epochs=3)


def epochs(plan):
    """Split a plan into its (fold, epoch) pairs, in the order they are met."""
    return [(key, list(batches)) for key, batches in groupby(plan, key=lambda b: (b.fold, b.epoch))]


def order(plan, fold, epoch):
    """Return the recordings a (fold, epoch) trains on, in order."""
    return [
        recording
        for batch in plan
        if batch.training and (batch.fold, batch.epoch) == (fold, epoch)
        for recording in batch.recordings
    ]


def recording(subject):
    return RatedRecording(f"{subject}-1", subject, "gait", 1, 0, "x.mp4")


def test_epochs_are_met_once_each_fold_by_fold_and_never_mix():
    met = [key for key, _ in epochs(plan_batches(SIDES, SCHEDULE))]
    assert met == [(fold, epoch) for fold in range(2) for epoch in range(3)]


@pytest.mark.parametrize("num_workers", [1, 2, 3])
def test_every_recording_is_met_exactly_once_an_epoch(num_workers):
    plans = [
        plan_batches(SIDES, SCHEDULE, rank=rank, num_workers=num_workers)
        for rank in range(num_workers)
    ]
    for fold, side in enumerate(SIDES):
        for epoch in range(SCHEDULE.epochs):
            for training, expected in ((True, side.training), (False, side.evaluation)):
                met = Counter(
                    index
                    for plan in plans
                    for batch in plan
                    if (batch.fold, batch.epoch, batch.training) == (fold, epoch, training)
                    for index in batch.recordings
                )
                assert met == Counter(expected)


def test_evaluation_follows_training_and_starts_from_the_first_recording():
    for (fold, _), batches in epochs(plan_batches(SIDES, SCHEDULE)):
        phases = [batch.training for batch in batches]
        assert phases == sorted(phases, reverse=True)
        met = [i for batch in batches if not batch.training for i in batch.recordings]
        assert tuple(met) == SIDES[fold].evaluation


def test_no_batch_is_larger_than_asked_or_a_tiny_rest():
    sizes = [len(b.recordings) for b in plan_batches(SIDES, SCHEDULE) if b.training]
    assert max(sizes) <= SCHEDULE.batch_size
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize("num_workers", [2, 3])
def test_the_workers_shares_partition_every_global_batch(num_workers):
    whole = [batch for batch in plan_batches(SIDES, SCHEDULE) if batch.training]
    shares = [
        [b for b in plan_batches(SIDES, SCHEDULE, rank=r, num_workers=num_workers) if b.training]
        for r in range(num_workers)
    ]
    assert len(whole) > 10
    for together, *apart in zip(whole, *shares, strict=True):
        assert all(part.recordings for part in apart)
        assert {part.global_size for part in apart} == {len(together.recordings)}
        dealt = [index for part in apart for index in part.recordings]
        assert sorted(dealt) == sorted(together.recordings)
        assert {(b.fold, b.epoch) for b in apart} == {(together.fold, together.epoch)}


def test_the_order_is_a_shuffle_that_differs_between_epochs_and_folds():
    plan = plan_batches(SIDES, SCHEDULE)
    first, second = order(plan, 0, 0), order(plan, 0, 1)
    assert first != second
    assert first != sorted(first)
    # The second fold trains on the same number of recordings, seven places further on.
    assert [i - 7 for i in order(plan, 1, 0)] != first


def test_the_order_is_a_function_of_seed_fold_and_epoch_alone():
    plan = plan_batches(SIDES, SCHEDULE)
    assert plan == plan_batches(SIDES, SCHEDULE)
    longer = plan_batches(SIDES, replace(SCHEDULE, epochs=5, batch_size=9, evaluate="last_epoch"))
    assert order(longer, 1, 2) == order(plan, 1, 2)
    other = plan_batches(SIDES, replace(SCHEDULE, seed=6))
    assert order(other, 0, 0) != order(plan, 0, 0)


def test_a_first_step_leaves_out_exactly_the_finished_epochs():
    whole = epochs(plan_batches(SIDES, SCHEDULE))
    for first_step in range(len(whole) + 1):
        rest = plan_batches(SIDES, replace(SCHEDULE, first_step=first_step))
        assert epochs(rest) == whole[first_step:]


def test_last_epoch_evaluates_each_fold_once_after_its_last_epoch():
    plan = plan_batches(SIDES, replace(SCHEDULE, evaluate="last_epoch"))
    assert {(b.fold, b.epoch) for b in plan if not b.training} == {(0, 2), (1, 2)}
    assert len({(b.fold, b.epoch) for b in plan if b.training}) == 6


def test_a_batch_too_small_for_the_workers_is_refused_with_the_counts():
    # 7 recordings in batches of at most 3 are 3 + 2 + 2.
    sides = (FoldSides(training=tuple(range(7)), evaluation=(8,)),)
    schedule = Schedule(seed=0, batch_size=3, epochs=1)
    assert plan_batches(sides, schedule, num_workers=2)
    with pytest.raises(SettingsError, match="fold 0") as error:
        plan_batches(sides, schedule, num_workers=3)
    for part in ("batches of 2 recordings", "optim.batch_size = 3", "7 recordings", "3 workers"):
        assert part in str(error.value)


def test_a_subject_on_both_sides_is_refused_by_fold_and_name():
    recordings = [recording(name) for name in ("A", "B", "C", "B", "A")]
    fine = FoldSides(training=(0, 4), evaluation=(1, 2, 3))
    check_sides(recordings, [fine])
    leaking = FoldSides(training=(0, 1), evaluation=(2, 3, 4))
    with pytest.raises(FoldsError, match=r"fold 1: subjects on both sides: A, B$"):
        check_sides(recordings, [fine, leaking])


@pytest.mark.parametrize(("training", "evaluation"), [((), (0,)), ((0,), ())])
def test_a_side_without_recordings_is_refused_with_the_counts(training, evaluation):
    side = FoldSides(training, evaluation)
    counts = f"fold 0: {len(training)} recordings to train on and {len(evaluation)} to evaluate"
    with pytest.raises(FoldsError, match=counts):
        check_sides([recording("A")], [side])


def test_a_derived_seed_depends_on_every_part_and_on_their_borders():
    seeds = [derive_seed(1, "a", 2), derive_seed(2, "a", 2), derive_seed(1, "b", 2)]
    seeds += [derive_seed(1, "a", 3), derive_seed(1, "a"), derive_seed("1a", 2), derive_seed(12)]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_a_derived_seed_is_the_same_in_another_process():
    code = "from pdray.data.batches.plan import derive_seed; print(derive_seed(1, 'order', 0, 2))"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(told.stdout) == derive_seed(1, "order", 0, 2)


def test_evaluation_batches_may_be_smaller():
    sides = (FoldSides(training=tuple(range(6)), evaluation=(6, 7, 8)),)
    schedule = Schedule(seed=0, batch_size=6, epochs=1, evaluated_at_once=2)
    plan = plan_batches(sides, schedule)
    assert [len(batch.recordings) for batch in plan] == [6, 2, 1]
    assert [batch.training for batch in plan] == [True, False, False]
