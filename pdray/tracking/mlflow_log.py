"""Mirrors the log on disk to MLflow.

:func:`mirror_study` sends everything of a study that the server does not have yet; it may be called
at any time. There is one parent run per study, with one child run per trial and one for the winner.
Searches in outer folds are studies of their own, with a tag that names the study they belong to.
If the server is down, a :class:`~pdray.errors.TrackingError` is raised within seconds and nothing
is lost: the next call sends the rest. ``<study>/mirror.json`` notes what was sent; if it is lost,
the tags of the runs are used.

Files are sent as ``pdray/tracking/leaving.py`` makes them: running numbers stand for ids.

``pdray/tracking/shown.py`` says what a run shows; undefined scores are listed in a tag.
"""

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

# First, since it keeps MLflow from warning, and from sending anything to third parties.
from pdray.tracking.server import connect, experiment_id_of, explained, limited

# isort: split
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, Run, RunTag
from mlflow.exceptions import MlflowException

from pdray.atomic import write_text
from pdray.data.cohort.settings import SYNTHETIC_MARK
from pdray.errors import StudyError, TrackingError
from pdray.tracking.address import ToldSubjects, bare, shared_settings
from pdray.tracking.epoch_lines import EpochRecord, undefined_steps
from pdray.tracking.leaving import leaving
from pdray.tracking.run_log import (
    FINDINGS,
    NUMBERS,
    PAGE,
    PICTURES,
    PREDICTIONS,
    REPORT,
    SEARCH_PICTURES,
    StudyLog,
    TrialLog,
)
from pdray.tracking.shown import (
    curve_points,
    final_metrics,
    leaderboard,
    mean_curve,
    metric_of,
    run_name,
    study_params,
    study_scores,
    study_tags,
    trial_params,
    view_page,
    view_tag,
)

_STATUS = {"running": "RUNNING", "complete": "FINISHED", "pruned": "FINISHED", "failed": "FAILED"}
_FILES = ("epochs.jsonl", PREDICTIONS, *PICTURES)
_LEADERBOARD = "leaderboard.json"
_MEMORY = "mirror.json"
_METRICS_A_BATCH = 800  # MLflow refuses more than 1000 metrics, params and tags together
_PARAMS_A_BATCH = 100
_DIGEST = 36  # letters of a data set's digest
_MAX_PARAM = 6000
_MAX_TAG = 8000


@dataclass(frozen=True)
class MirrorReport:
    """A summary of one call of :func:`mirror_study`.

    Attributes:
        experiment_id: MLflow's id of the experiment.
        parent_run_id: MLflow's id of the study's run.
        num_runs: Runs of the study that are on the server now, including the parent and those of
            searches in outer folds.
        num_metrics: Metric values sent by this call.
        num_artifacts: Files sent by this call.
        page: Path and query of the page that compares the trials, below the server's address.
        notes: Sentences to print: where the winner was registered, or why it was not.
    """

    experiment_id: str
    parent_run_id: str
    num_runs: int
    num_metrics: int
    num_artifacts: int
    page: str
    notes: tuple[str, ...] = ()


def mirror_study(
    folder: Path, uri: str, experiment: str, subjects: ToldSubjects | None = None
) -> MirrorReport:
    """Send everything of a study that the server does not have yet.

    Args:
        folder: The study folder.
        uri: A tracking URI that ``check_tracking`` accepts.
        experiment: Name of the MLflow experiment; made if missing.
        subjects: How predictions name subjects and recordings; None: as the study's settings say.

    Returns:
        A summary of what was sent.

    Raises:
        TrackingError: If the server cannot be reached or refuses a request, or if another process
            mirrors this study now. The log on disk is not changed.
        StudyError: If the folder holds no study.
    """
    study = StudyLog(folder)
    ended, place = study.read()["ended"], _place(uri, experiment)
    outer = [
        mirror_study(one.folder, uri, experiment, subjects)
        for one in study.outer_studies()
        # While the last search runs, those that were sent are not asked for again.
        if ended is not None or not _has_all(one, place)
    ]
    with study.mirroring(), explained(uri), limited():
        sent = _Mirror(study, uri, experiment, subjects).send()
    return replace(
        sent,
        num_runs=sum(one.num_runs for one in (sent, *outer)),
        num_metrics=sum(one.num_metrics for one in (sent, *outer)),
        num_artifacts=sum(one.num_artifacts for one in (sent, *outer)),
    )


