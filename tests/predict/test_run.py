import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pdray.config import load
from pdray.data.cohort.csv_table import table_text
from pdray.data.cohort.manifest import load_manifest
from pdray.errors import PdrayError, SettingsError
from pdray.evaluation.foreign import read_foreign
from pdray.evaluation.predictions import by_recording, read_predictions
from pdray.predict.run import COMMENT, predict_new
from pdray.predict.settings import PredictConfig
from pdray.tracking.run_log import StudyLog

SHARES = ["probability_0", "probability_1"]


FAR = ["data.allow_outside=true"]  # parts of a manifest that lies with its videos elsewhere


def predicted(study: StudyLog, output: Path, *words: str) -> pd.DataFrame:
    """Run the job and read its file; one of an earlier call is deleted."""
    (output / "new.csv").unlink(missing_ok=True)
    asked = [f"study={study.folder}", f"output={output / 'new.csv'}", *FAR, *words]
    predict_new(load(PredictConfig, asked), lambda line: None)
    assert (output / "new.csv").stat().st_mode & 0o777 == 0o600  # its owner's alone
    lines = (output / "new.csv").read_text(encoding="utf-8").split("\n", 1)
    assert lines[0].startswith(COMMENT)
    assert "SYNTHETIC" in lines[0]
    return pd.read_csv(output / "new.csv", comment="#").set_index("recording_id")


def part_of(manifest: Path, folder: Path, *subjects: str, **changes: str) -> Path:
    """Write the rows of some subjects as another manifest, with other cells."""
    table = pd.read_csv(manifest, dtype=str, keep_default_na=False)
    table = table[["recording_id", "subject_id", "item", "side", "grade", "video"]]
    table = table.assign(video=[str(manifest.parent / name) for name in table["video"]])
    table = table[table["subject_id"].isin(subjects)].assign(**changes)
    path = folder / "part.csv"
    path.write_text(table_text(table.columns, table.to_dict("records")), encoding="utf-8")
    return path


def test_the_model_that_did_not_learn_from_a_fold_predicts_it_as_the_trial_did(
    study: StudyLog, faces: Path, tmp_path: Path
) -> None:
    then = by_recording(read_predictions(study.trial(0).predictions_path)).set_index("recording_id")
    for fold, subjects in ((0, ["S002", "S003"]), (1, ["S004", "S005", "S006"])):
        part = part_of(faces, tmp_path, *subjects)
        now = predicted(study, tmp_path, f"data.manifest={part}", f"model=fold:{fold}")
        wanted = then.loc[then["fold"] == fold, SHARES]
        pd.testing.assert_frame_equal(now[SHARES], wanted, check_exact=True, check_like=True)


def test_the_refit_predicts_the_test_set_as_the_study_scored_it(
    study: StudyLog, faces: Path, tmp_path: Path
) -> None:
    part = part_of(faces, tmp_path, "S001")
    now = predicted(study, tmp_path, f"data.manifest={part}", "model=refit")
    scored = by_recording(read_predictions(study.winner.predictions_path))
    wanted = scored.set_index("recording_id")[SHARES]
    pd.testing.assert_frame_equal(now[SHARES], wanted, check_exact=True)
    assert "disagreement" not in now


def test_the_ensemble_is_the_mean_of_the_folds_and_says_how_far_they_are_apart(
    study: StudyLog, faces: Path, tmp_path: Path
) -> None:
    part = part_of(faces, tmp_path, "S001")
    words = f"data.manifest={part}"
    each = [predicted(study, tmp_path, words, f"model=fold:{fold}") for fold in (0, 1)]
    now = predicted(study, tmp_path, words, "calibration=temperature")
    shares = np.stack([one[SHARES].to_numpy()[0] for one in each])
    np.testing.assert_allclose(now[SHARES].to_numpy()[0], shares.mean(axis=0), atol=1e-12)
    chosen = int(shares.mean(axis=0).argmax())
    assert now["disagreement"].iloc[0] == pytest.approx(np.ptp(shares[:, chosen]), abs=1e-12)
    assert now["estimated_grade"].iloc[0] == ("0 to 1", "2 to 5")[chosen]
    assert now[["calibrated_0", "calibrated_1"]].sum(axis=1).iloc[0] == pytest.approx(1)
    assert now["num_models"].tolist() == [2]


