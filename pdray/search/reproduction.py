"""A paper's table: which trials it needs, run item by item, fused and laid out.

A table is a YAML file: what the paper sets, what its runs set beyond that, and which runs stand in
which cell. The runs are fixed trials of one comparison an item, so every cell of a table has the
same recordings in the same folds.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from pdray.atomic import write_text
from pdray.config import Settings, build, load, merge, read_tree
from pdray.data.manifest import load_manifest, select
from pdray.errors import SettingsError, refuse
from pdray.evaluation.fusion import fuse
from pdray.evaluation.metrics import METRICS
from pdray.evaluation.paper_tables import Cells, detail_table, matrix_table
from pdray.search.comparison import Comparison, run_comparison
from pdray.search.opening import learnt_from_rendered
from pdray.search.settings import StudyConfig, StudyPlan, plan_comparison

_REFERENCE = "weights."


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
    """

    table: PaperTable
    plans: Mapping[tuple[str, str | None], StudyPlan]
    notes: tuple[str, ...]


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

    A rendered cohort is met with the table's small settings, any other with the paper's.

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
    small = table.synthetic if is_rendered else {}
    tree = merge(merge(merge({}, table.settings), small), asked)
    weights = {name: str(file) for name, file in config.weights.items()}
    tree.pop("weights", None)
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
        notes = ["the cohort is rendered: small settings, not the paper's", *notes]
    name = config.search.name or path.stem
    plans = {}
    for item in table.items or (None,):
        chosen = {"data": {"items": [item]}} if item else {}
        label = f"{name}-{item}" if item else name
        part = merge(merge({}, tree), merge({"search": {"name": label}}, chosen))
        plans[label, item] = plan_comparison(part, runs)
    return Reproduction(table, plans, tuple(notes))


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
    last = list(found.values())[-1]
    path = last.folder / "table.txt"
    write_text(path, f"{text}\n")
    return text, path


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
    cells: dict[str, dict[str, Any]] = {}
    for row, columns in table.rows.items():
        for item, comparison in found.items():
            for column, names in columns.items():
                if all(name in comparison.tables for name in names):
                    label = " ".join(part for part in (item, column) if part) or "all items"
                    fused = fuse([comparison.tables[name] for name in names])
                    cells.setdefault(row, {})[label] = fused
    return cells
