"""Runs the models of a study part by part, here or on a Ray cluster, and keeps finished parts.

A part is one model and the recordings of whole batches, so its numbers do not depend on where it
runs or on what was finished before an interruption. Finished parts lie in a private folder beside
the file of predictions until that is written. Their names are digests of all that decides them.
"""

import hashlib
import io
import json
import pickle
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from pdray.atomic import file_digest, write_bytes
from pdray.command import Progress
from pdray.config import dump
from pdray.data.batches.snippet import frame_indices
from pdray.data.cohort.rated import RatedRecording
from pdray.data.store.entry import Entry
from pdray.errors import ClusterError, DecodeError, SettingsError
from pdray.evaluation.predictions import Origin
from pdray.predict.models import Model, features, predict, weights_of
from pdray.predict.studied import Studied, open_study
from pdray.remote import answer, naming_lost_process, raise_fault
from pdray.training.estimators.fit import describe
from pdray.training.task import FitTask, evaluated_at_once

Values = NDArray[Any]
Kind = Literal["probabilities", "features", "faults"]
_LEAST = 16  # recordings of a part, as far as there are so many
_STAYS = "finished parts are kept; run it again to continue"


@dataclass(frozen=True)
class Part:
    """What one model computes at once.

    Attributes:
        kind: (K,) probabilities of classes; (D,) vector by which a network decides; or text, why
            the model cannot read a recording, empty if it can.
        model: The model.
        recordings: At least one; for probabilities, none of a subject that the model learnt from.
    """

    kind: Kind
    model: Model
    recordings: tuple[RatedRecording, ...]


@dataclass(frozen=True)
class Place:
    """Where models run.

    Attributes:
        device: Device of a network in this process.
        is_cluster: Whether the actors of the joined Ray cluster run them.
        parts: Folder of finished parts; None keeps none.
    """

    device: torch.device
    is_cluster: bool = False
    parts: Path | None = None


def parts_folder(output: Path) -> Path:
    """Return the private folder of the finished parts of a file of predictions."""
    return output.with_name(f".{output.name}.parts")


def run_models(
    studied: Studied,
    kind: Kind,
    work: Sequence[tuple[Model, Sequence[RatedRecording]]],
    place: Place,
    progress: Progress = lambda done, total: None,
) -> list[Values]:
    """Return what models compute of recordings.

    Args:
        studied: The study.
        kind: As of :class:`Part`.
        work: Models, each with its N recordings.
        place: Where they run.
        progress: Called with (done, all) parts.

    Returns:
        For each model (N, K) or (N, D) float64, or (N,) texts; (0, 0) without recordings.

    Raises:
        PdrayError: If weights or a recording cannot be read; finished parts are kept.
        ClusterError: If a process of the cluster was lost.
    """
    parts = [one for model, some in work for one in _cut(studied, kind, model, some)]
    files = _files(studied, parts, place)
    read = {number: _read(file) for number, file in enumerate(files)}
    found = {number: values for number, values in read.items() if values is not None}
    left = [number for number in range(len(parts)) if number not in found]
    run = _run_on_cluster if place.is_cluster else _run_here
    for number, values in run(studied, [(number, parts[number]) for number in left], place):
        found[number] = values
        if (file := files[number]) is not None:
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_bytes(file, _packed(values))
        progress(len(found), len(parts))
    by_model = [
        [found[number] for number, one in enumerate(parts) if one.model == model]
        for model, _ in work
    ]
    return [np.concatenate(some) if some else np.empty((0, 0)) for some in by_model]


