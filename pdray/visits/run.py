"""Patient-level assembling on a cluster: frames, item networks, heads, tables.

    <output>/assembling/<name>/study.json           settings and provenance
                               folds.json           the one assignment of subjects
                               networks/<item>/<i>_<j>.pt       a network, .parquet what it scored
                               networks/<item>/features/        what the networks make of recordings
                               heads/<digest>/<K>-<approach>.parquet   predictions of every repeat
                               report.txt, task_weights.png, task_weights.parquet

What is there is not made again, so that a job that was interrupted goes on, and heads of other
settings (``levels``, ``assembling``, ``heads``) use the networks that are there. Two jobs of one
name are refused.
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
from pdray.command import Say
from pdray.config import dump
from pdray.data.cohort.folds import folds_to_json
from pdray.data.cohort.members import rated
from pdray.data.cohort.settings import SYNTHETIC_MARK
from pdray.errors import PdrayError, StudyError
from pdray.evaluation.predictions import Origin, read_predictions, write_predictions
from pdray.remote import Answer, answer, answers, raise_fault
from pdray.search.cluster import Reservation, check_plugins, check_shared, joined_cluster
from pdray.search.opening import check_study, prepare_frames, start_log
from pdray.search.plan import StudyPlan
from pdray.search.resume import check_same, only_driver
from pdray.tracking.run_log import REPORT, StudyLog
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
    """What the job leaves.

    Attributes:
        folder: Everything.
        report: Tables VII to IX as text.
        picture: The learnt weights; None where fewer than two items are assembled.
    """

    folder: Path
    report: str
    picture: Path | None


def run_assembly(config: AssembleConfig, say: Say) -> Assembly:
    """Train the items' networks and the heads, or go on with it, and report.

    Args:
        config: Checked settings.
        say: Prints a line of progress.

    Returns:
        Where everything is and what was found.

    Raises:
        PdrayError: If something the user can mend is wrong; what is complete is kept.
        KeyboardInterrupt: If interrupted; run again under the same name, it goes on.
    """
    plan = plan_visits(config)
    study = StudyLog(config.folder)
    with only_driver(study, say):
        settings = StudyPlan(config.study, {}, {})
        _check_same(plan, study, settings, say)
        with joined_cluster(config.resources):
            return _run(plan, study, settings, say)


def _run(plan: VisitPlan, study: StudyLog, settings: StudyPlan, say: Say) -> Assembly:
    config = plan.config
    checked = check_study(settings, plan.cohort, study, reads_through_ray=False)
    check_shared([config.output, study.folder])
    check_plugins(settings.plugins)
    stored = prepare_frames(checked, say)
    plan = with_store(plan, stored)
    tasks = item_tasks(plan, rated(plan.cohort, config.data, stored), study.folder.name)
    say(_describe(plan, tasks))
    start_log(settings, plan.cohort, study, say)
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
    """Refuse to go on with networks that were trained on other settings, data or folds."""
    check_same(settings, study, plan.cohort.manifest.digest, say)
    if not study.exists():
        return
    before = study.folds_path.read_text(encoding="utf-8")
    if before != folds_to_json(plan.cohort.folds):
        raise StudyError(
            f"{study.folder} has networks of other folds, since its visits were scored in another "
            "way (levels.*); give this one another search.name"
        )


def _describe(plan: VisitPlan, tasks: Mapping[tuple[str, Pair], FitTask]) -> str:
    config, visits = plan.config, plan.visits.visits
    levels = ", ".join(f"{name}: {count}" for name, count in plan.level_counts().items())
    subjects = {visit.subject_id for visit in visits}
    lines = [
        f"visits     {len(visits)} of {len(subjects)} subjects; {levels}",
        f"networks   {len(tasks)}: {len(plan.items)} items x pairs of {config.folds.num_outer} "
        f"folds, {config.optim.epochs} epochs each; none meets a feature of whom it saw",
        f"heads      {len(plan.approaches)} approaches x {len(QUESTIONS)} questions x "
        f"{config.folds.num_outer} folds x {config.heads.repeats} repeats",
    ]
    lacking = {item: sum(item not in visit.recordings for visit in visits) for item in plan.items}
    lines += [
        f"absent     {item} in {count} visits, masked there"
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
    told = {name: dump(config)[name] for name in ("levels", "assembling", "heads")}
    text = json.dumps(told, indent=1, sort_keys=True)
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
    synthetic = plan.cohort.is_synthetic
    texts = []
    for (num_classes, meaning), number in zip(QUESTIONS.items(), ("VIII", "IX"), strict=True):
        rows = {
            approach: Row(_label(approach), METHODS[approach.method][0], table)
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
    """Wait for all work; the first fault ends the rest.

    Raises:
        StudyError: If one failed; names it and says why.
        ClusterError: If a process was lost.
    """
    found: dict[Any, Any] = {}
    stays = "what is complete is kept, run it again under the same search.name to go on"
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
    workers = reservation.workers
    return ray.remote(function).options(
        num_cpus=workers.cpus_per_worker, num_gpus=workers.gpus_per_worker, max_retries=2
    )


def _fit_one(task: FitTask, path: Path) -> Answer[Path]:
    """Train a network and read its features, in a task."""
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
    # Ray shows a task without a GPU of its own none.
    return torch.device("cuda" if ray.get_gpu_ids() else "cpu")
