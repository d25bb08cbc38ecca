"""Measures what a search costs beside its training: CPU time of the driver, and files of Ray.

    python -m benchmarks.machinery             # some minutes on two cores
    python -m benchmarks.machinery size=quick  # only a test run; ignore its numbers

- ``proposal``: proposing a trial of six settings, five values of it and its end, all in Optuna's
  database of a search; beside Optuna's own ``ask``, ``report`` and ``tell`` on such a database.
- ``driver``: all CPU time of the driver's process per trial, of five folds each: Ray Tune, Optuna,
  lines of progress and the log in MLflow. It is the difference between two searches of different
  length, so that start, refit and report do not count; the trials fit ridge regressions on a
  SYNTHETIC table (``benchmarks/features.py``). Beside it stands Ray Tune alone: as many trials that
  do nothing, with five results each, random values, no database and no listener.
- ``ray files``: files below ``ray/`` of the longer search, per trial, also such a difference.
- ``pruner``: reading the logs of a search into the actor that ends trials, once per session.
"""

import math
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import optuna
import ray
from optuna.samplers import TPESampler
from pydantic import Field
from ray import tune
from ray.tune import CheckpointConfig, RunConfig, TuneConfig, Tuner

from benchmarks.features import write_cohort
from pdray.config import Settings, load, written
from pdray.search.plan import StudyPlan, load_study
from pdray.search.proposals import StudySearch, distribution
from pdray.search.pruner import Pruner
from pdray.search.pruning import FoldRule
from pdray.search.study import run_plan
from pdray.tracking.run_log import StudyLog

ROOT = Path(__file__).parents[1]
NUM_FOLDS = 5
DRIVER_GOAL, FILES_GOAL, PRUNER_GOAL = 0.05, 2.0, 60.0
"""Highest accepted CPU time per trial [s], files per trial, and start of the pruner [s]."""


class MachineryConfig(Settings):
    """Settings of the benchmark."""

    size: Literal["full", "quick"] = Field("full", description="quick: a test run")


def plan_of(manifest: Path, trials: int) -> StudyPlan:
    """Return the plan of a search of ridge regressions without pruning."""
    words = {
        "data.manifest": manifest,
        "search.trials": trials,
        "search.name": f"of-{trials}",
        "search.protocol": "holdout",
        "search.prune_quantile": 0,
        "space.model.classifier": "{choices: [linear]}",
        "output": manifest.parent / "output",
    }
    given = [f"{key}={written(value)}" for key, value in words.items()]
    return load_study(["--config", str(ROOT / "search_spaces/features.yaml"), *given])


def search_costs(manifest: Path, trials: int) -> tuple[float, int]:
    """Run a search; return the CPU seconds of this process and the number of files of Ray."""
    started = time.process_time()
    found = run_plan(plan_of(manifest, trials), lambda line: None)
    seconds = time.process_time() - started
    files = [path for path in (found.folder / "ray").rglob("*") if path.is_file()]
    return seconds, len(files)


