"""Plans the comparisons of a paper's table, and checks them before any is run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from pdray.config import build, merge, read_tree
from pdray.data.cohort.manifest import (
    Manifest,
    Recording,
    grade_class,
    open_manifest,
    select,
)
from pdray.data.cohort.members import usable as usable_visits
from pdray.data.cohort.persons import NUM_PERSONS, person_sides
from pdray.data.cohort.unable import unable_notes
from pdray.data.modalities import needed_fields
from pdray.errors import FoldsError, ManifestError, SettingsError, refuse
from pdray.importers.terms import terms
from pdray.papers.notes import settings_notes
from pdray.papers.settings import JUDGES, ReproduceConfig
from pdray.papers.table import PaperTable, earlier_name, read_table, weights_of
from pdray.papers.translation_plan import Translation, plan_translation
from pdray.search.plan import StudyPlan, plan_comparison
from pdray.search.settings import StudyConfig
from pdray.search.space import trial_config
from pdray.tracking.run_log import learnt_from_rendered

Runs = dict[str, dict[str, Any]]
_PICTURES = {"groups": ("confusion", "intensities", "features"), "paired": (), "translation": ()}
_MADE_BY = {"intensities": "; make them with jobs/extract_intensities.py"}


class Part(NamedTuple):
    """Comparison that a table needs.

    Attributes:
        name: Name of its study.
        item: The only item of its recordings; None: all items.
        seed: Seed of its fits and folds.
        person: Number of the split that tests one ill person; None: folds are tested.
    """

    name: str
    item: str | None
    seed: int
    person: int | None = None


class Groups(NamedTuple):
    """Visits whose expressions are described.

    Attributes:
        config: Settings of the job.
        manifest: All recordings.
        visits: Those with a label and intensities.
    """

    config: ReproduceConfig
    manifest: Manifest
    visits: tuple[Recording, ...]


@dataclass(frozen=True)
class Reproduction:
    """Table that is ready to run.

    Attributes:
        table: Its definition.
        plans: Checked plan of each comparison.
        notes: Sentences on differences from the paper.
        path: File of the printed table.
        groups: Visits of layout groups, which needs no comparison; None of other layouts.
        translation: Settings and manifest of layout translation; None of other layouts.
    """

    table: PaperTable
    plans: Mapping[Part, StudyPlan]
    notes: tuple[str, ...]
    path: Path
    groups: Groups | None = None
    translation: Translation | None = None

    @property
    def files(self) -> dict[str, Path]:
        """Files of the printed table and of its pictures, by what they show."""
        names = _PICTURES.get(self.table.layout, ("roc",))
        pictures = {name: self.path.with_suffix(f".{name}.png") for name in names}
        return {"table": self.path, **pictures}


def plan_reproduction(path: Path, argv: Sequence[str]) -> Reproduction:
    """Combine a command line with a table's settings, and check every run.

    Synthetic data use the table's small settings, real data the paper's. Differences from the
    paper, by these settings or by the command line, become notes.

    Args:
        path: The table's YAML file.
        argv: ``--config FILE`` and ``key=value``, over the table's own settings.

    Raises:
        PdrayError: If the table, the settings or the manifest cannot be used.
    """
    table = read_table(path)
    asked = read_tree(ReproduceConfig, argv)
    config = build(ReproduceConfig, merge(merge({}, table.settings), asked))
    _check_seeds(table, asked)
    learns_from_made = config.data.made == "training"  # whose files tell whom they carry
    manifest = open_manifest(config.data, output=config.output, check_files=learns_from_made)
    if table.layout == "translation":
        made = plan_translation(table, path.stem, asked, manifest)
        return Reproduction(table, {}, made.notes, _kept(config, path.stem), translation=made)
    _check_judges(path.stem, asked)
    if table.layout == "groups":
        return _plan_groups(table, path.stem, config, manifest)
    return _plan_comparisons(table, path.stem, (config, asked), manifest)


def _plan_comparisons(
    table: PaperTable,
    stem: str,
    settings: tuple[ReproduceConfig, dict[str, Any]],
    manifest: Manifest,
) -> Reproduction:
    """Check every run of a table; ``settings`` are all of them, and those that were asked for."""
    config, asked = settings
    needs = (config.data.target,)
    usable, _ = select(manifest, items=table.items or config.data.items, needs=needs)
    is_rendered = any(recording.is_synthetic for recording in usable)
    weights = {name: str(file) for name, file in config.weights.items()}
    asked.pop("weights", None)
    given = merge(merge({}, table.synthetic if is_rendered else {}), asked)
    base = build(StudyConfig, merge(merge({}, table.settings), given))
    if table.layout == "diagnosis":
        _check_cuts(stem, base.data.grade_cuts)
    added = table.synthetic_runs if is_rendered else {}
    runs = {run: {**params, **added.get(run, {})} for run, params in table.runs.items()}
    runs, lacking = _with_files(runs, base, usable)
    runs, notes = _with_weights(table, weights, runs)
    notes += lacking
    if not runs:
        raise SettingsError(f"table {stem}: no run can be started: {'; '.join(notes)}")
    notes += [
        f"weights.{name} was trained on SYNTHETIC recordings"
        for name, file in config.weights.items()
        if learnt_from_rendered(file)
    ]
    name = config.search.name or _begun_name(config.output, stem)
    persons, lacking = _persons(table, base, usable)
    notes += lacking
    plans = {}
    for item in _items(table, config.data.items):
        for seed in table.all_seeds:
            for person in (None, *persons):
                part = Part(_part_name(table, name, item, seed, person), item, seed, person)
                plans[part] = plan_comparison(_part_tree(table, given, part), runs)
    plan = next(iter(plans.values()))
    changes = settings_notes(table, plan, given, is_rendered=is_rendered)
    kept = config.output / "tables" / f"{name}.txt"
    notes += manifest.notes
    notes += unable_notes(manifest.recordings, table.items or config.data.items)
    notes += () if is_rendered else terms(stem)
    return Reproduction(table, plans, (*table.notes, *changes, *notes), kept)


def _plan_groups(
    table: PaperTable, name: str, config: ReproduceConfig, manifest: Manifest
) -> Reproduction:
    data = config.data
    _check_cuts(name, data.grade_cuts)
    found, lacking = usable_visits(manifest, data, ("intensities",))
    if len({grade_class(one.grade or 0, data.grade_cuts) for one in found}) != 2:
        raise ManifestError(
            f"table {name} compares two groups, but all {len(found)} visits with intensities are "
            f"on one side of data.grade_cuts={list(data.grade_cuts)}; add visits of the other, or "
            "set another cut"
        )
    left_out = [f"{len(ids)} visits without {one} left out" for one, ids in lacking.items() if ids]
    notes = (*table.notes, *left_out, *manifest.notes)
    return Reproduction(table, {}, notes, _kept(config, name), Groups(config, manifest, found))


def _kept(config: ReproduceConfig, name: str) -> Path:
    return config.output / "tables" / f"{config.search.name or name}.txt"


def _begun_name(output: Path, name: str) -> str:
    """Return the name of a table's studies; the earlier name if studies with it exist."""
    begun = {path.parent.name for path in (output / "studies").glob("*/study.json")}
    for known in (name, earlier_name(name)):
        if any(study == known or study.startswith(f"{known}-") for study in begun):
            return known
    return name


