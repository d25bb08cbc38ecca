"""Compares fixed settings by cross-validation, as the tables of the papers do.

Each trial is trained on every fold, for all its epochs. After the last epoch it is scored once on
the held-out subjects of the fold, so its predictions cover every subject of the cohort. Nothing is
selected by these scores.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
from ray import tune
from ray.tune import TuneConfig

from pdray.cluster import joined_cluster
from pdray.command import Say
from pdray.data.cohort.manifest import Recording
from pdray.data.cohort.members import Cohort, compared_sides, make_cohort, rated
from pdray.data.cohort.rated import FoldSides
from pdray.display import step
from pdray.errors import StudyError
from pdray.evaluation.controls import Known
from pdray.evaluation.metrics import METRICS
from pdray.evaluation.predictions import read_predictions
from pdray.rights import written_for
from pdray.search.course import Course, work_of
from pdray.search.files import check_files
from pdray.search.opening import OpenStudy, check_study, open_study
from pdray.search.plan import StudyPlan
from pdray.search.progress import Extent, Progress
from pdray.search.resume import check_same, manifest_of, only_driver, standing
from pdray.search.running import run_trials
from pdray.tracking.run_log import StudyLog, read_json


@dataclass(frozen=True)
class Comparison:
    """Results of a comparison.

    Attributes:
        folder: Folder of its log.
        tables: Predictions table of each trial, by label; one row per scored snippet.
        synthetic: Whether the cohort is SYNTHETIC.
        learnt: Class and site of each training recording, by fold.
        sites: Site of each recording, by id; None if the manifest has none.
        groups: What splits keep together, of each recording by id: its subject, or a group of
            recordings that are alike (``folds.alike``), which is written nowhere.
        recordings: Rows of the manifest that take part.
        targets: Class of each of them.
        sides: Which of them, as positions, each fold learns from and is scored on.
    """

    folder: Path
    tables: Mapping[str, pd.DataFrame]
    synthetic: bool
    learnt: Mapping[int, Sequence[Known]]
    sites: Mapping[str, str | None]
    groups: Mapping[str, str]
    recordings: tuple[Recording, ...] = ()
    targets: tuple[int, ...] = ()
    sides: tuple[FoldSides, ...] = ()


def run_comparison(
    plan: StudyPlan, name: str, say: Say, note: Callable[[], None] = lambda: None
) -> Comparison:
    """Run or continue the fixed trials of a checked plan.

    Args:
        plan: From :func:`pdray.search.plan.plan_comparison`.
        name: Name of the study; an existing one is continued, or read if it is complete.
        say: Prints a line of progress.
        note: Called before test subjects are scored, once no other job can run the study.

    Returns:
        The predictions of every trial.

    Raises:
        PdrayError: If something is wrong that the user can correct, or a trial failed; complete
            trials are kept and not run again.
        KeyboardInterrupt: If interrupted; the comparison can be continued.
    """
    config = plan.config
    study = StudyLog(config.output / "studies" / name)
    manifest = manifest_of(study, config)
    cohort = make_cohort(manifest, config.data, config.folds, needs=plan.needs, searches=False)
    with written_for(config.output_mode), only_driver(study, say):
        check_files(study)
        say(standing(study, plan.num_trials))
        check_same(plan, study, cohort.manifest.digest, say)
        if not study.is_complete():
            note()
            with joined_cluster(config.resources.address):
                within = check_study(plan, cohort, study)
                _run(plan, open_study(within, say), study, say)
    return _read(plan, cohort, study)


def _run(plan: StudyPlan, ready: OpenStudy, study: StudyLog, say: Say) -> None:
    config, mirror = plan.config, ready.mirror
    trials = replace(
        ready.trials,
        origin=replace(ready.trials.origin, split="test"),
        role="fixed",
        labels=tuple(plan.fixed),
    )
    params = list(plan.fixed.values())
    progress = Progress(
        study,
        mirror,
        say,
        extent=Extent(len(params), 0, len(trials.sides), plan.epochs),
        course=Course(work_of(plan, ready.reservation, num_folds=len(trials.sides))),
        direction=(
            f"test/{config.search.metric}",
            METRICS[config.search.metric].greater_is_better,
        ),
    )
    with step("training"):
        run_trials(
            trials,
            TuneConfig(
                max_concurrent_trials=ready.reservation.concurrent_trials,
                reuse_actors=ready.reservation.workers.num_workers == 1,
            ),
            callbacks=[progress],
            param_space={
                "number": tune.grid_search(list(range(len(params)))),
                "params": tune.sample_from(lambda config: dict(params[config["number"]])),
            },
        )
    states = {log.read()["label"]: log.read() for log in study.trials()}
    failed = {label: one["reason"] for label, one in states.items() if one["state"] == "failed"}
    if failed:
        study.finish(state="failed")
        mirror.finish()
        told = "; ".join(f"{label}: {reason}" for label, reason in failed.items())
        raise StudyError(
            f"{len(failed)} of {len(params)} trials failed: {told}; correct the cause and run it "
            "again: complete trials are kept"
        )
    progress.refuse_lost()
    if len(states) < len(params) or any(one["state"] != "complete" for one in states.values()):
        raise KeyboardInterrupt  # Tune caught it and ended its trials
    study.finish(state="complete")
    mirror.finish()


def _read(plan: StudyPlan, cohort: Cohort, study: StudyLog) -> Comparison:
    tables = {
        label: read_predictions(study.trial(number).predictions_path)
        for number, label in enumerate(plan.fixed)
    }
    entries = study.folder / "entries.json"  # unreadable recordings are not in it
    read = read_json(entries) if entries.is_file() else None
    rows = [one for one in cohort.recordings if read is None or one.recording_id in read]
    recordings = rated(replace(cohort, recordings=tuple(rows)), plan.config.data, None)
    sites = {one.recording_id: one.site for one in rows}
    sides = compared_sides(cohort.folds, recordings)
    learnt = {
        fold: [
            Known(recordings[i].target, sites[recordings[i].recording_id]) for i in side.training
        ]
        for fold, side in enumerate(sides)
    }
    by_id = {one.recording_id: one for one in rows}
    return Comparison(
        study.folder,
        tables,
        cohort.is_synthetic,
        learnt,
        sites,
        {one.recording_id: one.group for one in rows},
        recordings=tuple(by_id[one.recording_id] for one in recordings),
        targets=tuple(one.target for one in recordings),
        sides=sides,
    )