class Idle(tune.Trainable):  # type: ignore[misc]  # untyped
    """A trial that does nothing but report as often as one of pdray."""

    def step(self) -> dict[str, Any]:
        """Return a result; the last one ends the trial."""
        return {"value": 0.5, "step": self.iteration, "done": self.iteration == NUM_FOLDS - 1}

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Let the process take the next trial, as those of pdray do."""
        return True


def tune_seconds(folder: Path, trials: int) -> float:
    """Return the CPU seconds of this process for idle trials of Ray Tune."""
    run = RunConfig(
        name=f"of-{trials}",
        storage_path=str(folder),
        verbose=0,
        checkpoint_config=CheckpointConfig(checkpoint_at_end=False),
    )
    how = TuneConfig(metric="value", mode="max", num_samples=trials, reuse_actors=True)
    space = {f"value{number}": tune.uniform(0, 1) for number in range(6)}
    started = time.process_time()
    found = Tuner(Idle, param_space=space, tune_config=how, run_config=run).fit()
    assert not found.errors, "idle trials do not fail"
    return time.process_time() - started


def proposal_seconds(plan: StudyPlan, folder: Path, trials: int) -> Iterator[float]:
    """Yield the CPU seconds per trial of pdray's proposals and of Optuna's own."""
    storage = f"sqlite:///{folder}/pdray.db"
    search = StudySearch(plan, storage=storage, name="study", mode="max")
    started = time.process_time()
    for number in range(trials):
        name = f"trial{number}"
        search.suggest(name)
        for step in range(NUM_FOLDS):
            state = "running" if step < NUM_FOLDS - 1 else "complete"
            result = {"state": state, "value": _score(number), "step": step}
            (search.on_trial_result if state == "running" else search.on_trial_complete)(
                name, result
            )
    yield (time.process_time() - started) / trials
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sampler = TPESampler(multivariate=True, group=True, constant_liar=True, seed=0)
    study = optuna.create_study(
        storage=f"sqlite:///{folder}/optuna.db", sampler=sampler, direction="maximize"
    )
    space = {key: distribution(entry) for key, entry in plan.space.items()}
    started = time.process_time()
    for number in range(trials):
        trial = study.ask(space)
        for step in range(NUM_FOLDS - 1):
            trial.report(_score(number), step)
        study.tell(trial, _score(number))
    yield (time.process_time() - started) / trials


def pruner_seconds(folder: Path, trials: int, num_epochs: int) -> float:
    """Return the wall seconds until the pruner of a search with these logs can answer."""
    study = StudyLog(folder / "logs")
    names = ("loss", "mcc", "auroc", "kappa", "accuracy", "f1")
    metrics = ", ".join(f'"val/{name}": 0.5123456789' for name in names)
    for number in range(trials):
        log = study.trial(number)
        log.start(number=number, num_epochs=num_epochs // NUM_FOLDS, params={}, settings={})
        lines = []
        for step in range(num_epochs):
            fold, epoch = divmod(step, num_epochs // NUM_FOLDS)
            place = f'"fold": {fold}, "epoch": {epoch}, "step": {step}, "time": 0.0'
            lines.append(f'{{{place}, "metrics": {{{metrics}}}}}\n')
        (log.folder / "epochs.jsonl").write_text("".join(lines))
    rule = FoldRule(
        num_trials=4,
        num_folds=NUM_FOLDS,
        num_epochs=num_epochs // NUM_FOLDS,
        first_epoch=0,
        greater_is_better=True,
    )
    started = time.monotonic()
    Pruner(rule, study.folder, "mcc")
    return time.monotonic() - started


def _score(number: int) -> float:
    return math.sin(number)


def _row(name: str, value: float, unit: str, goal: float, beside: str = "") -> None:
    verdict = f"<= {goal:g}" if value <= goal else f"ABOVE {goal:g}"
    print(f"{name:<10}{value:9.3f} {unit:<22}{verdict:<12}{beside}", flush=True)


def main(argv: list[str]) -> int:
    """Print each cost beside its goal."""
    is_quick = load(MachineryConfig, argv).size == "quick"
    few, many, rows = (2, 4, 60) if is_quick else (20, 120, 120)
    past, num_epochs = (20, 30) if is_quick else (1000, 300)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        manifest = write_cohort(folder, num_rows=rows, num_features=81)
        own, plain = proposal_seconds(plan_of(manifest, many), folder, many)
        _row("proposal", own, "CPU s per trial", DRIVER_GOAL, f"Optuna's own: {plain:.3f}")
        (before, files), (after, more) = (search_costs(manifest, one) for one in (few, many))
        per_trial = (after - before) / (many - few)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ray.init(num_cpus=2, include_dashboard=False, logging_level="ERROR")
            alone = [tune_seconds(folder / "tune", one) for one in (few, many)]
            ray.shutdown()
        bare = (alone[1] - alone[0]) / (many - few)
        _row("driver", per_trial, "CPU s per trial", DRIVER_GOAL, f"Ray Tune alone: {bare:.3f}")
        _row("ray files", (more - files) / (many - few), "per trial", FILES_GOAL)
        seconds = pruner_seconds(folder, past, num_epochs)
        _row("pruner", seconds, f"s for {past} x {num_epochs}", PRUNER_GOAL)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
