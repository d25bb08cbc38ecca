"""Section B.2 of 000 on a manifest and its table of marks; the folds are those of a comparison."""

import numpy as np

from pdray.config import build, dump
from pdray.data.cohort.manifest import load_manifest
from pdray.data.cohort.marks import NO_MARKS, add_marks, read_marks
from pdray.data.cohort.members import compared_sides, make_cohort, rated
from pdray.errors import SettingsError, refuse
from pdray.papers.region_marks import MarkedRecordings, Split, marks_report
from pdray.papers.settings import MarksConfig
from pdray.search.plan import subject_faults
from pdray.search.settings import StudyConfig


def correlate_marks(config: MarksConfig) -> str:
    """Return the report of :mod:`pdray.papers.region_marks`.

    Raises:
        PdrayError: If a table has a fault, ``data.marks`` is missing, or the recordings cannot be
            split as asked.
    """
    if config.data.marks is None:
        raise SettingsError("'data.marks' is missing; give the table of marks of an importer")
    study = build(StudyConfig, {"data": dump(config)["data"], "folds": dump(config)["folds"]})
    refuse(subject_faults(study), SettingsError, "settings")
    manifest = load_manifest(config.data.manifest, check_files=False, subjects=config.data.subjects)
    table = read_marks(config.data.marks)
    splits: list[Split] = []
    for repeat in range(config.repeats):
        folds = config.folds.model_copy(update={"seed": config.folds.seed + repeat})
        cohort = make_cohort(manifest, config.data, folds, needs=(), searches=False)
        recordings = add_marks(rated(cohort, config.data, None), table)
        sides = compared_sides(cohort.folds, recordings)
        splits.append([(side.training, side.evaluation) for side in sides])
    if not any(one.marks for one in recordings):
        raise SettingsError(
            f"data.marks: none of its {len(table.regions)} recordings is among the "
            f"{len(recordings)} of the manifest; give the table that belongs to it"
        )
    every = [one.marks or NO_MARKS for one in recordings]
    known = MarkedRecordings(
        np.array([[bool(mark) for mark in marks] for marks in every]),
        np.array([one.target for one in recordings], np.int64),
        cohort.is_synthetic,
    )
    how = f"each of {config.folds.num_outer} folds is held out in turn"
    if config.folds.from_split:
        how = "the manifest's column split says who is held out"
    return "\n".join([marks_report(known, splits, how), *(f"note: {one}" for one in cohort.notes)])
