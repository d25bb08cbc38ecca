import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from pdray.errors import StudyError
from pdray.tracking.epoch_lines import EpochRecord, undefined_steps
from pdray.tracking.run_log import (
    StudyLog,
    TrialLog,
    flat_scores,
    learnt_from_rendered,
)

Rows = Callable[[int, int], pd.DataFrame]
RunTrial = Callable[..., TrialLog]


def test_a_study_that_is_started_again_keeps_its_id_and_start_and_takes_the_settings(
    study: StudyLog,
) -> None:
    first = study.read()
    study.finish(state="complete", best=3)
    assert study.read()["best"] == 3
    again = study.start(name="other", settings={"seed": 9}, tags={})
    assert again["settings"] == {"seed": 9}
    kept = ("name", "study_id", "tags", "started")
    assert [again[key] for key in kept] == [first[key] for key in kept]
    assert again["state"] == "running"
    assert again["ended"] is None


def test_trials_are_found_by_number_even_beyond_four_digits(
    study: StudyLog, run_trial: RunTrial
) -> None:
    for number in (10000, 2, 9999):
        run_trial(study, number, num_steps=0)
    assert [trial.read()["number"] for trial in study.trials()] == [2, 9999, 10000]


def test_epochs_come_back_as_written_with_honest_steps(
    study: StudyLog, run_trial: RunTrial
) -> None:
    before = time.time()
    records = run_trial(study, 0).epochs()
    assert [(r.fold, r.epoch, r.step) for r in records] == [
        (0, 0, 0),
        (0, 1, 1),
        (1, 0, 2),
        (1, 1, 3),
    ]
    assert records[3].metrics == {"train/loss": 0.25, "val/mcc": 0.1 * 3, "val/auroc": 0.5}
    assert math.isnan(records[1].metrics["val/auroc"])
    assert all(before <= r.time <= time.time() for r in records)


def test_the_lines_are_plain_json_even_for_undefined_scores(
    study: StudyLog, run_trial: RunTrial
) -> None:
    text = (run_trial(study, 0).folder / "epochs.jsonl").read_text()
    assert '"val/auroc": "nan"' in text
    assert "NaN" not in text


@pytest.mark.parametrize("tail", [b'{"fold": 1, "ep', b'{"fold": 1}', b"\x00\x00\x00\n"])
def test_a_half_written_last_line_is_dropped_on_reading_and_on_resume(
    study: StudyLog, run_trial: RunTrial, rows: Rows, tail: bytes
) -> None:
    run_trial(study, 0, num_steps=3)
    with (study.trial(0).folder / "epochs.jsonl").open("ab") as file:
        file.write(tail)
    resumed = study.trial(0)
    assert len(resumed.epochs()) == 3
    resumed.write_epoch(fold=1, epoch=1, metrics={"val/mcc": 0.5}, predictions=rows(1, 1))
    assert [record.step for record in study.trial(0).epochs()] == [0, 1, 2, 3]


