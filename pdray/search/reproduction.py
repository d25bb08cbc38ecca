"""A paper's table: which trials it needs, run item by item, fused and laid out.

A table is a YAML file: what the paper sets, what its runs set beyond that, and which runs stand in
which cell. The runs are fixed trials of one comparison an item, so every cell of a table has the
same recordings in the same folds.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pandas as pd
from pydantic import Field

from pdray.atomic import write_text
from pdray.config import Settings, build, dump, load, merge, read_tree
from pdray.data.manifest import ACTION, load_manifest, select
from pdray.errors import SettingsError, refuse
from pdray.evaluation.fusion import fuse
from pdray.evaluation.metrics import METRICS
from pdray.evaluation.paper_tables import Cells, Place, detail_table, matrix_table
from pdray.search.comparison import Comparison, run_comparison
from pdray.search.opening import learnt_from_rendered
from pdray.search.resume import decides
from pdray.search.settings import StudyConfig, StudyPlan, fit_config, plan_comparison
from pdray.search.space import trial_config

_REFERENCE = "weights."
_ABSENT = object()
# What a comparison's scores do not depend on, beyond what no study's do: it searches nothing.
_SILENT = ("data.max_decode_failures", "frames", "search.metric", "search.prune", "search.startup")


class PaperTable(Settings):
    """What a table of a paper shows and how its cells are made."""

    title: str = Field(description="paper, table and what it shows")
    layout: Literal["matrix", "detail"] = Field(
        "matrix", description="matrix: a score by row and column; detail: MCC with interval and p"
    )
    metrics: tuple[str, ...] = Field(("mcc",), description="scores of a matrix")
    items: tuple[str, ...] | None = Field(
        None, description="items, each with models of its own; null: one model for all items"
    )
    settings: dict[str, Any] = Field(description="a study's settings, as the paper has them")
    synthetic: dict[str, Any] = Field(
        default_factory=dict, description="over them for a rendered cohort, so that it is small"
    )
    runs: dict[str, dict[str, Any]] = Field(
        description="each run's dotted settings; 'pretrained: weights.NAME' is a file that "
        "weights.NAME=FILE names"
    )
    synthetic_runs: dict[str, dict[str, Any]] = Field(
        default_factory=dict, description="over the runs' settings, likewise"
    )
    rows: dict[str, dict[str, tuple[str, ...]]] = Field(
        description="row label, then column label ('' is the item's), to the runs that are fused"
    )
    from_scratch: bool = Field(
        False, description="whether a run may start without its weights; else its rows are left out"
    )


class ReproduceConfig(StudyConfig):
    """The root of ``jobs/reproduce.py``: a study's settings, and files of published weights."""

    weights: dict[str, Path] = Field(
        default_factory=dict, description="files to start from, by the names a table gives them"
    )


@dataclass(frozen=True)
class Reproduction:
    """A table that is ready to run.

    Attributes:
        table: Its definition.
        plans: Name of each comparison and its item (None: all), to its checked plan.
        notes: What differs from the paper, one sentence each.
        path: File that the table is kept in.
    """

    table: PaperTable
    plans: Mapping[tuple[str, str | None], StudyPlan]
    notes: tuple[str, ...]
    path: Path


def table_titles(folder: Path) -> dict[str, str]:
    """Return the name of each table in a folder, sorted, and its title.

    Raises:
        SettingsError: If a file is no table.
    """
    return {path.stem: read_table(path).title for path in sorted(folder.glob("*.yaml"))}


