"""Runs a table of changed pictures: opens its networks, reads its portraits and scores its rows."""

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pdray.data.cohort.digests import SOURCES, Digests
from pdray.data.cohort.manifest import Manifest, Recording, load_manifest
from pdray.data.cohort.members import Cohort, make_cohort, rated
from pdray.data.face.face_area import face_area
from pdray.data.store.entry import Entry
from pdray.data.store.frame_store import FrameStore
from pdray.display import step
from pdray.errors import ManifestError
from pdray.papers.table import PaperTable
from pdray.papers.translation_methods import open_methods, split
from pdray.papers.translation_plan import Translation, places_of
from pdray.papers.translation_table import Printed, translation_text
from pdray.predict.picture_groups import Groups, refuse_judges
from pdray.predict.picture_networks import MODALITY, PictureNetwork, Pictures, open_network
from pdray.predict.portrait_pictures import Portraits, read_at, read_portraits
from pdray.predict.studied import Studied
from pdray.predict.translation_scoring import CohortPictures, Judges, TranslationScoring
from pdray.predict.translators import Translator

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
    methods = open_methods(config, made.manifest.digest)
    cohort, held_in = split(cohort, config, methods)
    store = FrameStore(config.output / "store", config.recipe)
    networks = {
        key: open_network(place, key)
        for key, place in places_of(config).items()
        if key in ("judge", "identity", "fid")
    }
    unknown = _refuse(networks, made, cohort, held_in, methods, Digests(store.root / SOURCES))
    note({one.subject_id for one in cohort.recordings if held_in[one.recording_id] >= 0})
    with step("reading portraits"):
        pictures = _cohort_pictures(cohort, made, store, held_in)
    judges = Judges(
        networks["judge"], networks["identity"],
        networks.get("fid", networks["identity"]), folder,
    )  # fmt: skip
    say(f"{len(pictures.pictures)} portraits of {len(cohort.recordings)} recordings")
    with step("scoring"):
        scoring = TranslationScoring(pictures, judges)
        scores, extent = scoring.controls(), [*_extent(scoring, pictures), *unknown]
        for label, method in methods.items():
            changed = method.translate(pictures.pictures[scoring.sources])
            scores[label] = scoring.score(changed, np.arange(len(changed)))
            extent += [method.told(label), f"{label}: {scoring.copies_told(changed)}"]
    printed = Printed(
        title=table.title,
        paper=table.paper,
        not_built=table.not_built,
        network="FID" if judges.distances.is_fid else judges.distances.name,
        extent=extent,
        synthetic=made.synthetic,
    )
    return translation_text(printed, scores)


def _refuse(
    networks: Mapping[str, PictureNetwork],
    made: Translation,
    cohort: Cohort,
    held_in: Mapping[str, int],
    methods: Mapping[str, Translator],
    digests: Digests,
) -> list[str]:
    """Refuse networks that know somebody; return what is not known of them."""
    sides = [
        tuple(row for row in cohort.recordings if (held_in[row.recording_id] >= 0) == is_held)
        for is_held in (True, False)
    ]
    contents = frozenset(one for method in methods.values() for one in method.learnt.contents)
    digest, others = made.manifest.digest, made.config.other_people
    groups = Groups(sides[0], sides[1], digest, others, contents)
    guides: list[Studied | None] = [one.guide() for one in methods.values()]
    told: dict[str, None] = {}
    for guide in guides or [None]:
        told |= dict.fromkeys(refuse_judges(networks, groups, digests, guide))
    return [*told]


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


def _cohort_pictures(
    cohort: Cohort, made: Translation, store: FrameStore, held_in: Mapping[str, int]
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
