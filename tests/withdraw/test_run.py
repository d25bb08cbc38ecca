import json
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pdray.atomic import file_digest, held
from pdray.config import load
from pdray.data.cohort.manifest import load_manifest
from pdray.data.cohort.provenance import (
    COPIES,
    NEAREST,
    PROGRESSION,
    Provenance,
    Source,
    read_provenance,
    write_provenance,
)
from pdray.errors import PdrayError
from pdray.models import MODELS
from pdray.tracking.made import read_made
from pdray.tracking.numbering import number_recordings
from pdray.tracking.withdrawn import read_marks
from pdray.withdraw import run as job
from pdray.withdraw.find import Found, find
from pdray.withdraw.person import key_of
from pdray.withdraw.run import withdraw
from pdray.withdraw.settings import WithdrawConfig
from tests.withdraw.conftest import OLDER, RECORDING, SUBJECT, TESTED, Left


def run(left: Left, *words: str, subject: str = SUBJECT) -> str:
    config = load(WithdrawConfig, [f"output={left.output}", f"subject={subject}", *words])
    return withdraw(config, lambda line: None)


def content(folder: Path) -> dict[str, bytes]:
    """Return every file but locks, without the place; of a table its rows."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {
        str(path.relative_to(folder)): pd.read_parquet(path).to_csv().encode()
        if path.suffix == ".parquet"
        else path.read_bytes().replace(str(folder).encode(), b"OUTPUT")
        for path in files
        if not path.name.endswith(".lock")
    }


def test_the_list_names_every_kind_and_changes_nothing(left: Left) -> None:
    before = content(left.output)
    told = run(left)
    assert content(left.output) == before
    for line in (
        "studies/faces: refit, fold:0 learnt from a withdrawn subject",
        "studies/later: started from a model of faces, so that refit, fold:0, fold:1 learnt",
        f"{left.export}: ensemble of faces, 2026-11-29",
        "studies/faces/trials/0000/predictions.parquet: 1 of 5 rows",
        "studies/faces/private/subjects.csv: 1 of 6 rows",
        "studies/faces/report: page, numbers, figures",
        "studies/faces/ray: state of trials",
        "predictions.csv: 1 of 6 rows",
        f"store/{OLDER}: of nobody who is known",
        f"{left.manifest}: delete its rows 5",
        f"videos/{RECORDING}.mp4: delete it and its copies",
        "nothing was deleted; to delete and mark: ",
    ):
        assert line in told
    assert "SYNTHETIC" in told


def test_nothing_names_or_shows_the_person_afterwards_and_all_else_stays(left: Left) -> None:
    rows = load_manifest(left.manifest).recordings
    numbers = number_recordings(left.study, {one.recording_id: one.subject_id for one in rows})
    digest = next(iter(find(left.output, SUBJECT).person.digests))
    before = content(left.output)
    run(left, "delete=true")
    after = content(left.output)
    texts = {name: text for name, text in after.items() if "store/" not in name}
    for word in (SUBJECT, RECORDING, digest):
        assert [name for name, text in texts.items() if word.encode() in text] == []
    assert [name for name in after if digest.encode() in after[name]] == []
    assert f"maps/videos/{numbers[RECORDING]}.mp4" not in after
    gone = {name for name in before if name not in after}
    assert {name.split("/")[0] for name in gone} == {"store", "studies", "maps", "evaluation"}
    # What is of others is as it was: their frames, caches, rows and numbers.
    assert len([name for name in gone if name.startswith("store/")]) == 8
    kept = pd.read_parquet(left.study.trial(0).predictions_path)
    assert sorted(set(kept["subject_id"])) == ["S002", "S003", "S005", "S006"]
    assert after["predictions.csv"].startswith(b"# for research\nrecording_id,subject_id\nS001")
    others = {one.recording_id: one.subject_id for one in rows if one.subject_id != SUBJECT}
    new = number_recordings(left.study, {**others, "new": "S009"})
    assert {name: new[name] for name in others} == {name: numbers[name] for name in others}
    assert new["new"] not in numbers.values()
    private = left.study.folder / "private"
    assert {oct(path.stat().st_mode)[-3:] for path in private.glob("*.*v")} == {"600"}
    assert oct((private / "recordings.parquet").stat().st_mode)[-3:] == "600"


def test_models_scores_and_exports_that_learnt_are_marked(left: Left) -> None:
    told = run(left, "delete=true")
    today = time.strftime("%Y-%m-%d")
    for folder, learnt, start in (
        (left.study.folder, ("refit", "fold:0"), ""),
        (left.later.folder, ("refit", "fold:0", "fold:1"), "faces"),
        (left.export, ("ensemble",), ""),
    ):
        (mark,) = read_marks(folder).values()
        assert (mark.date, mark.learnt, mark.start) == (today, learnt, start)
    lines = (left.study.folder / "report.txt").read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("LEARNT FROM A WITHDRAWN SUBJECT: refit, fold:0.")
    assert lines[2] == "trial 0"
    assert "ask everybody who has an export to delete it" in told
    assert left.study.winner.model_path.is_file()


@pytest.fixture(scope="module")
def whole(template: Left, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Return what a deletion leaves that nobody interrupts."""
    output = tmp_path_factory.mktemp("whole") / "output"
    shutil.copytree(template.output, output)
    run(template._replace(output=output), "delete=true")
    return content(output)