def test_a_model_never_grades_a_person_that_it_learnt_from(
    study: StudyLog, faces: Path, tmp_path: Path
) -> None:
    now = predicted(study, tmp_path, f"data.manifest={faces}")
    table = read_foreign(tmp_path / "new.csv").table  # jobs/evaluate.py reads the file as it is
    assert table["probability_1"].tolist() == now["probability_1"].tolist()
    assert now.groupby("subject_id")["num_models"].first().to_dict() == {
        "S001": 2, "S002": 1, "S003": 1, "S004": 1, "S005": 1, "S006": 1,
    }  # fmt: skip
    seen = now[now["subject_id"] == "S004"]
    assert seen["note"].str.contains("graded by fold:1 alone").all()
    part = part_of(faces, tmp_path, "S004")
    now = predicted(study, tmp_path, f"data.manifest={part}", "model=refit")
    assert now["note"].str.contains("no model is left that did not learn from it").all()
    assert not set(SHARES) & set(now.dropna(axis=1))
    # The same file is the same person under every name, and an equal id need not be.
    other = part_of(faces, tmp_path, "S004", subject_id="X9", recording_id="R1")
    now = predicted(study, tmp_path, f"data.manifest={other}", "other_people=true")
    assert now["num_models"].tolist() == [1]
    (tmp_path / "new").mkdir()
    copy_shorter(faces, tmp_path / "new/S004.mp4")
    cut = part_of(faces, tmp_path, "S004", video=str(tmp_path / "new/S004.mp4"))
    assert predicted(study, tmp_path, f"data.manifest={cut}")["num_models"].tolist() == [1]
    now = predicted(study, tmp_path, f"data.manifest={cut}", "other_people=true")
    assert now["num_models"].tolist() == [2]


def copy_shorter(faces: Path, target: Path) -> None:
    """Write a recording of another content: a person of the cohort in a file of another name."""
    from pdray.config import build
    from pdray.demo.cohort import make_cohort
    from pdray.demo.illness.severity import DemoConfig
    from tests.fixtures.tiny_study import FACES

    longer = {**FACES, "num_subjects": 2, "min_seconds": 3.0, "max_seconds": 3.2, "seed": 9}
    made = make_cohort(target.parent / "cohort", build(DemoConfig, longer), num_processes=1)
    shutil.copyfile(str(load_manifest(made).recordings[0].video), target)
    shutil.rmtree(made.parent)


def test_a_folder_of_videos_is_graded_and_what_is_strange_is_noted(
    study: StudyLog, faces: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "clinic"
    folder.mkdir()
    copy_shorter(faces, folder / "P1.mp4")
    (folder / "broken.mp4").write_bytes(b"no video")
    now = predicted(study, tmp_path, f"videos={folder}")
    assert now.index.tolist() == ["P1", "broken"]
    assert now.loc["P1", "num_models"] == 2
    assert "length [s]: " in now.loc["P1", "note"]
    assert now.loc["P1", "item"] == "face_interview"
    assert np.isnan(now.loc["broken", "probability_0"])
    assert "cannot be" in now.loc["broken", "note"]


def test_videos_whose_names_differ_in_the_ending_alone_are_told_apart(
    network_study: StudyLog, tmp_path: Path
) -> None:
    folder = tmp_path / "clinic"
    folder.mkdir()
    copy_shorter(folder, folder / "P1.mp4")
    shutil.copyfile(folder / "P1.mp4", folder / "P1.mov")
    now = predicted(network_study, tmp_path, f"videos={folder}")
    assert now["num_models"].to_dict() == {"P1.mov": 2, "P1.mp4": 2}


def test_a_part_of_a_file_and_an_id_that_looks_alike_are_the_same_person(
    network_study: StudyLog, faces: Path, tmp_path: Path
) -> None:
    part = part_of(faces, tmp_path, "S004", subject_id="X9", recording_id="R1",
                   start_seconds="0", end_seconds="0.9")  # fmt: skip
    now = predicted(network_study, tmp_path, f"data.manifest={part}", "other_people=true")
    assert now["num_models"].tolist() == [1]
    (tmp_path / "new").mkdir()
    copy_shorter(faces, tmp_path / "new/x.mp4")
    new = {"video": str(tmp_path / "new/x.mp4"), "recording_id": "R1"}
    alike = part_of(faces, tmp_path, "S004", subject_id="s-4", **new)
    now = predicted(network_study, tmp_path, f"data.manifest={alike}")
    assert now["num_models"].tolist() == [1]
    assert "an id that looks like one of its ids" in now.loc["R1", "note"]
    now = predicted(network_study, tmp_path, f"data.manifest={alike}", "other_people=true")
    assert now["num_models"].tolist() == [2]
    # A study that decodes videos at every read knows its files as well, without its manifest.
    copy = StudyLog(tmp_path / "output/studies/faces")
    shutil.copytree(network_study.folder, copy.folder)
    settings = copy.read()["settings"] | {"frames": "video"}
    copy.start(name="faces", settings=settings, tags={})
    video = load_manifest(faces).recording("S004_V1_face_interview").video
    shutil.copyfile(str(video), tmp_path / "new/y.mp4")
    new = {"video": str(tmp_path / "new/y.mp4"), "recording_id": "R1", "subject_id": "X9"}
    part = part_of(faces, tmp_path, "S004", **new)
    now = predicted(copy, tmp_path, f"data.manifest={part}")
    assert now["num_models"].tolist() == [1]


def test_people_whose_ids_look_alike_can_be_named(
    network_study: StudyLog, faces: Path, tmp_path: Path
) -> None:
    part = part_of(faces, tmp_path, "S001", "S002")
    renamed = part.read_text().replace(",S001,", ",N1,").replace(",S002,", ",N01,")
    part.write_text(renamed, encoding="utf-8")
    words = f"data.manifest={part}"
    with pytest.raises(PdrayError, match=r"data\.different_subjects="):
        predicted(network_study, tmp_path, words)
    named = 'data.different_subjects=[["N1","N01"]]'
    assert len(predicted(network_study, tmp_path, words, named)) == 2


def test_what_is_not_used_or_not_there_is_told(
    network_study: StudyLog, faces: Path, tmp_path: Path
) -> None:
    copy, lines = StudyLog(tmp_path / "output/studies/faces"), []
    shutil.copytree(network_study.folder, copy.folder)
    facts = copy.read()
    settings = facts["settings"] | {"decision": {"threshold": "mcc"}}
    tags = json.dumps(
        facts | {"settings": settings, "tags": facts["tags"] | {"manifest_digest": "0"}}
    )
    (copy.folder / "study.json").write_text(tags, encoding="utf-8")
    asked = [f"study={copy.folder}", f"output={tmp_path / 'new.csv'}",
             f"data.manifest={part_of(faces, tmp_path, 'S001')}", *FAR]  # fmt: skip
    predict_new(load(PredictConfig, asked), lines.append)
    told = "\n".join(lines)
    assert "note: decision.threshold=mcc of the study is not used here, but highest" in told
    assert "its manifest manifest.csv has changed since" in told
    assert "learns in one step" not in told


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["videos={empty}"], "there is no video in it"),
        (["videos={broken}"], "none of 1 recordings can be read"),
        (["videos={broken}", "model=fold:7"], "has the folds 0, 1"),
        # Before anything is decoded.
        (["videos={broken}", "calibration=isotonic"], "isotonic regression needs 200 subjects"),
        (["data.manifest={gait}"], "learnt face_interview, but the 1 new recordings are of gait"),
    ],
)
def test_what_cannot_be_graded_is_refused_and_nothing_is_written(
    network_study: StudyLog, faces: Path, tmp_path: Path, words: list[str], message: str
) -> None:
    for name in ("empty", "broken"):
        (tmp_path / name).mkdir()
    (tmp_path / "broken/x.mp4").write_bytes(b"no video")
    gait = part_of(faces, tmp_path, "S001", item="gait", grade="1")
    places = {"empty": tmp_path / "empty", "broken": tmp_path / "broken", "gait": gait}
    with pytest.raises(PdrayError, match=message):
        predicted(network_study, tmp_path, *(word.format(**places) for word in words))
    assert not (tmp_path / "new.csv").exists()


