"""Runs a table of changed pictures: opens its networks, reads its portraits and scores its rows."""

import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pdray.data.cohort.digests import SOURCES, Digests
from pdray.data.cohort.manifest import Manifest, Recording, load_manifest
from pdray.data.cohort.members import Cohort, compared_sides, make_cohort, rated
from pdray.data.face.face_area import face_area
from pdray.data.store.entry import Entry
from pdray.data.store.frame_store import FrameStore
from pdray.display import step
from pdray.errors import ManifestError
from pdray.papers.table import PaperTable
from pdray.papers.translation_plan import Translation
from pdray.papers.translation_table import Printed, translation_text
from pdray.predict.picture_groups import Groups, refuse_judges
from pdray.predict.picture_networks import MODALITY, Pictures, open_network
from pdray.predict.portrait_pictures import Portraits, read_at, read_portraits
from pdray.predict.translation_scoring import CohortPictures, Judges, TranslationScoring

PER_RECORDING = 8  # portraits, every second of which is scored
_NEEDS = (MODALITY, "landmarks")
_OF = "x_counterfactual_of"


def translation_report(
    table: PaperTable,
    made: Translation,
    folder: Path,
    say: Callable[[str], None],
    note: Callable[[Iterable[str]], None],
) -> str:
    """Return the table as text.

    Args:
        table: Its definition.
        made: Its settings and recordings.
        folder: Where the numbers of networks are kept.
        say: Prints a line of progress.
        note: Notes whose pictures are scored, before they are.

    Raises:
        PdrayError: If a network knows somebody of the cohort, or something cannot be read.
    """
    config = made.config
    cohort = make_cohort(made.manifest, config.data, config.folds, needs=_NEEDS, searches=False)
    store = FrameStore(config.output / "store", config.recipe)
    networks = {
        key: open_network(place, key)
        for key in ("judge", "identity", "fid")
        if (place := getattr(config, key)) is not None
    }
    held_in = _held_in(cohort, made)
    rows = cohort.recordings
    groups = Groups(
        tuple(row for row in rows if held_in[row.recording_id] >= 0),
        tuple(row for row in rows if held_in[row.recording_id] < 0),
        made.manifest.digest,
        config.other_people,
    )
    unknown = refuse_judges(networks, groups, Digests(store.root / SOURCES))
    note({row.subject_id for row in groups.scored})
    with step("reading portraits"):
        pictures = _cohort_pictures(cohort, made, store, held_in)
    judges = Judges(
        networks["judge"], networks["identity"],
        networks.get("fid", networks["identity"]), folder,
    )  # fmt: skip
    say(f"{len(pictures.pictures)} portraits of {len(rows)} recordings")
    with step("scoring"):
        scoring = TranslationScoring(pictures, judges)
        scores = scoring.controls()
    printed = Printed(
        title=table.title,
        paper=table.paper,
        not_built=table.not_built,
        network="FID" if judges.distances.is_fid else judges.distances.name,
        extent=[*_extent(scoring, pictures), *unknown],
        synthetic=made.synthetic,
    )
    return translation_text(printed, scores)


def _extent(scoring: TranslationScoring, pictures: CohortPictures) -> Iterator[str]:
    sides = [pictures.held_in >= 0, pictures.held_in < 0]
    people = [{pictures.subjects[k] for k in np.flatnonzero(side)} for side in sides]
    folds = len({*pictures.held_in[sides[0]]})
    split = f"{folds} folds" if folds > 1 else f"one split; {len(people[1])} are learnt from"
    yield (
        f"{len(scoring.sources)} healthy pictures of {len({*scoring.scale.sources.subjects})} "
        f"people are changed; {len(people[0])} people are scored, {split}"
    )
    for name, count in scoring.num_without.items():
        if count:
            yield f"{count} of {len(scoring.sources)} sources have no other {name} picture"
    if pictures.true is not None:
        yield (
            "true ill picture: SYNTHETIC; the same person, moment and light, drawn with another "
            "grade"
        )


def _held_in(cohort: Cohort, made: Translation) -> dict[str, int]:
    """Return the fold that holds each recording out, -1 if none, by its id."""
    recordings = rated(cohort, made.config.data, None)
    sides = compared_sides(cohort.folds, recordings)
    found = {one.recording_id: -1 for one in recordings}
    for fold, side in enumerate(sides):
        found |= {recordings[place].recording_id: fold for place in side.evaluation}
    return found


def _cohort_pictures(
    cohort: Cohort, made: Translation, store: FrameStore, held_in: dict[str, int]
) -> CohortPictures:
    rows = cohort.recordings
    ill = {one.recording_id: one.target > 0 for one in rated(cohort, made.config.data, None)}
    read = read_portraits(rows, store, PER_RECORDING)
    names = [rows[number].recording_id for number in read.rows]
    true, has_true = _true_pictures(rows, read, made, store)
    return CohortPictures(
        pictures=read.pictures,
        subjects=tuple(rows[number].subject_id for number in read.rows),
        recordings=tuple(names),
        is_ill=np.array([ill[name] for name in names]),
        held_in=np.array([held_in[name] for name in names]),
        inside=_inside(rows, read, store),
        true=true,
        has_true=has_true,
    )


def _inside(rows: Sequence[Recording], read: Portraits, store: FrameStore) -> NDArray[np.bool_]:
    """Return where the face is in each portrait, by the landmarks of its moment."""
    found = []
    for number, row in enumerate(rows):
        paths = store.add(row, _NEEDS).paths
        portraits, track = Entry(paths[MODALITY]), Entry(paths["landmarks"])
        moments = portraits.seconds[read.places[read.rows == number]]
        points = track.read(np.searchsorted(track.seconds, moments))
        found.append(face_area(points, read.pictures.shape[1]))
    return np.concatenate(found)


def _true_pictures(
    rows: Sequence[Recording], read: Portraits, made: Translation, store: FrameStore
) -> tuple[Pictures | None, NDArray[np.bool_] | None]:
    """Return the true ill picture of each portrait, and whether there is one.

    They are cut by the landmarks of the portrait that they belong to, as a method's pictures are.
    """
    if made.true is None:
        return None, None
    others = _true_rows(made.true, made.manifest)
    true, there = np.zeros_like(read.pictures), np.zeros(len(read.pictures), bool)
    for number, row in enumerate(rows):
        other = others.get(row.recording_id)
        if other is None:
            continue
        own = np.flatnonzero(read.rows == number)
        length = len(Entry(store.add(row, (MODALITY,)).paths[MODALITY]))
        same = replace(other, landmarks=row.landmarks)
        true[own] = read_at(same, store, read.places[own], length)
        there[own] = True
    return true, there


def _true_rows(table: Path, manifest: Manifest) -> dict[str, Recording]:
    """Return the recordings of true ill pictures by the recording that each belongs to.

    Raises:
        ManifestError: If the table cannot be read, or a recording is of another person than its
            source.
    """
    found = {one.recording_id: one for one in load_manifest(table).recordings}
    with table.open(encoding="utf-8", newline="") as file:
        of = {line["recording_id"]: line.get(_OF) or "" for line in csv.DictReader(file)}
    subject = {one.recording_id: one.subject_id for one in manifest.recordings}
    for name, source in of.items():
        if subject.get(source) != found[name].subject_id:
            raise ManifestError(
                f"{table.name}: {name} is said to be the true picture of {source}, which is no "
                "recording of the same person; draw the cohort anew"
            )
    return {source: found[name] for name, source in of.items()}