class _Mirror:
    """One call of :func:`mirror_study`: the client, and what the server is known to have."""

    def __init__(
        self, study: StudyLog, uri: str, experiment: str, subjects: ToldSubjects | None
    ) -> None:
        self.study, self.subjects = study, subjects
        self.facts = study.read()
        whole = study.whole()
        self.whole = None if whole is None else whole.read()
        self.client = connect(uri)
        self.experiment = experiment
        self.experiment_id = experiment_id_of(self.client, uri, experiment)
        self.place = _place(uri, experiment)
        self.runs = self._recall()
        self.name = self._name()
        self.notes: list[str] = []
        self.num_metrics = 0
        self.num_artifacts = 0
        self.file_fault: Exception | None = None

    def send(self) -> MirrorReport:
        parent = self._parent()
        for trial in self.study.trials():
            self._send_trial(trial.folder.name, trial)
        if self.study.winner.exists():
            self._send_trial("winner", self.study.winner)
        self._send_system_metrics(parent)
        self._end_study(parent)
        self._send_model()
        if isinstance(self.file_fault, StudyError):  # the study goes on, and sends it later
            raise TrackingError(str(self.file_fault)) from self.file_fault
        if self.file_fault is not None:
            raise self.file_fault
        return MirrorReport(
            experiment_id=self.experiment_id,
            parent_run_id=parent["run_id"],
            num_runs=len(self.runs),
            num_metrics=self.num_metrics,
            num_artifacts=self.num_artifacts,
            page=view_page(self.experiment_id, self.facts),
            notes=tuple(self.notes),
        )

    def _parent(self) -> dict[str, Any]:
        """Return the notes about the study's run, which is created and described if missing."""
        children = {key: entry["run_id"] for key, entry in self.runs.items() if key != "study"}
        has_parent = "study" in self.runs
        parent = self._entry("study", self.name, self.facts)
        if not parent["described"]:
            self._batch(parent, params=study_params(self.facts))
            self._describe(parent, self.facts)
        if not has_parent:  # or it was deleted on the server
            self.client.set_experiment_tag(self.experiment_id, *view_tag(self.facts))
            for run_id in filter(None, children.values()):
                self.client.set_tag(run_id, "mlflow.parentRunId", parent["run_id"])
        return parent

    def _name(self) -> str:
        """Return the name of the study's run, which no other study of the experiment has."""
        name: str = self.facts["name"]
        if "study" in self.runs:
            return str(self.runs["study"].get("name", name))
        same = self.client.search_runs([self.experiment_id], f"attributes.run_name = '{name}'")
        return f"{name} {self.facts['study_id'][:6]}" if same else name

    def _recall(self) -> dict[str, dict[str, Any]]:
        """Return what the server has: run id, sent steps and end, by the key of the run."""
        known: dict[str, dict[str, Any]] = _memory(self.study).get(self.place, {})
        certain = "study" in known and all(entry["run_id"] for entry in known.values())
        if certain and self._is_there(known["study"]["run_id"]):
            return known
        # First call, a lost file, a run without an answer to its creation, or an emptied server.
        return {run.data.tags["pdray.run"]: _entry_of(run) for run in self._tagged_runs()}

    def _is_there(self, run_id: str) -> bool:
        try:
            run = self.client.get_run(run_id)
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return False
            raise
        return bool(run.info.lifecycle_stage == "active")

    def _tagged_runs(self) -> Iterator[Run]:
        wanted = f"tags.`pdray.study_id` = '{self.facts['study_id']}'"
        token = None
        while True:
            page = self.client.search_runs([self.experiment_id], wanted, page_token=token)
            yield from page
            token = page.token
            if not token:
                return

    def _remember(self) -> None:
        memory = _memory(self.study) | {self.place: self.runs}
        # Not indented, since that is slow: it is written several times per trial.
        write_text(self.study.folder / _MEMORY, json.dumps(memory) + "\n")

    def _entry(self, key: str, name: str, facts: Mapping[str, Any]) -> dict[str, Any]:
        """Return the notes about a run; create the run if it is missing."""
        if key not in self.runs:
            self.runs[key] = _entry(None, name)
            self._remember()
            with limited(retries=0):  # sent twice, two runs would be made
                run = self.client.create_run(
                    self.experiment_id,
                    start_time=_milliseconds(facts["started"]),
                    tags=self._tags(key),
                    run_name=name,
                )
            self.runs[key]["run_id"] = run.info.run_id
            self._remember()
        entry = self.runs[key]
        if facts["ended"] is None and entry["ended"] is not None:  # resumed
            self.client.update_run(entry["run_id"], status="RUNNING")
            entry["ended"] = None
            self._remember()
        return entry

    def _describe(self, entry: dict[str, Any], facts: Mapping[str, Any]) -> None:
        """Send the cohort and the settings of a run, whose params were sent."""
        self._cohort(entry)
        shown = shared_settings(facts["settings"])
        self._file(partial(self.client.log_dict, entry["run_id"], shown, "settings.json"))
        entry["described"] = self.file_fault is None
        self._remember()

    def _tags(self, key: str) -> dict[str, str]:
        tags = {f"pdray.{name}": text for name, text in self.facts["tags"].items()}
        tags |= {"pdray.study_id": self.facts["study_id"], "pdray.run": key}
        commit = self.facts["tags"].get("source", "").removesuffix("-dirty")
        if re.fullmatch(r"[0-9a-f]{40,64}", commit):
            tags["mlflow.source.git.commit"] = commit
        if key != "study":
            tags["mlflow.parentRunId"] = self.runs["study"]["run_id"]
        notes = [SYNTHETIC_MARK] if self.facts["tags"].get("synthetic") == "true" else []
        if self.whole is not None:
            tags["pdray.outer_of"] = self.whole["study_id"]
            tags["pdray.outer_fold"] = self.study.folder.name
            notes.append(f"search in an outer fold of study {self.whole['name']}")
        if notes:
            tags["mlflow.note.content"] = "; ".join(notes)
        return {name: text[:_MAX_TAG] for name, text in tags.items()}

    def _send_trial(self, key: str, log: TrialLog) -> None:
        # The end is written last, so an ended trial has all its epochs and files.
        trial = log.read()
        name = run_name(self.name, key, trial)
        entry = self._entry(key, name, trial)
        if trial["ended"] is not None and trial["ended"] == entry["ended"]:
            return
        records = log.epochs()
        metrics = []
        for record in records:
            if record.step >= entry["num_steps"]:
                points = curve_points(record, metric_of(self.facts), trial["role"])
                metrics += _metrics(points, _milliseconds(record.time), record.epoch)
        num_steps = max(entry["num_steps"], records[-1].step + 1 if records else 0)
        tags = {"pdray.num_steps": str(num_steps), "state": trial["state"]}
        undefined = undefined_steps(records)
        tags |= {"pdray.undefined": undefined} if undefined else {}
        if trial["ended"] is not None:
            metrics += self._last_metrics(trial, records)
            tags |= _last_tags(trial)
        params = {} if entry["described"] else trial_params(trial)
        if params or metrics or trial["ended"] is not None:
            self._batch(entry, metrics=metrics, params=params, tags=tags)
        entry["num_steps"] = num_steps
        if not entry["described"]:
            self._describe(entry, trial)
        if trial["ended"] is not None:
            self._files(entry, [log.folder / name for name in _FILES])
            self._end(entry, trial)
        self._remember()

    def _last_metrics(
        self, trial: Mapping[str, Any], records: Sequence[EpochRecord]
    ) -> list[Metric]:
        """Return the scores of a trial that has ended, and its mean curve over folds."""
        at, step = _milliseconds(trial["ended"]), trial["chosen_epoch"] or 0
        metric = metric_of(self.facts)
        metrics = _metrics(final_metrics(records, trial, metric), at, step)
        for epoch, point in mean_curve(records, trial, metric).items():
            metrics += _metrics(point, at, epoch)
        return metrics

    def _end_study(self, parent: dict[str, Any]) -> None:
        if self.facts["ended"] is None or self.facts["ended"] == parent["ended"]:
            return
        tags = study_tags(self.study)
        trials = [log.read() for log in self.study.trials()]
        if trials:
            # MLflow's own log_table warns of pandas 4, and adds rows to a table that is there.
            board = leaderboard(trials, metric_of(self.facts))
            self._file(partial(self.client.log_dict, parent["run_id"], board, _LEADERBOARD))
            tags["mlflow.loggedArtifacts"] = json.dumps([{"path": _LEADERBOARD, "type": "table"}])
        at, scores = _milliseconds(self.facts["ended"]), study_scores(self.study)
        self._batch(parent, metrics=_metrics(scores, at, 0), tags=tags)
        names = (REPORT, FINDINGS, PAGE, *SEARCH_PICTURES)
        files = [*(self.study.folder / name for name in names), self.study.evaluation / NUMBERS]
        self._files(parent, files)
        self._end(parent, self.facts)
        self._remember()

    def _send_system_metrics(self, parent: dict[str, Any]) -> None:
        sent = parent.get("num_samples", 0)
        samples = list(enumerate(self.study.system_metrics()))[sent:]
        found = [_metrics(one, _milliseconds(at), step) for step, (at, one) in samples]
        if found:
            self._batch(parent, metrics=list(chain.from_iterable(found)))
            parent["num_samples"] = sent + len(found)
            self._remember()

    def _send_model(self) -> None:
        """Register the winner's network; its weights are a file of its run where that cannot be.

        Weights of a model that makes pictures stay on disk.
        """
        entry = self.runs.get("winner")
        if entry is None or entry["ended"] is None or entry.get("has_model"):
            return
        from pdray.tracking.generators import generator_of
        from pdray.tracking.registered_model import Winner

        if generator_of(self.study.winner.read()["settings"]):
            return  # its weights can bring out faces
        winner = Winner(self.study, self.client, entry["run_id"], self.experiment)
        if self.whole is None and winner.shape is not None:
            self._file(lambda: self.notes.append(winner.register()))
        else:
            self._files(entry, [self.study.winner.model_path])
        entry["has_model"] = self.file_fault is None
        self._remember()

    def _cohort(self, entry: Mapping[str, Any]) -> None:
        """Say which cohort a run used: a digest and counts, no name."""
        tags = self.facts["tags"]
        if "manifest_digest" not in tags:
            return
        counts = {name: tags[name] for name in ("recordings", "subjects") if name in tags}
        cohort = Dataset(
            name="SYNTHETIC cohort" if tags.get("synthetic") == "true" else "cohort",
            digest=tags["manifest_digest"][:_DIGEST],
            source_type="manifest",
            source="{}",
            profile=json.dumps(counts),
        )
        used = DatasetInput(cohort, [InputTag("mlflow.data.context", "cross-validation")])
        self.client.log_inputs(entry["run_id"], datasets=[used])

    def _batch(
        self,
        entry: Mapping[str, Any],
        *,
        metrics: list[Metric] | None = None,
        params: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Send metrics and params in few calls, and last the tags with the number of steps.

        The store keeps one copy of a metric with the same step, time and value, so metrics that
        are sent again after an interruption are not duplicated.
        """
        left = list(metrics or [])
        shown = [Param(key, text[:_MAX_PARAM]) for key, text in (params or {}).items()]
        while len(left) > _METRICS_A_BATCH or len(shown) > _PARAMS_A_BATCH:
            part, left = left[:_METRICS_A_BATCH], left[_METRICS_A_BATCH:]
            some, shown = shown[:_PARAMS_A_BATCH], shown[_PARAMS_A_BATCH:]
            self.client.log_batch(entry["run_id"], metrics=part, params=some)
        given = [RunTag(key, text[:_MAX_TAG]) for key, text in (tags or {}).items()]
        # The server writes tags after metrics.
        self.client.log_batch(entry["run_id"], metrics=left, params=shown, tags=given)
        self.num_metrics += len(metrics or [])

    def _files(self, entry: Mapping[str, Any], paths: Iterable[Path]) -> None:
        for path in paths:
            if path.is_file():
                self._file(partial(self._send_file, entry["run_id"], path))

    def _send_file(self, run_id: str, path: Path) -> None:
        """Send a file as it may leave the room: with running numbers in the place of ids."""
        with TemporaryDirectory() as folder:
            sent = leaving(path, self.study, Path(folder), self.subjects)
            if sent is not None:
                self.client.log_artifact(run_id, str(sent))

    def _file(self, send: Callable[[], None]) -> None:
        """Send a file; if its store fails, the rest is sent now, and the files next time."""
        if self.file_fault is not None:
            return
        try:
            send()
        except Exception as error:  # noqa: BLE001 - each store has a library with errors of its own
            self.file_fault = error
        else:
            self.num_artifacts += 1

    def _end(self, entry: dict[str, Any], facts: Mapping[str, Any]) -> None:
        end = _milliseconds(facts["ended"])
        self.client.set_terminated(entry["run_id"], _STATUS[facts["state"]], end_time=end)
        if self.file_fault is None:
            entry["ended"] = facts["ended"]


def _entry_of(run: Run) -> dict[str, Any]:
    """Rebuild the notes about a run from its tags; its end is sent again."""
    num_steps = int(run.data.tags.get("pdray.num_steps", 0))
    return _entry(run.info.run_id, run.info.run_name) | {"num_steps": num_steps}


def _entry(run_id: str | None, name: str) -> dict[str, Any]:
    """Return the notes about a run of which nothing was sent yet."""
    return {"run_id": run_id, "name": name, "num_steps": 0, "ended": None, "described": False}


def _place(uri: str, experiment: str) -> str:
    return f"{bare(uri)} {experiment}"


def _memory(study: StudyLog) -> dict[str, Any]:
    """Return the content of ``mirror.json``; empty if it cannot be read."""
    try:
        memory: dict[str, Any] = json.loads((study.folder / _MEMORY).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return memory


def _has_all(study: StudyLog, place: str) -> bool:
    """Return whether an ended study was sent to its end."""
    ended = study.read()["ended"]
    sent = _memory(study).get(place, {}).get("study", {}).get("ended")
    return ended is not None and ended == sent


def _last_tags(trial: Mapping[str, Any]) -> dict[str, str]:
    """Return the tags of a trial that has ended."""
    tags = {"pdray.chosen_epoch": str(trial["chosen_epoch"])}
    if trial["state"] == "failed":
        # An error message may contain paths of videos, and these may contain names of people.
        tags["pdray.reason"] = "in trial.json of the study folder"
    elif trial["reason"]:
        tags["pdray.reason"] = trial["reason"]
    return tags


def _metrics(values: Mapping[str, float], at: int, step: int) -> list[Metric]:
    return [Metric(name, v, at, step) for name, v in values.items() if math.isfinite(v)]


def _milliseconds(seconds: float) -> int:
    return int(seconds * 1000)
