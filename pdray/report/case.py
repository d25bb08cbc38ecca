"""A finished study as its report tells it, read from the study's folder alone."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from pdray.checks.finding import Finding
from pdray.checks.run import read_findings
from pdray.config import build, dump
from pdray.data.cohort.settings import event_name, target_of
from pdray.errors import StudyError
from pdray.evaluation.controls import Known, constant_control, group_control
from pdray.evaluation.evaluate import evaluate
from pdray.evaluation.predictions import by_recording, read_predictions
from pdray.evaluation.score_intervals import Rows
from pdray.evaluation.settings import EvaluationSettings
from pdray.tracking.address import shared_settings
from pdray.tracking.epoch_lines import EpochRecord
from pdray.tracking.generators import refuse_generator
from pdray.tracking.leaving import are_told, small_cells, told_finding, without_few
from pdray.tracking.numbering import COHORT, private_folder, without_ids
from pdray.tracking.run_log import CHANCE, IMPORTANCE, NUMBERS, StudyLog

UNKNOWN = "unknown"


@dataclass(frozen=True)
class External:
    """An external validation: models of a finished study grade recordings from elsewhere.

    Attributes:
        models: What graded them, such as "the mean of the models of 5 folds".
        people: Development subjects of the study, as they may be printed.
        recordings: Their recordings, likewise.
        score: The study's own score, a row of its numbers; empty: it has none.
        described: The people of the study in words; empty: they are not known.
        other_people: Whether equal ids were said to be of other people.
        calibration: The study's calibration, such as "temperature"; "none": it has none.
        unlike: Recordings that are unlike those of the study, and why, in words.
        before: Scorings of some of these people by this study before.
    """

    models: str
    people: str
    recordings: str
    score: Mapping[str, Any]
    described: str
    other_people: bool
    calibration: str
    unlike: str
    before: int


@dataclass(frozen=True)
class Reported:
    """A finished study: running numbers stand in place of subject and recording ids.

    Attributes:
        name: Name of the study.
        settings: All its settings, nested, without folders and passwords.
        tags: What identifies code, data and versions.
        protocol: Name of the protocol; "unknown" of a study of an earlier version.
        is_synthetic: Whether the recordings were rendered.
        metric: Name of the score that chose the winner, such as "mcc".
        numbers: All numbers of the evaluation, with the columns of
            :data:`pdray.evaluation.numbers.COLUMNS`.
        units: Predictions of test recordings, one row each (one per repeat); ``outer_fold`` goes
            on over the repeats, ``seed`` is the repeat of a study in outer folds. Empty: there is
            no test set.
        inner: Predictions of the winning trial for the recordings that its folds held out; None:
            it has none.
        cohort: One row per recording of the manifest, also of those that are left out; see
            :func:`pdray.search.recordings.recordings_table`. None: an earlier version kept none.
        trials: Content of each ``trial.json``, without paths.
        epochs: Learning curves of the winning trial, all its folds.
        best: Number of the winning trial.
        chosen_epoch: Its epoch of the best mean score, from 0; None: unknown.
        importance: Share of the variance of the scores by searched setting; empty: unknown.
        findings: What the checks found; empty: they were not run.
        chance: Content of ``permutations.json``: scores of exchanged grades and p; empty: not run.
        seconds: Seconds of trials and refit ("seconds") and their forecast ("forecast"), if known.
        small_cells: Groups of fewer people are shown as "<" this number.
        baselines: Score of each baseline on the same recordings, by its name; empty: unknown.
        external: The recordings are from elsewhere; None: they are those of the study.
    """

    name: str
    settings: Mapping[str, Any]
    tags: Mapping[str, str]
    protocol: str
    is_synthetic: bool
    metric: str
    numbers: pd.DataFrame
    units: pd.DataFrame
    inner: pd.DataFrame | None
    cohort: pd.DataFrame | None
    trials: tuple[Mapping[str, Any], ...]
    epochs: tuple[EpochRecord, ...]
    best: int
    chosen_epoch: int | None
    importance: Mapping[str, float]
    findings: tuple[Finding, ...]
    chance: Mapping[str, Any]
    seconds: Mapping[str, float]
    small_cells: int = 5
    baselines: Mapping[str, float] = field(default_factory=dict)
    external: External | None = None

    @property
    def event(self) -> str:
        """What class 1 of two is called in sentences: "class 1", or "being ill"."""
        return event_name(target_of(self.settings))

    @property
    def names_people(self) -> bool:
        """Whether the recordings name people; if not, each one stands for a person."""
        rows = self.units if self.cohort is None else self.cohort
        return rows.empty or bool((rows["subject_id"] != rows["recording_id"]).any())


def read_case(study: StudyLog) -> Reported:
    """Read a finished study; what an earlier version did not keep is unknown or empty.

    Raises:
        StudyError: If there is no study, it has not ended well, it is no search, or a file of it
            cannot be read.
    """
    facts = study.read()
    check_finished(study, facts)
    settings, best = facts["settings"], facts["best"]
    table = _scored(study)
    trial = study.trial(int(best))
    inner = read_predictions(trial.predictions_path) if trial.predictions_path.is_file() else None
    found = trial.read() if trial.exists() else {}
    chosen = found.get("chosen_epoch")
    if chosen is None and study.winner.exists():  # an earlier version may have no trial left
        chosen = study.winner.read()["chosen_epoch"]
    search = settings.get("search", {})
    metric = str(search.get("metric", "mcc"))
    units, learnt = (None if one is None else by_recording(one) for one in (table, inner))
    return Reported(
        name=str(facts["name"]),
        settings=shared_settings(settings),
        tags=facts["tags"],
        protocol=str(search.get("protocol") or UNKNOWN),
        is_synthetic=facts["tags"].get("synthetic") == "true",
        metric=metric,
        numbers=_numbers(study, settings, table, inner),
        units=pd.DataFrame() if units is None else without_ids(units, study),
        inner=None if learnt is None else without_ids(learnt, study),
        cohort=_cohort(study),
        trials=tuple(_shared_trial(one.read()) for one in study.trials()),
        epochs=tuple(trial.epochs()),
        best=int(best),
        chosen_epoch=None if chosen is None else int(chosen),
        importance=_json(study.folder / IMPORTANCE),
        findings=_findings(study),
        chance=_json(study.folder / CHANCE),
        seconds={
            name: float(value)
            for name, value in _json(study.folder / "time.json").items()
            if isinstance(value, int | float)
        },
        small_cells=small_cells(study),
        baselines={} if units is None or learnt is None else baselines(units, learnt, metric),
    )


def check_finished(study: StudyLog, facts: Mapping[str, Any]) -> None:
    """Refuse a study that has no winner.

    Raises:
        StudyError: Says what the study is, and what to do.
    """
    name, state = facts["name"], facts["state"]
    if state != "complete":
        way = {"running": "continue it with --resume, which makes the report at its end"}.get(
            state, "start a new study with another search.name; its trials say why they failed"
        )
        raise StudyError(f"study {name} is {state}, so that it has no report; {way}")
    refuse_generator(str(name), facts["settings"])
    if facts["best"] is None or not study.winner.exists():
        raise StudyError(
            f"study {name} has no winner, since it is no search; its results are in "
            f"{study.folder / 'report.txt'}"
        )


def _scored(study: StudyLog) -> pd.DataFrame | None:
    """Return the predictions on which the printed score rests."""
    if study.pooled_path.is_file():
        table = read_predictions(study.pooled_path)
        size = int(table["outer_fold"].max()) + 1
        # As the evaluation of a procedure numbers them.
        outer = table["repeat"] * size + table["outer_fold"]
        return table.assign(outer_fold=outer, seed=table["repeat"], repeat=0)
    if study.winner.predictions_path.is_file():
        return read_predictions(study.winner.predictions_path)
    return None


def _numbers(
    study: StudyLog,
    settings: Mapping[str, Any],
    table: pd.DataFrame | None,
    inner: pd.DataFrame | None,
) -> pd.DataFrame:
    """Return the numbers of the evaluation; an earlier version wrote none, so they are made."""
    file = study.evaluation / NUMBERS
    if file.is_file():
        texts = ("table", "group", "level", "metric", "sides", "truth", "reason", "undefined")
        numbers = pd.read_csv(file, dtype=dict.fromkeys(texts, "str"))
        return told_numbers(numbers.fillna(dict.fromkeys(texts, "")), small_cells(study))
    if table is None:
        return pd.DataFrame()
    known = dump(EvaluationSettings())
    # As the versions did that had no such setting.
    asked = {"evaluation": {"interval": "percentile"}, **settings}
    given = {
        name: {key: value for key, value in asked.get(name, {}).items() if key in section}
        for name, section in known.items()
    }
    numbers = evaluate(table, build(EvaluationSettings, given), inner).frame
    return told_numbers(numbers, small_cells(study))


def told_numbers(numbers: pd.DataFrame, least: int) -> pd.DataFrame:
    """Return numbers without groups that may not be told, and counts of few people in reasons."""
    columns = (numbers["table"], numbers["group"], numbers["num_subjects"].astype(int))
    kept = numbers[are_told([*zip(*columns, strict=True)], least)].reset_index(drop=True)
    return kept.assign(reason=[without_few(one, least) for one in kept["reason"]])


def _findings(study: StudyLog) -> tuple[Finding, ...]:
    return tuple(Finding(**told_finding(vars(one), study)) for one in read_findings(study.folder))


def baselines(units: pd.DataFrame, learnt: pd.DataFrame, metric: str) -> dict[str, float]:
    """Return the scores of guesses that use no recording, as the printed report has them.

    Args:
        units: Test predictions, one row per recording.
        learnt: One row per recording that the winner learnt from.
        metric: The score.
    """
    sites = learnt["site"] if "site" in learnt else pd.Series(None, learnt.index, dtype=object)
    known = [Known(int(target), site) for target, site in zip(learnt["target"], sites, strict=True)]
    controls = {"guessing by class frequency": constant_control(units, known)}
    if "site" in units and units["site"].notna().all() and units["site"].nunique() > 1:
        groups = dict(zip(units["recording_id"], units["site"], strict=True))
        controls["guessing by site"] = group_control(units, known, groups)
    return {
        name: Rows.of(table, mean_of_runs=True).value(metric) for name, table in controls.items()
    }


def _cohort(study: StudyLog) -> pd.DataFrame | None:
    file = private_folder(study) / COHORT
    return without_ids(pd.read_parquet(file), study) if file.is_file() else None


def _shared_trial(trial: Mapping[str, Any]) -> dict[str, Any]:
    """Return a trial without paths; the reason of a failure may hold one."""
    shared = {name: shared_settings(trial[name]) for name in ("params", "settings")}
    return {**trial, **shared, "reason": None}


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
