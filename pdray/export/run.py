"""Writes a model of a study as a folder that works without pdray."""

import importlib.metadata
import json
import math
import os
import platform
import time
import warnings
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from pdray.command import Say
from pdray.config import dump, require_writable
from pdray.data.cohort.settings import SYNTHETIC, highest_grade
from pdray.display import step
from pdray.errors import SettingsError, StudyError
from pdray.export.folder import (
    copy_files,
    refuse_existing,
    whole_folder,
    write_json,
    write_sums,
    write_tensors,
)
from pdray.export.membership import attack
from pdray.export.models import Exportable, make_exportable, refuse_model
from pdray.export.program import Made, make_program
from pdray.export.settings import ExportConfig
from pdray.export.words import model_card, preprocessing
from pdray.predict.calibration import Scaling, fit_calibration
from pdray.predict.models import Model, find_models
from pdray.predict.new_recordings import known_lengths
from pdray.predict.run import COMMENT, columns_of
from pdray.predict.studied import Studied, grade_words, open_study
from pdray.report.card.answers import read_answers
from pdray.tracking.run_log import EXPORTS

_UNKNOWN = {"subject_id", "side", "site", "grade", "target"}  # of a video alone
_ONNX = "in the checkout: pip install -c constraints.txt -e '.[onnx]'"


def export_model(config: ExportConfig, say: Say) -> str:
    """Write the folder, whole or not at all, and note it in the study.

    Args:
        config: Checked settings.
        say: Prints a line of progress.

    Returns:
        What was done, as text.

    Raises:
        PdrayError: If the study or its weights cannot be read, its model cannot be exported, or
            nothing can be written.
    """
    refuse_existing(config.output)
    require_writable(config.output.parent, key="output")
    if config.export.onnx and not (find_spec("onnx") and find_spec("onnxscript")):
        raise SettingsError(f"export.onnx: needs the packages onnx and onnxscript; {_ONNX}")
    studied = open_study(config.study)
    refuse_model(studied)
    models = find_models(studied, config.model)
    calibration = _calibration(studied, models, config)
    answers = read_answers(config.study)
    say(f"models     {', '.join(one.name for one in models)} of study {studied.name}")
    for note in _notes(studied):
        say(f"note: {note}")
    with step("exporting the model"):
        exportable = make_exportable(studied, models)
        made = make_program(exportable.module, exportable.example, studied.config.model.name)
    with step("measuring what the model tells of people"):
        measured = attack(studied, models, exportable.shares, say)
    facts = _facts(studied, models, exportable, calibration)
    with step("writing the folder"), whole_folder(config.output) as folder:
        _write_network(folder, made, onnx=config.export.onnx)
        write_json(folder / "settings.json", facts)
        write_json(folder / "labels.json", _labels(studied))
        texts = {
            "card.md": model_card(studied, models, measured, answers),
            "preprocessing.md": preprocessing(facts),
            "requirements.txt": _requirements(facts),
        }
        for name, text in texts.items():
            (folder / name).write_text(text, encoding="utf-8")
        copy_files(folder)
        _note(studied, config, write_sums(folder))
    mark = [f"{SYNTHETIC}: the model learnt from a rendered cohort"] * studied.is_synthetic
    return "\n".join(
        [
            *mark,
            f"membership {measured.words(1)}",
            "for research, not for care; share it only as far as the consent goes (card.md)",
            f"export     {config.output}",
        ]
    )


def _calibration(studied: Studied, models: Sequence[Model], config: ExportConfig) -> Scaling:
    kind = config.calibration or studied.setting("decision.calibration")
    if kind == "isotonic" and not config.export.rows_of_people:
        raise StudyError(
            "calibration: the points of isotonic regression are predictions for single people; "
            "write calibration=temperature or none, or allow it with export.rows_of_people=true"
        )
    return fit_calibration(studied, models, kind)


