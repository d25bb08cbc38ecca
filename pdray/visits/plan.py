"""Plans visits, folds and networks of the patient-level scores before anything is trained."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from pdray.config import dump
from pdray.data.cohort.folds import make_held_out_folds, with_people
from pdray.data.cohort.manifest import open_manifest, select
from pdray.data.cohort.members import Cohort, check_action_classes, readable
from pdray.data.cohort.rated import RatedRecording, StoredRecording
from pdray.data.cohort.settings import FoldsConfig
from pdray.data.cohort.unable import unable_notes
from pdray.errors import FoldsError, ManifestError, SettingsError, StudyError, refuse
from pdray.evaluation.predictions import Origin
from pdray.training.frozen.features import feature_shapes
from pdray.training.task import FitTask
from pdray.visits.heads import Approach, VisitFolds, approaches, head_faults
from pdray.visits.networks import assembling_faults
from pdray.visits.out_of_fold import Pair, fold_pairs, item_sides
from pdray.visits.settings import AssembleConfig
from pdray.visits.visits import LEVELS, Visit, left_out, level_cuts, level_of, make_visits

QUESTIONS = {3: "slight, moderate and severe", 2: "slight and severe"}
"""Names of the classes, by their number."""


@dataclass(frozen=True)
class VisitPlan:
    """Plan of visits and folds.

    Attributes:
        config: The settings.
        cohort: Recordings with video and grade; its folds have each subject with a scored visit,
            and each fold is left out in turn.
        items: Items that are combined.
        visits: Scored visits and the folds.
        notes: Sentences on what is left out.
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
        """Return the number of visits per level, by the cuts of all visits."""
        scores = [visit.score for visit in self.visits.visits]
        levels = [level_of(score, level_cuts(scores)) for score in scores]
        return {name: levels.count(number) for number, name in enumerate(LEVELS)}


def plan_visits(config: AssembleConfig) -> VisitPlan:
    """Read the manifest, score its visits and assign subjects to folds, once for all items.

    Folds are stratified by the levels of all visits. The levels that are learnt and scored are cut
    again in each fold, by its training visits.

    Raises:
        ManifestError: If no recording or visit can be used.
        FoldsError: If the subjects cannot be split into the folds.
        StudyError: If a fold cannot be learnt or scored.
        SettingsError: If a method cannot be built on the networks' maps.
    """
    manifest = open_manifest(config.data, output=config.output)
    asked = config.data.items
    recordings, lacking = select(manifest, items=asked, needs=("video", "grade"))
    check_action_classes(recordings, config.data.grade_cuts)
    items = asked or tuple(sorted({one.item for one in recordings}))
    visits, notes = make_visits(
        [one for one in manifest.recordings if one.item in items], config.levels
    )
    visits, unseen = _with_recordings(visits, {one.recording_id for one in recordings})
    cuts = level_cuts([visit.score for visit in visits])
    num_classes = len(config.data.grade_cuts) + 1
    groups = {one.subject_id: one.group for one in recordings}
    people = {visit.subject_id: groups[visit.subject_id] for visit in visits}
    folds = make_held_out_folds(
        [people[visit.subject_id] for visit in visits],
        [level_of(visit.score, cuts) for visit in visits],
        FoldsConfig(**dump(config.folds)),
        num_classes=len(LEVELS),
    )
    folds = with_people(folds, people)
    cohort = Cohort(manifest, recordings, lacking, folds, (), config.data.grade_cuts)
    told = (*notes, *unseen, *manifest.notes, *unable_notes(manifest.recordings, items))
    plan = VisitPlan(config, cohort, items, VisitFolds(visits, folds.folds), told)
    _check_heads(plan)
    _, (num_channels, *_) = feature_shapes(config.study.fit, num_classes)
    if len(items) > 1:  # else nothing is assembled
        sizes = {"num_items": len(items), "num_channels": num_channels}
        refuse(assembling_faults(config.assembling, **sizes), SettingsError, "settings")
    return plan


def with_store(plan: VisitPlan, stored: Mapping[str, StoredRecording]) -> VisitPlan:
    """Leave out recordings that could not be read, and visits without any other.

    Raises:
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
    """Return the networks to train: one per item and pair of folds that is left out.

    All have the same seed, so that all start from the same weights and the same channels.

    Args:
        plan: Items and folds.
        recordings: Recordings of a fit.
        study: Name in the predictions.

    Raises:
        FoldsError: If a class of a network has no training recording; lists all of them.
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
            faults.append(
                f"{item}: no recording has a video and a grade; remove it from data.items"
            )
    refuse(faults, FoldsError, "the items' networks")
    return tasks


def _check_heads(plan: VisitPlan) -> None:
    faults = [
        fault
        for num_classes in QUESTIONS
        for approach in plan.approaches
        if approach.method != "single_map"  # uses the same recordings as single_vector
        for fault in head_faults(plan.visits, approach, num_classes)
    ]
    refuse(list(dict.fromkeys(faults)), StudyError, "visits")


def _with_recordings(
    visits: Sequence[Visit], usable: set[str]
) -> tuple[tuple[Visit, ...], list[str]]:
    """Leave out unusable recordings of visits, and visits without any other."""
    kept, empty = [], []
    for visit in visits:
        seen = {k: tuple(filter(usable.__contains__, v)) for k, v in visit.recordings.items()}
        if any(seen.values()):
            kept.append(replace(visit, recordings={k: v for k, v in seen.items() if v}))
        else:
            empty.append(visit.name)
    if not kept:
        raise ManifestError(
            f"none of {len(visits)} scored visits has a usable recording; check the videos and "
            "grades of their recordings"
        )
    return tuple(kept), left_out("scored visits without a usable recording", empty)
