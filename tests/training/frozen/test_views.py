from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pdray.data.batches.normalise import normalise_frames
from pdray.data.batches.views import view_augmentation
from pdray.data.store.entry import Entry
from pdray.errors import DecodeError
from pdray.training.frozen.views import frozen_stages, keep_views, lacking_views
from pdray.training.loop.worker import fit
from pdray.training.task import FitTask
from tests.fixtures.region_task import PLAIN, UNCACHED, make_region_task

ONE_VIEW = {"features": {"views": 1}}
LAST_STAGE = {"model": {"frozen_stages": 3}}


@pytest.fixture
def make(tmp_path: Path, write_entry: Callable[..., Path]) -> Callable[..., FitTask]:
    def make(*settings: dict[str, Any]) -> FitTask:
        tree: dict[str, Any] = {}
        for one in settings:
            for key, section in one.items():
                tree[key] = {**tree.get(key, {}), **section}
        return make_region_task(tmp_path, write_entry, tree)

    return make


def scores(task: FitTask) -> list[dict[str, float]]:
    return [
        {name: value for name, value in result.metrics.items() if not name.startswith("time/")}
        for result in fit(task)
    ]


@pytest.mark.parametrize("trained", [{}, LAST_STAGE], ids=["frozen", "last stage"])
def test_maps_that_are_kept_teach_what_pictures_teach(make: Any, trained: Any) -> None:
    kept = scores(make(trained, ONE_VIEW))
    read = scores(make(trained, UNCACHED, PLAIN))
    assert len(kept) == 4
    for one, other in zip(kept, read, strict=True):
        # float16 has 11 bits: maps differ by 1/2048, and what was learnt from them by some of it.
        for name in ("train/loss", "val/loss"):
            assert one[name] == pytest.approx(other[name], rel=5e-3)
    assert kept[0]["train/loss"] != kept[1]["train/loss"]


def test_every_view_is_what_the_frozen_stages_make_of_its_pictures(make: Any) -> None:
    task = make(LAST_STAGE, {"features": {"views": 4}})
    (recording,) = keep_views(task.recordings[:1], task.config)
    stages = frozen_stages(task.config)
    frames = torch.from_numpy(Entry(recording.stored["rgb"]).read(np.arange(6)))
    assert recording.views is not None
    assert len({path.name for path in recording.views}) == 4
    for number, path in enumerate(recording.views):
        kept = Entry(path)
        moves = view_augmentation(stages.views, "R0", number)
        x = normalise_frames(frames[None], augmentation=moves)
        expected = stages.network.frozen_maps(x).permute(0, 2, 3, 1)
        assert (kept.dtype, kept.shape) == (np.float16, stages.item_shape)
        found = torch.from_numpy(kept.read(np.arange(6))).float()
        torch.testing.assert_close(found, expected, rtol=2**-10, atol=1e-4)
        np.testing.assert_array_equal(kept.seconds, Entry(recording.stored["rgb"]).seconds)
    plain, mirrored = (Entry(path).read(np.arange(6)) for path in recording.views[:2])
    assert not np.array_equal(plain, mirrored)


def test_what_is_behind_the_frozen_stages_makes_no_other_maps(make: Any) -> None:
    first = make(ONE_VIEW)
    assert len(lacking_views(first.recordings, first.config)) == 8
    keep_views(first.recordings, first.config)
    searched = {"model": {"roi_size": 1, "attention_kind": "none"}, "snippet": {"num_frames": 3}}
    other = make(ONE_VIEW, searched, {"loss": {"region_weight": 0.5}})
    assert lacking_views(other.recordings, other.config) == []
    mirrored = make({"features": {"views": 2}})
    assert [number for _, number in lacking_views(mirrored.recordings, mirrored.config)] == [1] * 8
    deeper = make(ONE_VIEW, LAST_STAGE)
    assert len(lacking_views(deeper.recordings, deeper.config)) == 8


def test_pictures_that_are_read_need_no_maps(make: Any) -> None:
    task = make(UNCACHED)
    assert keep_views(task.recordings, task.config) == task.recordings
    assert lacking_views(task.recordings, task.config) == []
    early = make({"model": {"frozen_stages": 2}})
    assert early.config.views is None


def test_a_fit_makes_the_maps_that_are_not_there_and_draws_a_view_an_epoch(make: Any) -> None:
    task = make({"features": {"views": 2}})
    metrics = scores(task)
    assert lacking_views(task.recordings, task.config) == []
    assert metrics == scores(task)
    first = keep_views(task.recordings, task.config)[0]
    assert first.views is not None
    content = bytearray(first.views[1].read_bytes())
    content[len(content) // 2] ^= 1  # a bit changes on disk
    first.views[1].write_bytes(content)
    found = lacking_views(task.recordings, task.config)
    assert [(one.recording_id, number) for one, number in found] == [(first.recording_id, 1)]
    plain = scores(make(ONE_VIEW))
    assert plain[0]["train/loss"] != metrics[0]["train/loss"]


def test_maps_beyond_half_precision_are_refused_with_the_recording(
    make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = make(ONE_VIEW)
    network = frozen_stages(task.config).network
    monkeypatch.setattr(type(network), "frozen_maps", lambda *_: torch.full((6, 4, 2, 2), 1e6))
    with pytest.raises(
        DecodeError, match="recording R0: the outputs of its frozen layers are outside"
    ):
        keep_views(task.recordings, task.config)


def test_a_recording_that_is_not_stored_is_named(make: Any) -> None:
    task = make(ONE_VIEW)
    lost = replace(task.recordings[4], stored=None)
    with pytest.raises(
        DecodeError, match="recording R4: its rgb is not in the frame store; run jobs"
    ):
        keep_views([lost], task.config)