def _notes(studied: Studied) -> list[str]:
    """Return in what the export differs from jobs/predict.py."""
    notes = []
    if studied.store.recipe.store.codec == "jpeg":
        notes.append(
            "the study's frames are stored as jpeg, and the export reads videos without that loss: "
            "its probabilities differ from those of jobs/predict.py"
        )
    if not studied.learns_at_once and studied.config.optim.precision == "bfloat16":
        notes.append(
            "the study computes in bfloat16 and the export in float32: their probabilities differ"
        )
    return notes


def _facts(
    studied: Studied,
    models: Sequence[Model],
    exportable: Exportable,
    calibration: Scaling,
) -> dict[str, Any]:
    """Return the content of ``settings.json``; no path, id or name of a file is in it."""
    config, names = studied.config, [one.name for one in models]
    height, width = config.augment.crop_size or config.picture_size
    settings = dump(config)
    order = columns_of(studied.num_classes, is_calibrated=calibration.kind != "none")
    unknown = _UNKNOWN | (set() if len(names) > 1 else {"disagreement"})
    mark = f"; {SYNTHETIC}" if studied.is_synthetic else ""
    return {
        "comment": f"{COMMENT}{mark}",
        "study": studied.name,
        "models": names,
        "model": settings["model"],
        "loss": settings["loss"]["kind"],
        "num_classes": studied.num_classes,
        "modality": config.modality,
        "reads": exportable.reads,
        "mean_of": exportable.mean_of,
        "input_shape": list(exportable.example.shape),
        "crop": [height, width],
        "decode": settings["decode"],
        "limits": settings["limits"],
        "flow": dump(studied.store.recipe.flow),
        "snippet": settings["snippet"],
        "calibration": {"kind": calibration.kind, "numbers": list(calibration.numbers)},
        "training": _ranges(studied),
        "columns": [name for name in order if name not in unknown],
        "versions": _versions(config.modality),
    }


def _labels(studied: Studied) -> dict[str, list[str]]:
    """Return the grades of each class, by item."""
    highest = {item: highest_grade(item, studied.data.scale) for item in studied.items}
    return {
        item: [grade_words(studied, k, most) for k in range(studied.num_classes)]
        for item, most in highest.items()
    }


def _ranges(studied: Studied) -> dict[str, list[int]]:
    """Return the ranges of the training recordings, rounded outwards so that none is told."""
    lengths, rates = known_lengths(studied)
    found = {"length [s]": lengths, "frames per second": rates}
    return {
        name: [math.floor(min(values)), math.ceil(max(values))]
        for name, values in found.items()
        if values
    }


def _versions(modality: str) -> dict[str, str]:
    packages = ["torch", "av", "numpy"]
    if modality != "rgb":
        packages.append("opencv-contrib-python-headless")
    found = {one: importlib.metadata.version(one).partition("+")[0] for one in packages}
    return {"python": platform.python_version(), **found}


def _requirements(facts: Mapping[str, Any]) -> str:
    python, *others = facts["versions"].items()
    lines = [f"# Python {python[1]}", *(f"{name}=={version}" for name, version in others)]
    return "\n".join([*lines, ""])


def _write_network(folder: Path, made: Made, *, onnx: bool) -> None:
    torch.export.save(made.program, folder / "network.pt2")
    write_tensors(folder / "weights.safetensors", made.tensors)
    if not onnx:
        return
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of its own converters
            written = torch.onnx.export(made.program, dynamo=True, verbose=False)
        assert written is not None, "dynamo=True returns a program"
        written.save(folder / "network.onnx")
    except Exception as error:
        told = " ".join(str(error).split())[:200]
        raise StudyError(
            f"export.onnx: the network cannot be written as ONNX: {told}; leave it out"
        ) from error


def _note(studied: Studied, config: ExportConfig, sums: str) -> None:
    """Add a line to the study's list of exports, so that a withdrawal finds them."""
    line = {
        "output": str(config.output), "model": config.model, "time": time.time(), "sha256": sums,
    }  # fmt: skip
    with (studied.study.folder / EXPORTS).open("a", encoding="utf-8") as file:
        file.write(f"{json.dumps(line)}\n")
        file.flush()
        os.fsync(file.fileno())
