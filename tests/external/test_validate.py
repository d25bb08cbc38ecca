"""Models of a study grade recordings from elsewhere, and nobody is lost or scored unseen."""

import json
import re
import shutil
import stat
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from pdray.config import load
from pdray.data.cohort.csv_table import table_text
from pdray.data.cohort.manifest import load_manifest
from pdray.data.media.decode import decode_frames
from pdray.data.media.encode import Sound, encode
from pdray.data.media.settings import DecodeConfig
from pdray.errors import PdrayError, SettingsError
from pdray.evaluation.metrics import score
from pdray.evaluation.predictions import probabilities, read_predictions, targets
from pdray.external.people import reasons_before
from pdray.external.validate import validate
from pdray.predict.run import predict_new
from pdray.predict.settings import PredictConfig
from pdray.predict.studied import open_study
from pdray.search.evaluate_settings import EvaluateConfig
from pdray.tracking.run_log import StudyLog
from tests.report.checker import numbers_in

CPU = torch.device("cpu")
COLUMNS = (
    "recording_id",
    "subject_id",
    "item",
    "side",
    "grade",
    "grade_status",
    "site",
    "video",
    "start_seconds",
)
SCORED = [f"N{number}" for number in range(1, 11)]
LEFT_OUT = {
    "alike": "seen in training",
    "copy": "seen in training",
    "tested": "tested in the study",
    "other": "other item",
    "blank": "no grade",
    "unable": "unable to rate",
    "broken": "damaged file",
}


def rows_of(manifest: Path) -> list[dict[str, str]]:
    table = pd.read_csv(manifest, dtype=str, keep_default_na=False)
    table["video"] = [str(manifest.parent / name) for name in table["video"]]
    return table.reindex(columns=list(COLUMNS), fill_value="").to_dict("records")


def write(folder: Path, rows: list[dict[str, str]]) -> Path:
    path = folder / "other_site.csv"
    path.write_text(table_text(COLUMNS, rows), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory, faces: Path, elsewhere: Path) -> Path:
    """Ten people who are scored, and seven recordings that are left out, each for its reason."""
    new, old = rows_of(elsewhere), {row["subject_id"]: row for row in rows_of(faces)}
    names = [*SCORED, "alike", "blank", "unable", "broken"]
    rows = [
        row | {"recording_id": name, "subject_id": f"{name} of Ulm", "site": "Ulm"}
        for name, row in zip(names, new, strict=True)
    ]
    rows[10] |= {"subject_id": "s-4"}
    rows[11] |= {"grade": ""}
    rows[12] |= {"grade": "", "grade_status": "unable"}
    rows[13] |= {"start_seconds": "30"}  # behind the end of the file
    rows += [
        old["S005"] | {"recording_id": "copy", "subject_id": "X1"},
        old["S001"] | {"recording_id": "tested", "subject_id": "X2"},
        new[0] | {"recording_id": "other", "subject_id": rows[0]["subject_id"], "item": "gait"},
    ]
    return write(tmp_path_factory.mktemp("other"), rows)


@pytest.fixture(scope="module")
def validated(
    tmp_path_factory: pytest.TempPathFactory, study: StudyLog, manifest: Path
) -> tuple[str, Path]:
    output = tmp_path_factory.mktemp("validated")
    return run(study, manifest, output, "decision.calibration=temperature")


