"""Reads the definition of a paper's table, a YAML file: settings, runs and cells."""

import re
from collections.abc import Mapping
from pathlib import Path
from textwrap import shorten
from typing import Any, Literal

from pydantic import Field, field_validator

from pdray.config import Settings, load, merge, nearest
from pdray.errors import SettingsError, refuse
from pdray.evaluation.metrics import METRICS
from pdray.help import MORE, columns

PAPERS = {
    "youtubepd": "000",
    "expressions": "001",
    "tsa": "002",
    "hypomimia": "003",
    "motion_boundary": "004",
}
"""Short name of each paper, and its number in earlier versions."""

COLUMNS = (
    ("accuracy", True, "Top-1 2"),
    ("accuracy", False, "Top-1 K"),
    ("f1", True, "F1 2"),
    ("f1_macro", False, "F1 K macro"),
    ("f1_weighted", False, "F1 K weighted"),
    ("auroc", True, "AUROC 2"),
    ("auroc", False, "AUROC K"),
    ("recall", True, "recall 2"),
    ("mse", False, "MSE K"),
)
"""Columns of layout severity: metric, whether it is for two classes, heading."""

NUMBERS = ("MAE of the mean", "r of the mean")
"""Columns of layout paired: of the mean of more than two classes as a number."""

SET_COVERAGE = 0.8
"""Coverage at which the risks of models are compared."""
RISK = f"risk at {SET_COVERAGE:.0%}"
"""Column of layout paired: share of wrong classes among the most confident predictions."""

DIAGNOSIS_COLUMNS = (
    "accuracy", "95% interval", "P w", "R w", "F1 w", "P healthy", "R healthy", "F1 healthy",
    "R ill", "AUROC", "its 95% interval",
)  # fmt: skip
"""Columns of layout diagnosis."""
GROUPS_COLUMNS = ("right [%]",)
"""Columns of layout groups with figures of the paper."""
TRANSLATION_COLUMNS = (
    "FD source", "FD ill", "KD ill", "CLS [%]", "direction", "control", "excess", "cosine",
    "right person [%]", "error",
)  # fmt: skip
"""Columns of layout translation; FD is FID and KD is KID where the features are InceptionV3's."""
_HEADINGS = {
    "severity": tuple(heading for _, _, heading in COLUMNS),
    "diagnosis": DIAGNOSIS_COLUMNS,
    "groups": GROUPS_COLUMNS,
    "translation": TRANSLATION_COLUMNS,
}

_REFERENCE = "weights."
_PAPER = re.compile(r"^.*?, (?=Table|landmarks)")  # at the start of a title


class PaperTable(Settings):
    """Definition of a paper's table: content, layout and runs."""

    title: str = Field(description="paper, table and what it shows")
    layout: Literal[
        "matrix", "detail", "severity", "paired", "diagnosis", "groups", "translation"
    ] = Field(
        "matrix",
        description="matrix: a score by row and column; detail: MCC with interval and p; severity: "
        "ill or healthy and all classes, with baselines and the paper's figures; paired: metrics "
        "with intervals over subjects, and differences from a reference row; diagnosis: ill or "
        "healthy alone, as severity; groups: intensities of expressions of the ill and the "
        "healthy; translation: pictures that a method changed to look ill, beside rows without one",
    )
    notes: tuple[str, ...] = Field((), description="notes below the table")
    seeds: int = Field(
        1, ge=1, description="number of seeds; all runs use each of first_seed, first_seed + 1, ..."
    )
    first_seed: int = Field(
        0, ge=0, description="first of several seeds; those before it were used to design the runs"
    )
    paper: dict[str, dict[str, str]] = Field(
        default_factory=dict,
        description="layouts severity, paired, diagnosis, groups and translation: published "
        "figures by row label (and column label) and heading",
    )
    not_built: tuple[str, ...] = Field(
        (), description="layout translation: methods of the paper that are not here"
    )
    pooled: bool = Field(
        False,
        description="layout severity: score the recordings of all folds together, if a fold is too "
        "small; else the mean over folds",
    )
    persons: bool = Field(
        False,
        description="layout severity: also run three splits that each test one ill person, and "
        "print their mean for each row",
    )
    two_steps: tuple[str, ...] = Field(
        (), description="layout severity: rows whose class is decided in two steps"
    )
    metrics: tuple[str, ...] = Field(("mcc",), description="layouts matrix and paired: metrics")
    reference: str = Field(
        "", description="layout paired: row from which the others differ; empty: none"
    )
    references: dict[str, str] = Field(
        default_factory=dict,
        description="layout paired: another reference of a row, by row label",
    )
    ill: bool = Field(
        False,
        description="layout paired: score ill or healthy, of models that learn more classes",
    )
    inside: Literal["site", "recording_protocol"] = Field(
        "site", description="layout paired: column of the manifest inside which pairs are ranked"
    )
    baselines: bool = Field(
        False,
        description="layout paired: also rows of baselines: class frequencies, site, and clinical "
        "facts (age, sex, recording protocol)",
    )
    reference_raters: tuple[int, ...] = Field(
        (),
        description="layout paired: raters, from 1, with whose mean all raters and models are "
        "compared below the table; empty: none",
    )
    items: tuple[str, ...] | None = Field(
        None, description="items with separate models; null: one model for all items"
    )
    settings: dict[str, Any] = Field(description="settings of the studies, from the paper")
    synthetic: dict[str, Any] = Field(
        default_factory=dict, description="small settings that replace them for synthetic data"
    )
    runs: dict[str, dict[str, Any]] = Field(
        default_factory=dict,
        description="settings of each run, with dotted keys; 'weights.NAME' is the file or folder "
        "of the option weights.NAME=FILE",
    )
    synthetic_runs: dict[str, dict[str, Any]] = Field(
        default_factory=dict, description="settings of runs for synthetic data"
    )
    rows: dict[str, dict[str, tuple[str, ...]]] = Field(
        default_factory=dict,
        description="runs that are fused, by row label and column label ('' is the item's)",
    )
    from_scratch: bool = Field(
        False,
        description="whether a run without its weights starts from random values; else its "
        "rows are left out",
    )

    @property
    def inside_heading(self) -> str:
        """Column of layout paired: AUROC of pairs that have the same :attr:`inside`."""
        return f"auroc inside {self.inside}"

    @property
    def paired_headings(self) -> tuple[str, ...]:
        """Columns of layout paired with figures of the paper."""
        return (*self.metrics, self.inside_heading, RISK, *NUMBERS)

    @property
    def all_seeds(self) -> range:
        """Seeds of all runs."""
        return range(self.first_seed, self.first_seed + self.seeds)

    @field_validator("settings")
    @classmethod
    def _has_a_seed(cls, settings: dict[str, Any]) -> dict[str, Any]:
        # That of a search follows from its name; a table has the same numbers under every name.
        return merge({"search": {"seed": 0}}, settings)


