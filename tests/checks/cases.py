"""Makes finished searches for the checks, without files but for the study's log."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from pdray.checks.case import Case, Split
from pdray.config import build, dump, merge
from pdray.data.cohort.folds import Folds
from pdray.data.cohort.manifest import Manifest, Recording
from pdray.data.cohort.members import Cohort, inner_sides, outer_sides, rated
from pdray.data.cohort.rated import StoredRecording
from pdray.search.settings import StudyConfig
from pdray.tracking.run_log import StudyLog

CaseMaker = Callable[..., Case]


def cohort_of(
    num_subjects: int = 40, num_recordings: int = 2, **facts: Callable[[int, int], Any]
) -> list[Recording]:
    """Return recordings of subjects S000, S001, ...; odd ones have grade 4, even ones grade 0.

    Args:
        num_subjects: Number of subjects.
        num_recordings: Recordings of each.
        facts: Value of a manifest's column from the number of the subject and of its recording.
    """
    return [
        Recording(
            **{  # type: ignore[arg-type]
                "recording_id": f"S{s:03d}_R{r}",
                "subject_id": f"S{s:03d}",
                "item": "finger_tapping",
                "video": Path(f"S{s:03d}_R{r}.mp4"),
                "grade": 4 * (s % 2),
                **{name: of(s, r) for name, of in facts.items()},
            }
        )
        for s in range(num_subjects)
        for r in range(num_recordings)
    ]


def make_case(
    output: Path,
    recordings: Sequence[Recording],
    *,
    settings: Mapping[str, Any] | None = None,
    held: Sequence[Sequence[str]] | None = None,
    splits: Sequence[Split] | None = None,
    table: pd.DataFrame | None = None,
    stored: Mapping[str, StoredRecording] | None = None,
) -> Case:
    """Return a finished search of these recordings whose log is started and has no trial.

    Args:
        output: Output folder.
        recordings: All with a grade.
        settings: Nested settings over the defaults.
        held: Subjects of the test set, or of each outer fold; None: every fourth pair of subjects
            is the test set.
        splits: Sides in place of those, such as sides that share a subject.
        table: Predictions.
        stored: Store entries.
    """
    tree = merge({"data": {"manifest": str(output / "manifest.csv")}}, settings or {})
    config = build(StudyConfig, {**tree, "output": str(output)})
    subjects = sorted({one.subject_id for one in recordings})
    if held is None:
        held = [[name for n, name in enumerate(subjects) if n % 8 < 2]]
    rest = frozenset(subjects) - frozenset(held[0])
    inner = tuple(frozenset(sorted(rest)[n::3]) for n in range(3))
    folds = Folds(frozenset(held[0]), inner)
    if len(held) > 1:
        folds = Folds(frozenset(), tuple(map(frozenset, held)))
    manifest = Manifest(output / "manifest.csv", "d" * 64, tuple(recordings))
    cohort = Cohort(manifest, tuple(recordings), {}, folds, (), config.data.grade_cuts)
    rows = rated(cohort, config.data, stored)
    sides = outer_sides(folds, rows) if len(held) == 1 else inner_sides(folds, rows)
    names = ["test set"] if len(held) == 1 else [f"outer fold {n}" for n in range(len(held))]
    pairs = zip(names, sides, strict=True)
    study = StudyLog(output / "studies" / "made")
    study.start(name="made", settings=dump(config), tags={"manifest_digest": manifest.digest})
    return Case(
        study=study,
        config=dump(config),
        cohort=cohort,
        recordings=rows,
        splits=tuple(splits or (Split(name, one.training, one.evaluation) for name, one in pairs)),
        table=table,
        searches=(study,),
        cache=output / "store" / "checks",
        output=output,
    )
