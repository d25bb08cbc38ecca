"""Twelve people on film, translators that learnt from S03 among others, and who learns from films.

The folds are those of the test with landmarks: each of six holds out one healthy and one ill
person, by hand. A small CUT is trained on each training side, and films of the five healthy people
of that side are changed by it. All films are SYNTHETIC.
"""

import csv
import hashlib
import io
from dataclasses import replace
from datetime import date

import numpy as np
import pytest
import torch

from pdray.atomic import file_digest
from pdray.checks.weights import run as check_weights
from pdray.config import build
from pdray.data.cohort.csv_table import table_text
from pdray.data.cohort.folds import Folds, folds_to_json
from pdray.data.cohort.manifest import load_manifest
from pdray.data.cohort.members import rate
from pdray.data.cohort.provenance import Provenance, Source, read_provenance, write_provenance
from pdray.data.cohort.rated import FoldSides, check_sides
from pdray.data.media.marked import Mark, write_marked_video
from pdray.data.store.entry import Entry
from pdray.data.store.frame_store import FrameStore
from pdray.data.store.settings import Recipe
from pdray.demo.cohort import make_cohort
from pdray.demo.illness.severity import DemoConfig
from pdray.errors import FoldsError, ManifestError
from pdray.evaluation.predictions import Origin
from pdray.tracking.made import keep_made
from pdray.tracking.run_log import StudyLog
from pdray.training.loop.worker import fit
from pdray.training.settings import FitConfig
from pdray.training.task import FitTask
from pdray.training.translators.cut import build as build_cut
from pdray.training.translators.learnt import keep_learnt, read_learnt
from pdray.training.translators.pictures import as_codes, as_floats
from tests.checks.cases import make_case
from tests.checks.test_weights import start_from
from tests.data.cohort.test_made import encoded_again
from tests.fixtures.translator_study import CUT
from tests.synthesis.test_leak import HELD, WITHOUT_S03, made_of, members

SIDE = 64  # of the translators' pictures [px]
FACES = {"num_subjects": 12, "num_visits": 1, "items": ["face_interview"], "missing": 0.0, "fps": 5,
         "size": SIDE, "min_seconds": 1.0, "max_seconds": 1.0, "seed": 21}  # fmt: skip
FILMS = ("rgb",)
SMALL = {
    "model": CUT, "decode": {"height": SIDE, "width": SIDE}, "synthesis": {"frames": 1},
    "optim": {"epochs": 1, "batch_size": 5, "precision": "float32"},
}  # fmt: skip


def translators(folder, rows):
    """Train a translator on each training side; return its method and whom it learnt from."""
    recipe = build(Recipe, {"decode": {"height": SIDE, "width": SIDE}})
    store = FrameStore(folder / "store", recipe)
    recordings = tuple(rate(row, (2,), stored=store.add(row)) for row in rows)
    everyone = range(len(rows))
    sides = tuple(
        FoldSides(
            tuple(k for k in everyone if rows[k].subject_id not in held),
            tuple(k for k in everyone if rows[k].subject_id in held),
        )
        for held in HELD
    )
    config = build(FitConfig, SMALL)
    task = FitTask(
        origin=Origin(study="small", trial=0, fold=0, epoch=0, seed=1), config=config,
        recordings=recordings, sides=sides, num_classes=2, epochs=1, evaluate="last_epoch",
    )  # fmt: skip
    for result in fit(task):
        method = build_cut(config, 2)
        method.networks.load_state_dict(result.state["model"])
        weights = io.BytesIO()
        torch.save(method.networks.state_dict(), weights)
        keep_learnt(task, folder / f"learnt{result.fold}.json", fold=result.fold)
        digest = hashlib.sha256(weights.getvalue()).hexdigest()
        yield method, digest, read_learnt(folder / f"learnt{result.fold}.json"), recordings


