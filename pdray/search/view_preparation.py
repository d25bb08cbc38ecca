"""Computes the outputs of frozen layers for every recording and view, before the trials."""

import shutil
from collections.abc import Sequence

import ray
import torch

from pdray.command import Say
from pdray.data.cohort.rated import RatedRecording
from pdray.data.store.entry import Entry
from pdray.display import step
from pdray.errors import StoreError
from pdray.remote import Answer, answer, answers, raise_fault
from pdray.search.cluster import Capacity
from pdray.search.plan import StudyPlan
from pdray.training.settings import FitConfig

_ROOM = 0.9  # share of the free disk space that may be filled
_STAYS = "the store keeps what is complete; run it again to continue"


def prepare_views(
    plan: StudyPlan, recordings: Sequence[RatedRecording], capacity: Capacity, say: Say
) -> None:
    """Fill the frame store with the feature maps that trials read in place of pictures.

    Maps for values inside a searched range are not known here; the trial that needs them computes
    them.

    Args:
        plan: Settings, and what the study searches or compares.
        recordings: Recordings of the trials.
        capacity: CPUs and GPUs of the cluster.
        say: Prints a line.

    Raises:
        PdrayError: If a weights file or a recording cannot be read, or the disk is too small for
            the maps.
    """
    for config in plan.fits:
        if config.views is None:
            continue
        from pdray.training.frozen.views import lacking_views

        lacking = lacking_views(recordings, config)
        if lacking:
            _check_room(lacking, config, say)
            _make(lacking, config, capacity, say)


def _check_room(lacking: Sequence[tuple[RatedRecording, int]], config: FitConfig, say: Say) -> None:
    from pdray.training.frozen.views import frozen_stages

    stages = frozen_stages(config)
    sources = [(one.stored or {})["rgb"] for one, _ in lacking]
    lengths = {path: len(Entry(path)) for path in set(sources)}
    num_bytes = stages.item_bytes * sum(lengths[path] for path in sources)
    *places, num_features = stages.item_shape
    say(
        f"features: computing the frozen layers once for {len(lacking)} views of recordings: "
        f"{num_features} features at {'x'.join(map(str, places)) or '1'} places per frame, about "
        f"{num_bytes / 1e9:.2f} GB"
    )
    free = shutil.disk_usage(sources[0].parent).free
    if num_bytes > _ROOM * free:
        raise StoreError(
            f"the outputs of frozen layers need about {num_bytes / 1e9:.1f} GB, but only "
            f"{free / 1e9:.1f} GB are free; choose another output, a smaller decode.height and "
            "decode.width, fewer features.views, a lower decode.frame_rate, or compute them at "
            "every step with features.cache=off"
        )


def _make(
    lacking: Sequence[tuple[RatedRecording, int]],
    config: FitConfig,
    capacity: Capacity,
    say: Say,
) -> None:
    # One task makes all views of a recording, so that its frames stay in memory.
    recordings = {one.recording_id: one for one, _ in lacking}
    task = ray.remote(_keep).options(num_cpus=1, num_gpus=1 if capacity.gpus else 0)
    shared = ray.put(config)
    tasks = {name: task.remote(one, shared) for name, one in recordings.items()}
    with step("computing frozen layers") as now:
        progress = now.counting(say, "features: {} recordings are computed")
        answered = answers(tasks, who=_who, what_stays=_STAYS)
        for done, (_, (_, fault)) in enumerate(answered, start=1):
            raise_fault(fault)
            progress(done, len(recordings))


def _who(name: str) -> str:
    return "a process that computes frozen layers"


def _keep(recording: RatedRecording, config: FitConfig) -> Answer[object]:
    """Compute the views of a recording, in a Ray task."""
    from pdray.training.frozen.views import keep_views

    torch.set_num_threads(1)
    return answer(keep_views, [recording], config)