@pytest.mark.parametrize("at", [0, 4, 9, 13, 18, 24])
def test_an_interrupted_deletion_ends_like_another(
    at: int, left: Left, whole: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    def found(*args: Any) -> Found:
        whole = find(*args)
        broken = replace(whole.traces[at], erase=interrupted)
        return replace(whole, traces=(*whole.traces[:at], broken, *whole.traces[at + 1 :]))

    (left.study.folder / "exports.jsonl").unlink()
    monkeypatch.setattr(job, "find", found)
    with pytest.raises(KeyboardInterrupt):
        run(left, "delete=true")
    monkeypatch.undo()
    for _ in range(2):  # another time changes nothing
        run(left, "delete=true")
        assert content(left.output) == whole


def test_of_who_was_only_scored_no_model_is_refused(left: Left) -> None:
    told = run(left, "delete=true", subject=TESTED)
    assert "studies/faces: scored the subject; no model learnt from them" in told
    assert "tables/scorings.csv: 1 lines know the subject by a digest" in told
    (mark,) = read_marks(left.study.folder).values()
    assert mark.learnt == ()
    lines = (left.study.folder / "report.txt").read_text(encoding="utf-8")
    assert lines.startswith("SCORED A WITHDRAWN SUBJECT")
    assert read_marks(left.later.folder) == {key_of(TESTED): mark}


def test_frames_that_were_only_predicted_are_found_by_their_manifest(left: Left) -> None:
    """Somebody of another site: their row is in a table of predictions, and no study read them."""
    for path in left.output.glob("studies"):
        shutil.rmtree(path)
    told = run(left)
    assert f"no study read {RECORDING}: which frames in" in told
    run(left, f"manifests=[{left.manifest}]", "delete=true")
    store = [name for name in content(left.output) if name.startswith("store/")]
    assert len(store) == 30


def test_the_scores_of_evaluations_are_marked_where_the_model_learnt(left: Left) -> None:
    learnt = "LEARNT FROM A WITHDRAWN SUBJECT: refit, fold:0. The scores are those of then.\n\n"
    scored = "SCORED A WITHDRAWN SUBJECT, whom no model learnt from. The scores are those of then."
    table = f"recording_id,subject_id\n{RECORDING},{SUBJECT}\n"
    external = "Evaluation of study faces,\nexternal validation of the"
    texts = {  # with what is to stand above
        "Evaluation of study faces, trial 0, all\n\n0.5\n": learnt,
        f"{external} mean of the\nmodels of 2 folds\n": learnt,
        f"{external} model fold:1\n": f"{scored}\n\n",
        "Evaluation of study faces2, winner\n": f"{scored}\n\n",
    }
    reports = [left.output / "evaluation" / str(place) / "report.txt" for place in range(4)]
    for report, text in zip(reports, texts, strict=True):
        report.parent.mkdir()
        report.write_text(text)
        report.with_name("predictions.csv").write_text(table)
    for _ in range(2):
        run(left, "delete=true")
        found = [report.read_text() for report in reports]
        assert found == [head + text for text, head in texts.items()]
    run(left, "delete=true", subject=TESTED)  # of whom the study's report says something else
    marked = content(left.output)
    run(left, "delete=true")
    assert content(left.output) == marked


def test_what_cannot_be_told_to_be_theirs_is_named(left: Left) -> None:
    table = left.output / "evaluation" / "faces" / "predictions.csv"
    table.write_text(f"recording_id,subject_id\nelsewhere,{SUBJECT}\n")
    folder = left.output / "folder.csv"
    folder.write_text(f"recording_id,estimated_grade\nS004/interview,1\n{RECORDING},0\n")
    told = run(left, "delete=true")
    assert "no study read elsewhere: which frames in" in told
    assert f"{folder} has predictions of a folder of videos, whose rows name no subject" in told
    assert folder.read_text() == "recording_id,estimated_grade\nS004/interview,1\n"


def test_numbers_of_pictures_of_theirs_are_deleted_and_those_of_others_stay(left: Left) -> None:
    folder = left.output / "tables" / "youtubepd.table4.seen"
    folder.mkdir(parents=True)
    for name, subjects in (("of_all", ["S001", SUBJECT]), ("of_others", ["S001"])):
        np.savez(folder / f"{name}.seen.npz", values=np.ones((2, 3)), subjects=np.array(subjects))
    (folder / "damaged.seen.npz").write_bytes(b"cut")
    told = run(left)
    assert "of_all.seen.npz: numbers of pictures, of theirs and others" in told
    assert "damaged.seen.npz cannot be read, look into it yourself" in told
    run(left, "delete=true")
    assert {one.name for one in folder.iterdir()} == {"of_others.seen.npz", "damaged.seen.npz"}


def test_a_manifest_that_cannot_be_read_is_refused(left: Left) -> None:
    before = content(left.output)
    with pytest.raises(PdrayError, match=r"nowhere.csv"):
        run(left, f"manifests=[{left.output}/nowhere.csv]", "delete=true")
    assert content(left.output) == before


def test_a_manifest_of_no_study_is_named_and_stays(left: Left) -> None:
    text = f"recording_id,subject_id,item,video\n{RECORDING},{SUBJECT},gait,a.mp4\n"
    (left.output / "mine.csv").write_text(text)
    (left.output / "foreign.csv").write_bytes(b"\xff\xfe\x00")
    told = run(left, "delete=true")
    assert "mine.csv is a manifest of no study here; delete their rows yourself" in told
    assert "foreign.csv cannot be read, look into it yourself" in told
    assert (left.output / "mine.csv").read_text() == text


def test_what_cannot_be_deleted_is_told(left: Left, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(path: Path, text: str) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("pdray.withdraw.artefacts.write_text", refused)
    with pytest.raises(PdrayError, match=r"report.txt cannot be deleted or written: Permission"):
        run(left, "delete=true")
    monkeypatch.undo()
    assert "deleted    the data of S004" in run(left, "delete=true")


def test_what_another_subject_shares_is_kept_and_told(left: Left) -> None:
    table = left.study.folder / "entries.json"
    entries = json.loads(table.read_text(encoding="utf-8"))
    (name,) = entries["S005_V1_face_interview"] = entries[RECORDING]
    table.write_text(json.dumps(entries), encoding="utf-8")
    told = run(left, "delete=true")
    assert f"{name}.arrow is kept: another subject's row names the same file" in told
    assert (left.output / "store" / name[:2] / f"{name}.arrow").is_file()


def test_frames_are_known_without_the_manifest(left: Left) -> None:
    facts = left.study.read()
    for log in (left.study, left.later):
        facts["settings"]["data"]["manifest"] = str(left.output / "gone.csv")
        (log.folder / "study.json").write_text(json.dumps(facts), encoding="utf-8")
    told = run(left, "delete=true")
    assert "gone.csv cannot be read, look into it yourself" in told
    assert len([name for name in content(left.output) if name.startswith("store/")]) == 30


@pytest.mark.parametrize(
    ("subject", "told"),
    [
        ("S04", "subject: got 'S04', of whom nothing is in .*did you mean 'S004'"),
        ("X", "write the id as the manifest does"),
    ],
)
def test_an_unknown_subject_is_refused(subject: str, told: str, left: Left) -> None:
    with pytest.raises(PdrayError, match=told):
        run(left, "delete=true", subject=subject)


def test_a_study_that_runs_is_refused_and_nothing_is_deleted(left: Left) -> None:
    before = content(left.output)
    with held(left.study.folder / "driver.lock"), pytest.raises(PdrayError, match="already run"):
        run(left, "delete=true")
    assert content(left.output) == before


@pytest.fixture
def made(left: Left) -> Path:
    """Write made recordings of the subject and of another, by a generator that learnt from both."""
    folder = left.output / "film.made" / "fold0"
    folder.mkdir(parents=True)
    rows = pd.read_csv(left.manifest, dtype=str, keep_default_na=False)
    rows["video"] = [str(left.manifest.parent / file) for file in rows["video"]]
    rows = rows[["recording_id", "subject_id", "item", "grade", "video"]]
    rows = rows.assign(consent_synthesis="learn change", made_by="")
    new, listed = [], {}
    for subject in (SUBJECT, "S002"):
        row = rows[rows["subject_id"] == subject].iloc[0]
        file = folder / f"{row['recording_id']}_class1.mp4"
        file.write_bytes(f"made of {subject}".encode())
        source = Source(recording_id=row["recording_id"], target_class=1, strength=1.0)
        listed[file_digest(file)] = source
        cells = {"recording_id": f"made_{subject}", "grade": "3", "video": str(file)}
        new.append({**row, **cells, "made_by": str(folder / "provenance.json")})
    hers, other = (source.recording_id for source in listed.values())
    (folder.parent / PROGRESSION).write_text(f"recording_id,file\n{hers},a.mp4\n{other},b.mp4\n")
    (folder.parent / COPIES).write_text(
        f"recording_id,{NEAREST}\n{hers},{other}\n{other},{hers}\n{other},S003_V1\n"
    )
    learnt = {"learnt_subjects": (SUBJECT, "S002", "S003"), "study": "translator"}
    write_provenance(folder / "provenance.json", Provenance(method="cut", made=listed, **learnt))
    path = left.manifest.with_name("film.csv")
    pd.concat([rows, pd.DataFrame(new)]).to_csv(path, index=False)
    return path


def test_what_was_made_of_the_person_and_of_others_by_a_generator_that_learnt_is_listed(
    left: Left, made: Path
) -> None:
    told = run(left, f"manifests=[{made}]")
    for line in (
        "made       2 (made recordings in the output folder)",
        f"film.made/fold0/{RECORDING}_class1.mp4: made of the person",
        "film.made/fold0/provenance.json (cut, study translator): files made of the person, 1",
        "film.made/fold0/provenance.json (cut, study translator): files of others, 1, by a "
        "generator that learnt from the person",
        "film.made/progression.csv: 1 of 2 rows",
        "film.made/copies.csv: 2 of 3 rows",
        f"{made}: delete its rows 5, 8 (made recordings: 8)",
        f"{made}: delete its rows 9, made of others by a generator that learnt from the person",
    ):
        assert line in told
    # A manifest that is not named: what lies in the output folder is found.
    assert "files made of the person, 1" in run(left)


def test_made_files_of_the_person_are_deleted_and_their_provenance_names_a_stand_in(
    left: Left, made: Path
) -> None:
    told = run(left, f"manifests=[{made}]", "delete=true")
    assert "make the made recordings again" in told
    assert "jobs/synthesize.py with method=cut" in told
    folder = left.output / "film.made" / "fold0"
    assert sorted(path.name for path in folder.iterdir()) == [
        "S002_V1_face_interview_class1.mp4",
        "provenance.json",
    ]
    left_over = read_provenance(folder / "provenance.json")
    assert left_over.learnt_subjects == (f"withdrawn-{key_of(SUBJECT)}", "S002", "S003")
    assert [one.recording_id for one in left_over.made.values()] == ["S002_V1_face_interview"]
    other = "S002_V1_face_interview"
    assert (folder.parent / PROGRESSION).read_text() == f"recording_id,file\n{other},b.mp4\n"
    copies = (folder.parent / COPIES).read_text()
    assert copies == f"recording_id,{NEAREST}\n{other},S003_V1\n"
    # Whoever forgets the row of the other person is told.
    rows = pd.read_csv(made, dtype=str, keep_default_na=False)
    rows[rows["subject_id"] != SUBJECT].to_csv(made, index=False)
    with pytest.raises(PdrayError, match=r"learnt from 1 subjects that the manifest lacks"):
        load_manifest(made)


def test_made_files_outside_of_the_output_folder_are_their_owner_s(left: Left, made: Path) -> None:
    folder = made.parent / "film.made"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.move(left.output / "film.made", folder)
    made.write_text(made.read_text().replace(str(left.output), str(made.parent)))
    told = run(left, f"manifests=[{made}]", "delete=true")
    file = folder / "fold0" / f"{RECORDING}_class1.mp4"
    assert f"{file}: delete it and its copies" in told
    assert "fold0/provenance.json: names the person; delete it with what it lists" in told
    assert file.is_file()
    for name in (PROGRESSION, COPIES):
        assert f"{folder / name}: delete the rows of the person's recordings" in told
        assert RECORDING in (folder / name).read_text()


def test_lists_of_made_recordings_and_of_a_generator_lose_the_person(left: Left) -> None:
    group = {"method": "cut", "study": "t", "recordings": [RECORDING, "made"],
             "people": {SUBJECT: ["0" * 64], "S002": ["1" * 64]}}  # fmt: skip
    left.study.write("made.json", json.dumps([group]))
    (video,) = find(left.output, SUBJECT).person.files[:1]
    listed = {"subjects": [SUBJECT, "S002"], "contents": [file_digest(video), "1" * 64]}
    who = left.study.winner.folder / "learnt.json"
    who.write_text(json.dumps(listed))
    run(left, "delete=true")
    gone = f"withdrawn-{key_of(SUBJECT)}"
    assert json.loads(who.read_text()) == {"subjects": [gone, "S002"], "contents": [gone, "1" * 64]}
    (one,) = read_made(left.study)
    assert dict(one.people) == {"S002": ("1" * 64,)}


def test_a_generator_that_learnt_is_said_to_make_pictures(
    left: Left, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = left.study.read()["settings"]["model"]["name"]
    entry = replace(MODELS[name], loop="translate", learner="module:build")
    monkeypatch.setitem(MODELS, name, entry)
    assert "learnt from a withdrawn subject; it makes pictures, and its weights can" in run(left)


@pytest.mark.parametrize("by", ["id", "content"])
def test_a_generator_whose_guide_learnt_from_the_person_is_marked(left: Left, by: str) -> None:
    (video,) = find(left.output, SUBJECT).person.files[:1]
    left.later.weights_path.unlink()  # else it started from a model of theirs
    who = {"subjects": ["S002"], "contents": []}
    who |= {"subjects": [SUBJECT]} if by == "id" else {"contents": [file_digest(video)]}
    folder = left.later.kept_fold(1).folder
    folder.mkdir(parents=True)
    (folder / "learnt.json").write_text(json.dumps(who))
    assert "studies/later: fold:1 learnt from a withdrawn subject" in run(left, "delete=true")
    (mark,) = read_marks(left.later.folder).values()
    assert mark.learnt == ("fold:1",)
