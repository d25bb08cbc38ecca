"""Finished studies of SYNTHETIC numbers on disk, made without Ray, for tests of the report."""

import atexit
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, Literal

import numpy as np
import pandas as pd

from pdray.checks.finding import Finding
from pdray.checks.run import write_findings
from pdray.config import build
from pdray.evaluation.evaluate import evaluate
from pdray.evaluation.numbers import numbers_frame
from pdray.evaluation.predictions import Origin, predictions_table, write_predictions
from pdray.evaluation.procedure import OuterPredictions, evaluate_procedure, pooled
from pdray.evaluation.settings import EvaluationSettings
from pdray.tracking.numbering import COHORT, writing_private
from pdray.tracking.run_log import IMPORTANCE, NUMBERS, REPORT, StudyLog, TrialLog

NUM_FOLDS, NUM_EPOCHS, CHOSEN = 3, 6, 3
FINDINGS = (
    Finding(
        code="PDR005",
        title="few subjects",
        state="warning",
        looked_at="the test subjects",
        found="8 subjects were tested",
        sure="counted",
        advice="test more subjects",
    ),
    Finding(code="PDR001", title="a person on both sides", state="passed", found="nobody is"),
    Finding(code="PDR004", title="background", state="unknown", found="no pictures were kept"),
)


@dataclass(frozen=True, kw_only=True)
class Made:
    """What a made study is like."""

    classes: int = 2
    protocol: Literal["holdout", "nested", "repeated"] = "holdout"
    people: int = 24
    raters: int = 0
    states: bool = False
    facts: bool = True
    cohort: bool = True
    synthetic: bool = True
    searched: bool = True
    name: str = "made"
    sites: tuple[str, str] = ("north", "south")
    item: str = "finger_tapping"
    skill: float = 1.2


def make_study(folder: Path, **what: Any) -> StudyLog:
    """Write a finished study into ``<folder>/studies/<name>``.

    Args:
        folder: The output folder.
        what: Fields of :class:`Made`: ``classes`` (2, 5, ...), ``protocol``, ``people``,
            ``raters``, ``states`` (ON and OFF), ``facts`` (ages, sexes, sites), ``cohort``
            (False: an earlier version kept none), ``synthetic``, ``searched`` (three trials, else
            the default alone), ``name``, ``sites``, ``item``, ``skill``.
    """
    made = Made(**what)
    study = StudyLog(folder / "studies" / made.name)
    study.start(name=made.name, settings=_settings(made), tags=_tags(made))
    people = list(range(made.people))
    if made.protocol == "holdout":
        held = [one for one in people if one % 6 < 2]
        _search(study, made, ([one for one in people if one not in held], held))
        table = pd.read_parquet(study.winner.predictions_path)
        inner = pd.read_parquet(study.trial(_best(made)).predictions_path)
        _evaluate(study, evaluate(table, build(EvaluationSettings, {}), inner).frame)
    else:
        held = []
        folds = _outer(study, made, people)
        _search(study, made, (people, []))
        found = evaluate_procedure(folds, build(EvaluationSettings, {}), _metric(made))
        _evaluate(study, numbers_frame(found.numbers))
    if made.cohort:
        with writing_private(study, COHORT) as temporary:
            _cohort(made, held or people).to_parquet(temporary, index=False)
    write_findings(study.folder, FINDINGS)
    seconds = {"seconds": 95.0, "forecast": 80.0, "ended": None}
    (study.folder / "time.json").write_text(json.dumps(seconds), encoding="utf-8")
    (study.folder / REPORT).write_text("the leaderboard\n\nthe scores\n", encoding="utf-8")
    study.finish(state="complete", best=_best(made))
    return study


def sixty(folder: Path, protocol: str = "holdout") -> StudyLog:
    """Copy a study of 60 people, which is made once, into a folder."""
    return StudyLog(shutil.copytree(_sixty(protocol), folder / "studies" / "made"))


@cache
def _sixty(protocol: str) -> Path:
    folder = Path(mkdtemp())
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return make_study(folder, people=60, protocol=protocol).folder


def _metric(made: Made) -> str:
    return "mcc" if made.classes == 2 else "kappa"


def _best(made: Made) -> int:
    return 1 if made.searched else 0


