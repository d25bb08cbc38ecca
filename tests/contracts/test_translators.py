"""Whatever reads predictions refuses the study of a translator, which has none, in plain words."""

import shutil
from pathlib import Path

import pytest

from jobs import assemble_patients, compare, evaluate, explain, export, predict, report
from jobs import extract_intensities as intensities
from pdray.checks.default import gain_of
from pdray.config import build, dump
from pdray.data.cohort.folds import Folds, folds_to_json
from pdray.errors import StudyError
from pdray.evaluation.predictions import Origin, read_predictions
from pdray.evaluation.translations import translations_table
from pdray.search.files import check_files
from pdray.search.results import read_study
from pdray.tracking.digests import Digests
from pdray.tracking.run_log import StudyLog, TrialLog
from pdray.training.settings import FitConfig

FOLDS = Folds(frozenset({"C"}), (frozenset({"A"}), frozenset({"B"})))


def leave(log: TrialLog, config: FitConfig, folds: dict[int, str]) -> None:
    """Leave what a trial leaves: a row of each fold, whose source is of this subject."""
    role = "winner" if log.folder.name == "winner" else "trial"
    log.start(number=0, num_epochs=1, params={}, settings=dump(config), role=role)
    for fold, subject in folds.items():
        rows = {
            "recording_id": [f"R{subject}"], "subject_id": [subject], "item": ["face_interview"],
            "grade": [0], "frame": [0], "seconds": [0.0], "target_class": [1],
        }  # fmt: skip
        origin = Origin(study="cut", trial=0, fold=fold, epoch=0)
        table = translations_table(origin, rows)
        log.write_epoch(fold=fold, epoch=0, metrics={"train/spread": 1.0}, predictions=table)
    log.finish(state="complete", value=float("nan"), chosen_epoch=0)


@pytest.fixture
def study(tmp_path: Path) -> StudyLog:
    log = StudyLog(tmp_path / "output" / "studies" / "cut")
    config = build(FitConfig, {"model": {"name": "cut"}, "decode": {"height": 64, "width": 64}})
    tree = {**dump(config), "data": {"manifest": "cohort.csv", "grade_cuts": [2]}, "space": {},
            "search": {"metric": "kernel_distance"}}  # fmt: skip
    log.start(name="cut", settings=tree, tags={"manifest_digest": "0", "maximise": "false"})
    log.write(log.folds_path.name, folds_to_json(FOLDS))
    leave(log.trial(0), config, {0: "A", 1: "B"})
    leave(log.winner, config, {0: "C"})
    log.winner.model_path.write_bytes(b"weights")
    log.finish(state="complete", best=0)
    return log


def test_each_job_that_grades_or_scores_by_a_study_says_that_it_grades_nobody(
    study: StudyLog, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = f"output={tmp_path / 'out'}"
    (tmp_path / "videos").mkdir()
    manifest = tmp_path / "manifest.csv"
    manifest.write_text("recording_id,subject_id,item,video\nR1,S1,face_interview,a.mp4\n")
    here = f"study={study.folder}"
    asked = {
        predict: [here, f"videos={tmp_path / 'videos'}", f"{out}.csv"],
        explain: [here, out],
        export: [here, out],
        evaluate: [here],
        report: [here],
        compare: [f"studies=[{study.folder}, {study.folder}]", out],
        intensities: [here, f"manifest={manifest}", f"{out}.csv"],
        assemble_patients: [f"data.manifest={manifest}", "model.name=cut", out],
    }
    for job, words in asked.items():
        assert job.main(words) == 2, job.__name__
        told = capsys.readouterr().err
        plain = ("predicts no class", "makes pictures", "its model cut has no phrases")
        assert any(one in told for one in plain), told
        assert "Traceback" not in told


def test_tables_and_results_say_so_too(study: StudyLog) -> None:
    with pytest.raises(StudyError, match="changes pictures and predicts no class; what it did is"):
        read_predictions(study.winner.predictions_path)
    results = read_study(study.folder)
    with pytest.raises(StudyError, match="its model cut makes pictures and grades nobody"):
        results.predictions()
    with pytest.raises(StudyError, match="its model cut makes pictures and grades nobody"):
        results.scores()
    assert results.trials()["state"].tolist() == ["complete"]
    assert results.epochs()["train/spread"].tolist() == [1.0, 1.0, 1.0]
    assert gain_of(study, "kernel_distance").is_default


def test_its_files_are_checked_before_it_goes_on(study: StudyLog) -> None:
    check_files(study)
    assert Digests(study.folder).lists(study.trial(0).translations_path)
    study.trial(0).translations_path.write_bytes(b"cut")
    with pytest.raises(StudyError, match=r"translations.parquet: has another content than the"):
        check_files(study)
    (study.folder / "digests.jsonl").unlink()
    with pytest.raises(StudyError, match=r"translations.parquet: translations .*cannot be read"):
        check_files(study)
    shutil.copy(study.winner.translations_path, study.trial(0).translations_path)
    check_files(study)
