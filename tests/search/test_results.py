"""Results of studies that an earlier version left, as data frames."""

import shutil
from pathlib import Path

import pandas as pd
import pytest

from pdray.checks.finding import Finding
from pdray.checks.run import write_findings
from pdray.errors import StudyError
from pdray.evaluation.metrics import METRICS
from pdray.evaluation.predictions import read_predictions
from pdray.search.results import read_study
from pdray.tracking.run_log import StudyLog
from tests.places import ROOT

STUDIES = ROOT / "tests" / "earlier" / "left" / "output" / "studies"
COMPARISON = STUDIES / "002.3-finger_tapping"


def test_a_search_has_the_score_of_its_winner() -> None:
    study = read_study(STUDIES / "finished")
    assert repr(study) == "<study finished: complete, SYNTHETIC data>"
    winner = study.log.winner.read()
    (row,) = study.scores().to_dict("records")
    assert (row["split"], row["fold"], row["trial"]) == ("test", -1, winner["number"])
    assert row["metric"] == "auroc"  # which decided
    scores = study.scores(list(METRICS)).set_index("metric")
    for name, kept in winner["scores"].items():  # as the earlier version computed them
        metric = name.removeprefix("test/")
        assert scores.loc[metric, "value"] == pytest.approx(kept["value"], nan_ok=True)
    # Scored anew, so few subjects have no interval.
    assert scores[["low", "high"]].isna().all(axis=None)
    assert scores.loc["auroc", "reason"].startswith("too few subjects for an interval: ")
    assert study.report.startswith("1 trials by val/auroc")
    folds = study.folds()
    tested = set(study.predictions()["subject_id"])
    assert set(folds.loc[folds["fold"] == -1, "subject_id"]) == tested
    assert folds["subject_id"].is_unique
    assert set(study.epochs()["split"]) == {"test"}
    assert study.trials().empty


def test_a_comparison_has_every_trial_on_every_held_out_fold() -> None:
    study = read_study(str(COMPARISON))
    assert study.trials()["label"].tolist() == ["scratch"]
    scores = study.scores(["accuracy"])
    assert scores["fold"].tolist() == [0, 1]
    assert set(scores["split"]) == {"test"}
    stored = [read_predictions(file) for file in sorted(COMPARISON.glob("trials/*/*.parquet"))]
    pd.testing.assert_frame_equal(study.predictions(), pd.concat(stored, ignore_index=True))
    assert set(study.epochs()["fold"]) == {0, 1}
    assert study.report == ""


def test_the_checks_of_a_search_are_a_table(tmp_path: Path) -> None:
    log = StudyLog(tmp_path)
    log.start(name="checked", settings={}, tags={})
    assert read_study(tmp_path).checks().empty
    write_findings(tmp_path, [Finding(state="warning", found="8 of 12", code="PDR009")])
    checks = read_study(tmp_path).checks()
    assert checks.loc["PDR009", ["state", "found"]].tolist() == ["warning", "8 of 12"]


def test_a_search_in_outer_folds_has_the_predictions_of_their_winners(tmp_path: Path) -> None:
    log = StudyLog(tmp_path)
    log.start(name="nested", settings={}, tags={})
    (stored, *_) = sorted(COMPARISON.glob("trials/*/*.parquet"))
    log.pooled_path.parent.mkdir()
    shutil.copy(stored, log.pooled_path)
    pd.testing.assert_frame_equal(read_study(tmp_path).predictions(), read_predictions(stored))


def test_an_unfinished_search_shows_what_is_there() -> None:
    study = read_study(STUDIES / "unfinished")
    trials = study.trials()
    assert trials["state"].tolist() == ["complete", "running"]
    assert pd.isna(trials.loc[1, "seconds"])
    assert trials["loss.gamma"].notna().all()
    assert study.epochs().groupby("trial").size().tolist() == [4, 3]
    assert set(study.predictions()["trial"]) == {0}


def test_what_is_no_study_or_has_nothing_yet_is_told(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="holds no study, whose folder has a study"):
        read_study(tmp_path)
    StudyLog(tmp_path).start(name="new", settings={"search": {"metric": "mcc"}}, tags={})
    study = read_study(tmp_path)
    assert study.trials().empty
    assert study.epochs().empty
    with pytest.raises(StudyError, match="no trial is complete"):
        study.scores()
    with pytest.raises(StudyError, match=r"folds\.json: cannot be read"):
        study.folds()