def _settings(made: Made) -> dict[str, Any]:
    return {
        "output": "/secret/output",
        "data": {
            "manifest": "/secret/Jane Doe/manifest.csv",
            "items": [made.item],
            "grade_cuts": [2] if made.classes == 2 else list(range(1, made.classes)),
        },
        "folds": {"num_folds": NUM_FOLDS, "num_outer": 3, "seed": 0},
        "model": {"name": "tsa", "depth": 10},
        "optim": {"epochs": NUM_EPOCHS},
        "search": {"metric": _metric(made), "protocol": made.protocol, "trials": 3, "repeats": 2,
                   "seed": 7},
        "evaluation": {"interval": "transformed", "permutations": 0},
        "space": {"optim.learning_rate": {"low": 1e-4, "high": 1e-2}} if made.searched else {},
    }  # fmt: skip


def _tags(made: Made) -> dict[str, str]:
    tags = {"manifest_digest": "d" * 64, "seed": "7", "maximise": "true", "source": "abc1234",
            "recordings": str(2 * made.people), "subjects": str(made.people),
            "version.pdray": "0.1.0", "version.torch": "2.11.0"}  # fmt: skip
    return tags | ({"synthetic": "true"} if made.synthetic else {})


def _grade(person: int, made: Made) -> int:
    return (0, 3)[person % 2] if made.classes == 2 else person % made.classes


