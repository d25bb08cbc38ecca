"""What patient-level assembling is told, and what follows from it before anything is trained."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

from pydantic import Field, field_validator, model_validator

from pdray.config import Settings, build, dump, read_tree
from pdray.data.cohort.folds import Folds, make_held_out_folds
from pdray.data.cohort.manifest import load_manifest, select
from pdray.data.cohort.members import Cohort, check_action_classes, readable
from pdray.data.cohort.rated import RatedRecording, StoredRecording
from pdray.data.cohort.settings import DataConfig, FoldsConfig
from pdray.data.media.flow import FlowConfig
from pdray.data.store.settings import StoreConfig
from pdray.errors import FoldsError, ManifestError, SettingsError, StudyError, refuse
from pdray.evaluation.predictions import Origin
from pdray.search.settings import OutputFolder, ResourcesConfig, StudyConfig, default_output
from pdray.search.space import fit_faults
from pdray.training.frozen.features import feature_shapes
from pdray.training.settings import FitConfig
from pdray.training.task import FitTask
from pdray.visits.heads import Approach, HeadsConfig, VisitFolds, approaches, head_faults
from pdray.visits.networks import AssemblingConfig, assembling_faults
from pdray.visits.out_of_fold import Pair, fold_pairs, item_sides
from pdray.visits.visits import (
    LEVELS,
    LevelsConfig,
    Visit,
    level_cuts,
    level_of,
    make_visits,
)

QUESTIONS = {3: "slight, moderate and severe", 2: "slight and severe"}
"""Number of classes to what they are."""


class VisitFoldsConfig(Settings):
    """How subjects are split: once, for all items."""

    num_outer: int = Field(5, description="folds of all subjects, at least 3 [folds]")
    seed: int = Field(0, ge=0, description="seed of the shuffle before the split")

    @field_validator("num_outer")
    @classmethod
    def _networks_have_a_fold(cls, num_outer: int) -> int:
        if num_outer < 3:
            raise ValueError(
                f"got {num_outer}; a network is held out from two folds and needs a third to learn "
                "from"
            )
        return num_outer


class VisitSearchConfig(Settings):
    """What a run is called and starts from; nothing is searched."""

    name: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$",
        description="name of the run and of its folder; null: assembling-<date>-<time>",
    )
    seed: int = Field(0, ge=0, description="seed of every network and of the heads")


class AssembleConfig(FitConfig):
    """The root of ``jobs/assemble_patients.py``; the settings of a fit are the items' networks'."""

    data: DataConfig
    folds: VisitFoldsConfig = VisitFoldsConfig()
    search: VisitSearchConfig = VisitSearchConfig()
    resources: ResourcesConfig = ResourcesConfig()
    store: StoreConfig = StoreConfig()
    flow: FlowConfig = FlowConfig()
    output: OutputFolder = Field(
        default_factory=default_output, description="folder of everything a run leaves behind"
    )
    levels: LevelsConfig = LevelsConfig()
    assembling: AssemblingConfig = AssemblingConfig()
    heads: HeadsConfig = HeadsConfig()

    @model_validator(mode="after")
    def _networks_train_alone(self) -> Self:
        if self.stream.reader == "ray":
            raise ValueError(
                "stream.reader ray: each network reads the frame store in its own process; leave "
                "it at auto"
            )
        if self.data.subjects == "none":
            raise ValueError("data.subjects none: a visit is that of a person; name the subjects")
        if self.resources.num_workers != 1:
            raise ValueError(
                f"resources.num_workers {self.resources.num_workers}: a network is trained by one "
                "worker, and many networks at once; leave it at 1"
            )
        return self

    @property
    def study(self) -> StudyConfig:
        """The settings that the networks depend on, beside the folds, as those of a study."""
        tree = dump(self)
        known = {name: tree[name] for name in StudyConfig.model_fields if name in tree}
        return build(StudyConfig, known)


@dataclass(frozen=True)
class VisitPlan:
    """Who is examined, when, and in which fold.

    Attributes:
        config: The settings.
        cohort: Recordings with video and grade; its folds hold each subject with a scored visit,
            each held out in turn.
        items: Items that are assembled.
        visits: Scored visits and the folds.
        notes: What is left out, one sentence each.
    """

    config: AssembleConfig
    cohort: Cohort
    items: tuple[str, ...]
    visits: VisitFolds
    notes: tuple[str, ...]

    @property
    def approaches(self) -> list[Approach]:
        """Every row of the tables."""
        return approaches(self.items)

    def level_counts(self) -> dict[str, int]:
        """Return how many visits each level has, by the cuts of all visits."""
        scores = [visit.score for visit in self.visits.visits]
        levels = [level_of(score, level_cuts(scores)) for score in scores]
        return {name: levels.count(number) for number, name in enumerate(LEVELS)}


def load_assembly(argv: Sequence[str]) -> AssembleConfig:
    """Read and check a command line.

    Raises:
        SettingsError: With every fault at once.
    """
    config = build(AssembleConfig, read_tree(AssembleConfig, argv))
    refuse(fit_faults(config.study.fit, {}), SettingsError, "settings")
    return config


def plan_visits(config: AssembleConfig) -> VisitPlan:
    """Read the manifest, score its visits and assign subjects to folds, once for all items.

    Folds are stratified by the levels of all visits; the levels that are learnt and scored are cut
    again in each fold, by its training visits.

    Raises:
        ManifestError: If no recording or visit has what is needed.
        FoldsError: If the subjects cannot be split as asked.
        StudyError: If a fold cannot be learnt or scored.
        SettingsError: If a method cannot be built on the networks' maps.
    """
    manifest = load_manifest(config.data.manifest, subjects=config.data.subjects)
    asked = config.data.items
    recordings, lacking = select(manifest, items=asked, needs=("video", "grade"))
    check_action_classes(recordings, config.data.grade_cuts)
    items = asked or tuple(sorted({one.item for one in recordings}))
    of_items = [one for one in manifest.recordings if one.item in items]
    visits, notes = make_visits(of_items, config.levels)
    seen = {one.recording_id for one in recordings}
    visits, unseen = _with_recordings(visits, seen)
    folds = _folds(visits, config)
    cohort = Cohort(manifest, recordings, lacking, folds, (), len(config.data.grade_cuts) + 1)
    plan = VisitPlan(
        config,
        cohort,
        items,
        VisitFolds(visits, folds.folds),
        (*notes, *unseen),
    )
    _check_heads(plan)
    _, (num_channels, *_) = feature_shapes(config.study.fit, cohort.num_classes)
    if len(items) > 1:  # else nothing is assembled
        sizes = {"num_items": len(items), "num_channels": num_channels}
        refuse(assembling_faults(config.assembling, **sizes), SettingsError, "settings")
    return plan


def with_store(plan: VisitPlan, stored: Mapping[str, StoredRecording]) -> VisitPlan:
    """Leave out the recordings that could not be read, and the visits that have no other.

    Raises:
        ManifestError: If a file of one subject is, byte for byte, that of another.
        FoldsError: If a training side has lost a class.
        StudyError: If a fold cannot be learnt or scored any more.
    """
    cohort = readable(plan.cohort, plan.config.study.data, stored)
    visits, unseen = _with_recordings(plan.visits.visits, set(stored))
    notes = (*plan.notes, *(note for note in unseen if note not in plan.notes))
    left = replace(plan, cohort=cohort, visits=VisitFolds(visits, plan.visits.folds), notes=notes)
    _check_heads(left)
    return left


def item_tasks(
    plan: VisitPlan, recordings: Sequence[RatedRecording], study: str
) -> dict[tuple[str, Pair], FitTask]:
    """List the networks to train: each item without each pair of folds.

    All have one seed, so that all start from the same weights and the same channels.

    Args:
        plan: Items and folds.
        recordings: As a fit reads them.
        study: Name in the predictions.

    Raises:
        FoldsError: If one has a class without a recording to learn from; with every such fault.
    """
    config = plan.config.study.fit
    folds, num_classes = plan.visits.folds, plan.cohort.num_classes
    tasks: dict[tuple[str, Pair], FitTask] = {}
    faults = []
    for item in plan.items:
        of_item = tuple(one for one in recordings if one.item == item)
        for pair in fold_pairs(len(folds)) if of_item else ():
            try:
                sides = item_sides(of_item, folds, pair, num_classes=num_classes)
            except FoldsError as error:
                faults.append(str(error))
                continue
            low, high = pair
            tasks[item, pair] = FitTask(
                origin=Origin(
                    study=study,
                    trial=plan.items.index(item),
                    outer_fold=low,
                    fold=high,
                    epoch=0,
                    seed=plan.config.search.seed,
                    split="val",
                ),
                config=config,
                recordings=of_item,
                sides=(sides,),
                num_classes=num_classes,
                epochs=config.optim.epochs,
                evaluate="last_epoch",
            )
        if not of_item:
            faults.append(f"{item}: no recording has a video and a grade; leave the item out")
    refuse(faults, FoldsError, "the items' networks")
    return tasks


def _folds(visits: Sequence[Visit], config: AssembleConfig) -> Folds:
    cuts = level_cuts([visit.score for visit in visits])
    subjects = [visit.subject_id for visit in visits]
    levels = [level_of(visit.score, cuts) for visit in visits]
    asked = FoldsConfig(**dump(config.folds))
    return make_held_out_folds(subjects, levels, asked, num_classes=len(LEVELS))


def _check_heads(plan: VisitPlan) -> None:
    faults = [
        fault
        for num_classes in QUESTIONS
        for approach in plan.approaches
        if approach.method != "single_map"  # reads what single_vector reads
        for fault in head_faults(plan.visits, approach, num_classes)
    ]
    refuse(list(dict.fromkeys(faults)), StudyError, "visits")


def _with_recordings(
    visits: Sequence[Visit], usable: set[str]
) -> tuple[tuple[Visit, ...], list[str]]:
    """Leave out of visits the recordings that cannot be seen, and visits without any other."""
    kept, empty = [], []
    for visit in visits:
        found = {
            item: tuple(name for name in names if name in usable)
            for item, names in visit.recordings.items()
        }
        found = {item: names for item, names in found.items() if names}
        if found:
            kept.append(replace(visit, recordings=found))
        else:
            empty.append(visit.name)
    if not kept:
        raise ManifestError(f"none of {len(visits)} scored visits has a recording that can be read")
    told = ", ".join(empty[:5]) + (", ..." if len(empty) > 5 else "")
    note = f"{len(empty)} scored visits without a usable recording are left out: {told}"
    return tuple(kept), [note] if empty else []
