"""Opens the winner of a finished study and its test recordings."""

import json
import pickle
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pdray.atomic import file_digest
from pdray.data.batches.augment import augment_points, central_view, move_frames
from pdray.data.batches.normalise import normalise_frames
from pdray.data.batches.plan import PlannedBatch
from pdray.data.batches.reader import SnippetReader
from pdray.data.batches.snippet import frame_indices
from pdray.data.cohort.manifest import Manifest, Recording, select
from pdray.data.cohort.rated import RatedRecording
from pdray.data.media.tracks import read_track
from pdray.data.modalities import MODALITIES, Modality, needed_fields
from pdray.data.store.entry import Entry
from pdray.errors import StudyError, refuse
from pdray.explain.spread import Regions, grid
from pdray.predict.models import find_models, read_network
from pdray.predict.studied import Studied, open_study
from pdray.tracking.generators import refuse_generator
from pdray.tracking.run_log import StudyLog
from pdray.tracking.withdrawn import refuse_learnt
from pdray.training.estimators.probe import frozen_features
from pdray.training.settings import FitConfig

_SHOWN = 5  # recordings named in one message
_TOLD = 200  # letters of torch's reason
_NO_WEIGHTS = (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError, TypeError)


@dataclass(frozen=True)
class HeldOut:
    """The winner of a finished study, and its recordings.

    Attributes:
        studied: The study.
        network: The winner, or the frozen network of a linear probe, in evaluation mode, without
            gradients.
        rows: The test set's recordings that the study could use, in the manifest's order.
        learnt: Those of the subjects that the winner learnt from, likewise.
        development: Ids of all recordings of these subjects, of another item too.
    """

    studied: Studied
    network: nn.Module
    rows: tuple[Recording, ...]
    learnt: tuple[Recording, ...]
    development: frozenset[str]

    @property
    def config(self) -> FitConfig:
        """The winner's settings."""
        return self.studied.config

    @property
    def synthetic(self) -> bool:
        """Whether the cohort is rendered."""
        return self.studied.is_synthetic or any(row.is_synthetic for row in self.rows)

    def rated(self, row: Recording, *beside: Modality) -> RatedRecording:
        """Return a recording as a fit reads it; make its missing store entries.

        Args:
            row: One of ``rows`` or ``learnt``.
            *beside: Further modalities.

        Raises:
            DecodeError: If a file cannot be read; names the recording.
            StudyError: If the recording's file has changed since the study ran.
            StoreError: If the store cannot be written.
        """
        return self.studied.read_again(row, self.config.sees[:1], *beside)


@dataclass(frozen=True)
class Seen:
    """The network's input from one recording, and the same frames as pictures.

    Attributes:
        recording: The recording.
        snippets: (S, C, T, H, W) float32, normalised.
        indices: (S, T) which frame of the recording each is.
        frames: (F,) int64 the different ones among them, rising.
        seconds: (F,) their times.
        pictures: (F, H, W, 3) uint8 RGB; None where nobody is to be shown.
        regions: On the pictures; a grid where the recording has none.
    """

    recording: RatedRecording
    snippets: Tensor
    indices: NDArray[np.int64]
    frames: NDArray[np.int64]
    seconds: NDArray[np.float64]
    pictures: NDArray[np.uint8] | None
    regions: Regions


def open_held_out(folder: Path) -> HeldOut:
    """Read the winner of a study and its test recordings.

    Args:
        folder: The study's folder, ``<output>/studies/<name>``, or that of an outer fold.

    Raises:
        StudyError: If there is no study, no winner, it is not finished or sees no pictures; or
            the manifest, or the file of frozen weights, has changed since.
        PdrayError: If the manifest, the folds or the weights cannot be read.
    """
    studied = open_study(folder)
    refuse_generator(studied.name, studied.trial["settings"])
    refuse_learnt(studied.study, ["refit"])
    config = studied.config
    if config.network is None:
        raise StudyError(
            f"study {studied.name}: its winner is {config.model.name} on {config.modality}, but "
            "maps and features need a network on pictures; choose another study"
        )
    manifest = studied.manifest("maps are of its test recordings")
    if config.entry.keeps_weights:
        (winner,) = find_models(studied, "refit")
        network = read_network(studied, winner)
    else:
        _check_frozen(studied.study, config)
        network = frozen_features(config).network
    held, learnt = _sides(studied, manifest)
    people = studied.folds.development
    others = (one.recording_id for one in manifest.recordings if one.subject_id in people)
    return HeldOut(studied, network.requires_grad_(False), held, learnt, frozenset(others))


def choose(held: HeldOut, asked: Sequence[str] | None) -> tuple[Recording, ...]:
    """Return the recordings that are asked for.

    Args:
        held: The study.
        asked: Recording ids; None is the whole test set.

    Raises:
        StudyError: If one is not of the test set; says whether the winner learnt from it, and
            lists what may be asked for.
    """
    by_id = {row.recording_id: row for row in held.rows}
    names = list(by_id)
    more = f", ... ({len(names)} in all)" if len(names) > _SHOWN else ""
    right = f"choose from the test recordings {', '.join(names[:_SHOWN])}{more}"
    faults = []
    for name in asked if asked is not None else ():
        if name in held.development:
            faults.append(f"recording {name} is of a development subject, not a test one; {right}")
        elif name not in by_id:
            faults.append(f"recording {name} is not a test recording of the study; {right}")
    refuse(faults or ([] if asked != () else [f"got none; {right}"]), StudyError, "recordings")
    return tuple(
        by_id.values() if asked is None else (by_id[name] for name in dict.fromkeys(asked))
    )


