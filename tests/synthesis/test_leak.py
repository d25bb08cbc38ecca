"""Twelve people, generators that learnt from S03 among others, and who learns from what they made.

Each of six folds holds out one healthy and one ill person, by hand. So five of six sets learnt from
S03, and each set has five made recordings, of the five healthy people of its training side.
"""

from dataclasses import replace

import pytest

from pdray.checks.copies import matches, prepare
from pdray.checks.duplicates import _TRACK
from pdray.checks.traits import describe
from pdray.config import build
from pdray.data.cohort.folds import Folds, folds_to_json
from pdray.data.cohort.manifest import load_manifest
from pdray.data.cohort.members import compared_sides, make_cohort, rate, rated, rated_made
from pdray.data.cohort.rated import check_sides
from pdray.data.media.tracks import read_track, write_track
from pdray.data.store.frame_store import FrameStore
from pdray.data.store.settings import Recipe
from pdray.errors import FoldsError, ManifestError
from pdray.search.settings import StudyConfig
from pdray.synthesis import making
from pdray.synthesis.making import synthesize
from tests.fixtures.agreeing import agreeing_cohort
from tests.synthesis.test_making import GRADES, config_of, quiet, rows_of

HELD = [frozenset(pair) for pair in
        (("S01", "S02"), ("S03", "S04"), ("S05", "S06"),
         ("S07", "S08"), ("S09", "S10"), ("S11", "S12"))]  # fmt: skip
BY_HAND = Folds(frozenset(), tuple(HELD))
WITHOUT_S03 = 1  # the fold that holds S03 out