def test_a_broken_line_in_the_middle_is_an_error_that_names_it(
    study: StudyLog, run_trial: RunTrial
) -> None:
    path = run_trial(study, 0).folder / "epochs.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + b"{broken\n" + lines[2])
    with pytest.raises(StudyError, match=r"epochs\.jsonl line 2"):
        study.trial(0).epochs()


def test_truncating_drops_later_steps_and_their_predictions(
    study: StudyLog, run_trial: RunTrial
) -> None:
    trial = run_trial(study, 0)
    trial.truncate(1)
    assert [record.step for record in trial.epochs()] == [0]
    kept = sorted(path.name for path in (trial.folder / "predictions").iterdir())
    assert kept == ["fold0_epoch000.parquet"]
    run_trial(study, 0)
    assert [record.step for record in study.trial(0).epochs()] == [0, 1, 2, 3]


def test_a_step_that_is_written_again_replaces_itself_and_all_after_it(
    study: StudyLog, run_trial: RunTrial, rows: Rows
) -> None:
    run_trial(study, 0)
    resumed = study.trial(0)
    resumed.write_epoch(fold=0, epoch=1, metrics={"val/mcc": 9.0}, predictions=rows(0, 1))
    resumed.write_epoch(fold=1, epoch=0, metrics={"val/mcc": 8.0}, predictions=rows(1, 0))
    records = study.trial(0).epochs()
    assert [record.step for record in records] == [0, 1, 2]
    assert [record.metrics["val/mcc"] for record in records] == [0.0, 9.0, 8.0]


def test_finishing_keeps_the_chosen_epoch_of_all_folds_and_every_score(
    study: StudyLog, run_trial: RunTrial
) -> None:
    trial = run_trial(study, 0)
    seen: list[tuple[int, str]] = []

    def draw(table: pd.DataFrame, folder: Path) -> None:
        state = trial.read()["state"]
        seen.append((len(table), state))
        (folder / "roc.png").write_bytes(b"picture")

    trial.finish(state="complete", value=0.2, chosen_epoch=0, draw=draw)
    assert seen == [(4, "running")]  # the state is written after the pictures
    kept = pd.read_parquet(trial.predictions_path)
    assert kept["fold"].tolist() == [0, 0, 1, 1]
    assert kept["epoch"].tolist() == [0, 0, 0, 0]
    assert not (trial.folder / "predictions").exists()
    assert len(trial.epochs()) == 4
    ended = trial.read()
    assert (ended["state"], ended["value"], ended["chosen_epoch"]) == ("complete", 0.2, 0)


def test_more_than_nine_folds_are_combined_in_order(study: StudyLog, rows: Rows) -> None:
    trial = study.trial(0)
    trial.start(number=0, num_epochs=1, params={}, settings={})
    for fold in range(11):
        trial.write_epoch(fold=fold, epoch=0, metrics={}, predictions=rows(fold, 0))
    table = trial.read_epoch(0)
    assert table is not None
    assert table["fold"].drop_duplicates().tolist() == list(range(11))
    assert trial.read_epoch(1) is None


def test_a_pruned_trial_has_a_reason_and_keeps_no_predictions(
    study: StudyLog, run_trial: RunTrial
) -> None:
    trial = run_trial(study, 0, num_steps=2)
    trial.finish(state="pruned", value=0.1, reason="below the median at fold 0, epoch 1")
    assert trial.read()["reason"] == "below the median at fold 0, epoch 1"
    assert not trial.predictions_path.exists()
    assert len(trial.epochs()) == 2


def test_an_undefined_value_survives_as_nan(study: StudyLog, run_trial: RunTrial) -> None:
    trial = run_trial(study, 0)
    trial.finish(state="complete", value=float("nan"), chosen_epoch=1)
    assert math.isnan(trial.read()["value"])


def test_a_resumed_trial_keeps_its_start(study: StudyLog, run_trial: RunTrial) -> None:
    trial = run_trial(study, 0)
    started = trial.read()["started"]
    trial.finish(state="failed", reason="killed")
    trial.start(number=0, num_epochs=2, params={}, settings={})
    assert trial.read()["started"] == started
    assert trial.read()["ended"] is None


def test_the_winner_has_the_shape_of_a_trial_and_test_scores(study: StudyLog, rows: Rows) -> None:
    winner = study.winner
    winner.start(number=3, num_epochs=1, params={"loss.gamma": 1.0}, settings={}, role="winner")
    winner.write_epoch(fold=0, epoch=0, metrics={"test/mcc": 0.4}, predictions=rows(0, 0))
    scores = {"test/mcc": {"value": 0.4, "low": float("nan"), "high": 0.7}}
    winner.finish(state="complete", value=0.5, chosen_epoch=0, scores=scores)
    read = StudyLog(study.folder).winner.read()
    assert (read["role"], read["number"]) == ("winner", 3)
    flat = flat_scores(read)
    assert (flat["test/mcc"], flat["test/mcc_high"]) == (0.4, 0.7)
    assert math.isnan(flat["test/mcc_low"])
    assert study.trials() == []


def test_a_folder_without_a_study_is_named(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="nowhere: holds no study, whose folder has a"):
        StudyLog(tmp_path / "nowhere").read()
    (tmp_path / "study.json").write_text("[]")
    with pytest.raises(StudyError, match="got a JSON list, expected an object"):
        StudyLog(tmp_path).read()


def test_undefined_metrics_are_listed_with_their_steps() -> None:
    nan = float("nan")
    records = [
        EpochRecord(0, 0, 0, 0.0, {"val/mcc": nan, "val/auroc": nan}),
        EpochRecord(0, 1, 1, 0.0, {"val/mcc": 0.1, "val/auroc": nan}),
    ]
    assert undefined_steps(records) == "val/auroc at step 0 1; val/mcc at step 0"


def test_a_kill_in_the_middle_of_writing_loses_at_most_the_line_being_written(
    study: StudyLog,
) -> None:
    trial = study.trial(0)
    trial.start(number=0, num_epochs=100000, params={}, settings={})
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from pdray.tracking.run_log import TrialLog\n"
        "trial = TrialLog(Path(sys.argv[1]))\n"
        "for epoch in range(100000):\n"
        "    trial.write_epoch(fold=0, epoch=epoch, metrics={'val/mcc': 1.0})\n"
        "    print(epoch, flush=True)\n"
    )
    command = [sys.executable, "-c", program, str(trial.folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        said = [writer.stdout.readline() for _ in range(20)]
        os.kill(writer.pid, signal.SIGKILL)
        said += writer.stdout.readlines()
    last = int(said[-1])
    steps = [record.step for record in trial.epochs()]
    assert steps == list(range(len(steps)))
    assert last + 1 <= len(steps) <= last + 2


def test_weights_of_a_study_on_rendered_recordings_are_known(tmp_path: Path) -> None:
    for name, tags in (("rendered", {"synthetic": "true"}), ("real", {})):
        study = StudyLog(tmp_path / "studies" / name)
        study.start(name=name, settings={}, tags=tags)
        assert learnt_from_rendered(study.winner.model_path) == (name == "rendered")
    assert not learnt_from_rendered(tmp_path / "studies" / "rendered" / "winner" / "other.pt")
    assert not learnt_from_rendered(Path("/model.pt"))
