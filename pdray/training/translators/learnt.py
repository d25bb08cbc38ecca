"""Whom the weights of a translator learnt from: subjects, and contents of files.

It is written beside the weights, so that whatever they make can say so
(:mod:`pdray.data.cohort.provenance`), and no study learns from a picture that carries somebody whom
it holds out. A translator that learns from a guide has learnt from the guide's people too.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pdray.atomic import write_text
from pdray.config import dump
from pdray.data.batches.pairs import steps_per_epoch
from pdray.data.store.entry import Entry
from pdray.errors import StoreError, StudyError
from pdray.evaluation.predictions import read_predictions
from pdray.tracking.run_log import StudyLog, read_json
from pdray.training.task import FitTask
from pdray.training.translators.guide import GuideStudy, open_guide


@dataclass(frozen=True)
class Learnt:
    """Whom weights learnt from.

    Attributes:
        subjects: Subjects, sorted; with those of the guide, if the method learns from one.
        contents: SHA-256 of the files that their pictures were made from, sorted.
        settings: All settings of the fit, nested.
        num_classes: Classes K.
        seed: Of the fit.
        num_steps: Steps of the fit.
    """

    subjects: tuple[str, ...]
    contents: tuple[str, ...]
    settings: dict[str, Any]
    num_classes: int
    seed: int
    num_steps: int


def keep_learnt(task: FitTask, path: Path, *, fold: int) -> None:
    """Write whom a fold of a task learnt from."""
    side, config = task.sides[fold], task.config
    real = [task.recordings[one] for one in side.training if not task.recordings[one].carries]
    subjects = {one.subject_id for one in real}
    entries = [one.stored[config.modality] for one in real if one.stored is not None]
    if config.entry.is_guided and config.synthesis.guide is not None:
        guide = open_guide(config.synthesis.guide)
        found = guide.model_for({task.recordings[one].subject_id for one in side.evaluation})
        assert found is not None, "the fit had a guide"
        subjects |= found[1]
        entries += _entries_of(guide, found[1])
    learnt = {
        "subjects": sorted(subjects),
        "contents": sorted({name for one in entries for name in _made_of(one)}),
        "settings": dump(config),
        "num_classes": task.num_classes,
        "seed": task.origin.seed,
        "num_steps": _num_steps(task, [one.target for one in real]),
    }
    write_text(path, json.dumps(learnt, indent=1, default=str) + "\n")


def read_learnt(path: Path) -> Learnt:
    """Read what :func:`keep_learnt` wrote.

    Raises:
        StudyError: If the file cannot be read or lacks something; names it.
    """
    plain = read_json(path)
    try:
        subjects, contents = (tuple(map(str, plain[name])) for name in ("subjects", "contents"))
        numbers = [int(plain[name]) for name in ("num_classes", "seed", "num_steps")]
        return Learnt(subjects, contents, dict(plain["settings"]), *numbers)
    except (KeyError, TypeError, ValueError) as error:
        raise StudyError(f"{path}: is damaged: {error}; restore it") from error


def _num_steps(task: FitTask, targets: list[int]) -> int:
    """Return the steps of a fit on real recordings of these classes."""
    config, num_sources = task.config, targets.count(0)
    per_epoch = steps_per_epoch(
        num_sources,
        len(targets) - num_sources,
        frames=config.synthesis.frames,
        batch_size=config.optim.batch_size,
    )
    return task.epochs * per_epoch


def _entries_of(guide: GuideStudy, learnt: frozenset[str]) -> Iterator[Path]:
    """Yield the store entries of the recordings that a guide learnt from, as far as they exist."""
    study: StudyLog = guide.study
    trial = study.trial(int(study.winner.read()["number"]))
    table = study.folder / "entries.json"
    if not (table.is_file() and trial.predictions_path.is_file()):
        return
    entries, rows = read_json(table), read_predictions(trial.predictions_path)
    store = study.folder.absolute().parents[1] / "store"
    of_subject = dict(zip(rows["recording_id"], rows["subject_id"], strict=True))
    for recording, names in entries.items():
        if of_subject.get(recording) in learnt:
            yield from (store / name[:2] / f"{name}.arrow" for name in names)


def _made_of(path: Path) -> tuple[str, ...]:
    try:
        return Entry(path).made_of
    except StoreError:  # deleted since: its subject is named in any case
        return ()