def _check_cuts(name: str, cuts: tuple[int, ...]) -> None:
    if len(cuts) > 1:
        raise SettingsError(
            f"data.grade_cuts: table {name} tells two classes apart, but {list(cuts)} make "
            f"{len(cuts) + 1}; give one cut, such as [{cuts[0]}]"
        )


def _check_judges(name: str, asked: Mapping[str, Any]) -> None:
    """Refuse networks that score changed pictures in a table that has none."""
    if idle := [key for key in JUDGES if key in asked]:
        raise SettingsError(f"{', '.join(idle)}: no effect in table {name}; leave it out")


def _check_seeds(table: PaperTable, asked: Mapping[str, Any]) -> None:
    """Refuse a seed in the command line if the table runs several seeds."""
    given = [f"{name}.seed" for name in ("search", "folds") if "seed" in asked.get(name, {})]
    if table.seeds > 1 and given:
        first, last = table.all_seeds[0], table.all_seeds[-1]
        raise SettingsError(
            f"{', '.join(given)}: the table itself runs seeds {first} to {last} of fits and "
            "folds; remove this setting"
        )


def _persons(
    table: PaperTable, config: StudyConfig, usable: Sequence[Recording]
) -> tuple[Sequence[int], list[str]]:
    """Return the numbers of the splits that test one ill person, or a note why there are none."""
    if not table.persons:
        return (), []
    folds = config.folds
    if folds.from_split or folds.of_recordings or folds.alike:
        return (), ["no splits that each test one ill person, since folds.* sets another split"]
    classes = [grade_class(one.grade or 0, config.data.grade_cuts) for one in usable]
    try:
        person_sides([one.group for one in usable], classes, person=0, seed=folds.seed)
    except FoldsError as error:
        return (), [f"{error}; they are left out"]
    return range(NUM_PERSONS), []


