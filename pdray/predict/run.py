"""Grades new recordings with the winner of a study and writes one row per recording."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pdray.atomic import replacing_private
from pdray.command import Say
from pdray.config import require_writable
from pdray.data.cohort.csv_table import table_text
from pdray.data.cohort.manifest import Recording, grade_class
from pdray.data.cohort.settings import SYNTHETIC, highest_grade
from pdray.display import step
from pdray.errors import SettingsError
from pdray.predict.calibration import Scaling, fit_calibration
from pdray.predict.models import Model, find_models
from pdray.predict.new_recordings import New, find_rows, known_lengths
from pdray.predict.parts import Place
from pdray.predict.settings import PredictConfig
from pdray.predict.shares import Shares, compute_shares, opened_place
from pdray.predict.studied import Studied, grade_words, open_study
from pdray.predict.unlike import unlike

COMMENT = "# for research, not for care: estimated grades are no diagnosis"
"""First line of the file; ``jobs/evaluate.py`` skips lines that begin so."""

_CPU = torch.device("cpu")
_MARGIN = 0.01  # share by which a length or a rate may be outside those of the study
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Graded:
    """New recordings and what the models say of them.

    Attributes:
        rows: One per recording, in their order, with the columns of the file.
        found: Those that can be read.
        failures: Why the others cannot be read, by id.
    """

    rows: list[dict[str, Any]]
    found: tuple[New, ...]
    failures: Mapping[str, str]


@dataclass(frozen=True)
class Predicted:
    """Predictions of new recordings.

    Attributes:
        rows: One per recording, in the order of the manifest, or of the names of videos.
        columns: Of the file.
        words: What was done, as text.
    """

    rows: list[dict[str, Any]]
    columns: list[str]
    words: str


def predict_new(config: PredictConfig, say: Say, *, device: torch.device = _CPU) -> Predicted:
    """Grade new recordings and write them to ``config.output``, whole or not at all.

    Decoded frames are kept in the study's store, and finished parts of the predictions beside the
    output until it is written, so an interrupted job does not compute them again.

    Args:
        config: Checked settings.
        say: Prints a line of progress.
        device: Device of a network.

    Returns:
        The rows.

    Raises:
        PdrayError: If the study, its weights or the recordings cannot be used, the file exists, or
            nothing can be written.
    """
    require_writable(config.output.parent, key="output")
    if config.output.exists():  # it may be of other models or other recordings
        raise SettingsError(
            f"output: {config.output} is there already; give the name of a new file, or delete it"
        )
    studied = open_study(config.study)
    models = find_models(studied, config.model)
    rows = find_rows(studied, config)
    for key, usual in (("decision.rule", "mean"), ("decision.threshold", "highest")):
        if (value := studied.setting(key) or usual) != usual:
            say(f"note: {key}={value} of the study is not used here, but {usual}")
    written = grade(studied, models, rows, config, (device, say)).rows
    columns = list(dict.fromkeys(name for one in written for name in one))
    mark = f"; {SYNTHETIC}" if studied.is_synthetic else ""
    with replacing_private(config.output) as temporary:
        text = f"{COMMENT}{mark}\n{table_text(columns, written)}"
        temporary.write_text(text, encoding="utf-8")
    return Predicted(written, columns, _words(studied, models, written, config.output))


def grade(
    studied: Studied,
    models: Sequence[Model],
    rows: Sequence[Recording],
    config: PredictConfig,
    how: tuple[torch.device, Say],
) -> Graded:
    """Grade recordings by the models that did not learn from their subjects; write no table.

    Args:
        studied: The study.
        models: From :func:`find_models`.
        rows: The recordings.
        config: Checked settings. Finished parts lie beside its output until all is done.
        how: Device of a network, and what prints a line of progress.

    Raises:
        PdrayError: If the weights or all recordings cannot be read.
    """
    device, say = how
    say(f"models     {', '.join(one.name for one in models)} of study {studied.name}")
    with opened_place(config.output, config.resources.address, studied, device) as place:
        # First, so that a calibration that cannot be fitted is refused before hours of decoding.
        scaling = fit_calibration(studied, models, config.calibration)
        if scaling.words:
            say(f"calibrated {scaling.words}")
        shares = compute_shares(studied, models, rows, place, say, other_people=config.other_people)
        with step("comparing with the training recordings"):
            notes = _notes(studied, models, shares, (place, say))
    written = _rows(studied, rows, shares, scaling, notes)
    return Graded(written, tuple(shares.found), shares.failures)


def _rows(
    studied: Studied,
    rows: Sequence[Recording],
    shares: Shares,
    scaling: Scaling,
    notes: Mapping[str, Sequence[str]],
) -> list[dict[str, Any]]:
    written, failures = [], shares.failures
    for row in rows:
        name = row.recording_id
        some = shares.by_id.get(name, np.empty((0, studied.num_classes)))
        note = [*notes.get(name, ()), *([failures[name]] if name in failures else [])]
        line: dict[str, Any] = {"recording_id": name, **_facts(studied, row)}
        if len(some):
            line |= _numbers(studied, row, some, scaling)
        line["num_models"] = len(some)
        written.append(line | {"note": "; ".join(note)})
    order = columns_of(studied.num_classes, is_calibrated=scaling.kind != "none")
    known = {name for one in written for name in one}
    return [{name: one.get(name, "") for name in order if name in known} for one in written]


def columns_of(num_classes: int, *, is_calibrated: bool) -> list[str]:
    """Return the columns of the file, in their order; some may stay empty."""
    kinds = ("probability", *(["calibrated"] if is_calibrated else []))
    return [
        "recording_id", "subject_id", "item", "side", "site", "grade", "target",
        *(f"{kind}_{k}" for kind in kinds for k in range(num_classes)),
        "estimated_grade", "disagreement", "num_models", "note",
    ]  # fmt: skip


def _facts(studied: Studied, row: Recording) -> dict[str, Any]:
    facts = {name: getattr(row, name) or "" for name in ("subject_id", "item", "side", "site")}
    if row.grade is not None:
        target = grade_class(row.grade, studied.data.grade_cuts)
        facts |= {"grade": row.grade, "target": target}
    return {name: value for name, value in facts.items() if value != "" or name == "side"}


def _numbers(studied: Studied, row: Recording, shares: Floats, scaling: Scaling) -> dict[str, Any]:
    """Return the numbers of a recording from the (M, K) probabilities of M models."""
    mean = shares.mean(axis=0)
    calibrated = scaling.apply(mean[None])[0]
    chosen = int(calibrated.argmax())
    line: dict[str, Any] = {f"probability_{k}": float(share) for k, share in enumerate(mean)}
    if scaling.kind != "none":
        line |= {f"calibrated_{k}": float(share) for k, share in enumerate(calibrated)}
    highest = highest_grade(row.item, studied.data.scale)
    line["estimated_grade"] = grade_words(studied, chosen, highest)
    if len(shares) > 1:
        line["disagreement"] = float(np.ptp(shares[:, chosen]))
    return line


def _notes(
    studied: Studied, models: Sequence[Model], shares: Shares, how: tuple[Place, Say]
) -> dict[str, list[str]]:
    """Return what has to be said of each recording, by id."""
    (place, say), (lengths, rates) = how, known_lengths(studied)
    strange, why = unlike(studied, models, shares.found, place)
    if strange is None:
        say(f"note: recordings are not compared with the training recordings: {why}")
    notes: dict[str, list[str]] = {}
    for number, one in enumerate(shares.found):
        told = _seen_notes(models, one.subject)
        if told and one.subject != one.row.subject_id != "":
            told.append("by a file that the study read, or an id that looks like one of its ids")
        if one.row.item not in studied.items:
            told.append(f"the model did not learn {one.row.item}")
        told += _range_note("length [s]", one.seconds, lengths)
        told += _range_note("frames per second", one.rate, rates)
        if strange is not None and strange[number]:
            told.append("unlike the training recordings")
        notes[one.row.recording_id] = told
    return notes


def _seen_notes(models: Sequence[Model], subject: str | None) -> list[str]:
    left = [one for one in models if subject not in one.learnt]
    if len(left) == len(models):
        return []
    if not left:
        return ["subject seen in training: no model is left that did not learn from it"]
    names = ", ".join(one.name for one in left)
    return [f"subject seen in training: graded by {names} alone, which did not learn from it"]


def _range_note(what: str, value: float, known: Sequence[float]) -> list[str]:
    if not (value and known):
        return []
    low, high = min(known), max(known)
    if low * (1 - _MARGIN) <= value <= high * (1 + _MARGIN):
        return []
    return [f"{what}: {value:.3g}, training had {low:.3g} to {high:.3g}"]


def _words(
    studied: Studied, models: Sequence[Model], rows: Sequence[Mapping[str, Any]], output: Path
) -> str:
    graded = sum(bool(one["num_models"]) for one in rows)
    noted = sum(bool(one["note"]) for one in rows)
    several = "the mean of the models" if len(models) > 1 else models[0].name
    lines = [
        f"{graded} of {len(rows)} recordings graded by {several}; {noted} have a note",
        "for research, not for care: scores of the study are those of its models, not of a mean of "
        "them, and disagreement is no interval",
        f"predictions {output}",
    ]
    if studied.is_synthetic:
        lines.insert(0, f"{SYNTHETIC}: the model learnt from a rendered cohort, not from patients")
    return "\n".join(lines)
