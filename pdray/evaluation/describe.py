"""Describes a cohort in tables and pictures, without names or paths of people."""

import textwrap
from collections import Counter
from pathlib import Path

from pdray.atomic import write_text
from pdray.config import require_writable
from pdray.data.cohort.manifest import open_manifest, select
from pdray.data.cohort.members import is_unnamed
from pdray.data.cohort.settings import DataConfig
from pdray.data.cohort.unable import unable_notes
from pdray.data.store.frame_store import FrameStore
from pdray.data.store.lengths import lengths
from pdray.data.store.settings import Recipe
from pdray.evaluation.cohort_pictures import draw
from pdray.evaluation.cohort_tables import (
    Described,
    by_class,
    by_diagnosis,
    by_score,
    fact_table,
    grade_table,
    group_table,
    item_table,
    length_table,
)
from pdray.evaluation.printed_table import LEGEND, WIDTH, Table, csv_text, text, without_small_cells
from pdray.evaluation.report import headline

_BY_SCORE = ("groups_by_score", "facts_by_score")
_BY_DIAGNOSIS = ("groups_by_diagnosis", "facts_by_diagnosis")


def describe_cohort(data: DataConfig, output: Path, recipe: Recipe, *, small_cells: int = 5) -> str:
    """Write tables and pictures of a manifest's recordings.

    Files that the manifest names may be missing; their lengths are then not given.

    Args:
        data: The manifest, the items to describe and the grade cuts.
        output: Output folder. The files go to its ``describe/<name of the manifest>``. If it has a
            ``store``, the numbers of frames are taken from there.
        recipe: Settings that the store was prepared with.
        small_cells: Counts of fewer people, and what describes these, are not shown.

    Returns:
        The tables, notes on what is left out, and the folder of the files.

    Raises:
        ManifestError: If the manifest has a fault, or has no recording of the items.
        SettingsError: If the output cannot be written.
    """
    manifest = open_manifest(data, output=output, check_files=False)
    recordings, _ = select(manifest, items=data.items, needs=())
    folder = output / "describe" / manifest.path.stem
    require_writable(folder, key="output")
    cohort = Described(
        recordings,
        lengths(recordings, FrameStore(output / "store", recipe)),
        data.grade_cuts,
        frozenset(one.recording_id for one in recordings if is_unnamed(one, data)),
        small_cells,
        data.target,
    )
    is_synthetic = any(one.is_synthetic for one in recordings)
    tables = [without_small_cells(table, small_cells) for table in _tables(cohort)]
    for name in {*_BY_SCORE, *_BY_DIAGNOSIS, "grades"} - {table.name for table in tables}:
        (folder / f"{name}.csv").unlink(missing_ok=True)  # of an earlier run
    for table in tables:
        write_text(folder / f"{table.name}.csv", csv_text(table))
    pictures = draw(cohort, folder, synthetic=is_synthetic)
    notes = [*_notes(cohort, tables), *manifest.notes]
    notes += unable_notes(manifest.recordings, data.items)
    if others := len(manifest.recordings) - len(recordings):
        notes.insert(0, f"{others} recordings are left out: their items are not in data.items")
    notes += [f"{name} is not drawn: {why}" for name, why in pictures.items() if why]
    few = f"; <{small_cells}: fewer than {small_cells} people, not shown" * (small_cells > 1)
    return "\n".join(
        [
            textwrap.fill(headline(cohort.count(recordings).sentence, is_synthetic), WIDTH),
            textwrap.fill(LEGEND + few, WIDTH),
            *(f"\n{text(table)}" for table in tables),
            "",
            *(textwrap.fill(f"note: {note}", WIDTH, subsequent_indent="  ") for note in notes),
            "tables and pictures are in the folder",
            str(folder),
        ]
    )


def _tables(cohort: Described) -> list[Table]:
    classes, thirds = by_class(cohort), by_score(cohort)
    tables = [item_table(cohort), length_table(cohort)]
    if cohort.is_graded:
        tables.append(grade_table(cohort))
    tables += [
        group_table(cohort, "groups", "Ages and visit scores, by class", classes),
        fact_table(cohort, "facts", "Facts, by class", classes),
    ]
    for names, title, groups in (
        (_BY_SCORE, "by third of the visit scores", thirds),
        (_BY_DIAGNOSIS, "by diagnosis", by_diagnosis(cohort)),
    ):
        if groups:
            tables += [
                group_table(cohort, names[0], f"Ages and visit scores, {title}", groups),
                fact_table(cohort, names[1], f"Facts, {title}", groups),
            ]
    return tables


def _notes(cohort: Described, tables: list[Table]) -> list[str]:
    """Return notes on values that are not counted, with the reasons."""
    total = len(cohort.recordings)
    lacks = Counter(one.lack for one in cohort.lengths.values() if one.lack)
    notes = [
        f"{count} of {total} recordings have no known frames or seconds: {why}"
        for why, count in sorted(lacks.items())
    ]
    if cohort.unnamed:
        notes.append(
            f"{len(cohort.unnamed)} of {total} recordings have no subject_id; several of them may "
            "show the same person"
        )
    visits, scores = cohort.visits(), cohort.scores()
    rated = {
        key for key, some in visits.items() if any(one.visit_score is not None for one in some)
    }
    if several := len(rated - scores.keys()):
        notes.append(f"{several} visits have several different visit scores; none of them is used")
    unknown = sum(one.visit_id is None for one in cohort.recordings)
    if unknown:
        notes.append(f"{unknown} of {total} recordings have no visit_id and belong to no visit")
    if not any(table.name in _BY_SCORE for table in tables):
        notes.append("there are too few different visit scores to form thirds")
    notes.append("a subject with recordings in several rows is counted in each of them")
    return notes
