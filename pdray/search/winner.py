"""Trains the winner of a study on all development subjects and scores it once on the test set."""

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ray.tune import TuneConfig

from pdray.atomic import write_text
from pdray.checks.default import gain_of
from pdray.command import Say
from pdray.config import part
from pdray.data.cohort.members import Cohort, num_unnamed, outer_sides, rated
from pdray.display import step
from pdray.errors import StudyError
from pdray.evaluation.controls import Known
from pdray.evaluation.metrics import absent_classes
from pdray.evaluation.predictions import by_recording, read_predictions, targets
from pdray.evaluation.report import control_lines, held_out_sentence, leaderboard
from pdray.evaluation.score_intervals import score_interval
from pdray.evaluation.settings import EvaluationSettings
from pdray.search.budget import Spent
from pdray.search.cluster import counted
from pdray.search.evaluating import evaluate_winner
from pdray.search.plan import StudyPlan
from pdray.search.progress import Mirror, RefitProgress
from pdray.search.running import run_trials
from pdray.search.trial_plan import TrialPlan
from pdray.tracking.address import shared_settings
from pdray.tracking.run_log import REPORT, StudyLog, TrialLog
from pdray.tracking.scorings import note_study


def refit(
    trials: TrialPlan,
    where: tuple[StudyLog, Path | None],
    best: tuple[int, dict[str, Any]],
    cohort: Cohort,
    listeners: tuple[Mirror, Say],
) -> None:
    """Train the best settings on all development subjects; score the test subjects once.

    Args:
        trials: What the trials of the search share.
        where: The log of the study, and the output folder, which lists all scorings; None: this
            one is not listed.
        best: Number and settings of the best trial.
        cohort: Recordings and folds; without a test set nothing is scored.
        listeners: The mirror, and what prints a line.
    """
    (number, params), (mirror, say), (study, output) = best, listeners, where
    if study.winner.exists():
        winner = study.winner.read()
        if winner["state"] == "complete":
            return
        if winner["number"] != number:  # started before trials were added; it was not scored
            shutil.rmtree(study.winner.folder)
    chosen = int(study.trial(number).read()["chosen_epoch"])
    plan = replace(
        trials,
        labels=(),
        sides=outer_sides(cohort.folds, trials.recordings, cohort.made_share),
        origin=replace(trials.origin, split="test", fold=-1),
        role="winner",
        epochs=chosen + 1,
        pruner=None,
    )
    if cohort.folds.test and output is not None:
        note_study(output, study, job="search", model=study.winner.folder.name)
    length = "" if trials.fit.entry.loop == "once" else f", {counted(chosen + 1, 'epoch')}"
    say(f"refit: trial {number} on all development subjects{length}")
    config = {"number": number, "params": params}
    progress = RefitProgress(mirror, say, num_epochs=chosen + 1)
    with step("training the winner on all development subjects"):
        results = run_trials(plan, TuneConfig(), callbacks=[progress], param_space=config)
    winner = study.winner.read()
    if winner["state"] == "failed" or results.errors:
        reason = winner["reason"] or results.errors[0]
        raise StudyError(f"the refit of trial {number} failed: {reason}")
    if winner["state"] != "complete":
        raise KeyboardInterrupt


def report_winner(plan: StudyPlan, cohort: Cohort, study: StudyLog) -> tuple[str, str]:
    """Return the leaderboard and the test scores; write them and the evaluation of the winner.

    Without a test set there are no scores, and only the leaderboard is written.
    """
    metric = plan.config.search.metric
    rows = [
        {**trial, "params": shared_settings(trial["params"]), "note": _note(trial)}
        for trial in map(TrialLog.read, study.trials())
    ]
    board = leaderboard(rows, metric=f"val/{metric}", synthetic=cohort.is_synthetic)
    gain = gain_of(study, metric).sentence
    early = Spent(study).ended
    notes = [gain, *cohort.notes, *([early] if early else [])]
    board = "\n".join([board, *(f"note: {note}" for note in notes)])
    held_out = _held_out(plan, cohort, study) if cohort.folds.test else ""
    write_text(study.folder / REPORT, f"{board}\n\n{held_out}".rstrip() + "\n")
    return board, held_out


def _held_out(plan: StudyPlan, cohort: Cohort, study: StudyLog) -> str:
    """Return the test scores and the baselines below them; write the evaluation of the winner."""
    metric = plan.config.search.metric
    table = by_recording(read_predictions(study.winner.predictions_path))
    tested = [one for one in cohort.recordings if one.subject_id in cohort.folds.test]
    sentence = held_out_sentence(
        f"test/{metric}",
        score_interval(table, metric, method=plan.config.evaluation.interval),
        num_recordings=len(table),
        absent=absent_classes(targets(table), cohort.num_classes),
        synthetic=cohort.is_synthetic,
        unnamed=num_unnamed(tested, plan.config.data) == len(tested),
    )
    recordings = rated(cohort, plan.config.data, None)
    sites = {one.recording_id: one.site for one in cohort.recordings}
    (sides,) = outer_sides(cohort.folds, recordings)
    learnt = [
        Known(recordings[i].target, sites[recordings[i].recording_id]) for i in sides.training
    ]
    few = plan.config.report.small_cells
    controls = control_lines(f"test/{metric}", table, learnt, sites, small_cells=few)
    evaluate_winner(study, part(plan.config, EvaluationSettings))
    return "\n".join([sentence, *controls])


def _note(trial: Mapping[str, Any]) -> str:
    """Return the label of one of the first trials, and where the reason of a failed one stands.

    The reason may hold the path of a video, and the report is sent to MLflow.
    """
    file = f"trials/{trial['number']:04d}/trial.json"
    failure = f"the reason is in {file}" if trial["state"] == "failed" else None
    return "; ".join(str(part) for part in (trial.get("label"), failure) if part)