def write_set(folder, number, generator):
    """Change the films of a training side, and write its provenance; return the made rows."""
    method, digest, learnt, recordings = generator
    facts = {
        "method": "cut", "study": "small", "weights": digest, "seed": learnt.seed,
        "learnt_subjects": learnt.subjects, "learnt_contents": learnt.contents,
    }  # fmt: skip
    mark = Mark("cut", date(2026, 12, 1), Provenance.model_construct(**facts, made={}).maker)
    rows, listed = [], {}
    for one in recordings:
        if one.target or one.subject_id not in learnt.subjects:
            continue
        entry = Entry(one.stored["rgb"])
        sources = as_floats(entry.read(np.arange(len(entry))), torch.device("cpu"))
        ones = torch.ones(len(sources))
        frames = as_codes(method.translate(sources, ones.long(), ones))
        file = folder / f"fold{number}" / f"{one.recording_id}_class1.mp4"
        crop = write_marked_video(file, frames, np.arange(len(frames)) / 5, mark)
        listed[file_digest(file)] = Source(
            recording_id=one.recording_id, target_class=1, strength=1
        )
        rows.append(
            {
                "recording_id": f"{one.recording_id}_cut_fold{number}",
                "subject_id": one.subject_id, "item": one.item, "grade": "4", "crop": crop,
                "video": str(file), "made_by": str(folder / f"fold{number}" / "provenance.json"),
            }
        )  # fmt: skip
    write_provenance(folder / f"fold{number}" / "provenance.json", Provenance(**facts, made=listed))
    return rows


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    """Return the manifest of twelve people, and the one with what was made of them too."""
    root = tmp_path_factory.mktemp("films")
    drawn = load_manifest(make_cohort(root, build(DemoConfig, FACES), num_processes=1))
    cells = [
        {
            "recording_id": f"RS{number:02d}", "subject_id": f"S{number:02d}",
            "item": one.item, "grade": str(4 * ((number + 1) % 2)), "video": str(one.video),
            "consent_synthesis": "learn change show", "crop": "", "made_by": "",
        }
        for number, one in enumerate(drawn.recordings, start=1)
    ]  # fmt: skip
    plain = write(root / "plain.csv", cells)
    sets = translators(root, load_manifest(plain).recordings)
    made = [row for n, one in enumerate(sets) for row in write_set(root / "films.made", n, one)]
    return plain, write(root / "films.csv", [*cells, *made])


def write(path, rows):
    path.write_text(table_text(rows[0], rows))
    return path