def earlier_name(name: str) -> str:
    """Return the name of a table in earlier versions: ``000.3`` for ``youtubepd.table3``."""
    paper, _, rest = name.partition(".")
    return f"{PAPERS[paper]}.{rest.removeprefix('table')}" if paper in PAPERS else name


def table_names(folder: Path) -> list[str]:
    """Return the names of the tables in a folder, by paper and number."""
    names = [path.stem for path in folder.glob("*.yaml")]
    return sorted(names, key=lambda name: (earlier_name(name)[:3], len(name), name))


def table_file(folder: Path, name: str) -> Path:
    """Return the file of a table, by its name or its earlier name.

    Raises:
        SettingsError: If there is no such table.
    """
    names = table_names(folder)
    earlier = {earlier_name(one): one for one in names}
    if (found := earlier.get(name, name)) not in names:
        raise SettingsError(
            f"there is no table {name}; {nearest(name, names)}use one of: "
            f"{', '.join(names) or 'none'}"
        )
    return folder / f"{found}.yaml"


def list_tables(folder: Path) -> str:
    """Return a line for each table in a folder: its name, and its title without the paper's name.

    Raises:
        SettingsError: If a file is not a table.
    """
    titles = {name: read_table(folder / f"{name}.yaml").title for name in table_names(folder)}
    wide = max(map(len, titles)) + 4
    return "\n".join(
        f"  {name}".ljust(wide)
        + shorten(_PAPER.sub("", title), columns() - wide, placeholder=MORE, break_on_hyphens=False)
        for name, title in titles.items()
    )


def read_table(path: Path) -> PaperTable:
    """Read and check the definition of a table.

    Raises:
        SettingsError: If the file is not a table, or names an unknown metric, run or row.
    """
    table = load(PaperTable, ["--config", str(path)])
    wrong = [
        f"metrics: got {name!r}; use some of {', '.join(METRICS)}"
        for name in table.metrics
        if name not in METRICS
    ]
    wrong += [
        f"rows.{row}.{column}: there is no run '{name}'; use some of: {', '.join(table.runs)}"
        for row, columns in table.rows.items()
        for column, names in columns.items()
        for name in names
        if name not in table.runs
    ]
    wrong += [
        f"synthetic_runs.{name}: there is no such run; use some of: {', '.join(table.runs)}"
        for name in table.synthetic_runs.keys() - table.runs.keys()
    ]
    headings = _HEADINGS.get(table.layout, ())
    if table.layout == "paired":
        headings = table.paired_headings
        wrong += [
            f"reference: there is no row '{row}'; use one of: {', '.join(table.rows)}"
            for row in [table.reference, *table.references, *table.references.values()]
            if row and row not in table.rows
        ]
    wrong += [
        f"paper.{row}.{heading}: there is no such column; use some of: "
        f"{', '.join(headings) or 'none'}"
        for row, figures in table.paper.items()
        for heading in figures
        if heading not in headings
    ]
    wrong += [
        f"not_built: there is no row '{row}' in paper"
        for row in table.not_built
        if row not in table.paper
    ]
    wrong += [
        f"two_steps: there is no row '{row}'" for row in table.two_steps if row not in table.rows
    ]
    refuse(wrong, SettingsError, f"table {path.stem}")
    return table


def weights_of(params: Mapping[str, Any]) -> dict[str, str]:
    """Return the names of weights in a run's settings, by key."""
    return {
        key: value.removeprefix(_REFERENCE)
        for key, value in params.items()
        if isinstance(value, str) and value.startswith(_REFERENCE)
    }
