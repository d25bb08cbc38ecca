"""Scores the models of a study on a manifest from elsewhere, and writes the report.

``<output>/evaluation/<study>-<manifest>`` holds what any evaluation leaves there, and

    predictions.parquet    a row per scored recording, with pseudonyms
    report/                the report to publish, without pseudonyms
    private/               who takes part, and the key of the running numbers
    decode_failures.csv    recordings that cannot be read, and why
"""

from dataclasses import replace
from pathlib import Path

import torch

from pdray.atomic import replacing_private, safe_name
from pdray.checks.run import findings_text
from pdray.command import Say
from pdray.config import build, part, require_writable
from pdray.data.cohort.labels import labelled
from pdray.data.cohort.made import refuse_made
from pdray.data.cohort.manifest import Allowed, load_manifest
from pdray.data.store.prepare import check_failures
from pdray.evaluation.evaluate import Evaluation, evaluate
from pdray.evaluation.predictions import by_recording
from pdray.evaluation.settings import DecisionConfig, EvaluationSettings
from pdray.external.numbers import external_numbers
from pdray.external.people import reasons_after, reasons_before, refuse_nobody
from pdray.external.report import external_case, told_notes
from pdray.external.validated import Validated
from pdray.predict.models import find_models
from pdray.predict.run import grade
from pdray.predict.settings import PredictConfig
from pdray.predict.studied import Studied, open_study
from pdray.report.make import write_report
from pdray.search.evaluate_settings import EvaluateConfig
from pdray.search.evaluating import Predictions, inner_predictions, write_evaluation
from pdray.tracking.numbering import COHORT, writing_private
from pdray.tracking.provenance import source_identity
from pdray.tracking.run_log import PAGE, PREDICTIONS, StudyLog
from pdray.tracking.scorings import Scoring, note_scoring, read_scorings, subject_marks
from pdray.tracking.withdrawn import withdrawn_notes


def validate(config: EvaluateConfig, say: Say, *, device: torch.device) -> str:
    """Grade and score recordings from elsewhere; return the report as text.

    Nothing is fitted or chosen on them. Nothing but decoded frames is written before all of them
    are graded.

    Args:
        config: Checked settings, with ``study`` and ``data.manifest``.
        say: Prints a line of progress.
        device: Device of a network.

    Raises:
        PdrayError: If the study, its weights, the manifest or all recordings cannot be used, or
            nothing can be written.
    """
    assert config.study is not None, "the settings ask for it"
    assert config.data.manifest is not None, "the job has looked"
    studied = open_study(config.study)
    output = config.output or studied.output
    name = f"{studied.name}-{config.data.manifest.stem}"
    folder = output / "evaluation" / safe_name(name)
    require_writable(folder, key="output")
    found = _grade(config, studied, folder, (device, say))
    before = _note(output, found, config.model)
    evaluation = _evaluate(found)
    say(f"scored     {len(found.scored)} of {len(found.manifest.recordings)} recordings")
    text = _write(found, evaluation, (StudyLog(folder), output), before)
    return (
        f"{text}\n\nthe report, its numbers and pictures are in the folder\n{folder}\n"
        f"report     {folder / PAGE}"
    )


def _grade(
    config: EvaluateConfig, studied: Studied, folder: Path, shown: tuple[torch.device, Say]
) -> Validated:
    """Grade everybody who can be scored.

    Raises:
        PdrayError: As :func:`validate`.
    """
    models, how = find_models(studied, config.model), _how(config, studied)
    new = build(
        PredictConfig,
        {
            "study": config.study,
            # Never written; finished parts of an interrupted run lie beside it.
            "output": folder.parents[1] / f"{folder.name}.csv",
            "data": {"manifest": config.data.manifest},
            "model": config.model,
            "other_people": config.other_people,
            "calibration": how.decision.calibration,
            "resources": {"address": config.resources.address},
        },
    )
    data = config.data
    allowed = Allowed(data.different_subjects, data.shared_files, data.allow_outside)
    assert config.data.manifest is not None, "the job has looked"
    manifest = load_manifest(config.data.manifest, scale=studied.data.scale, allowed=allowed)
    refuse_made(manifest.made)
    manifest = labelled(manifest, studied.data.target)
    reasons = reasons_before(studied, manifest, other_people=config.other_people)
    rows = tuple(one for one in manifest.recordings if one.recording_id not in reasons)
    graded = grade(studied, models, rows, new, shown)
    reasons |= reasons_after(studied, graded.found, graded.failures)
    refuse_nobody(studied, manifest, reasons, other_people=config.other_people)
    return Validated(studied, models, manifest, graded, reasons, how, config.other_people)


def _how(config: EvaluateConfig, studied: Studied) -> EvaluationSettings:
    """Return the settings of the evaluation; decisions are those of the study by default."""
    decision = config.decision
    if decision == DecisionConfig():
        decision = build(DecisionConfig, studied.setting("decision") or {})
    # A row is the mean over snippets and models already.
    decision = decision.model_copy(update={"rule": "mean"})
    return part(config, EvaluationSettings).model_copy(update={"decision": decision})


def _note(output: Path, found: Validated, model: str) -> int:
    """Add a line to the list of scorings; return how often the study scored such people before."""
    studied = found.studied
    # A file tells a person also where the manifest was changed.
    files = subject_marks(
        path.stem for one in found.scored for path in (one.rated.stored or {}).values()
    )
    line = Scoring(
        table="evaluate",
        study=studied.name,
        seed=studied.seed,
        source=source_identity(),
        manifest=found.manifest.path.name,
        runs=model,
        digest=found.manifest.digest,
        study_id=str(studied.facts.get("study_id", "")),
        subjects=files | subject_marks(one.row.subject_id for one in found.scored),
    )
    before = [
        one
        for one in read_scorings(output)
        if one.study_id == line.study_id
        and one.subjects & (line.subjects if one.digest == line.digest else files)
    ]
    note_scoring(output, line)
    return len(before)


def _evaluate(found: Validated) -> Evaluation:
    inner = inner_predictions(found.studied.study)
    if inner is not None:  # an id of both data sets is of two people, or it would not be scored
        inner = inner.assign(subject_id="of the study: " + inner["subject_id"])
    usual = evaluate(found.table, found.how, inner, target=found.studied.data.target)
    kind = found.how.decision.calibration
    units = by_recording(found.table)
    more = external_numbers(units, found.calibrated, kind, usual.numbers)
    return replace(usual, numbers=(*usual.numbers, *more))


def _write(
    found: Validated, evaluation: Evaluation, where: tuple[StudyLog, Path], before: int
) -> str:
    log, failures = where[0], dict(found.graded.failures)
    log.folder.mkdir(parents=True, exist_ok=True)
    with writing_private(log, COHORT) as temporary:
        found.parts().to_parquet(temporary, index=False)
    case = external_case(found, evaluation.frame, where, before)
    title = f"study {found.studied.name}, external validation of {found.graded_by}"
    predictions = Predictions(
        name=log.folder.name,
        title=title,
        table=found.table,
        synthetic=case.is_synthetic,
        notes=(*withdrawn_notes(found.studied.study), *told_notes(found, case)),
        checks=findings_text(case.findings),
        target=found.studied.data.target,
    )
    text = write_evaluation(log.folder, predictions, evaluation)
    with replacing_private(log.folder / PREDICTIONS) as temporary:
        found.table.to_parquet(temporary, index=False)
    check_failures(failures, log.folder / "decode_failures.csv", allowed=len(failures))
    write_report(case, log.folder / "report")
    return text
