"""A paper's table: which trials it needs, run item by item, fused and laid out.

A table is a YAML file: what the paper sets, what its runs set beyond that, and which runs stand in
which cell. The runs are fixed trials of one comparison an item, so every cell of a table has the
same recordings in the same folds.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

import pandas as pd

from pdray.address import submitted_commit
from pdray.atomic import write_text
from pdray.data.cohort.members import make_cohort
from pdray.evaluation.controls import as_binary
from pdray.papers.baseline_rows import baseline_rows
from pdray.papers.detail_tables import Cells, Place, detail_table, matrix_table
from pdray.papers.diagnosis_table import diagnosis_table
from pdray.papers.expression_figures import draw_groups
from pdray.papers.expression_groups import read_expressions
from pdray.papers.expression_report import groups_text
from pdray.papers.fuse import fuse
from pdray.papers.paired_table import paired_lines, paired_table
from pdray.papers.plan import Groups, Part, Reproduction
from pdray.papers.rater_rows import rater_block
from pdray.papers.roc import cell_panels, roc_figure, severity_panels
from pdray.papers.severity_table import Printed, Seed, severity_table
from pdray.papers.table import PaperTable
from pdray.papers.translation_plan import Translation
from pdray.search.comparison import Comparison, run_comparison
from pdray.search.plan import StudyPlan
from pdray.search.resume import manifest_of
from pdray.tracking.provenance import source_identity
from pdray.tracking.run_log import StudyLog
from pdray.tracking.scorings import Scoring, note_scoring, subject_marks


def run_reproduction(reproduction: Reproduction, say: Callable[[str], None]) -> tuple[str, Path]:
    """Run the missing comparisons, and print the table.

    Returns:
        The table as text, and the file it is kept in; its pictures lie beside it.

    Raises:
        PdrayError: If there is a fault that the user can correct; complete trials are kept.
    """
    text = "\n".join([_table(reproduction, say), *(f"note: {n}" for n in reproduction.notes)])
    write_text(reproduction.path, f"{text}\n")
    return text, reproduction.path


def _table(reproduction: Reproduction, say: Callable[[str], None]) -> str:
    if reproduction.groups is not None:
        return _groups(reproduction, reproduction.groups)
    if reproduction.translation is not None:
        return _translation(reproduction, reproduction.translation, say)
    found: dict[Part, Comparison] = {}
    for number, (part, plan) in enumerate(reproduction.plans.items(), start=1):
        is_complete = StudyLog(plan.config.output / "studies" / part.name).is_complete()
        if not is_complete and len(reproduction.plans) > 1:
            say(f"study {number} of {len(reproduction.plans)}: {part.name}")
        note = partial(_note, reproduction, part, plan)
        found[part] = run_comparison(plan, part.name, say, note)
    return _laid_out(reproduction, found)


def _groups(reproduction: Reproduction, groups: Groups) -> str:
    """Return the table of layout groups; draw its figures."""
    config, visits = groups.config, groups.visits
    found = read_expressions(visits, config.data)
    name = reproduction.path.stem
    note_scoring(
        config.output,
        Scoring(
            table=name, study=name, seed=0, source=source_identity(submitted=submitted_commit()),
            manifest=config.data.manifest.name, runs="expression network",
            digest=groups.manifest.digest,
            subjects=subject_marks(one.subject_id for one in visits),
        ),
    )  # fmt: skip
    table, synthetic = reproduction.table, any(one.is_synthetic for one in visits)
    draw_groups(found, reproduction.files, synthetic=synthetic)
    printed = Printed(table.title, table.paper, frozenset(), synthetic)
    return groups_text(printed, found, config.data)


def _translation(reproduction: Reproduction, made: Translation, say: Callable[[str], None]) -> str:
    """Return the table of layout translation."""
    from pdray.papers.translation_report import translation_report

    config, name = made.config, reproduction.path.stem

    def note(subjects: Iterable[str]) -> None:
        note_scoring(
            config.output,
            Scoring(
                table=name, study=name, seed=config.search.seed or 0,
                source=source_identity(submitted=submitted_commit()),
                manifest=config.data.manifest.name, runs="rows without a method",
                digest=made.manifest.digest, subjects=subject_marks(subjects),
            ),
        )  # fmt: skip

    folder = reproduction.path.with_suffix(".seen")
    return translation_report(reproduction.table, made, folder, say, note)


def _note(reproduction: Reproduction, part: Part, plan: StudyPlan) -> None:
    """Add the study to the list of scorings."""
    config = plan.config
    manifest = manifest_of(StudyLog(config.output / "studies" / part.name), config)
    folds = make_cohort(manifest, config.data, config.folds, needs=plan.needs, searches=False).folds
    scoring = Scoring(
        table=reproduction.path.stem,
        study=part.name,
        seed=part.seed,
        source=source_identity(submitted=submitted_commit()),
        manifest=config.data.manifest.name,
        runs="; ".join(plan.fixed),
        digest=manifest.digest,
        subjects=subject_marks(folds.test or folds.development),
    )
    note_scoring(config.output, scoring)


def _laid_out(reproduction: Reproduction, found: Mapping[Part, Comparison]) -> str:
    """Return the table; draw its ROC curves, where its layout has them."""
    table = reproduction.table
    synthetic = any(one.synthetic for one in found.values())
    if table.layout == "paired":
        return _paired(table, [*found.values()], synthetic)
    draw = partial(roc_figure, table.title, path=reproduction.files["roc"], synthetic=synthetic)
    if table.layout == "severity":
        printed = Printed(
            table.title, table.paper, frozenset(table.two_steps), synthetic, table.pooled
        )
        seeds = [_seed(table, one) for part, one in found.items() if part.person is None]
        persons = [_seed(table, one) for part, one in found.items() if part.person is not None]
        draw(severity_panels([one.tables for one in seeds]), pooled=table.pooled)
        text = severity_table(printed, seeds, persons)
        whole = [one for part, one in found.items() if part.person is None]
        return text if table.pooled else "\n".join([text, "", *_ill_lines(table, seeds, whole)])
    cells = _cells(table, {part.item: one for part, one in found.items()})
    draw(cell_panels(cells))
    if table.layout == "diagnosis":
        ((part, one),) = found.items()
        seed = Seed(_labelled(cells), one.learnt, one.sites)
        printed = Printed(table.title, table.paper, frozenset(), synthetic)
        return diagnosis_table(printed, seed, reproduction.plans[part].config.data)
    if table.layout == "detail":
        return detail_table(table.title, cells, synthetic=synthetic)
    return matrix_table(table.title, cells, table.metrics, synthetic=synthetic)


def _ill_lines(table: PaperTable, seeds: Sequence[Seed], found: Sequence[Comparison]) -> list[str]:
    """Return AUROC and risk of ill or healthy with intervals, which the layout itself has not."""
    none = {"reference": "", "references": {}, "paper": {}}
    alone = table.model_copy(update={"metrics": ("auroc",), **none})
    rows = {
        row: pd.concat([as_binary(one.tables[row]) for one in seeds], ignore_index=True)
        for row in seeds[0].tables
    }
    lines = paired_lines(alone, rows, places=seeds[0].sites, groups=found[0].groups)
    return ["ill or healthy, with intervals", *lines]


def _paired(table: PaperTable, found: Sequence[Comparison], synthetic: bool) -> str:
    made = [_seed(table, one).tables for one in found]
    rows = {row: pd.concat([one[row] for one in made], ignore_index=True) for row in made[0]}
    baselines = baseline_rows(found, [next(iter(one.values())) for one in made])
    first = found[0]
    shown = {**rows, **(dict(baselines) if table.baselines else {})}
    text = paired_table(
        table,
        {row: as_binary(one) for row, one in shown.items()} if table.ill else shown,
        places={one.recording_id: getattr(one, table.inside) for one in first.recordings},
        groups=first.groups,
        synthetic=synthetic,
    )
    if not table.reference_raters:
        return text
    return "\n".join([text, "", *rater_block(rows, table.reference_raters)])


def _seed(table: PaperTable, found: Comparison) -> Seed:
    cells = _cells(table, {None: found})
    return Seed({row: tables["", ""] for row, tables in cells.items()}, found.learnt, found.sites)


def _labelled(cells: Cells) -> dict[str, pd.DataFrame]:
    return {
        ", ".join(filter(None, (row, column))): units
        for row, places in cells.items()
        for (_, column), units in places.items()
    }


def _cells(table: PaperTable, found: Mapping[str | None, Comparison]) -> Cells:
    cells: dict[str, dict[Place, pd.DataFrame]] = {}
    for row, columns in table.rows.items():
        for item, comparison in found.items():
            for column, names in columns.items():
                if all(name in comparison.tables for name in names):
                    fused = fuse([comparison.tables[name] for name in names])
                    cells.setdefault(row, {})[item or "", column] = fused
    return cells