def may_be_shown(held: HeldOut, rows: Iterable[Recording], *, show_people: bool) -> frozenset[str]:
    """Return the ids of the recordings whose pictures may be shown.

    SYNTHETIC recordings show nobody. Others need ``show_people``, and the consent of everybody who
    is in the file: ``consent_pictures`` is yes in all rows of the subject.

    Args:
        held: The study.
        rows: Some of its rows.
        show_people: Whether the user asks for pictures of people.
    """
    people: dict[str, list[bool]] = {}
    for row in (*held.rows, *held.learnt):
        people.setdefault(row.subject_id, []).append(row.consent_pictures == "yes")
    agree = {subject for subject, said in people.items() if all(said)} if show_people else set()
    return frozenset(
        row.recording_id
        for row in rows
        if row.is_synthetic or (row.together or {row.subject_id}) <= agree
    )


def see(held: HeldOut, row: Recording, *, pictures: bool) -> Seen:
    """Read a recording in the network's evaluation view, with its regions.

    Args:
        held: The study.
        row: One of its rows.
        pictures: Whether pictures for people are wanted.

    Raises:
        PdrayError: If it cannot be read, as :meth:`HeldOut.rated`.
    """
    config = held.config
    modality: Modality = config.sees[0]
    # Regions stand on the frames; portraits are no frames, and are pictures themselves.
    spec = MODALITIES[modality]
    beside: list[Modality] = [] if spec.is_colour or not pictures else ["rgb"]
    has_regions = row.regions is not None and spec.placed_by is None
    beside += ["regions"] if has_regions else []
    recording = held.rated(row, *beside)
    assert recording.stored is not None, "it was just put into the store"
    reader = SnippetReader(
        (recording,), config.snippet, config.decode, 0,
        modality=modality, beside=tuple(beside), limits=config.limits,
    )  # fmt: skip
    batch = PlannedBatch(0, 0, False, (0,), 1)
    read = {name: values[0] for name, values in reader.allocate(batch).items()}
    reader.read(batch, 0, {name: values.numpy() for name, values in read.items()})
    entry = Entry(recording.stored[modality])
    indices = frame_indices(len(entry), config.snippet, None, recording_id=recording.recording_id)
    frames, first = np.unique(indices, return_index=True)
    view = central_view(read[modality], config.augment)
    snippets = normalise_frames(read[modality], augmentation=view, modality=modality)
    shown = None
    if pictures:
        drawn = read[modality if spec.is_colour else "rgb"]
        seen = drawn if view is None else move_frames(drawn, view)
        shown = seen.flatten(0, 1).numpy()[first]
    height, width = snippets.shape[3:]
    regions = grid(len(frames), height=height, width=width)
    if row.regions is not None and has_regions:
        points = read["regions"]
        if view is not None:
            stored_size = (read[modality].shape[2], read[modality].shape[3])
            points = augment_points(points, view, stored_size, torch.arange(points.shape[2]))
        regions = _named_regions(row.regions, points.flatten(0, 1).numpy()[first])
    return Seen(recording, snippets, indices, frames, entry.seconds[frames], shown, regions)


def _named_regions(track: Path, points: NDArray[np.float32]) -> Regions:
    """Return polygons on frames with the names from their track."""
    found = read_track(track)
    assert found.vertices is not None, "a track of regions: the store has checked it"
    numbers = range(1, len(found.vertices) + 1)
    names = found.names or tuple(f"region {number}" for number in numbers)
    return Regions(points, found.vertices, names)


def _check_frozen(study: StudyLog, config: FitConfig) -> None:
    """Refuse a weights file of a probe that has changed since the study."""
    file, table = config.pretrained, study.folder / "weights.json"
    if file is None or not (file.is_file() and table.is_file()):
        return  # whoever reads the file says that it is absent
    read = json.loads(table.read_text(encoding="utf-8")).get(str(file))
    if read not in (None, file_digest(file)):
        raise StudyError(
            f"study {study.folder.name}: the content of {file} has changed since the study ran; "
            "restore the old file"
        )


def _sides(studied: Studied, manifest: Manifest) -> tuple[tuple[Recording, ...], ...]:
    """Return the test recordings, and those that the winner learnt from."""
    entries, folds = studied.entries, studied.folds
    needs = ("video", "grade", *needed_fields(studied.config.needs))
    usable, _ = select(manifest, items=studied.data.items, needs=needs)
    read = [one for one in usable if entries is None or one.recording_id in entries]
    held, learnt = (
        tuple(one for one in read if one.subject_id in side)
        for side in (folds.test, folds.development)
    )
    if not held:
        right = ""
        if outer := studied.study.outer_studies():
            right = (
                "; its winner learnt from all subjects, so explain the winner of an outer fold: "
                f"study={outer[0].folder}"
            )
        raise StudyError(
            f"{studied.study.folds_path}: no recording of the manifest is in the test set{right}"
        )
    return held, learnt
