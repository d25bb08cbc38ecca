"""New recordings: from a folder of videos or a manifest into the frame store."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pdray.command import Progress
from pdray.data.cohort.labels import with_labels
from pdray.data.cohort.made import refuse_made
from pdray.data.cohort.manifest import Allowed, Recording, load_manifest
from pdray.data.cohort.members import rate
from pdray.data.cohort.rated import RatedRecording
from pdray.data.media.decode import says_made
from pdray.data.modalities import SOUND, needed_fields
from pdray.data.store.entry import Entry
from pdray.data.store.extract import available
from pdray.errors import DecodeError, ManifestError, StudyError
from pdray.importers.sheets.videos import find_videos
from pdray.predict.parts import Place
from pdray.predict.settings import PredictConfig
from pdray.predict.studied import Studied

_SHOWN = 3  # reasons in a message


@dataclass(frozen=True)
class New:
    """A new recording that can be read.

    Attributes:
        row: Of the manifest, or of a video of the folder.
        rated: As a model reads it. Its grade and class are those of the manifest, or 0.
        subject: The subject of the study that it is of, if it may have learnt from it; else None.
        seconds: Length [s].
        rate: Items per second; 0 of sound and of a single item.
    """

    row: Recording
    rated: RatedRecording
    subject: str | None
    seconds: float
    rate: float


def find_rows(studied: Studied, config: PredictConfig) -> tuple[Recording, ...]:
    """Return the new recordings that the settings name.

    Raises:
        ManifestError: If the folder has no video, or the manifest has faults.
        StudyError: If the model cannot read a video, or learnt none of their items.
    """
    if config.data.manifest is not None:
        data = config.data
        allowed = Allowed(data.different_subjects, data.shared_files, data.allow_outside)
        path, scale = config.data.manifest, studied.data.scale
        manifest = load_manifest(path, scale=scale, allowed=allowed)
        refuse_made(manifest.made)
        rows = with_labels(manifest.recordings, studied.data.target)
    else:
        assert config.videos is not None, "the settings ask for one of them"
        item = _item(studied, config.item)
        paths = _videos(studied, config.videos)
        _refuse_marked(config.videos, paths)
        names = [path.with_suffix("").as_posix() for path in paths]
        if len(set(names)) < len(names):  # such as P1.mov beside P1.mp4
            names = [path.as_posix() for path in paths]
        rows = tuple(
            Recording(name, "", item, video=config.videos / path)
            for name, path in zip(names, paths, strict=True)
        )
    if not {row.item for row in rows} & set(studied.items):
        found = ", ".join(sorted({row.item for row in rows}))
        raise StudyError(
            f"study {studied.name} learnt {', '.join(studied.items)}, but the {len(rows)} new "
            f"recordings are of {found}; choose a study of these items"
        )
    return rows


def _refuse_marked(folder: Path, paths: Sequence[Path]) -> None:
    """Refuse videos that say that they are made."""
    made = [path for path in paths if says_made(folder / path)]
    if made:
        raise ManifestError(
            f"{len(made)} of {len(paths)} videos are marked as made, the first "
            f"{made[0].as_posix()}; nothing made is graded: move them out of the folder"
        )


def add_to_store(
    studied: Studied,
    rows: Sequence[Recording],
    place: Place,
    *,
    other_people: bool,
    progress: Progress,
) -> tuple[list[New], dict[str, str]]:
    """Decode the new recordings that are not in the store yet.

    Args:
        studied: The study.
        rows: The new recordings.
        place: Where they are decoded: in this process, or by tasks of a Ray cluster.
        other_people: Whether an equal subject id is another person.
        progress: Called with (done, all) recordings.

    Returns:
        Those that can be read, and the reasons by id of the others.

    Raises:
        StoreError: If the store cannot be written.
    """
    found: list[New] = []
    failures = _decode_on_cluster(studied, rows, progress) if place.is_cluster else {}
    for number, row in enumerate(rows, start=1):
        if row.recording_id in failures:
            continue
        try:
            found.append(_new(studied, row, other_people))
        except DecodeError as error:
            failures[row.recording_id] = _reason(row.recording_id, str(error))
        if not place.is_cluster:
            progress(number, len(rows))
    return found, failures


def none_readable(studied: Studied, failures: Mapping[str, str]) -> DecodeError:
    """Return the error of new recordings of which none can be read; it shows some reasons."""
    some = "; ".join(list(failures.values())[:_SHOWN])
    return DecodeError(
        f"none of {len(failures)} recordings can be read: {some}; {studied.config.model.name} "
        f"reads {' and '.join(studied.config.sees)}: give other files, or a study of what these "
        "files hold"
    )


def _decode_on_cluster(
    studied: Studied, rows: Sequence[Recording], progress: Progress
) -> dict[str, str]:
    """Fill the store; return the reasons by id of the recordings that cannot be read."""
    from pdray.data.store.prepare import prepare_store

    config = studied.config
    _, failures = prepare_store(
        rows, studied.store, config.sees, needed=config.needs, progress=progress
    )
    return {name: _reason(name, told) for name, told in failures.items()}


def _reason(recording_id: str, told: str) -> str:
    return told.removeprefix(f"recording {recording_id}: ")


def _item(studied: Studied, asked: str | None) -> str:
    if asked is not None:
        return asked
    if len(studied.items) > 1:
        raise StudyError(
            f"study {studied.name} learnt {', '.join(studied.items)}; write which of them the "
            f"videos show, such as item={studied.items[0]}"
        )
    return studied.items[0]


def _videos(studied: Studied, folder: Path) -> list[Path]:
    fields = needed_fields(studied.config.needs)
    others = [one for one in fields if one not in ("video", "sound")]
    if others:
        raise StudyError(
            f"study {studied.name}: {studied.config.model.name} reads {', '.join(others)}, which a "
            "folder of videos has not; write a manifest that names these files and give "
            "data.manifest=..."
        )
    return find_videos(folder)[0]


def _new(studied: Studied, row: Recording, other_people: bool) -> New:
    config = studied.config
    stored = studied.store.add(row, available(row, config.sees, config.needs))
    seconds, rate_of = _length(stored.paths)
    copies = [studied.subject_of_entry.get(path.stem) for path in stored.paths.values()]
    copies.append(studied.subject_of_files(row))
    subject = next((one for one in copies if one is not None), None)
    if subject is None and not other_people:
        subject = studied.subject_named(row.subject_id)
    rated = rate(replace(row, grade=row.grade or 0), studied.data.grade_cuts, stored=stored)
    # A fit refuses one person on both of its sides; who is new shares no id with the study.
    named = subject or f"new {row.subject_id or row.recording_id}"
    return New(row, replace(rated, subject_id=named, group=""), subject, seconds, rate_of)


def _length(paths: Mapping[str, Path]) -> tuple[float, float]:
    """Return the length of an entry [s], and its items per second."""
    modality, path = next(iter(paths.items()))
    times = Entry(path).seconds
    steps = np.diff(times)
    step = float(np.median(steps)) if len(steps) else 0.0
    is_seen = modality not in SOUND
    return float(times[-1] - times[0]) + step, 1 / step if step and is_seen else 0.0


def known_lengths(studied: Studied) -> tuple[list[float], list[float]]:
    """Return lengths [s] and items per second of the study's recordings, as far as they are there.

    Both are empty where the study's frames are not in the store.
    """
    found = []
    for entries in (studied.entries or {}).values():
        paths = [studied.store.root / name[:2] / f"{name}.arrow" for name in entries[:1]]
        found += [_length({studied.config.sees[0]: path}) for path in paths if path.is_file()]
    return [seconds for seconds, _ in found], [rate_of for _, rate_of in found if rate_of]
