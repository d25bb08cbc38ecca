from dataclasses import replace

import pytest

from pdray.errors import StoreError
from pdray.training.loop import timing
from pdray.training.loop.timing import can_measure, measure_pace


def test_growing_parts_are_fitted_until_the_time_is_over(make_task, monkeypatch) -> None:
    task, sizes = make_task(), []
    fit = timing.fit

    def counted(part, **options):
        sizes.append(len(part.sides[0].training))
        yield from fit(part, **options)

    monkeypatch.setattr(timing, "fit", counted)
    assert measure_pace(task, seconds=60.0).epoch > 0
    assert sizes == sorted(set(sizes))
    assert sizes[-1] == len(task.sides[0].training)
    sizes.clear()
    measure_pace(task, seconds=0.0)
    assert sizes == [timing.FIRST]


def test_a_network_is_measured_without_a_frame_store(make_task) -> None:
    task = make_task()
    bare = replace(task, recordings=tuple(replace(r, stored=None) for r in task.recordings))
    assert can_measure(bare)
    assert measure_pace(bare, seconds=0.0).epoch > 0


def test_a_fit_that_cannot_run_is_refused(make_task, tmp_path) -> None:
    task = make_task()
    lost = {"rgb": tmp_path / "absent"}
    broken = replace(task, recordings=tuple(replace(r, stored=lost) for r in task.recordings))
    with pytest.raises(StoreError):
        measure_pace(broken, seconds=0.0)