def rows_of(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_no_film_is_learnt_from_beside_a_held_out_person_whom_its_generator_knows(films):
    _, recordings, found = members(films[1], needs=FILMS, made="training", made_share=9.0)
    assert len(recordings) == 12 + 30
    for number, side in enumerate(found):
        own = made_of(recordings, side)
        assert own == {one.recording_id for one in recordings[12:]
                       if one.recording_id.endswith(f"fold{number}")}  # fmt: skip
        assert len(own) == 5
    # Without the rule the fold that holds S03 out would have trained on the films of the five
    # generators that learnt from S03: 25 of 30, of which 5 show S03 changed.
    held = found[WITHOUT_S03]
    everything = replace(held, training=(*held.training, *range(12, len(recordings))))
    leaks = [recordings[k] for k in everything.training if "S03" in recordings[k].carries]
    assert len(leaks) == 25
    assert sum(one.subject_id == "S03" for one in leaks) == 5
    with pytest.raises(FoldsError, match="subjects on both sides: S03, S04"):
        check_sides(recordings, [everything])
    check_sides(recordings, found)


def test_folds_are_those_of_the_real_films_to_the_byte(films):
    plain, *_ = members(films[0], needs=FILMS)
    with_made, *_ = members(films[1], needs=FILMS, made="training")
    assert folds_to_json(plain.folds) == folds_to_json(with_made.folds)
    assert len(with_made.made) == 30


def add_row(films, path, **cells):
    """Write the manifest with one more row of a film."""
    rows = rows_of(films[1])
    more = {**rows[0], "recording_id": "RS13", "subject_id": "S13", **cells}
    return write(path, [*rows, more])


def test_s03_under_another_id_is_told_by_the_content(films, tmp_path):
    copy = tmp_path / "other.mp4"
    copy.write_bytes(load_manifest(films[0]).recordings[2].video.read_bytes())
    more = add_row(films, tmp_path / "more.csv", video=str(copy))
    with pytest.raises(ManifestError, match=r"is of subject S13, and of S03"):
        load_manifest(more)
    _, recordings, found = members(more, needs=FILMS, made="training", made_share=9.0)
    carrying = [{name for name in ("S03", "S13") if name in one.carries} for one in recordings[13:]]
    assert carrying == [{"S03", "S13"} if one else set() for one in carrying]
    assert sum(map(bool, carrying)) == 25
    # S13 is held out by the first fold: whom its own generator has learnt from as S03.
    assert "S13" not in {recordings[k].subject_id for k in found[0].training}
    assert made_of(recordings, found[0]) == set()


def test_a_film_that_is_encoded_again_is_refused_with_and_without_its_made_by(films, tmp_path):
    row = next(one for one in rows_of(films[1]) if one["recording_id"] == "RS03_cut_fold0")
    again = tmp_path / "again.mp4"
    encoded_again(row["video"], again, keeps_words=True)
    cells = {**row, "recording_id": "more", "video": str(again)}
    with pytest.raises(ManifestError, match="its file is none of those that made_by lists"):
        load_manifest(add_row(films, tmp_path / "more.csv", **cells), allowed=None)
    cells |= {"made_by": "", "subject_id": "S13"}
    with pytest.raises(ManifestError, match=r"again.mp4: is marked as made; fill in its made_by"):
        load_manifest(add_row(films, tmp_path / "more.csv", **cells), allowed=None)


@pytest.mark.parametrize(
    ("held", "named"),
    [(("P01", "P02"), 2), (("P03", "P04"), 0)],
    ids=["its films carry S03", "they do not"],
)
def test_weights_that_learnt_from_films_are_told_by_whom_these_carry(films, tmp_path, held, named):
    """The weights are of a study with other ids: content alone tells who is in its films."""
    rows = [{**one, "subject_id": f"P{one['subject_id'][1:]}"} for one in rows_of(films[1])]
    for one in {row["made_by"] for row in rows} - {""}:
        old = read_provenance(films[1].parent / one)
        learnt = tuple(f"P{name[1:]}" for name in old.learnt_subjects)
        new = tmp_path / f"{hashlib.sha256(one.encode()).hexdigest()}.json"
        write_provenance(new, old.model_copy(update={"learnt_subjects": learnt}))
        rows = [{**row, "made_by": str(new)} if row["made_by"] == one else row for row in rows]
    renamed = write(tmp_path / "renamed.csv", rows)
    before = StudyLog(tmp_path / "studies" / "before")
    manifest = load_manifest(renamed)
    before.start(name="before", settings={}, tags={"manifest_digest": manifest.digest})
    everyone = {one.subject_id for one in manifest.recordings}
    folds = Folds(frozenset(held), (frozenset(everyone - {*held}),))
    before.folds_path.write_text(folds_to_json(folds))
    before.write("entries.json", "{}")
    start_from(before, None)
    before.winner.model_path.write_bytes(b"weights")
    case = make_case(tmp_path, load_manifest(films[0]).recordings, held=[["S03", "S04"]])
    start_from(case.study, before.winner.model_path)
    assert check_weights(case).numbers["made"] == 0  # not known without the list of made films
    keep_made(before, manifest.made)
    found = check_weights(case)
    assert (found.numbers["seen"], found.numbers["made"]) == (named, named)
    assert (found.state == "warning") == bool(named)


def test_nothing_is_made_of_films_that_were_made(films, tmp_path):
    """Neither a made film as a source, nor a generator that learnt from one."""
    rows = rows_of(films[1])
    one = next(row for row in rows if row["recording_id"] == "RS03_cut_fold0")
    old = read_provenance(films[1].parent / one["made_by"])
    own = file_digest(films[1].parent / one["video"])
    of_made = {own: Source(recording_id="RS05_cut_fold0", target_class=1, strength=1.0)}
    for change, told in (
        ({"made": of_made}, "source RS05_cut_fold0 is no real recording .* nothing is made"),
        ({"learnt_contents": (own,)}, "its generator learnt from 1 made recordings"),
        ({"learnt_subjects": ("S03", "S77")}, r"learnt from 1 subjects that the manifest lacks"),
    ):
        new = tmp_path / "new.json"
        write_provenance(new, old.model_copy(update=change))
        more = [{**row, "made_by": str(new)} if row is one else row for row in rows]
        with pytest.raises(ManifestError, match=told):
            load_manifest(write(tmp_path / "more.csv", more), allowed=None)
    new.write_text(new.read_text().replace('"S03"', '"S11"'))
    with pytest.raises(ManifestError, match=r"new.json was changed after it was written"):
        load_manifest(tmp_path / "more.csv", allowed=None)