def _rows(people: Sequence[int], made: Made) -> dict[str, list[Any]]:
    """Return two recordings for each subject: both hands, or two states."""
    each = [(one, turn) for one in people for turn in range(2)]
    rows: dict[str, list[Any]] = {
        "recording_id": [f"S{one:02}_{turn}" for one, turn in each],
        "snippet": [0] * len(each),
        "subject_id": [f"S{one:02}" for one, _ in each],
        "item": [made.item] * len(each),
        "grade": [_grade(one, made) for one, _ in each],
        "target": [one % made.classes for one, _ in each],
        "side": [("left", "right")[0 if made.states else turn] for _, turn in each],
        "visit_id": ["2024-01-31" for _ in each],
    }
    if made.states:
        rows["medication_state"] = [("on", "off")[turn] for _, turn in each]
        rows["grade"] = [min(4, _grade(one, made) + turn * (one % 3 == 0)) for one, turn in each]
        if made.classes > 2:
            rows["target"] = [min(one, made.classes - 1) for one in rows["grade"]]
    if made.facts:
        rows["site"] = [made.sites[one % 4 // 2] for one, _ in each]
        rows["sex"] = [("female", "male")[one % 3 % 2] for one, _ in each]
    for rater in range(1, made.raters + 1):
        rows[f"rater_{rater}"] = [
            float(min(4, max(0, grade + (one * rater + turn) % 5 // 4)))
            for (one, turn), grade in zip(each, rows["grade"], strict=True)
        ]
    return rows


def _predicted(people: Sequence[int], made: Made, origin: Origin) -> pd.DataFrame:
    rows = _rows(people, made)
    seed = [origin.outer_fold, origin.repeat, origin.fold + 1, origin.trial, len(people)]
    draws = np.random.default_rng(seed)
    target = np.array(rows["target"])
    steps = np.abs(np.arange(made.classes)[None] - target[:, None])
    logits = draws.normal(size=steps.shape) - made.skill * steps
    return predictions_table(origin, rows, logits)


def _search(
    log: StudyLog, made: Made, sides: tuple[Sequence[int], Sequence[int]], place: int = 0
) -> None:
    learnt, held = sides
    metric = _metric(made)
    for number in range(3 if made.searched else 1):
        origin = Origin(study=made.name, trial=number, fold=0, epoch=CHOSEN, outer_fold=place)
        label = "default" if number == 0 else None
        params = {"optim.learning_rate": 10.0 ** -(number + 2)} if made.searched else {}
        trial = log.trial(number)
        trial.start(number=number, num_epochs=NUM_EPOCHS, params=params, settings={}, label=label)
        _curves(trial, metric, number)
        tables = [
            _predicted(learnt[fold::NUM_FOLDS], made, replace(origin, fold=fold))
            for fold in range(NUM_FOLDS)
        ]
        pruned = number == 2
        trial.finish(
            state="pruned" if pruned else "complete",
            value=0.4 + 0.1 * number - 0.3 * pruned,
            chosen_epoch=None if pruned else CHOSEN,
        )
        if not pruned:
            write_predictions(pd.concat(tables, ignore_index=True), trial.predictions_path)
    if made.searched:
        found = json.dumps({"optim.learning_rate": 1.0})
        (log.folder / IMPORTANCE).write_text(found, encoding="utf-8")
    best = _best(made)
    log.winner.start(number=best, num_epochs=CHOSEN + 1, params={}, settings={}, role="winner")
    log.winner.finish(state="complete", chosen_epoch=None)
    if held:
        origin = Origin(study=made.name, trial=best, fold=-1, epoch=CHOSEN, outer_fold=place,
                        split="test")  # fmt: skip
        write_predictions(_predicted(held, made, origin), log.winner.predictions_path)


def _curves(trial: TrialLog, metric: str, number: int) -> None:
    for fold in range(NUM_FOLDS):
        for epoch in range(NUM_EPOCHS):
            height = 0.4 + 0.1 * number - 0.02 * (epoch - CHOSEN) ** 2 + 0.01 * fold
            losses = {"train/loss": 1 / (epoch + 1), "val/loss": 1 / (epoch + 1) + 0.1}
            trial.write_epoch(fold=fold, epoch=epoch, metrics={**losses, f"val/{metric}": height})


def _outer(study: StudyLog, made: Made, people: Sequence[int]) -> list[OuterPredictions]:
    tables, folds = [], []
    for repeat in range(2 if made.protocol == "repeated" else 1):
        order = np.random.default_rng(repeat).permutation(people).tolist()
        for fold in range(3):
            held = sorted(order[fold::3])
            log = study.outer(
                f"{repeat}-{fold:02}" if made.protocol == "repeated" else f"{fold:02}"
            )
            log.start(name=log.name, settings=_settings(made), tags=_tags(made))
            _search(log, made, ([one for one in people if one not in held], held), fold)
            log.finish(state="complete", best=_best(made))
            scored = pd.read_parquet(log.winner.predictions_path)
            scored = scored.assign(study=made.name, seed=7, repeat=repeat)
            inner = pd.read_parquet(log.trial(_best(made)).predictions_path)
            tables.append(scored)
            folds.append(OuterPredictions(repeat, fold, scored=scored, inner=inner, value=0.5))
    write_predictions(pd.concat(tables, ignore_index=True), study.pooled_path)
    assert len(pooled(folds)[0]) == sum(map(len, tables))
    return folds


def _evaluate(study: StudyLog, numbers: pd.DataFrame) -> None:
    study.evaluation.mkdir()
    numbers.to_csv(study.evaluation / NUMBERS, index=False)


def _cohort(made: Made, held: Sequence[int]) -> pd.DataFrame:
    """Return the private table of recordings: all of the study, and five that are left out."""
    rows = _rows(range(made.people), made)
    numbers = [int(one[1:]) for one in rows["subject_id"]]
    table = pd.DataFrame({name: rows[name] for name in rows if name not in ("snippet", "target")})
    table["class"] = rows["target"]
    table["part"] = ["scored" if one in held else "training" for one in numbers]
    table["reason"] = None
    table["seconds"] = [8.0 + one % 5 for one in numbers]
    table["grade_status"] = "rated"
    empty = ("sex", "age", "disease_years", "hoehn_yahr", "diagnosis", "medication_state",
             "stimulation_state", "site")  # fmt: skip
    for name in empty:
        if name not in table:
            table[name] = None
    if made.facts:
        table["age"] = [45.0 + 2 * one for one in numbers]  # the last ones are above 89
        table["disease_years"] = [float(one % 12) for one in numbers]
        table["diagnosis"] = ["healthy" if one % 2 == 0 else "parkinson" for one in numbers]
    lost = table.iloc[:5].copy()
    lost["recording_id"] = [f"S{n:02}_lost" for n in range(5)]
    lost["part"], lost["class"], lost["seconds"] = "left out", None, None
    lost["reason"] = ["unable to rate", "no grade", "damaged file", "other item", "no video"]
    lost.loc[lost["reason"].isin(["unable to rate", "no grade"]), "grade"] = None
    lost.loc[lost["reason"] == "unable to rate", "grade_status"] = "unable"
    lost.loc[lost["reason"] == "other item", "item"] = "gait"
    return pd.concat([table, lost], ignore_index=True).convert_dtypes()
