"""A finished study as predictions need it: its winner, who learnt, and where its frames are."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from pdray.config import build, value_at
from pdray.data.cohort.digests import SOURCES, Digests
from pdray.data.cohort.folds import Folds, folds_from_json
from pdray.data.cohort.labels import labelled
from pdray.data.cohort.manifest import Manifest, Recording, load_manifest
from pdray.data.cohort.members import rate
from pdray.data.cohort.rated import RatedRecording
from pdray.data.cohort.rows import FILES
from pdray.data.cohort.settings import LABELS, DataConfig
from pdray.data.cohort.spelling import look_alike_form
from pdray.data.modalities import Modality
from pdray.data.store.frame_store import FrameStore
from pdray.data.store.settings import Recipe
from pdray.earlier import as_begun
from pdray.errors import ManifestError, StudyError
from pdray.evaluation.predictions import by_recording, read_predictions
from pdray.plugins import require
from pdray.tracking.run_log import StudyLog
from pdray.training.settings import FitConfig

REFIT = -1
"""Stands for a fold in the refit, which no fold was held out of."""


@dataclass(frozen=True, eq=False)
class Studied:
    """A finished study.

    Attributes:
        study: Its log.
        facts: Content of ``study.json``.
        trial: Content of the winner's ``trial.json``.
        config: The winner's settings.
        data: Its items and grade cuts.
        folds: Its people by side.
        store: The frame store that it reads; new recordings are added to it.
        output: Folder of the studies, wherever it is now.
        entries: Names of the store entries of each recording that the study read; None of an
            early version's study.
        keeps_frames: Whether these entries were kept; else it decoded videos at every read.
    """

    study: StudyLog
    facts: Mapping[str, Any]
    trial: Mapping[str, Any]
    config: FitConfig
    data: DataConfig
    folds: Folds
    output: Path
    store: FrameStore
    entries: Mapping[str, list[str]] | None
    keeps_frames: bool

    @property
    def name(self) -> str:
        """Name of the study."""
        return str(self.facts["name"])

    @property
    def is_synthetic(self) -> bool:
        """Whether it learnt from SYNTHETIC recordings."""
        return bool(self.facts["tags"].get("synthetic") == "true")

    @property
    def num_classes(self) -> int:
        """Number of classes K."""
        return len(self.data.grade_cuts) + 1

    @property
    def learns_at_once(self) -> bool:
        """Whether its model learns in one step, and is learnt again to predict."""
        return self.config.entry.loop == "once"

    @property
    def seed(self) -> int:
        """Seed of every fit."""
        return int(self.setting("search.seed") or 0)

    @property
    def threads(self) -> int:
        """Threads of a fit, which decide the last bits of its numbers."""
        return max(1, int(self.setting("resources.cpus_per_worker") or 1))

    @cached_property
    def inner(self) -> pd.DataFrame:
        """What the winning trial predicted for those whom its folds held out, by recording."""
        trial = self.study.trial(self.trial["number"])
        return by_recording(read_predictions(trial.predictions_path))

    @property
    def items(self) -> tuple[str, ...]:
        """Items that the winner learnt."""
        return tuple(dict.fromkeys(self.inner["item"]))

    @cached_property
    def subject_of_entry(self) -> dict[str, str]:
        """Development subjects by the name of a store entry: equal content has an equal name."""
        subjects = dict(zip(self.inner["recording_id"], self.inner["subject_id"], strict=True))
        return {
            entry: subjects[name]
            for name, entries in (self.entries or {}).items()
            if name in subjects
            for entry in entries
        }

    def subject_named(self, name: str) -> str | None:
        """Return the development subject of an id, or of one that looks like it (P1, P01)."""
        return name if name in self.folds.development else self._alike.get(look_alike_form(name))

    def subject_of_files(self, row: Recording) -> str | None:
        """Return the development subject of whom the study read a file, or a part of it.

        None also where the study's manifest is not there any more.
        """
        found = map(self.subject_of_digest.get, _digests(self._notes, row))
        return next((one for one in found if one is not None), None)

    def manifest(self, why: str) -> Manifest:
        """Read the study's manifest again.

        Args:
            why: What it is read for, a sentence without its full stop.

        Raises:
            StudyError: If it has changed since the study began.
            ManifestError: If it cannot be read.
        """
        data = self.data
        manifest = load_manifest(
            data.manifest, check_files=False, subjects=data.subjects, scale=data.scale, allowed=None
        )
        manifest = labelled(manifest, data.target)
        if manifest.digest != self.facts["tags"].get("manifest_digest"):
            raise StudyError(
                f"study {self.name}: {why}, but its manifest {data.manifest.name} has changed "
                "since; restore it"
            )
        return manifest

    def read_again(
        self, row: Recording, modalities: Sequence[Modality], *beside: Modality
    ) -> RatedRecording:
        """Return a recording of the study as its fits read it; make its missing store entries.

        Args:
            row: With a grade.
            modalities: Those that the study read.
            *beside: Further ones.

        Raises:
            DecodeError: If a file cannot be read; names the recording.
            StudyError: If its file has changed since the study ran.
            StoreError: If the store cannot be written.
        """
        stored = self.store.add(row, (*modalities, *beside))
        names = {stored.paths[modality].stem for modality in modalities}
        if self.entries is not None and not names <= set(self.entries[row.recording_id]):
            raise StudyError(
                f"recording {row.recording_id}: its file has changed since the study ran; restore "
                "the old file"
            )
        return rate(row, self.data.grade_cuts, stored=stored)

    @cached_property
    def _alike(self) -> dict[str, str]:
        return {look_alike_form(name): name for name in sorted(self.folds.development)}

    @cached_property
    def _notes(self) -> Digests:
        return Digests(self.store.root / SOURCES, writes=False)

    @cached_property
    def subject_of_digest(self) -> dict[str, str]:
        """Development subjects by the SHA-256 of their files; empty without the manifest."""
        data = self.data
        try:
            rows = load_manifest(
                data.manifest, check_files=False, subjects=data.subjects, scale=data.scale,
                allowed=None,
            ).recordings  # fmt: skip
        except ManifestError:
            return {}
        learnt = [row for row in rows if row.subject_id in self.folds.development]
        return {digest: row.subject_id for row in learnt for digest in _digests(self._notes, row)}

    def setting(self, key: str) -> Any:
        """Return the value of a setting of the study, by its dotted key; None if it has none."""
        return value_at(self.facts["settings"], key)

    def held_out(self, fold: int) -> frozenset[str]:
        """Return the subjects that a fold of the winning trial held out, or the refit: -1."""
        if fold == REFIT:
            return frozenset(self.folds.test)
        return frozenset(self.inner.loc[self.inner["fold"] == fold, "subject_id"].astype(str))


def open_study(folder: Path) -> Studied:
    """Read a finished study.

    Args:
        folder: ``<output>/studies/<name>``.

    Raises:
        StudyError: If there is no study, or it has no complete winner; says what to do.
        PluginError: If it used a plug-in that is not installed here.
    """
    study = StudyLog(folder)
    if not study.exists():
        raise StudyError(
            f"study: got '{folder}', which has no study.json; write the folder of a study, such as "
            "~/pdray_output/studies/NAME"
        )
    facts, whole = study.read(), study.whole() or study
    if whole.folder.absolute().parent.name != "studies":
        raise StudyError(
            f"study: got '{folder}', which is in no folder named studies: recordings are decoded "
            f"into the store beside that; move or link it to OUTPUT/studies/{facts['name']}"
        )
    require(facts["tags"], facts["name"])
    if not study.winner.exists() or study.winner.read()["state"] != "complete":
        raise StudyError(
            f"study {facts['name']} has no winner: its state is '{facts['state']}'; continue it "
            "with --resume until it has one (a comparison of fixed trials never has one)"
        )
    trial, settings = study.winner.read(), facts["settings"]
    recipe = {name: settings[name] for name in Recipe.model_fields if name in settings}
    output = whole.folder.absolute().parents[1]
    table = whole.folder / "entries.json"  # the searches in outer folds read the same
    return Studied(
        study=study,
        facts=facts,
        trial=trial,
        config=build(FitConfig, as_begun(FitConfig, trial["settings"], trial["settings"])),
        data=build(DataConfig, settings.get("data", {})),
        folds=folds_from_json(_text(study.folds_path)),
        output=output,
        store=FrameStore(output / "store", build(Recipe, as_begun(Recipe, recipe, recipe))),
        entries=json.loads(_text(table)) if table.is_file() else None,
        keeps_frames=settings.get("frames", "store") == "store" and table.is_file(),
    )


def grade_words(studied: Studied, chosen: int, highest: float) -> str:
    """Return the grades of a class as text, such as ``0 to 1`` or ``3``; or ``healthy``, ``ill``.

    Args:
        studied: The study.
        chosen: The class.
        highest: Highest grade of the item; infinity if it has none.
    """
    if studied.data.target == "diagnosis":
        return LABELS[chosen]
    edges = (0, *studied.data.grade_cuts)
    low = edges[chosen]
    high = edges[chosen + 1] - 1 if chosen + 1 < len(edges) else highest
    if math.isinf(high):
        return f"{low} or more"
    return f"{low}" if high <= low else f"{low} to {high:g}"


def _digests(notes: Digests, row: Recording) -> list[str]:
    """Return the noted SHA-256 of the files of a recording, whether they are there or not."""
    files = [file for name in FILES if (file := getattr(row, name)) is not None]
    return [str(note["sha256"]) for file in files if "sha256" in (note := notes.note(file))]


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise StudyError(f"{path}: cannot be read: {error.strerror}") from error