def read_table(path: Path) -> PaperTable:
    """Read and check the definition of a table.

    Raises:
        SettingsError: If the file is not one, names a score that does not exist, or a cell names a
            run that does not.
    """
    if not path.is_file():
        known = ", ".join(sorted(other.stem for other in path.parent.glob("*.yaml")))
        raise SettingsError(f"there is no table {path.stem}; there are: {known or 'none'}")
    table = load(PaperTable, ["--config", str(path)])
    wrong = [
        f"metrics: got {name!r}; expected some of {', '.join(METRICS)}"
        for name in table.metrics
        if name not in METRICS
    ]
    wrong += [
        f"rows.{row}.{column}: there is no run '{name}'; there are: {', '.join(table.runs)}"
        for row, columns in table.rows.items()
        for column, names in columns.items()
        for name in names
        if name not in table.runs
    ]
    wrong += [
        f"synthetic_runs.{name}: there is no such run; there are: {', '.join(table.runs)}"
        for name in table.synthetic_runs.keys() - table.runs.keys()
    ]
    refuse(wrong, SettingsError, f"table {path.stem}")
    return table


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
    manifest = load_manifest(config.data.manifest, check_files=False, subjects=config.data.subjects)
    usable, _ = select(manifest, items=table.items, needs=("video", "grade"))
    is_rendered = any(recording.site == "synthetic" for recording in usable)
    weights = {name: str(file) for name, file in config.weights.items()}
    asked.pop("weights", None)
    given = merge(merge({}, table.synthetic if is_rendered else {}), asked)
    runs, notes = _with_weights(table, weights)
    if not runs:
        raise SettingsError(f"table {path.stem}: no run is left: {'; '.join(notes)}")
    notes += [
        f"weights.{name} was learnt from SYNTHETIC recordings"
        for name, file in config.weights.items()
        if learnt_from_rendered(file)
    ]
    if is_rendered:
        runs = {
            run: {**params, **table.synthetic_runs.get(run, {})} for run, params in runs.items()
        }
    name = config.search.name or path.stem
    plans = {}
    for item in _items(table, config.data.items):
        chosen = {"data": {"items": [item]}} if item else {}
        label = f"{name}-{item}" if item else name
        part = merge(merge(merge({}, table.settings), given), {"search": {"name": label}})
        plans[label, item] = plan_comparison(merge(part, chosen), runs)
    plan = next(iter(plans.values()))
    told = _settings_notes(table, plan, given, is_rendered=is_rendered)
    kept = config.output / "tables" / f"{name}.txt"
    return Reproduction(table, plans, (*told, *notes), kept)


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


def run_reproduction(reproduction: Reproduction, say: Callable[[str], None]) -> tuple[str, Path]:
    """Run what has not been run yet, and lay out the table.

    Returns:
        The table as text, and the file it is kept in.

    Raises:
        PdrayError: If something the user can mend is wrong; complete trials are kept.
    """
    found: dict[str | None, Comparison] = {}
    for (name, item), plan in reproduction.plans.items():
        found[item] = run_comparison(plan, name, say)
    table = reproduction.table
    cells = _cells(table, found)
    synthetic = any(one.synthetic for one in found.values())
    if table.layout == "detail":
        text = detail_table(table.title, cells, synthetic=synthetic)
    else:
        text = matrix_table(table.title, cells, table.metrics, synthetic=synthetic)
    text = "\n".join([text, *(f"note: {note}" for note in reproduction.notes)])
    write_text(reproduction.path, f"{text}\n")
    return text, reproduction.path


def _settings_notes(
    table: PaperTable, plan: StudyPlan, given: Mapping[str, Any], *, is_rendered: bool
) -> list[str]:
    """Say which settings are not the paper's, those that all runs share first.

    Args:
        table: Whose settings are the paper's; where it is silent, the defaults are.
        plan: What is run, of any item.
        given: What is laid over the table's settings, nested.
        is_rendered: Whether the cohort is; then the table's small settings are in ``given``.
    """
    changes = {run: _changes(table, plan, run, given) for run in plan.fixed}
    first, *others = changes.values()
    shared = [change for change in first if all(change in other for other in others)]
    begin = "small settings, not the paper's" if is_rendered else "settings given over the paper's"
    parts = ["the cohort is rendered"] if is_rendered else []
    parts += [begin, ", ".join(shared)] if shared else []
    notes = [": ".join(parts)] if parts else []
    lone: dict[str, list[str]] = {}
    for run, found in changes.items():
        told = ", ".join(change for change in found if change not in shared)
        lone.setdefault(told, []).append(run)
    return notes + [f"{begin}, of {', '.join(runs)}: {told}" for told, runs in lone.items() if told]


