"""The copy check of the job, on SYNTHETIC faces: who passes, who does not, and what is refused."""

import csv
import re
from dataclasses import dataclass, replace

import numpy as np
import pytest
from torch.nn import functional

from jobs.synthesize import main
from pdray.config import build
from pdray.data.cohort.digests import Digests
from pdray.data.cohort.folds import Folds
from pdray.data.cohort.manifest import load_manifest
from pdray.data.store.frame_store import FrameStore
from pdray.data.store.settings import Recipe
from pdray.demo.cohort import make_cohort
from pdray.demo.illness.severity import DemoConfig
from pdray.evaluation.made_copies import CopyError
from pdray.predict.picture_networks import PictureNetwork, open_network
from pdray.predict.portrait_pictures import read_portraits
from pdray.synthesis import copies, making
from pdray.synthesis.copies import Side, check_of, find_sides
from pdray.synthesis.made_folder import MadeRecording
from pdray.synthesis.methods import METHODS, Faces, SynthesisMethod, Written
from tests.fixtures.translator_study import leave_translator
from tests.predict.conftest import train
from tests.predict.test_picture_networks import FOLDS, PORTRAITS, draw

SIZE = 64
LEARNT, HELD_OUT, UNSEEN = 16, 14, 6
PEOPLE = {
    "num_subjects": LEARNT + HELD_OUT + UNSEEN, "num_visits": 1, "items": ["face_interview"],
    "missing": 0.0, "static_signs": 1, "fps": 5, "min_seconds": 1.6, "max_seconds": 1.6,
    "size": 96, "seed": 12,
}  # fmt: skip


def see(pictures):
    """Return a coarse picture of each, without its mean; rendered people differ in colours."""
    x = functional.adaptive_avg_pool2d(pictures.permute(0, 3, 1, 2).double() / 255, 16).flatten(1)
    return x - x.mean(dim=1, keepdim=True)


# It was trained on nobody.
RECOGNISER = PictureNetwork("coarse", "0" * 64, SIZE, False, "", None, None, see, None)


@dataclass(frozen=True)
class Cohort:
    manifest: object
    rows: tuple
    store: FrameStore

    def portraits(self, row):
        return read_portraits([row], self.store, 8).pictures


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    manifest = make_cohort(
        tmp_path_factory.mktemp("people"), build(DemoConfig, PEOPLE), num_processes=1
    )
    store = FrameStore(
        tmp_path_factory.mktemp("store"), build(Recipe, {"portraits": {"size": SIZE}})
    )
    rows = load_manifest(manifest).recordings
    healthy, ill = ([one for one in rows if (one.grade >= 2) == is_ill] for is_ill in (False, True))
    half = LEARNT // 2
    ordered = (*healthy[:half], *ill[:half], *healthy[half:], *ill[half:])
    assert len(ordered) == PEOPLE["num_subjects"]
    return Cohort(manifest, ordered, store)


@pytest.fixture(scope="module")
def template(cohort):
    side = Side(cohort.rows[:LEARNT], cohort.rows[LEARNT : LEARNT + HELD_OUT])
    return check_of(RECOGNISER, {"fold0": side}, cohort.store, [])


@pytest.fixture
def check(template):
    return replace(template, faces={})


def made_of(row, made, sources):
    return MadeRecording(
        name="fold0", source=row, target_class=1, strength=1.0, may_show=True,
        files={"video": f"fold0/{row.recording_id}.mp4"}, digests=(), flicker=1.0, cells={},
        faces=Faces(made, sources),
    )  # fmt: skip


def test_real_frames_of_unseen_people_pass(check, cohort, tmp_path):
    for row in cohort.rows[LEARNT + HELD_OUT :]:
        pictures = cohort.portraits(row)
        check.see(made_of(row, pictures[::2], pictures[1::2]))
    (line,) = check.finish(tmp_path, 0.05)
    assert line.startswith("set fold0: 0 of 24 made faces (0.0%) look like somebody else")
    assert rows_of(tmp_path / "copies.csv") == []


