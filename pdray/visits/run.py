"""Runs the patient-level scores on a cluster: frames, item networks, visit classifiers, tables.

    <output>/assembling/<name>/study.json           settings and provenance
                               folds.json           assignment of subjects to folds
                               networks/<item>/<i>_<j>.pt       network; .parquet: its predictions
                               networks/<item>/features/        features of recordings
                               heads/<digest>/<K>-<approach>.parquet   predictions of every repeat
                               report.txt, task_weights.png, task_weights.parquet

Existing files are not made again. So an interrupted job continues, and visit classifiers with other
settings (``levels``, ``assembling``, ``heads``) use the existing networks. Two jobs with the same
name at the same time are refused.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import ray
import torch

from pdray.atomic import replacing, write_text
from pdray.cluster import check_plugins, check_shared, joined_cluster
from pdray.command import Say
from pdray.config import dump
from pdray.data.cohort.folds import folds_to_json
from pdray.data.cohort.members import rated
from pdray.data.cohort.settings import SYNTHETIC_MARK
from pdray.errors import PdrayError, StudyError
from pdray.evaluation.predictions import Origin, read_predictions, write_predictions
from pdray.remote import Answer, answer, answers, raise_fault
from pdray.rights import written_for
from pdray.search.cluster import Reservation
from pdray.search.files import check_files
from pdray.search.opening import check_study, prepare_frames, start_log
from pdray.search.plan import StudyPlan
from pdray.search.resume import check_same, only_driver
from pdray.tracking.run_log import REPORT, StudyLog
from pdray.tracking.scorings import note_study
from pdray.tracking.withdrawn import refuse_start
from pdray.training.task import FitTask
from pdray.visits.heads import Approach, HeadTask, assemble
from pdray.visits.networks import METHODS
from pdray.visits.out_of_fold import FeatureBank, Pair, fit_item
from pdray.visits.plan import (
    QUESTIONS,
    VisitPlan,
    item_tasks,
    plan_visits,
    with_store,
)
from pdray.visits.report import Row, baseline_table, methods_table, weights_picture
from pdray.visits.settings import AssembleConfig


@dataclass(frozen=True)
class Assembly:
    """Result of the job.

    Attributes:
        folder: Folder of all files.
        report: Tables VII to IX as text.
        picture: Picture of the learnt weights; None with fewer than two items.
    """

    folder: Path
    report: str
    picture: Path | None


def run_assembly(config: AssembleConfig, say: Say) -> Assembly:
    """Train the items' networks and the visit classifiers, or continue, and report.

    Args:
        config: Checked settings.
        say: Prints a line of progress.

    Returns:
        The folder and the report.

    Raises:
        PdrayError: If there is a fault that the user can correct; finished files are kept.
        KeyboardInterrupt: If interrupted; a run with the same name continues.
    """
    plan = plan_visits(config)
    study = StudyLog(config.folder)
    with written_for(config.output_mode), only_driver(study, say):
        settings = StudyPlan(config.study, {}, {})
        _check_same(plan, study, settings, say)
        with joined_cluster(config.resources.address):
            return _run(plan, study, settings, say)


def _run(plan: VisitPlan, study: StudyLog, settings: StudyPlan, say: Say) -> Assembly:
    config = plan.config
    if config.pretrained is not None:
        refuse_start(config.pretrained)
    checked = check_study(settings, plan.cohort, study, reads_through_ray=False)
    check_shared([config.output, study.folder])
    check_plugins(settings.plugins)
    stored = prepare_frames(checked, say)
    plan = with_store(plan, stored)
    tasks = item_tasks(plan, rated(plan.cohort, config.data, stored), study.folder.name)
    say(_describe(plan, tasks))
    start_log(settings, plan.cohort, study, say)
    note_study(config.output, study, job="assemble_patients", model="all approaches")
    bank = _train_networks(tasks, study.folder / "networks", checked.reservation, say)
    tables, weights = _train_heads(plan, bank, study, checked.reservation, say)
    report = _report(plan, tables)
    write_text(study.folder / REPORT, report + "\n")
    picture = None
    if not weights.empty:
        picture = study.folder / "task_weights.png"
        with replacing(study.folder / "task_weights.parquet") as temporary:
            weights.to_parquet(temporary, index=False)
        weights_picture(weights, picture, synthetic=plan.cohort.is_synthetic)
    study.finish(state="complete")
    return Assembly(study.folder, report, picture)


def _check_same(plan: VisitPlan, study: StudyLog, settings: StudyPlan, say: Say) -> None:
    """Refuse to continue with networks that were trained on other settings, data or folds."""
    check_same(settings, study, plan.cohort.manifest.digest, say)
    check_files(study)
    if not study.exists():
        return
    before = study.folds_path.read_text(encoding="utf-8")
    if before != folds_to_json(plan.cohort.folds):
        raise StudyError(
            f"{study.folder} has networks of other folds, since its visits were scored with other "
            "settings (levels.*); set another search.name"
        )


def _describe(plan: VisitPlan, tasks: Mapping[tuple[str, Pair], FitTask]) -> str:
    config, visits = plan.config, plan.visits.visits
    levels = ", ".join(f"{name}: {count}" for name, count in plan.level_counts().items())
    subjects = {visit.subject_id for visit in visits}
    lines = [
        f"visits     {len(visits)} of {len(subjects)} subjects; {levels}",
        f"networks   {len(tasks)}: {len(plan.items)} items x pairs of {config.folds.num_outer} "
        f"folds, {config.optim.epochs} epochs each; each is used only for subjects that it was not "
        "trained on",
        f"trainings  of visit classifiers: {len(plan.approaches)} approaches x {len(QUESTIONS)} "
        f"sets of classes x {config.folds.num_outer} folds x {config.heads.repeats} repeats",
    ]
    lacking = {item: sum(item not in visit.recordings for visit in visits) for item in plan.items}
    lines += [
        f"missing    {item} in {count} visits; left out there"
        for item, count in lacking.items()
        if count
    ]
    lines += [f"note       {note}" for note in plan.notes]
    if plan.cohort.is_synthetic:
        lines.append(f"note       {SYNTHETIC_MARK}")
    return "\n".join(lines)


def _train_networks(
    tasks: Mapping[tuple[str, Pair], FitTask], folder: Path, reservation: Reservation, say: Say
) -> FeatureBank:
    work = {}
    for (item, (low, high)), task in tasks.items():
        path = folder / item / f"{low}_{high}.pt"
        work[item, (low, high)] = _remote(_fit_one, reservation).remote(task, path)
    files = _results(work, say, tell=lambda key: f"{key[0]} without folds {key[1][0]}, {key[1][1]}")
    held = {
        key: tuple(task.recordings[at].recording_id for at in task.sides[0].evaluation)
        for key, task in tasks.items()
    }
    return FeatureBank(files, held)


def _train_heads(
    plan: VisitPlan, bank: FeatureBank, study: StudyLog, reservation: Reservation, say: Say
) -> tuple[dict[tuple[int, Approach], pd.DataFrame], pd.DataFrame]:
    """Return the predictions of each (number of classes, approach), and the learnt weights."""
    config = plan.config
    chosen = {name: dump(config)[name] for name in ("levels", "assembling", "heads")}
    text = json.dumps(chosen, indent=1, sort_keys=True)
    folder = study.folder / "heads" / hashlib.sha256(text.encode()).hexdigest()[:8]
    write_text(folder / "settings.json", text)
    shared = ray.put(bank)
    work = {}
    for num_classes in QUESTIONS:
        for approach in plan.approaches:
            task = HeadTask(
                origin=Origin(
                    study=study.folder.name,
                    trial=0,
                    fold=-1,
                    epoch=config.heads.epochs - 1,
                    seed=config.search.seed,
                    split="test",
                ),
                approach=approach,
                num_classes=num_classes,
                cohort=plan.visits,
                assembling=config.assembling,
                heads=config.heads,
            )
            path = folder / f"{num_classes}-{approach.name}.parquet"
            work[num_classes, approach] = _remote(_assemble_one, reservation).remote(
                task, shared, path
            )
    paths = _results(work, say, tell=lambda key: f"{key[1].name}, {key[0]} classes")
    tables = {key: read_predictions(path) for key, path in paths.items()}
    found = [
        pd.read_parquet(_weights_path(path))
        for (num_classes, approach), path in paths.items()
        if num_classes == 3 and approach.method == "vector_weighting"
    ]
    return tables, pd.concat(found) if found else pd.DataFrame()


def _report(plan: VisitPlan, tables: Mapping[tuple[int, Approach], pd.DataFrame]) -> str:
    synthetic, method = plan.cohort.is_synthetic, plan.config.evaluation.interval
    texts = []
    for (num_classes, meaning), number in zip(QUESTIONS.items(), ("VIII", "IX"), strict=True):
        rows = {
            approach: Row(_label(approach), METHODS[approach.method][0], table, method)
            for (count, approach), table in tables.items()
            if count == num_classes
        }
        single = [row for approach, row in rows.items() if len(approach.items) == 1]
        methods = [row for approach, row in rows.items() if len(approach.items) > 1]
        if num_classes == 3:
            texts.append(baseline_table(single, synthetic=synthetic))
        title = f"Visits: {meaning} (Table {number} of TSA)"
        texts.append(methods_table(title, single, methods, synthetic=synthetic))
    return "\n\n".join(texts)


def _label(approach: Approach) -> str:
    return approach.items[0] if len(approach.items) == 1 else approach.method.replace("_", " ")


def _results(work: Mapping[Any, Any], say: Say, *, tell: Callable[[Any], str]) -> dict[Any, Path]:
    """Wait for all tasks; the first fault ends the others.

    Raises:
        StudyError: If a task failed; gives its name and the reason.
        ClusterError: If a process was lost.
    """
    found: dict[Any, Any] = {}
    stays = "finished parts are kept; run it again with the same search.name to continue"
    ended = answers(work, who=lambda key: f"{tell(key)}: a process", what_stays=stays)
    for key, (path, fault) in ended:
        try:
            raise_fault(fault)
        except PdrayError as error:
            raise StudyError(f"{tell(key)}: {error}") from error
        found[key] = path
        say(f"{len(found)}/{len(work)} {tell(key)}")
    return {key: found[key] for key in work}


def _remote(function: Any, reservation: Reservation) -> Any:
    return ray.remote(function).options(**reservation.workers.options, max_retries=2)


def _fit_one(task: FitTask, path: Path) -> Answer[Path]:
    """Train a network and compute its features, in a task."""
    return answer(partial(fit_item, device=_device()), task, path)


def _assemble_one(task: HeadTask, bank: FeatureBank, path: Path) -> Answer[Path]:
    """Train and score an approach, in a task."""
    return answer(_assembled, task, bank, path)


def _assembled(task: HeadTask, bank: FeatureBank, path: Path) -> Path:
    if not path.exists():
        found = assemble(task, bank, device=_device())
        if not found.weights.empty:
            with replacing(_weights_path(path)) as temporary:
                found.weights.to_parquet(temporary, index=False)
        write_predictions(found.predictions, path)
    return path


def _weights_path(path: Path) -> Path:
    return path.with_name(f"weights-{path.name}")


def _device() -> torch.device:
    # Ray hides all GPUs from a task that reserves none.
    return torch.device("cuda" if ray.get_gpu_ids() else "cpu")