@pytest.fixture
def without_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the figures of the report, which take seconds."""
    monkeypatch.setattr("pdray.external.validate.write_report", lambda case, folder: None)


FAR = "data.allow_outside=true"  # the manifest names videos of another folder


def run(study: StudyLog, manifest: Path, output: Path, *words: str) -> tuple[str, Path]:
    asked = [f"study={study.folder}", f"data.manifest={manifest}", f"output={output}", FAR, *words]
    text = validate(load(EvaluateConfig, asked), lambda line: None, device=CPU)
    return text, output / "evaluation" / f"{study.name}-{manifest.stem}"


def test_who_is_not_of_the_study_is_scored_and_everybody_else_is_counted(
    study: StudyLog, manifest: Path, validated: tuple[str, Path], tmp_path: Path
) -> None:
    text, folder = validated
    table = read_predictions(folder / "predictions.parquet")
    assert sorted(table["recording_id"]) == sorted(SCORED)
    parts = pd.read_parquet(folder / "private" / "recordings.parquet").set_index("recording_id")
    lost = parts.loc[parts["part"] == "left out", "reason"]
    assert lost.to_dict() == LEFT_OUT
    assert (parts["part"] == "scored").sum() == len(SCORED)
    # The same models, the same code: the numbers are those of jobs/predict.py.
    words = [f"study={study.folder}", f"data.manifest={manifest}", f"output={tmp_path / 'p.csv'}"]
    predict_new(load(PredictConfig, [*words, FAR]), lambda line: None)
    predicted = pd.read_csv(tmp_path / "p.csv", comment="#").set_index("recording_id")
    shares = predicted.loc[table["recording_id"], ["probability_0", "probability_1"]].to_numpy()
    np.testing.assert_array_equal(probabilities(table), shares)
    # Report, file and predictions have one score.
    numbers = pd.read_csv(folder / "numbers.csv").set_index(["table", "group", "metric"])["value"]
    for name in ("mcc", "auroc", "brier"):
        wanted = score(name, targets(table), probabilities(table))
        np.testing.assert_allclose(numbers["scores", np.nan, name], wanted)
    assert numbers["groups", "site=Ulm", "mcc"] == pytest.approx(
        numbers["scores", np.nan, "mcc"], nan_ok=True
    )
    for told in (
        "17 recordings of 16 people are listed; 10 recordings of 10 people are scored",
        "2 seen in training",
        "SYNTHETIC",
        "the mean of the models of 2 folds",
        "chosen on predictions of single models of the study, and applied to the mean",
        "guessing by the class frequencies of the study",
        "In the study itself",
    ):
        assert told in " ".join(text.split())


def test_the_report_names_nobody_and_says_what_was_done(
    manifest: Path, validated: tuple[str, Path]
) -> None:
    _, folder = validated
    names = {path.name for path in (folder / "report").iterdir()}
    assert names == {"report.html", "results.json", "scores.csv", "cohort.csv", "methods.txt",
                     "card.md", "figures"}  # fmt: skip
    for name in ("private/subjects.csv", "private/recordings.parquet", "predictions.parquet"):
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600
    for path in (folder / "report").rglob("*.*"):
        if path.suffix not in (".pdf", ".png"):
            told = path.read_text(encoding="utf-8")
            secret = [
                one
                for one in (*SCORED, "of Ulm", str(manifest.parent), manifest.stem)
                if one in told
            ]
            assert secret == [], path.name
    page = (folder / "report" / "report.html").read_text(encoding="utf-8")
    assert "External validation of the study faces" in page
    results = json.loads((folder / "report" / "results.json").read_text(encoding="utf-8"))
    assert results["study"]["protocol"] == "external"
    assert results["external"]["models"] == "the mean of the models of 2 folds"
    assert results["external"]["score"]["num_subjects"] == 1
    words = re.sub(r"<(svg|style).*?</\1>|<[^>]+>", " ", page, flags=re.DOTALL)
    known = {f"{abs(value):.3f}" for _, value in numbers_in(results)}
    assert set(re.findall(r"(?<![\d.])\d\.\d{3}(?!\d)", words)) <= known
    groups = {(one["table"], one["group"]) for one in results["numbers"]}
    for group in ("class 0", "class 1", "class 0, after temperature", "class 1, after temperature"):
        assert ("large", group) in groups
    assert ("calibration", "class 1, after temperature") in groups
    methods = (folder / "report" / "methods.txt").read_text(encoding="utf-8")
    assert "nothing was fitted or chosen on these recordings" in " ".join(methods.split())
    card = (folder / "report" / "card.md").read_text(encoding="utf-8")
    assert "### 16 Training and testing: open" in card
    assert "tested inside one cohort" not in card


@pytest.mark.usefixtures("without_page")
def test_a_second_scoring_of_the_same_people_is_said(
    study: StudyLog, manifest: Path, validated: tuple[str, Path], tmp_path: Path
) -> None:
    first, folder = validated
    assert "scored some of these people" not in " ".join(first.split())
    shutil.copytree(folder.parents[1] / "tables", tmp_path / "tables")
    again, _ = run(study, manifest, tmp_path, "model=refit")
    assert "This study scored some of these people 1 time before" in " ".join(again.split())
    assert "external validation of the refit" in " ".join(again.split())
    lines = pd.read_csv(tmp_path / "tables" / "scorings.csv")
    assert lines[["table", "study", "manifest", "runs"]].to_numpy().tolist() == [
        ["evaluate", "faces", "other_site.csv", "ensemble"],
        ["evaluate", "faces", "other_site.csv", "refit"],
    ]
    # A mark of each person, and one of each recording, by which it is known under other ids.
    assert [len(one.split()) for one in lines["subjects"]] == [2 * len(SCORED)] * 2
    first_row = rows_of(manifest)[0] | {"recording_id": "again", "subject_id": "M1"}
    changed, _ = run(study, write(tmp_path, [first_row]), tmp_path)
    assert "This study scored some of these people 2 times before" in " ".join(changed.split())


@pytest.mark.usefixtures("without_page")
def test_equal_ids_of_other_people_are_scored_if_that_is_said(
    study: StudyLog, elsewhere: Path, tmp_path: Path
) -> None:
    path = write(tmp_path, rows_of(elsewhere))  # S001 to S014; the study has S001 to S006
    rows = load_manifest(path)
    reasons = reasons_before(open_study(study.folder), rows, other_people=False)
    assert Counter(reasons.values()) == {"seen in training": 5, "tested in the study": 1}
    text, folder = run(study, path, tmp_path / "out", "other_people=true", "decision.threshold=mcc")
    parts = pd.read_parquet(folder / "private" / "recordings.parquet")
    assert parts["part"].tolist() == ["scored"] * 14
    assert "equal ids were said to be of other people" in " ".join(text.split())


@pytest.mark.usefixtures("without_page")
def test_a_copy_of_a_recording_of_the_study_in_another_file_is_warned_of(
    study: StudyLog, faces: Path, elsewhere: Path, tmp_path: Path
) -> None:
    old = {row["subject_id"]: row for row in rows_of(faces)}["S005"]
    plain = DecodeConfig(height=32, width=32)
    frames = np.stack([frame for _, frame in decode_frames(Path(old["video"]), plain)])
    encode(
        tmp_path / "again.mp4", frames[:-2], rate=25, sound=Sound(np.zeros(8000, np.float32), 8000)
    )
    rows = [row | {"subject_id": f"N{k}"} for k, row in enumerate(rows_of(elsewhere)[:3])]
    rows.append(
        old | {"recording_id": "R1", "subject_id": "X", "video": str(tmp_path / "again.mp4")}
    )
    text, folder = run(study, write(tmp_path, rows), tmp_path / "out")
    parts = pd.read_parquet(folder / "private" / "recordings.parquet")
    assert parts["part"].tolist() == ["scored"] * 4  # nothing but the picture tells
    words = " ".join(text.split())
    pair = re.search(r"1 pairs of copies across sides: (R[0-9]+) and (R[0-9]+) of the study", words)
    assert pair is not None
    keys = [folder / "private", study.folder / "private"]
    for number, key, name in zip(pair.groups(), keys, ("R1", old["recording_id"]), strict=True):
        assert f"{number},{name}\n" in (key / "recordings.csv").read_text(encoding="utf-8")
    assert "leave these recordings out of the manifest" in words


@pytest.mark.usefixtures("without_page")
def test_one_class_alone_is_scored_and_what_has_no_value_is_said(
    study: StudyLog, elsewhere: Path, tmp_path: Path
) -> None:
    rows = [
        row | {"subject_id": f"N{row['subject_id']}", "grade": "0"} for row in rows_of(elsewhere)
    ]
    text, folder = run(study, write(tmp_path, rows), tmp_path / "out")
    numbers = pd.read_csv(folder / "numbers.csv").set_index(["table", "group", "metric"])
    assert np.isnan(numbers.loc[("scores", np.nan, "auroc"), "value"])
    assert "undefined" in text


def refused(study: StudyLog, manifest: Path, output: Path) -> str:
    with pytest.raises(PdrayError) as error:
        run(study, manifest, output)
    assert not [*output.rglob("*")]
    return str(error.value)


def test_a_manifest_of_which_nobody_can_be_scored_is_refused(
    study: StudyLog, faces: Path, elsewhere: Path, tmp_path: Path
) -> None:
    out, new = tmp_path / "out", rows_of(elsewhere)[:3]
    named = [row | {"subject_id": f"N{k}"} for k, row in enumerate(new)]
    assert "is the manifest of study faces itself" in refused(study, faces, out)
    told = refused(study, write(tmp_path, rows_of(faces)), out)
    assert "none of its 6 recordings can be scored by study faces: 5 seen in training" in told
    assert "write other_people=true" in told
    told = refused(study, write(tmp_path, [row | {"grade": ""} for row in named]), out)
    assert "3 no grade; fill in the column grade, or grade them with jobs/predict.py" in told
    told = refused(study, write(tmp_path, [row | {"video": ""} for row in named]), out)
    assert "3 no video; fill in the column video" in told
    known = {row["subject_id"]: row for row in rows_of(faces)}["S004"]
    renamed = [known | {"recording_id": "R1", "subject_id": "X1"}]
    told = refused(study, write(tmp_path, renamed), out)
    assert "none of its 1 recordings can be scored by study faces: 1 seen in training" in told
    gait = [row | {"item": "gait", "grade": "1"} for row in named]
    told = refused(study, write(tmp_path, gait), out)
    assert "3 other item; choose a study of these items: this one learnt face_interview" in told
    told = refused(study, write(tmp_path, [row | {"grade": "7"} for row in named]), out)
    assert "row 2: grade 7 is outside 0..5 for item face_interview" in told


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["table=a.csv", "data.manifest=b.csv"], "data.manifest: needs study=FOLDER"),
        (["table=a.csv", "model=refit"], "model: needs study=FOLDER data.manifest=FILE"),
        (["study=a", "other_people=true"], "other_people: needs study=FOLDER data.manifest=FILE"),
        (["study=a", "data.shared_files=[x]"], "data: needs data.manifest=FILE"),
        (["study=a", "data.manifest=b.csv", "trial=3"], "trial: has no effect with data.manifest"),
        (["study=a", "data.manifest=b.csv", "split=val"], "split: has no effect with"),
        (["study=a", "data.manifest=b.csv", "model=best"], "model"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(words: list[str], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        load(EvaluateConfig, words)
