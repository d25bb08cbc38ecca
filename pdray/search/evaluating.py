"""Evaluates predictions of a table or of a study, and writes the report."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from pdray.atomic import write_text
from pdray.checks.run import findings_text, read_findings
from pdray.config import part, require_writable
from pdray.data.cohort.settings import Target, target_of
from pdray.errors import StudyError
from pdray.evaluation.evaluate import Evaluation, evaluate
from pdray.evaluation.evaluation_report import evaluation_text
from pdray.evaluation.foreign import read_foreign
from pdray.evaluation.plots import confusion_picture, reliability_picture, roc_picture
from pdray.evaluation.predictions import by_recording, read_predictions
from pdray.evaluation.procedure import OuterPredictions, evaluate_procedure, pooled
from pdray.evaluation.report import headline
from pdray.evaluation.settings import EvaluationSettings
from pdray.search.evaluate_settings import EvaluateConfig
from pdray.search.outer import read_pooled
from pdray.search.settings import default_output
from pdray.tracking.generators import refuse_generator
from pdray.tracking.run_log import NUMBERS, OUTER, REPORT, StudyLog, TrialLog, study_around
from pdray.tracking.scorings import note_study
from pdray.tracking.withdrawn import read_marks, withdrawn_notes


@dataclass(frozen=True)
class Predictions:
    """Predictions to evaluate.

    Attributes:
        name: Name of the folder of the report.
        title: What the predictions are of, for the report.
        table: The predictions table of one model, or of models that scored different subjects.
        synthetic: Whether the recordings are SYNTHETIC.
        notes: What a reader of the scores should know.
        inner: Predictions of the same model for subjects of its training side; None: there are
            none.
        study: The study whose test side is scored, and the name of its model; None for others.
        checks: What the checks of its search found, as text; empty if there are none.
        folds: Outer folds of a study that searched in each of them; empty for others.
        target: ``data.target`` of the study, which names the classes.
    """

    name: str
    title: str
    table: pd.DataFrame
    synthetic: bool
    notes: tuple[str, ...] = ()
    inner: pd.DataFrame | None = None
    study: tuple[StudyLog, str] | None = None
    checks: str = ""
    folds: tuple[OuterPredictions, ...] = ()
    target: Target = "grade"


def run_evaluation(config: EvaluateConfig) -> str:
    """Evaluate a table or a study; write report, numbers and pictures; return the report.

    Raises:
        StudyError: If the table or the study cannot be evaluated; nothing is written then.
        SettingsError: If the output cannot be written.
    """
    found = _of_study(config) if config.table is None else _of_table(config, config.table)
    output = config.output
    if output is None and found.study is not None:
        folder = found.study[0].folder.absolute()
        # A study that was copied out of <output>/studies gets its evaluation inside.
        above = {OUTER: 3, "studies": 1}.get(folder.parent.name)
        output = folder if above is None else folder.parents[above]
    output = output or Path(default_output())
    folder = output / "evaluation" / found.name
    require_writable(folder, key="output")
    if found.study is not None:
        note_study(output, found.study[0], job="evaluate", model=found.study[1])
    text = write_evaluation(folder, found, evaluated(found, part(config, EvaluationSettings)))
    return f"{text}\n\nthe report, its numbers and pictures are in the folder\n{folder}"


def evaluated(found: Predictions, how: EvaluationSettings) -> Evaluation:
    """Return every number of predictions: of one model, or of a procedure over outer folds."""
    if not found.folds:
        return evaluate(found.table, how, found.inner, target=found.target)
    assert found.study is not None, "outer folds are of a study"
    metric = str(found.study[0].read()["settings"]["search"]["metric"])
    return evaluate_procedure(found.folds, how, metric, found.target)


def write_evaluation(folder: Path, found: Predictions, evaluation: Evaluation) -> str:
    """Write the report, the numbers and the pictures of an evaluation; return the report."""
    title = headline(f"Evaluation of {found.title}", found.synthetic)
    units, diagram = by_recording(found.table), folder / "reliability.png"
    synthetic, target = found.synthetic, found.target
    lacking = reliability_picture(units, diagram, synthetic=synthetic, target=target)
    if lacking:
        diagram.unlink(missing_ok=True)  # of an earlier evaluation
    notes = [*found.notes, *evaluation.notes, *([lacking] if lacking else [])]
    text = evaluation_text([title, *evaluation.head], evaluation.numbers, notes)
    text = "\n\n".join(filter(None, (text, found.checks)))
    write_text(folder / REPORT, f"{text}\n")
    write_text(folder / NUMBERS, evaluation.frame.to_csv(index=False))
    confusion_picture(units, folder / "confusion.png", synthetic=synthetic, target=target)
    roc_picture(units, folder / "roc.png", synthetic=synthetic)
    return text


def _of_table(config: EvaluateConfig, path: Path) -> Predictions:
    foreign = read_foreign(path)
    table = foreign.table
    if config.trial is not None:
        table = table[table["trial"] == config.trial]
    inner = table[table["split"] == "val"].reset_index(drop=True)
    if config.split is not None:
        table = table[table["split"] == config.split]
    _refuse_several(table, path.name)
    log = study_around(path)
    tested = bool((table["split"] == "test").all())
    rendered = log is not None and is_synthetic(log.read())
    return Predictions(
        # All predictions files of studies have one name.
        name=path.stem if log is None else f"{log.read()['name']}-{path.parent.name}",
        title=path.name,
        table=table.reset_index(drop=True),
        synthetic=foreign.is_synthetic or rendered,
        notes=foreign.notes,
        inner=inner if tested and len(inner) else None,
        study=(log, path.parent.name) if log is not None and tested else None,
        target="grade" if log is None else target_of(log.read()["settings"]),
    )


def _refuse_several(table: pd.DataFrame, name: str) -> None:
    """Refuse rows of several models that scored the same subjects, or of both sides."""
    advice = "write trial=... or split=... to choose"
    if table.empty:
        raise StudyError(f"{name}: no row is of this trial and split; {advice}")
    splits = sorted(table["split"].unique())
    if len(splits) > 1:
        raise StudyError(f"{name}: has rows of {' and '.join(splits)}; write split={splits[0]}")
    people = table.drop_duplicates(["study", "trial", "subject_id"])
    if people["subject_id"].duplicated().any():
        trials = sorted(table["trial"].unique().tolist())
        raise StudyError(
            f"{name}: has predictions of several models for the same subjects (trials "
            f"{', '.join(map(str, trials[:9]))}{', ...' * (len(trials) > 9)}); write "
            f"trial={trials[0]} or keep the rows of one study"
        )


def _of_study(config: EvaluateConfig) -> Predictions:
    assert config.study is not None, "it is set where table is not"
    log = StudyLog(config.study)
    facts = log.read()
    refuse_generator(str(facts["name"]), facts["settings"])
    if config.trial is None and config.split != "val" and log.pooled_path.is_file():
        return replace(of_outer_folds(log), checks=findings_text(read_findings(log.folder)))
    trial = _chosen(log, facts, config)
    if not trial.predictions_path.is_file():
        raise StudyError(
            f"study {facts['name']}: {trial.folder.name} has no predictions, since it is not "
            "complete; run the study to its end, or choose another with trial=..."
        )
    table, name = read_predictions(trial.predictions_path), trial.folder.name
    if table.empty:
        raise _nobody(facts["name"], f"{name} has no")
    tested = bool((table["split"] == "test").all())
    wins = trial.folder == log.winner.folder
    what = "winner" if wins else f"trial {int(name)}"
    sides = "test set" if tested else "subjects that its folds held out"
    return Predictions(
        name=str(facts["name"]) if wins else f"{facts['name']}-trial-{int(name)}",
        title=f"study {facts['name']}, {what}, {sides}",
        table=table,
        synthetic=is_synthetic(facts),
        notes=withdrawn_notes(log),
        inner=inner_predictions(log) if name == log.winner.folder.name else None,
        study=(log, name) if tested else None,
        checks=findings_text(read_findings(log.folder)) if wins and tested else "",
        target=target_of(facts["settings"]),
    )


def _nobody(study: str, none: str) -> StudyError:
    return StudyError(
        f"study {study}: {none} predictions left, since everybody whom it scored has "
        "withdrawn; choose another study"
    )


def of_outer_folds(log: StudyLog) -> Predictions:
    """Return the test predictions of the winners of all outer folds of a study."""
    facts, folds = log.read(), outer_folds(log)
    return Predictions(
        name=str(facts["name"]),
        title=f"study {facts['name']}, its search and refit in {len(folds)} outer folds",
        table=pooled(folds)[0],
        synthetic=is_synthetic(facts),
        notes=withdrawn_notes(log),
        study=(log, OUTER),
        folds=tuple(folds),
        target=target_of(facts["settings"]),
    )


def outer_folds(study: StudyLog) -> list[OuterPredictions]:
    """Return the predictions of the winners of all outer folds.

    Args:
        study: The whole study.

    Raises:
        StudyError: If the outer folds have not all been searched, or there are none, or nobody
            whom they scored is left.
    """
    rows = dict(list(read_pooled(study).groupby(["repeat", "outer_fold"])))
    if not rows:
        raise _nobody(study.name, "no outer fold has")
    marks = read_marks(study.folder)
    found = []
    for log in study.outer_studies():
        repeat, _, number = log.folder.name.rpartition("-")
        place = int(repeat or 0), int(number)
        if marks and place not in rows:
            continue  # everybody whom it scored has withdrawn
        winner = log.trial(int(log.winner.read()["number"]))
        inner = winner.predictions_path
        found.append(
            OuterPredictions(
                *place,
                scored=rows[place],
                inner=read_predictions(inner) if inner.is_file() else None,
                value=float(winner.read()["value"]),
            )
        )
    return found


def _chosen(log: StudyLog, facts: Mapping[str, Any], config: EvaluateConfig) -> TrialLog:
    if config.trial is not None:
        return log.trial(config.trial)
    if config.split != "val" and log.winner.exists():
        return log.winner
    if config.split == "val" and facts["best"] is not None:
        return log.trial(int(facts["best"]))
    trials = log.trials()
    if len(trials) != 1:
        raise StudyError(
            f"study {facts['name']} has {len(trials)} trials and no winner yet; choose one with "
            "trial=..."
        )
    return trials[0]


def inner_predictions(log: StudyLog) -> pd.DataFrame | None:
    """Return the predictions of the winning trial for subjects that its folds held out."""
    file = log.trial(int(log.winner.read()["number"])).predictions_path
    return read_predictions(file) if file.is_file() else None


def is_synthetic(facts: Mapping[str, Any]) -> bool:
    """Return whether the recordings of a study are SYNTHETIC."""
    return bool(facts["tags"].get("synthetic") == "true")


def evaluate_winner(log: StudyLog, how: EvaluationSettings) -> None:
    """Write the evaluation of a study's winner on its test set into the study's folder."""
    facts = log.read()
    found = Predictions(
        name=str(facts["name"]),
        title=f"study {facts['name']}, winner, test set",
        table=read_predictions(log.winner.predictions_path),
        synthetic=is_synthetic(facts),
        inner=inner_predictions(log),
        target=target_of(facts["settings"]),
    )
    write_evaluation(log.evaluation, found, evaluated(found, how))