def test_ten_pasted_training_faces_do_not(check, cohort, tmp_path):
    pasted = []
    for number, row in enumerate(cohort.rows[LEARNT + HELD_OUT :]):
        pictures, made = cohort.portraits(row), cohort.portraits(row).copy()
        for k in range(2 if number < 5 else 0):  # ten in all, somewhat brighter and less sharp
            victim = cohort.portraits(cohort.rows[2 * number + k])[3].astype(float)
            made[k] = np.rint((victim + np.roll(victim, 1, 0)) / 2 * 0.95 + 10).astype(np.uint8)
            pasted.append((row.recording_id, str(k), cohort.rows[2 * number + k].recording_id))
        check.see(made_of(row, made, pictures))
    told = r"copy check by coarse stops .* set fold0: 1\d of 48 made faces \(2\d\.\d%\) look like"
    with pytest.raises(CopyError, match=told):
        check.finish(tmp_path, 0.05)
    assert [*tmp_path.iterdir()] == []
    check.finish(tmp_path, 1.0)
    found = rows_of(tmp_path / "copies.csv")
    named = {(row["recording_id"], row["portrait"], row["nearest_recording_id"]) for row in found}
    assert named >= {*pasted}
    assert {(row["set"], row["target_class"]) for row in found} == {("fold0", "1")}
    assert len(found) <= 12  # hardly any of the other 38


def rows_of(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_people_are_told_by_the_content_of_files_too(cohort):
    first, second, *others = cohort.rows[:6]
    digests = Digests(None)
    editor = Planted(cohort, [first.subject_id], [digests.digest(second.video)])
    side = find_sides(cohort.rows[:6], {"fold0": editor}, digests)["fold0"]
    assert (side.learnt, side.held_out) == ((first, second), tuple(others))


def test_too_few_people_who_are_held_out_are_refused_with_what_to_do(cohort):
    few = Side(cohort.rows[:LEARNT], cohort.rows[LEARNT : LEARNT + 3])
    told = r"needs 100 real portraits .* at most 32 of a .*: set fold0: 24 portraits of 3 people"
    with pytest.raises(CopyError, match=told):
        check_of(RECOGNISER, {"fold0": few}, cohort.store, [])


class Planted:
    """An editor of a set that darkens portraits, or pastes those of others."""

    weights, study, seed, told, notes = "0" * 64, "planted", 0, (), ()

    def __init__(self, cohort, subjects, contents, pastes=0):
        self.cohort, self.store, self.pastes = cohort, cohort.store, pastes
        self.learnt_subjects, self.learnt_contents = tuple(sorted(subjects)), tuple(contents)

    def write(self, edit, stem):
        """Write words as the video, and return eight faces."""
        path = stem.with_name(f"{stem.name}.mp4")
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"{stem.name} SYNTHETIC")
        sources = self.cohort.portraits(edit.source)
        made = np.rint(sources * 0.9).astype(np.uint8)
        if self.pastes:
            self.pastes -= 1
            victim = next(one for one in self.cohort.rows if one is not edit.source)
            made[:5] = self.cohort.portraits(victim)[:5]
        return Written({"video": path}, 1.0, faces=Faces(made, sources))


def fit(config, sets):
    """Return what a test has put in the place of the method."""
    return {name: PLANTED["make"](people) for name, people in sets.items()}


def learns(config):
    """Return that it learns."""
    return True


PLANTED = {}


@pytest.fixture
def words(cohort, tmp_path, monkeypatch):
    """Return the words of a job of one set, which the recogniser looks into."""
    here = "tests.synthesis.test_copies"
    method = SynthesisMethod("planted", "portraits", ("video",), f"{here}:fit", f"{here}:learns",
                             terms="faces")  # fmt: skip
    monkeypatch.setitem(METHODS, "planted", method)
    side = frozenset(one.subject_id for one in cohort.rows[:LEARNT])
    monkeypatch.setattr(making, "training_sides", lambda *_: {"fold0": side})
    monkeypatch.setattr(copies, "open_network", lambda *_, **__: RECOGNISER)
    monkeypatch.setitem(PLANTED, "make", lambda _: Planted(cohort, side, []))
    (tmp_path / "faces.pt").touch()
    return [
        "method=planted", f"data.manifest={cohort.manifest}", "data.items=[face_interview]",
        f"output={tmp_path / 'new.csv'}", "synthesis.strengths=[1]",
        "synthesis.accept_terms=[faces]", f"synthesis.identity={tmp_path / 'faces.pt'}",
        "data.allow_outside=true",
    ]  # fmt: skip