def test_a_table_that_is_there_is_kept(network_study: StudyLog, tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_text("of last week")
    words = [f"study={network_study.folder}", f"videos={tmp_path}", f"output={tmp_path}/new.csv"]
    with pytest.raises(PdrayError, match="is there already; give the name of a new file"):
        predict_new(load(PredictConfig, words), pytest.fail)
    assert (tmp_path / "new.csv").read_text() == "of last week"


def test_a_study_without_weights_says_how_to_get_them(
    network_study: StudyLog, faces: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "output/studies/faces"
    shutil.copytree(network_study.folder, copy)
    shutil.rmtree(copy / "winner/folds")
    words = f"data.manifest={part_of(faces, tmp_path, 'S001')}"
    with pytest.raises(PdrayError, match=r"write model=refit, or .*search\.keep_folds=true"):
        predicted(StudyLog(copy), tmp_path, words)
    assert len(predicted(StudyLog(copy), tmp_path, words, "model=refit")) == 1
    (copy / "winner/model.pt").write_bytes(b"cut")
    with pytest.raises(PdrayError, match=r"model\.pt: these are not the weights"):
        predicted(StudyLog(copy), tmp_path, words, "model=refit")
    with pytest.raises(PdrayError, match="in no folder named studies"):
        predicted(StudyLog(Path(shutil.copytree(copy, tmp_path / "faces"))), tmp_path, words)
    assert not (tmp_path.parent / "store").exists()
    with pytest.raises(PdrayError, match=r"which has no study\.json"):
        predicted(StudyLog(tmp_path / "none"), tmp_path, words)


def test_settings_that_name_no_recordings_or_no_table_are_refused(tmp_path: Path) -> None:
    study, output = f"study={tmp_path / 'study'}", f"output={tmp_path / 'new.csv'}"
    for words, message in (
        ([study, output], "write videos=FOLDER or data.manifest=FILE"),
        ([study, output, "videos=a", "data.manifest=b"], "one of them"),
        ([study, f"output={tmp_path / 'new.xlsx'}", "videos=a"], "name of a CSV file"),
        ([study, f"output={tmp_path / 'study/new.csv'}", "videos=a"], "inside the study's folder"),
        ([study, output, "data.manifest=b", "item=gait"], "item: has no effect without videos"),
    ):
        with pytest.raises(SettingsError, match=message):
            load(PredictConfig, words)