def _cut(
    studied: Studied, kind: Kind, model: Model, recordings: Sequence[RatedRecording]
) -> Iterator[Part]:
    """Cut the recordings of a model where its batches end; a fit in one step is one part."""
    batch = evaluated_at_once(studied.config)
    size = batch * max(1, _LEAST // batch)
    if studied.learns_at_once and kind == "probabilities":
        size = max(1, len(recordings))
    for start in range(0, len(recordings), size):
        yield Part(kind, model, tuple(recordings[start : start + size]))


def _files(studied: Studied, parts: Sequence[Part], place: Place) -> list[Path | None]:
    """Return the file of each part, named after all that decides its numbers."""
    if place.parts is None:
        return [None] * len(parts)
    learnt = studied.facts["tags"].get("manifest_digest", "")
    weights = {
        model: learnt if studied.learns_at_once else file_digest(weights_of(studied, model))
        for model in {one.model for one in parts}
    }
    return [place.parts / f"{_digest(studied, one, weights[one.model])}.npy" for one in parts]


def _digest(studied: Studied, part: Part, weights: str) -> str:
    facts = {
        "kind": part.kind,
        "study": [studied.facts.get("study_id"), studied.trial["number"], dump(studied.config)],
        "model": [part.model.name, weights, sorted(part.model.learnt)],
        "numbers": [studied.seed, studied.threads],
        "recordings": [
            [one.recording_id, *sorted(path.stem for path in (one.stored or {}).values())]
            for one in part.recordings
        ],
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()


def _run(studied: Studied, part: Part, device: torch.device) -> Values:
    """Return the values of a part, in the order of its recordings."""
    if part.kind == "features":
        return features(studied, part.model, part.recordings, device)
    if part.kind == "faults":
        return np.array([_fault(studied, one) for one in part.recordings], dtype=np.str_)
    table = predict(studied, part.model, part.recordings, device)
    shares: Values = table.loc[[one.recording_id for one in part.recordings]].to_numpy()
    return shares


def _fault(studied: Studied, recording: RatedRecording) -> str:
    """Return why the models of a study cannot read a recording; empty if they can."""
    config = studied.config
    try:
        if studied.learns_at_once:
            origin = Origin(study=studied.name, trial=0, fold=0, epoch=0)
            describe(FitTask(origin, config, (recording,), (), studied.num_classes, 1))
            return ""
        assert recording.stored is not None, "new recordings are in the store"
        num_frames = len(Entry(recording.stored[config.sees[0]]))
        frame_indices(num_frames, config.snippet, None, recording_id=recording.recording_id)
    except DecodeError as error:
        return str(error).removeprefix(f"recording {recording.recording_id}: ")
    except SettingsError:  # snippet.short=refuse
        return f"too short for the model: it has {num_frames} frames"
    return ""


def _run_here(
    studied: Studied, parts: Sequence[tuple[int, Part]], place: Place
) -> Iterator[tuple[int, Values]]:
    for number, part in parts:
        yield number, _run(studied, part, place.device)


def _run_on_cluster(
    studied: Studied, parts: Sequence[tuple[int, Part]], _: Place
) -> Iterator[tuple[int, Values]]:
    """Run parts in a pool of actors, each of which holds one model at a time."""
    import ray.data

    from pdray.data.store.prepare import quiet_context

    if not parts:
        return
    threads = studied.threads
    num_gpus, fitting = _room(threads)
    rows = [{"number": number, "part": pickle.dumps(part)} for number, part in parts]
    quiet_context()
    done = ray.data.from_items(rows, override_num_blocks=len(rows)).map_batches(
        _Actor,
        fn_constructor_args=(studied.study.folder, threads),
        batch_size=1,
        compute=ray.data.ActorPoolStrategy(
            min_size=1, max_size=min(fitting, len(rows)), max_tasks_in_flight_per_actor=1
        ),
        num_cpus=threads,
        num_gpus=num_gpus or None,
    )
    with naming_lost_process("a process that predicts", _STAYS):
        for row in done.iter_rows():
            raise_fault(row["fault"])
            yield int(row["number"]), _unpacked(row["values"])


def _room(threads: int) -> tuple[float, int]:
    """Return the GPUs of each actor of the cluster, and how many actors fit at once."""
    import ray

    alive = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    cpus, gpus = ([int(one.get(name, 0)) for one in alive] for name in ("CPU", "GPU"))
    num_gpus = float(any(gpus))
    fitting = sum(
        min(cpu // threads, gpu) if num_gpus else cpu // threads
        for cpu, gpu in zip(cpus, gpus, strict=True)
    )
    if not fitting:
        raise ClusterError(
            f"a model of the study predicts with {threads} CPUs (resources.cpus_per_worker), but "
            f"no node has as many: the largest has {max(cpus, default=0)}; predict on this machine "
            "alone: leave resources.address out"
        )
    return num_gpus, fitting


class _Actor:
    """An actor of Ray Data that runs parts of one study."""

    def __init__(self, folder: Path, threads: int) -> None:
        torch.set_num_threads(threads)
        self.studied = open_study(folder)
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")

    def __call__(self, rows: dict[str, Any]) -> dict[str, Any]:
        part: Part = pickle.loads(rows["part"][0])
        found, fault = answer(_run, self.studied, part, self.device)
        packed = b"" if found is None else _packed(found)
        return {
            "number": rows["number"],
            "values": np.array([packed], object),
            "fault": np.array([fault], object),
        }


def _packed(values: Values) -> bytes:
    with io.BytesIO() as file:
        np.save(file, values, allow_pickle=False)
        return file.getvalue()


def _unpacked(content: bytes) -> Values:
    values: Values = np.load(io.BytesIO(content), allow_pickle=False)
    return values


def _read(file: Path | None) -> Values | None:
    """Return the numbers of a finished part; None if it is not finished."""
    if file is not None:
        with suppress(OSError, ValueError, EOFError):
            return _unpacked(file.read_bytes())
    return None