@pytest.fixture(scope="module")
def cohort_of_twelve(tmp_path_factory):
    path = agreeing_cohort(tmp_path_factory.mktemp("leak"), GRADES)
    by_hand = {f"fold{n}": BY_HAND.train(n) for n in range(6)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(making, "training_sides", lambda *_: by_hand)
        done = synthesize(config_of(path), quiet)
    return path, done


def members(path, allowed=None, needs=("landmarks",), **data):
    """Return the recordings of a study and its folds by hand; made ones are after the real ones."""
    tree = {
        "data": {"manifest": str(path), "items": ["face_interview"], **data},
        "folds": {"num_outer": 6},
    }
    config = build(StudyConfig, tree)
    manifest = load_manifest(path, allowed=allowed)
    kwargs = {"needs": needs, "searches": False}
    cohort = make_cohort(manifest, config.data, config.folds, **kwargs)
    recordings = (*rated(cohort, config.data, None), *rated_made(cohort, None))
    others = {one.subject_id for one in cohort.recordings} - BY_HAND.development
    folds = replace(BY_HAND, folds=(HELD[0] | others, *HELD[1:]))
    return cohort, recordings, compared_sides(folds, recordings, cohort.made_share)


def made_of(recordings, side):
    return {recordings[i].recording_id for i in side.training if recordings[i].carries}


def test_no_made_row_is_learnt_from_beside_a_held_out_person_whom_it_carries(cohort_of_twelve):
    _, done = cohort_of_twelve
    _, recordings, found = members(done.manifest, made="training", made_share=9.0)
    for number, side in enumerate(found):
        own = {
            one.recording_id for one in recordings[12:] if one.recording_id.endswith(f"d{number}")
        }
        assert made_of(recordings, side) == own
        assert len(own) == 5
    # The generators of the five other sets learnt from S03. Without the rule, the fold that holds
    # S03 out would have trained on what they made: 25 of 30 made rows.
    carrying = [one for one in recordings if "S03" in one.carries]
    assert len(carrying) == 25
    held = found[WITHOUT_S03]
    everything = replace(held, training=(*held.training, *range(12, len(recordings))))
    assert sum("S03" in recordings[i].carries for i in everything.training) == 25
    with pytest.raises(FoldsError, match="subjects on both sides: S03, S04"):
        check_sides(recordings, [everything])
    check_sides(recordings, found)


def test_folds_are_those_of_the_real_rows_to_the_byte(cohort_of_twelve):
    path, done = cohort_of_twelve
    plain, *_ = members(path)
    with_made, *_ = members(done.manifest, made="training")
    assert folds_to_json(plain.folds) == folds_to_json(with_made.folds)
    assert with_made.made


def add_row(done, tmp_path, file, **cells):
    """Write the made manifest with one more row, whose track is a file beside it."""
    rows = rows_of(done.manifest)
    row = {**dict.fromkeys(rows[0], ""), "recording_id": "RS13", "subject_id": "S13",
           "item": "face_interview", "grade": "0", "consent_synthesis": "learn change",
           "landmarks": str(file), **cells}  # fmt: skip
    root = done.manifest.parent
    for one in rows:
        for column in ("landmarks", "made_by"):
            one[column] = one[column] and str(root / one[column])
    path = tmp_path / "more.csv"
    making.write_text(path, making.table_text(rows[0], [*rows, row]))
    return path


def test_s03_under_another_id_is_told_by_the_content(cohort_of_twelve, tmp_path):
    path, done = cohort_of_twelve
    copy = tmp_path / "other.npz"
    copy.write_bytes((path.parent / "tracks/S03.npz").read_bytes())
    more = add_row(done, tmp_path, copy)
    with pytest.raises(ManifestError, match=r"is of subject S13, and of S03"):
        load_manifest(more)
    # Also where nobody compares the files of people: a made row carries who has a learnt file.
    _, recordings, found = members(more, made="training", made_share=9.0)
    carrying = {one.recording_id for one in recordings if "S03" in one.carries}
    assert carrying == {one.recording_id for one in recordings if "S13" in one.carries}
    assert "S13" not in {recordings[i].subject_id for i in found[0].training}
    assert made_of(recordings, found[0]) == set()  # its own set learnt from S03, who is S13


def saved_again(source, target, **changes):
    track = read_track(source)
    write_track(target, replace(track, seconds=track.seconds + 1e-4, **changes))
    assert target.read_bytes() != source.read_bytes()
    return target


def test_a_made_track_that_is_saved_again_is_refused_with_and_without_its_made_by(
    cohort_of_twelve, tmp_path
):
    _, done = cohort_of_twelve
    folder = done.folder / "fold0"
    again = saved_again(folder / "RS03_class1_1.00.npz", tmp_path / "again.npz")
    more = add_row(done, tmp_path, again, subject_id="S03", made_by=str(folder / "provenance.json"))
    with pytest.raises(ManifestError, match="its file is none of those that made_by lists"):
        load_manifest(more, allowed=None)
    more = add_row(done, tmp_path, again)
    with pytest.raises(ManifestError, match=r"again.npz: is marked as made; fill in its made_by"):
        load_manifest(more, allowed=None)


def course(track, folder):
    """Return the course of a face's movement, which the check of copies (PDR002) compares."""
    path = agreeing_cohort(folder, [0])
    (folder / "tracks/S01.npz").write_bytes(track.read_bytes())
    row = load_manifest(path, allowed=None, check_files=False).recordings[0]
    stored = FrameStore(folder / "store", Recipe()).add(row, ["landmarks"])
    return describe(rate(row, (2,), stored=stored), row)["course"]


def likeness(tracks, folder):
    """Return how alike the first track is to each of the others."""
    courses = [course(one, folder / str(number)) for number, one in enumerate(tracks)]
    longest = max(one.shape[1] for one in courses)
    one, others = prepare(courses[:1], longest), prepare(courses[1:], longest)
    return [match.likeness for match in matches(one, others, mirrors=True)]


@pytest.mark.parametrize("name", ["tracks/S03.npz", "new.made/fold0/RS03_class1_1.00.npz"])
def test_what_is_saved_again_without_a_mark_is_told_by_its_movement_alone(
    cohort_of_twelve, tmp_path, name
):
    """The limit of digests: another file under another id. PDR002 compares movement."""
    path, done = cohort_of_twelve
    again = saved_again(path.parent / name, tmp_path / "again.npz", made=None)
    _, recordings, _ = members(add_row(done, tmp_path, again), made="training", made_share=9.0)
    assert not any("S13" in one.carries for one in recordings)
    own, *others = [path.parent / f"tracks/S{number:02d}.npz" for number in (3, 1, 5, 7)]
    alike = likeness([again, own, *others], tmp_path)
    assert alike[0] >= _TRACK
    assert max(alike[1:]) < _TRACK