def test_the_job_looks_for_copies_in_each_set(words, tmp_path, capsys, monkeypatch, cohort):
    seen = []
    monkeypatch.setattr(
        copies, "refuse_judges", lambda *given: seen.append(given) or ["is unknown"]
    )
    assert main(words) == 0
    told = capsys.readouterr().out
    assert "copies     is unknown\n" in told
    line = "set fold0: 0 of 64 made faces (0.0%) look like somebody else whom the generator learnt"
    assert f"copies     {line}" in told
    assert line in (tmp_path / "new.made/SYNTHETIC.txt").read_text()
    assert (tmp_path / "new.made/copies.csv").read_text() == (
        "recording_id,set,target_class,file,portrait,nearest_recording_id\n"
    )
    ((networks, groups, _),) = seen  # nobody of the manifest may be known to the recogniser
    assert networks == {"synthesis.identity": RECOGNISER}
    assert {one.recording_id for one in groups.learnt} == {
        one.recording_id for one in cohort.rows[:LEARNT]
    }
    assert len(groups.scored) == HELD_OUT + UNSEEN


def test_the_job_leaves_nothing_when_there_are_too_many_copies(
    words, tmp_path, capsys, monkeypatch, cohort
):
    side = [one.subject_id for one in cohort.rows[:LEARNT]]
    monkeypatch.setitem(PLANTED, "make", lambda _: Planted(cohort, side, [], pastes=2))
    assert main(words) == 2
    told = capsys.readouterr().err
    # Of the first two sources, five portraits each are those of another person.
    assert "made faces (" in told
    assert "synthesis.max_copies allows 5.0%" in told
    assert "Traceback" not in told
    assert sorted(one.name for one in tmp_path.iterdir()) == ["faces.pt"]
    assert main([*words, "synthesis.max_copies=0.5"]) == 0
    assert len(rows_of(tmp_path / "new.made/copies.csv")) >= 5


def test_a_study_recognises_faces_unless_it_knows_somebody_of_the_manifest(
    words, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(copies, "open_network", open_network)
    others = draw(tmp_path / "others", 5)
    study = train(tmp_path / "output", others, PORTRAITS, FOLDS)
    given = [word for word in words if "identity" not in word]
    given += [f"synthesis.identity={study.folder}", "synthesis.max_copies=1"]
    assert main(given) == 2
    told = capsys.readouterr().err
    # Five of its six people have the ids of others here.
    assert re.search(r"synthesis\.identity: study faces learnt from \d \(S00\d by its id", told)
    assert "if only the ids are equal, write other_people=true" in told
    assert not (tmp_path / "new.made").exists()
    assert main([*given, "other_people=true"]) == 0
    assert "of 64 made faces (" in capsys.readouterr().out


def test_films_of_a_translator_are_looked_through(words, tmp_path, capsys, monkeypatch, cohort):
    """CUT is untrained here: it shows that the check reads what the job writes."""
    subjects = [one.subject_id for one in cohort.rows]
    folds = Folds(frozenset(), (frozenset(subjects[LEARNT:]), frozenset(subjects[:LEARNT])))
    study = leave_translator(
        tmp_path / "output", cohort.manifest, folds, keeps_folds=True, portraits={"size": SIZE}
    )
    facts = study.read()
    facts["settings"]["data"]["grade_cuts"] = [2]
    study.start(name=facts["name"], settings=facts["settings"], tags=facts["tags"])
    study.finish(state="complete", best=0)
    words[0] = "method=cut"
    assert main([*words, f"synthesis.study={study.folder}", "synthesis.max_copies=1"]) == 0
    told = re.search(r"copies     set fold0: (\d+) of 64 made faces", capsys.readouterr().out)
    listed = rows_of(tmp_path / "new.made/copies.csv")
    assert len(listed) == int(told[1])
    assert {row["file"] for row in listed} <= {
        row["file"] for row in rows_of(tmp_path / "new.made/progression.csv")
    }
    assert len(load_manifest(tmp_path / "new.csv", allowed=None).made) == 8


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        (
            {"synthesis.identity": None},
            "synthesis.identity: method 'planted' makes pictures of fac",
        ),
        ({"synthesis.identity": "absent.pt"}, "synthesis.identity: there is no absent.pt"),
        ({"method": "damp"}, "synthesis.identity: method 'damp' makes no pictures; leave it out"),
        ({"synthesis.max_copies": "2"}, "synthesis.max_copies: got 2"),
    ],
)
def test_wrong_words_are_refused_before_anything_is_made(words, tmp_path, capsys, changed, told):
    kept = dict(word.split("=", 1) for word in words) | changed
    assert main([f"{key}={value}" for key, value in kept.items() if value is not None]) == 2
    assert told in capsys.readouterr().err
    assert sorted(one.name for one in tmp_path.iterdir()) == ["faces.pt"]
