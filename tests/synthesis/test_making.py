"""Made landmarks of SYNTHETIC people: what is written, for whom, and what is refused."""

import csv
import os
import signal
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest

from pdray.config import build
from pdray.data.cohort.manifest import load_manifest
from pdray.data.cohort.provenance import read_provenance
from pdray.data.face.damping import movement_amounts, split_movement
from pdray.data.media.tracks import read_track
from pdray.errors import DecodeError, ManifestError, SettingsError
from pdray.synthesis.making import synthesize
from pdray.synthesis.settings import SynthesizeConfig
from tests.fixtures.agreeing import agreeing_cohort
from tests.places import ROOT

GRADES = [0, 4] * 6
PEOPLE = [f"S{number:02d}" for number in range(1, 13)]


def quiet(_: str) -> None: ...


def config_of(path, **changes):
    tree = {
        "method": "damp",
        "output": str(path.parent / "new.csv"),
        "data": {"manifest": str(path), "items": ["face_interview"]},
        "folds": {"num_outer": 6},
        "synthesis": {"protocol": "comparison"},
    }
    for key, value in changes.items():
        section, _, name = key.partition("__")
        tree[section] = {**tree.get(section, {}), name: value} if name else value
    return build(SynthesizeConfig, tree)


def rows_of(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The manifest of 12 people, and what was made of them in six training sides."""
    path = agreeing_cohort(tmp_path_factory.mktemp("twelve"), GRADES)
    before = {one: one.read_bytes() for one in path.parent.rglob("*") if one.is_file()}
    done = synthesize(config_of(path), quiet)
    assert {one: one.read_bytes() for one in before} == before  # nothing of the user's is changed
    return path, done


def test_real_rows_stay_and_made_rows_have_who_they_show_and_nothing_of_the_illness(made):
    path, done = made
    old, new = rows_of(path), rows_of(done.manifest)
    assert [{key: row[key] for key in old[0]} for row in new[:12]] == old
    assert {row["made_by"] for row in new[:12]} == {""}
    assert len(new) - 12 == done.num_rows == 6 * 5  # six sides with five healthy people each
    for row in new[12:]:
        assert row["recording_id"].startswith(f"R{row['subject_id']}_damp_class1_fold")
        assert (row["grade"], row["site"], row["consent_synthesis"]) == ("2", "synthetic", "")
        assert int(row["subject_id"][1:]) % 2 == 1  # only the healthy are changed


def test_the_manifest_is_accepted_and_says_who_is_carried(made):
    _, done = made
    manifest = load_manifest(done.manifest)
    assert len(manifest.recordings) == 12
    for one in manifest.made:
        learnt = {*one.provenance.learnt_subjects}
        assert len(learnt) == 10
        assert one.people == learnt
        assert one.recording.subject_id in learnt


def test_every_file_says_synthetic_and_has_its_place_in_the_table(made):
    _, done = made
    table = rows_of(done.folder / "progression.csv")
    files = sorted(done.folder.glob("*/*.npz"))
    assert len(files) == len(table) == done.num_files == 6 * 5 * 5
    assert {str(one.relative_to(done.folder)) for one in files} == {row["file"] for row in table}
    for row in table:
        mark = read_track(done.folder / row["file"]).made
        strength = float(row["strength"])
        assert mark.startswith(f"SYNTHETIC, damp, class 1, strength {strength:.2f}, 20")
    listed = [read_provenance(one).made for one in done.folder.glob("*/provenance.json")]
    assert sum(map(len, listed)) == len(table)
    assert "SYNTHETIC" in (done.folder / "SYNTHETIC.txt").read_text()


def test_who_did_not_agree_to_show_is_said_in_the_table_and_in_the_text(made, tmp_path):
    _, done = made
    text = (done.folder / "SYNTHETIC.txt").read_text()
    assert "All 150 files may be shown outside the study" in text
    rows = {"S01": {"consent_synthesis": "learn change"}, "S03": {"consent_synthesis": "change"}}
    path = agreeing_cohort(tmp_path, [0, 4, 0, 4, 0], rows=rows)
    done = synthesize(config_of(path, damp__factor=0.5, synthesis__strengths=(0.5, 1.0)), quiet)
    table = rows_of(done.folder / "progression.csv")
    shown = {(row["recording_id"], row["may_show"]) for row in table}
    assert shown == {("RS01", "no"), ("RS03", "no"), ("RS05", "yes")}
    assert (done.num_shown, done.num_files) == (2, 6)
    text = (done.folder / "SYNTHETIC.txt").read_text()
    assert "4 of 6 files are of people who did not agree to 'show': they stay\ninside" in text
    assert "Column may_show of progression.csv tells which." in text


def test_movement_and_flicker_fall_with_the_strength(made):
    path, done = made
    changes = [done.flicker[one] for one in (0, 0.25, 0.5, 0.75, 1)]
    assert changes[0] == pytest.approx(1, abs=1e-3)
    assert all(later < earlier for earlier, later in pairwise(changes))
    source = movement_amounts(split_movement(read_track(path.parent / "tracks/S01.npz")))
    name = "fold0" if (done.folder / "fold0/RS01_class1_1.00.npz").exists() else "fold1"
    of_strength = [
        movement_amounts(
            split_movement(read_track(done.folder / name / f"RS01_class1_{strength:.2f}.npz"))
        )[:-1].mean()
        for strength in (0, 0.25, 0.5, 0.75, 1)
    ]
    assert of_strength[0] == pytest.approx(source[:-1].mean(), rel=1e-3)
    assert all(later < earlier for earlier, later in pairwise(of_strength))


def test_factors_of_a_fold_are_those_of_its_training_side_alone(made, tmp_path):
    """A held-out person who moves a hundred times as much changes no factor."""
    _, done = made
    rows = {"S01": {}}
    path = agreeing_cohort(tmp_path, GRADES, rows=rows)
    track = tmp_path / "tracks/S01.npz"
    found = read_track(track)
    np.savez(track, points=np.roll(found.points, 7, axis=0) * 1.5, seconds=found.seconds,
             size=np.array(found.size) * 1.5, names=np.array(found.names))  # fmt: skip
    other = synthesize(config_of(path), quiet)
    held = [
        one.parent.name
        for one in done.folder.glob("*/provenance.json")
        if "S01" not in read_provenance(one).learnt_subjects
    ]
    assert len(held) == 1
    for one in done.folder.glob("*/provenance.json"):
        name = one.parent.name
        same = read_provenance(other.folder / name / "provenance.json").learnt_contents
        is_same = read_provenance(one).learnt_contents == same
        weights = [
            read_provenance(d.folder / name / "provenance.json").weights for d in (done, other)
        ]
        assert is_same == (name in held)
        if name in held:
            assert weights[0] == weights[1]


def test_a_factor_that_is_set_learns_from_nobody_and_makes_one_set(tmp_path):
    rows = {"S03": {"consent_synthesis": "change"}, "S05": {"consent_synthesis": "learn"}}
    path = agreeing_cohort(tmp_path, [0, 0, 0, 4, 0, 4], rows=rows)
    done = synthesize(config_of(path, damp__factor=0.5, synthesis__strengths=(1.0,)), quiet)
    provenance = read_provenance(done.folder / "set/provenance.json")
    assert (provenance.learnt_subjects, provenance.weights) == ((), "")
    assert {one.recording_id for one in provenance.made.values()} == {"RS01", "RS02", "RS03"}
    assert [one.people for one in load_manifest(done.manifest).made] == [
        {"S01"}, {"S02"}, {"S03"},
    ]  # fmt: skip


def test_each_target_class_has_its_lowest_grade(tmp_path):
    path = agreeing_cohort(tmp_path, [0, 1, 2, 3, 4, 0])
    config = config_of(path, damp__factor=0.5, data__grade_cuts=(1, 3))
    done = synthesize(config, quiet)
    found = {row["recording_id"]: row["grade"] for row in rows_of(done.manifest)[6:]}
    assert found == {
        f"R{name}_damp_class{number}_set": str(grade)
        for name in ("S01", "S06")
        for number, grade in ((1, 1), (2, 3))
    }


def test_a_diagnosis_is_the_label_where_it_is_the_target(tmp_path):
    words = ["healthy", "PD", "PD", "MSA", "control"]
    rows = {f"S{n:02d}": {"diagnosis": word} for n, word in enumerate(words, 1)}
    path = agreeing_cohort(tmp_path, [0, 1, 2, 3, 0], rows=rows)
    done = synthesize(config_of(path, damp__factor=0.5, data__target="diagnosis"), quiet)
    made = rows_of(done.manifest)[5:]
    assert [(row["diagnosis"], row["grade"]) for row in made] == [("PD", "")] * 2


@pytest.mark.parametrize(
    ("grades", "rows", "changes", "told"),
    [
        (GRADES, {name: {"consent_synthesis": ""} for name in PEOPLE}, {},
         "none of 12 subjects agreed to 'change'.*none of 12 subjects agreed to 'learn'"),
        (GRADES, {"S03": {"consent_synthesis": "change"}}, {},
         "set fold.: 4 subjects of class 0 agreed to 'learn'"),
        (GRADES, {}, {"folds__num_outer": 3},
         r"at least 5 training subjects.*3 faults|class [01] agreed to 'learn'"),
        ([4] * 6, {}, {"damp__factor": 0.5}, "no subject of class 0 agreed to 'change'"),
        (GRADES, {name: {"landmarks": ""} for name in PEOPLE}, {},
         "none of its 12 recordings can be used: .*12 have no landmarks"),
    ],
)  # fmt: skip
def test_what_cannot_be_made_is_refused_and_leaves_nothing(tmp_path, grades, rows, changes, told):
    path = agreeing_cohort(tmp_path, grades, rows=rows)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ManifestError, match=f"(?s){told}"):
        synthesize(config_of(path, **changes), quiet)
    assert sorted(tmp_path.rglob("*")) == before


def test_nothing_is_made_of_what_was_made(made, tmp_path):
    _, done = made
    path = agreeing_cohort(tmp_path, GRADES)
    track = next(done.folder.glob("fold0/*_1.00.npz"))
    (tmp_path / "tracks/S05.npz").write_bytes(track.read_bytes())
    with pytest.raises(ManifestError, match=r"landmarks tracks/S05.npz: is marked as made"):
        synthesize(config_of(path), quiet)
    from pdray.synthesis.damp import fit
    from pdray.synthesis.methods import Example
    from pdray.synthesis.people import People

    manifest = load_manifest(path, check_files=False)
    config = config_of(path)
    learnt = tuple(Example(one, 0) for one in manifest.recordings)
    with pytest.raises(DecodeError, match="recording RS05: its track is marked as made"):
        fit(config, {"fold0": People(learnt, ())})


def test_a_class_that_moves_no_less_is_refused(tmp_path):
    path = agreeing_cohort(tmp_path, [4, 0] * 6)
    text = path.read_text().replace(",4,", ",x,").replace(",0,", ",4,").replace(",x,", ",0,")
    path.write_text(text)  # the grades are exchanged
    with pytest.raises(ManifestError, match=r"class 1 moves no less than class 0 in any part"):
        synthesize(config_of(path), quiet)


def test_an_output_that_is_there_is_not_replaced(tmp_path):
    path = agreeing_cohort(tmp_path, [0, 4, 0])
    with pytest.raises(SettingsError, match=r"give the name of a new .csv file"):
        config_of(path, output=str(path))
    (tmp_path / "new.made").mkdir()
    with pytest.raises(SettingsError, match=r"new.made exists, and nothing is replaced"):
        synthesize(config_of(path, damp__factor=0.5), quiet)
    assert list((tmp_path / "new.made").iterdir()) == []


KILLED = """
import os, signal, sys
from pathlib import Path
from pdray.synthesis import making
from tests.synthesis.test_making import config_of
def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)
making.write_beside = die
making.synthesize(config_of(Path(sys.argv[1]), damp__factor=0.5), print)
"""


def test_a_killed_run_leaves_nothing_under_the_names_and_the_next_one_cleans_up(tmp_path):
    path = agreeing_cohort(tmp_path, [0, 4, 0])
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(path)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    assert len(list(tmp_path.glob(".new.made.*.tmp"))) == 1
    assert not (tmp_path / "new.csv").exists()
    assert not (tmp_path / "new.made").exists()
    synthesize(config_of(path, damp__factor=0.5), quiet)
    assert sorted(one.name for one in tmp_path.iterdir()) == [
        "manifest.csv", "new.csv", "new.made", "tracks",
    ]  # fmt: skip
