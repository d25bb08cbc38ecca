"""The plan of a paper's table: which comparisons it needs, checked before any is run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from pdray.config import build, merge, read_tree
from pdray.data.cohort.manifest import (
    Recording,
    grade_class,
    open_manifest,
    select,
    unable_notes,
)
from pdray.data.cohort.persons import NUM_PERSONS, person_sides
from pdray.data.modalities import needed_field
from pdray.errors import FoldsError, SettingsError, refuse
from pdray.papers.notes import settings_notes
from pdray.papers.settings import ReproduceConfig
from pdray.papers.table import PaperTable, earlier_name, read_table, weights_of
from pdray.search.plan import StudyPlan, plan_comparison
from pdray.search.settings import StudyConfig
from pdray.search.space import trial_config
from pdray.tracking.run_log import learnt_from_rendered

Runs = dict[str, dict[str, Any]]


class Part(NamedTuple):
    """One comparison of a table.

    Attributes:
        name: Of its study.
        item: The only item of its recordings; None is all.
        seed: Of its fits and folds.
        person: Which split of one ill person it is; None holds out folds.
    """

    name: str
    item: str | None
    seed: int
    person: int | None = None


@dataclass(frozen=True)
class Reproduction:
    """A table that is ready to run.

    Attributes:
        table: Its definition.
        plans: Each comparison and its checked plan.
        notes: What differs from the paper, one sentence each.
        path: File that the table is kept in.
    """

    table: PaperTable
    plans: Mapping[Part, StudyPlan]
    notes: tuple[str, ...]
    path: Path

    @property
    def picture(self) -> Path:
        """File of the ROC curves."""
        return self.path.with_suffix(".roc.png")


def plan_reproduction(path: Path, argv: Sequence[str]) -> Reproduction:
    """Lay a command line over a table's settings and check every run.

    A rendered cohort is met with the table's small settings, any other with the paper's. What
    is not the paper's, by these or by the command line, is noted.

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
    manifest = open_manifest(config.data, output=config.output, check_files=False)
    usable, _ = select(manifest, items=table.items or config.data.items, needs=("grade",))
    is_rendered = any(recording.is_synthetic for recording in usable)
    weights = {name: str(file) for name, file in config.weights.items()}
    asked.pop("weights", None)
    given = merge(merge({}, table.synthetic if is_rendered else {}), asked)
    runs, notes = _with_weights(table, weights)
    if is_rendered:
        runs = {
            run: {**params, **table.synthetic_runs.get(run, {})} for run, params in runs.items()
        }
    base = build(StudyConfig, merge(merge({}, table.settings), given))
    runs, lacking = _with_files(runs, base, usable)
    notes += lacking
    if not runs:
        raise SettingsError(f"table {path.stem}: no run is left: {'; '.join(notes)}")
    notes += [
        f"weights.{name} was learnt from SYNTHETIC recordings"
        for name, file in config.weights.items()
        if learnt_from_rendered(file)
    ]
    name = config.search.name or _begun_name(config.output, path.stem)
    persons, lacking = _persons(table, base, usable)
    notes += lacking
    plans = {}
    for item in _items(table, config.data.items):
        for seed in range(table.seeds):
            for person in (None, *persons):
                part = Part(_part_name(table, name, item, seed, person), item, seed, person)
                plans[part] = plan_comparison(_part_tree(table, given, part), runs)
    plan = next(iter(plans.values()))
    told = settings_notes(table, plan, given, is_rendered=is_rendered)
    kept = config.output / "tables" / f"{name}.txt"
    items = table.items or config.data.items
    notes += [*manifest.notes, *unable_notes(manifest.recordings, items)]
    return Reproduction(table, plans, (*table.notes, *told, *notes), kept)


def _begun_name(output: Path, name: str) -> str:
    """Return the name of a table's studies: its earlier one where that one's were begun."""
    begun = {path.parent.name for path in (output / "studies").glob("*/study.json")}
    for known in (name, earlier_name(name)):
        if any(study == known or study.startswith(f"{known}-") for study in begun):
            return known
    return name


def _check_seeds(table: PaperTable, asked: Mapping[str, Any]) -> None:
    """Refuse a seed of the user's where the table runs several of its own."""
    given = [f"{name}.seed" for name in ("search", "folds") if "seed" in asked.get(name, {})]
    if table.seeds > 1 and given:
        raise SettingsError(
            f"{', '.join(given)}: the table runs seeds 0 to {table.seeds - 1}, of fits and folds; "
            "leave it out"
        )


def _persons(
    table: PaperTable, config: StudyConfig, usable: Sequence[Recording]
) -> tuple[Sequence[int], list[str]]:
    """Return the numbers of the splits of one ill person, or a note why there are none."""
    if not table.persons:
        return (), []
    folds = config.folds
    if folds.from_split or folds.of_recordings:
        return (), ["no splits of one ill person each: the split is given"]
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
    """Return the items of a table's comparisons, fewer if fewer are asked for; None is all."""
    if table.items is None:
        return (None,)
    other = [item for item in asked or () if item not in table.items]
    if other:
        raise SettingsError(
            f"data.items: the table has no {', '.join(other)}; it has {', '.join(table.items)}"
        )
    return tuple(item for item in table.items if asked is None or item in asked)


def _with_files(
    runs: Runs, config: StudyConfig, usable: Sequence[Recording]
) -> tuple[Runs, list[str]]:
    """Leave out the runs that see what no recording has; say so."""
    kept, notes = {}, []
    for run, params in runs.items():
        seen = trial_config(config.fit, params).sees
        lacking = [
            field
            for field in dict.fromkeys(map(needed_field, seen))
            if all(getattr(recording, field) is None for recording in usable)
        ]
        if lacking:
            notes.append(f"{run} is left out: no recording has {', '.join(lacking)}")
        else:
            kept[run] = params
    return kept, notes


def _with_weights(table: PaperTable, weights: Mapping[str, str]) -> tuple[Runs, list[str]]:
    """Put files in the place of their names; leave out, or note, the runs that lack theirs."""
    named = {name for params in table.runs.values() for name in weights_of(params).values()}
    refuse(
        [
            f"weights.{name}: the table has no such weights; it has: "
            f"{', '.join(sorted(named)) or 'none'}"
            for name in sorted(set(weights) - named)
        ],
        SettingsError,
        "settings",
    )
    runs, notes = {}, []
    for run, params in table.runs.items():
        wanted = weights_of(params)
        missing = {key: name for key, name in wanted.items() if name not in weights}
        found = {key: weights[name] for key, name in wanted.items() if name in weights}
        told = ", ".join(f"weights.{name}=FILE" for name in missing.values())
        if not missing:
            runs[run] = {**params, **found}
        elif table.from_scratch and set(missing) == {"pretrained"}:
            runs[run] = {key: value for key, value in params.items() if key != "pretrained"} | found
            notes.append(f"{run} starts from random weights: no {told}")
        else:
            notes.append(f"{run} is left out: it needs {told}")
    return runs, notes
