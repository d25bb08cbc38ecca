"""The maps of frozen stages, for every recording and view, made once before the trials."""

import shutil
from collections.abc import Sequence

import ray
import torch

from pdray.command import Say, each_tenth
from pdray.data.cohort.rated import RatedRecording
from pdray.data.store.entry import Entry
from pdray.errors import StoreError
from pdray.remote import Answer, answer, answers, raise_fault
from pdray.search.cluster import Capacity
from pdray.search.plan import StudyPlan
from pdray.training.settings import FitConfig

_ROOM = 0.9  # of the free space that may be filled
_STAYS = "what is in the store stays, run it again to go on"


def prepare_views(
    plan: StudyPlan, recordings: Sequence[RatedRecording], capacity: Capacity, say: Say
) -> None:
    """Fill the frame store with the maps that trials read in the place of pictures.

    What a search draws between the ends of a range, and is not known here, is made by the trial
    that needs it.

    Args:
        plan: What the study searches or compares.
        recordings: As the trials read them.
        capacity: What there is to compute with.
        say: Prints a line.

    Raises:
        PdrayError: If a file of weights or a recording cannot be read, or the store cannot hold the
            maps.
    """
    for config in plan.fits:
        if config.views is None:
            continue
        from pdray.training.frozen.region_views import lacking_views

        lacking = lacking_views(recordings, config)
        if lacking:
            _check_room(lacking, config, say)
            _make(lacking, config, capacity, say)


def _check_room(lacking: Sequence[tuple[RatedRecording, int]], config: FitConfig, say: Say) -> None:
    from pdray.training.frozen.region_views import frozen_stages

    stages = frozen_stages(config)
    sources = [(one.stored or {})["rgb"] for one, _ in lacking]
    lengths = {path: len(Entry(path)) for path in set(sources)}
    num_bytes = stages.item_bytes * sum(lengths[path] for path in sources)
    height, width, num_maps = stages.map_shape
    say(
        f"features: {len(lacking)} views of recordings to compute once, {num_maps} maps of "
        f"{height}x{width} a frame, about {num_bytes / 1e9:.2f} GB"
    )
    free = shutil.disk_usage(sources[0].parent).free
    if num_bytes > _ROOM * free:
        raise StoreError(
            f"the maps of frozen stages need about {num_bytes / 1e9:.1f} GB and {free / 1e9:.1f} "
            "GB are free; choose another output, a smaller decode.height and decode.width, fewer "
            "features.views, a lower decode.frame_rate, or compute them at every step with "
            "features.cache=off"
        )


def _make(
    lacking: Sequence[tuple[RatedRecording, int]],
    config: FitConfig,
    capacity: Capacity,
    say: Say,
) -> None:
    # A task makes all views of a recording: its frames are then read from memory.
    recordings = {one.recording_id: one for one, _ in lacking}
    task = ray.remote(_keep).options(num_cpus=1, num_gpus=1 if capacity.gpus else 0)
    shared = ray.put(config)
    tasks = {name: task.remote(one, shared) for name, one in recordings.items()}
    progress = each_tenth(say, "features: {} recordings have their maps")
    for done, (_, (_, fault)) in enumerate(answers(tasks, who=_who, what_stays=_STAYS), start=1):
        raise_fault(fault)
        progress(done, len(recordings))


def _who(name: str) -> str:
    return "a process that computes maps"


def _keep(recording: RatedRecording, config: FitConfig) -> Answer[object]:
    """Make the views of a recording, in a task."""
    from pdray.training.frozen.region_views import keep_views

    torch.set_num_threads(1)
    return answer(keep_views, [recording], config)