def _part_name(
    table: PaperTable, name: str, item: str | None, seed: int, person: int | None
) -> str:
    words = [item, f"seed{seed}" if table.seeds > 1 else None]
    words.append(None if person is None else f"person{person}")
    return "-".join([name, *filter(None, words)])


def _part_tree(table: PaperTable, given: Mapping[str, Any], part: Part) -> dict[str, Any]:
    """Return the settings of one comparison, nested."""
    own: dict[str, Any] = {"search": {"name": part.name}}
    if part.item:
        own["data"] = {"items": [part.item]}
    if table.seeds > 1:
        own["search"]["seed"] = part.seed
        own["folds"] = {"seed": part.seed}
    if part.person is not None:
        own.setdefault("folds", {})["person"] = part.person
    return merge(merge(merge({}, table.settings), given), own)


def _items(table: PaperTable, asked: tuple[str, ...] | None) -> tuple[str | None, ...]:
    """Return the items of a table's comparisons that are in data.items; None: all in one."""
    if table.items is None:
        return (None,)
    other = [item for item in asked or () if item not in table.items]
    if other:
        raise SettingsError(
            f"data.items: the table has no {', '.join(other)}; use some of {', '.join(table.items)}"
        )
    return tuple(item for item in table.items if asked is None or item in asked)


def _with_files(
    runs: Runs, config: StudyConfig, usable: Sequence[Recording]
) -> tuple[Runs, list[str]]:
    """Leave out runs with a modality that no recording has, with a note."""
    kept: Runs = {}
    left_out: dict[str, list[str]] = {}
    for run, params in runs.items():
        seen = trial_config(config.fit, params).sees
        lacking = [
            field
            for field in needed_fields(seen)
            if all(recording.given(field) is None for recording in usable)
        ]
        if lacking:
            left_out.setdefault(", ".join(lacking), []).append(run)
        else:
            kept[run] = params
    return kept, [
        f"{', '.join(names)} {'is' if len(names) == 1 else 'are'} left out: no recording has "
        f"{fields}{_MADE_BY.get(fields, '')}"
        for fields, names in left_out.items()
    ]


def _with_weights(
    table: PaperTable, weights: Mapping[str, str], given: Runs
) -> tuple[Runs, list[str]]:
    """Replace names of weights by files; leave out runs without their file, or note it."""
    named = {name for params in table.runs.values() for name in weights_of(params).values()}
    refuse(
        [
            f"weights.{name}: the table has no such weights; use some of: "
            f"{', '.join(sorted(named)) or 'none'}"
            for name in sorted(set(weights) - named)
        ],
        SettingsError,
        "settings",
    )
    runs, notes = {}, []
    for run, params in given.items():
        wanted = weights_of(params)
        missing = {key: name for key, name in wanted.items() if name not in weights}
        found = {key: weights[name] for key, name in wanted.items() if name in weights}
        options = ", ".join(f"weights.{name}=FILE" for name in missing.values())
        if not missing:
            runs[run] = {**params, **found}
        elif table.from_scratch and set(missing) == {"pretrained"}:
            runs[run] = {key: value for key, value in params.items() if key != "pretrained"} | found
            notes.append(f"{run} starts from random weights, since {options} is not set")
        else:
            notes.append(f"{run} is left out; to run it, set {options}")
    return runs, notes
