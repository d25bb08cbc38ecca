"""Checks the weights files that trials start from, and reports how they are used."""

import json
from collections.abc import Iterable
from pathlib import Path

from pdray.atomic import file_digest
from pdray.data.modalities import EMBEDDED
from pdray.errors import PdrayError, SettingsError, StudyError, refuse
from pdray.search.plan import StudyPlan
from pdray.tracking.run_log import StudyLog, learnt_from_rendered, read_json, study_of_winner
from pdray.training.network import describe_start
from pdray.training.settings import FitConfig


def start_notes(plan: StudyPlan, num_classes: int) -> list[str]:
    """Load each weights file into each network, and report which tensors were used.

    Args:
        plan: Settings, and what the study searches or compares.
        num_classes: K.

    Returns:
        Lines of text; empty if all networks start from random values.

    Raises:
        SettingsError: If a file cannot be read or does not fit a network; lists every such
            network.
    """
    notes: dict[str, None] = {}
    faults: dict[str, str] = {}
    met: set[str] = set()
    for params, config in plan.variants:
        backbone = getattr(config.model, "backbone", None)
        start = (config.pretrained, config.pretrained_pixels)
        loaded = (config.network, backbone, config.sees, config.loss.kind, start)
        if repr(loaded) in met:  # trials that differ in other settings load the same tensors
            continue
        met.add(repr(loaded))
        try:
            files = _embedding_files(config)
        except PdrayError as error:  # of the folder, so the same for every trial
            faults.setdefault(str(error), str(error))
            continue
        try:
            lines = describe_start(config, num_classes)
        except PdrayError as error:
            told = ", ".join(f"{key} = {value!r}" for key, value in params.items())
            faults.setdefault(str(error), f"pretrained{f' with {told}' if told else ''}: {error}")
            continue
        lines = [f"embedding: {files['weights']}", *lines] if files else lines
        notes |= dict.fromkeys(f"pretrained {line}" for line in lines)
    refuse(list(faults.values()), SettingsError, "settings")
    for file in start_files(plan):
        from pdray.tracking.withdrawn import refuse_start  # of studies that start from a file

        refuse_start(file)
        if learnt_from_rendered(file):
            notes[f"pretrained note: {file} was trained on SYNTHETIC recordings"] = None
    return list(notes)


def _embedding_files(config: FitConfig) -> dict[str, Path]:
    """Return the files of the network that embeds sound; empty if no trial uses one."""
    if {*EMBEDDED}.isdisjoint(config.sees):
        return {}
    from pdray.training.frozen.sound import embedding_files

    return embedding_files(config.embedding)


def start_files(plan: StudyPlan) -> list[Path]:
    """Return the weights files that trials start from, each once."""
    files: list[Path] = []
    for config in plan.fits:
        files += [config.pretrained] if config.pretrained is not None else []
        files += _embedding_files(config).values()
    return list(dict.fromkeys(files))


def same_people_notes(plan: StudyPlan, manifest_digest: str) -> list[str]:
    """Return a note for each weights file that was trained on the same manifest."""
    notes = []
    for file in start_files(plan):
        study = study_of_winner(file)
        if study is not None and study.read()["tags"].get("manifest_digest") == manifest_digest:
            notes.append(
                f"note: {file} was trained on recordings of this manifest, so the scores of this "
                "study may include people whom it has already seen"
            )
    return notes


def keep_weights(study: StudyLog, files: Iterable[Path]) -> None:
    """Save digests of the files that trials start from; refuse to continue if one has changed.

    Args:
        study: The study's log.
        files: Readable files.

    Raises:
        StudyError: If the content of a file has changed since the study started; names it.
    """
    now = {str(file): file_digest(file) for file in files}
    table = study.weights_path
    before = read_json(table) if table.exists() else {}
    changed = [file for file in now if file in before and before[file] != now[file]]
    if changed:
        raise StudyError(
            f"study {study.folder.name}: the content of {', '.join(changed)} has changed since the "
            "study started; restore the old file, or start a new study with another search.name"
        )
    if now:
        study.write(table.name, json.dumps(before | now, indent=1))