def _changes(table: PaperTable, plan: StudyPlan, run: str, given: Mapping[str, Any]) -> list[str]:
    """Return each setting of a run that is not the paper's, and in brackets what it is there."""
    params = plan.fixed[run]
    fixed: dict[str, Any] = {"manifest": plan.config.data.manifest}
    if table.items:  # one comparison an item: no change
        fixed["items"] = plan.config.data.items
    if plan.config.data.items == (ACTION,):  # its classes are the dataset's, not cuts of a scale
        fixed["grade_cuts"] = plan.config.data.grade_cuts
    paper = build(StudyConfig, merge(merge({}, table.settings), {"data": fixed}))
    named = {key for key, _, _ in _differing({}, given)} | set(params)
    return [
        f"{key} {_plain(new)}" + ("" if old is _ABSENT else f" ({_plain(old)})")
        for key, old, new in _differing(
            _run_settings(paper, table.runs[run]), _run_settings(plan.config, params)
        )
        # Another network's own defaults are no change that anybody made: its name is.
        if (old is not _ABSENT or key in named)
        and decides(key)
        and not key.startswith(_SILENT)
        and not (key == "pretrained" and "pretrained" in params)  # the table names it
        and (key, new) != ("store.codec", "lz4")  # exact
    ]


def _run_settings(config: StudyConfig, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return a study's settings, nested, with those of a run over them, its weights aside."""
    own = {key: value for key, value in params.items() if key != "pretrained"}
    return {**dump(config), **dump(trial_config(dump(fit_config(config)), own))}


def _differing(
    old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = ""
) -> Iterator[tuple[str, Any, Any]]:
    """Yield dotted key, old and new value of everything in ``new`` that is not so in ``old``."""
    for name, value in new.items():
        before = old.get(name, _ABSENT)
        if isinstance(value, Mapping):
            section = before if isinstance(before, Mapping) else {}
            yield from _differing(section, value, f"{prefix}{name}.")
        elif before != value:
            yield f"{prefix}{name}", before, value


def _plain(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _with_weights(
    table: PaperTable, weights: Mapping[str, str]
) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Put files in the place of their names; leave out, or note, the runs that lack theirs."""
    unknown = set(weights) - _named(table)
    refuse(
        [
            f"weights.{name}: the table has no such weights; it has: "
            f"{', '.join(sorted(_named(table))) or 'none'}"
            for name in sorted(unknown)
        ],
        SettingsError,
        "settings",
    )
    runs, notes = {}, []
    for run, params in table.runs.items():
        name = _reference(params)
        if name is None or name in weights:
            runs[run] = {**params, **({"pretrained": weights[name]} if name else {})}
        elif table.from_scratch:
            runs[run] = {key: value for key, value in params.items() if key != "pretrained"}
            notes.append(f"{run} starts from random weights: no weights.{name}=FILE")
        else:
            notes.append(f"{run} is left out: it needs weights.{name}=FILE")
    return runs, notes


def _named(table: PaperTable) -> set[str]:
    return {name for params in table.runs.values() if (name := _reference(params)) is not None}


def _reference(params: Mapping[str, Any]) -> str | None:
    file = params.get("pretrained")
    return file.removeprefix(_REFERENCE) if isinstance(file, str) else None


def _cells(table: PaperTable, found: Mapping[str | None, Comparison]) -> Cells:
    cells: dict[str, dict[Place, pd.DataFrame]] = {}
    for row, columns in table.rows.items():
        for item, comparison in found.items():
            for column, names in columns.items():
                if all(name in comparison.tables for name in names):
                    fused = fuse([comparison.tables[name] for name in names])
                    cells.setdefault(row, {})[item or "", column] = fused
    return cells
