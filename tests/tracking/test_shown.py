"""What MLflow shows of a trial."""

import json

from pdray.tracking.run_log import StudyLog
from pdray.tracking.shown import leaderboard, study_scores, study_tags, trial_params


def test_of_a_searched_file_only_its_name_is_shown() -> None:
    trial = {
        "number": 0, "state": "complete", "value": 0.5, "chosen_epoch": 0, "settings": {},
        "params": {"pretrained": "people/Roe/weights.pt", "loss.gamma": 2.0},
    }  # fmt: skip
    assert trial_params(trial) == {"pretrained": "weights.pt", "loss.gamma": "2.0"}
    assert leaderboard([trial], "mcc")["data"] == [[0, "complete", 0.5, 1, "", "weights.pt", 2.0]]


def test_a_study_shows_the_scores_of_its_procedure_and_no_other_pooled_ones(
    study: StudyLog,
) -> None:
    study.evaluation.mkdir()
    (study.evaluation / "numbers.csv").write_text(
        "table,group,level,metric,value,low,high\n"
        "procedure,,recording,mcc,0.25,0.1,0.4\n"
        "procedure,pooled over outer folds (naive),,auroc,0.9,,\n"
        "procedure,mcc of the winners in their own searches,,optimism,0.125,,\n"
        "scores,,recording,mcc,0.5,0.4,0.6\n"
    )
    assert {name: v for name, v in study_scores(study).items() if v == v} == {
        "procedure/mcc": 0.25, "procedure/mcc_low": 0.1, "procedure/mcc_high": 0.4,
        "procedure/optimism": 0.125,
    }  # fmt: skip


def test_each_check_is_a_tag_and_a_damaged_list_is_none(study: StudyLog) -> None:
    findings = [{"code": "PDR003", "state": "warning"}, {"code": "PDR009", "state": "passed"}]
    file = study.folder / "checks.json"
    file.write_text(json.dumps(findings))
    plain = {"state": "running", "pdray.best_trial": "None"}
    checks = {"check.PDR003": "warning", "check.PDR009": "passed"}
    assert study_tags(study) == plain | checks
    file.write_text("[{")
    assert study_tags(study) == plain
