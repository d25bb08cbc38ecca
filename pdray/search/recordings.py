"""Keeps who takes part in a study, and who does not and why, for its report.

``<study>/private/recordings.parquet`` has one row per recording of the manifest. It holds
pseudonyms and what the manifest says of people, so that nobody but its owner may read it.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pdray.data.cohort.manifest import Recording, grade_class
from pdray.data.cohort.members import Cohort
from pdray.data.store.prepare import Prepared
from pdray.tracking.numbering import COHORT, writing_private
from pdray.tracking.run_log import StudyLog

if TYPE_CHECKING:
    import pandas as pd

FACTS = ("recording_id", "subject_id", "visit_id", "item", "side", "grade", "grade_status", "sex",
         "age", "disease_years", "hoehn_yahr", "diagnosis", "medication_state",
         "stimulation_state", "site")  # fmt: skip
"""Columns that are copied from the manifest; ``rater_1`` and so on come on top."""
SCORED, TRAINING, LEFT_OUT = "scored", "training", "left out"
"""Values of ``part``; who is "training" is never scored by the model that is kept."""


def keep_recordings(
    study: StudyLog,
    cohort: Cohort,
    items: Collection[str] | None,
    prepared: Mapping[str, Prepared],
    failures: Mapping[str, str],
) -> None:
    """Write the table of recordings of a study.

    Args:
        study: Its log.
        cohort: Its recordings and folds. Without a test set, everybody is scored.
        items: Items of the study; None: every one.
        prepared: Of the recordings that can be read, by id.
        failures: Why the others take no part, by id, in a few words.
    """
    table = recordings_table(cohort, items, prepared, failures)
    with writing_private(study, COHORT) as temporary:
        table.to_parquet(temporary, index=False)


def recordings_table(
    cohort: Cohort,
    items: Collection[str] | None,
    prepared: Mapping[str, Prepared],
    failures: Mapping[str, str],
) -> "pd.DataFrame":
    """Return one row per recording of the manifest; arguments as of :func:`keep_recordings`.

    Returns:
        The columns of :data:`FACTS`, the raters, ``class`` (0..K-1), ``seconds`` (length [s]),
        ``part`` and ``reason``, why a recording is left out. An absent value is <NA>.
    """
    reasons = dict(_reasons(cohort, items, failures))
    seconds = {name: one.seconds for name, one in prepared.items()}
    rows, test = cohort.manifest.recordings, cohort.folds.test
    learnt = {one.subject_id for one in rows} - test if test else set()
    return parts_table(rows, cohort.grade_cuts, reasons, seconds, learnt)


def parts_table(
    recordings: Sequence[Recording],
    grade_cuts: Sequence[int],
    reasons: Mapping[str, str],
    seconds: Mapping[str, float],
    learnt: Collection[str] = (),
) -> "pd.DataFrame":
    """Return one row per recording, with the columns of :func:`recordings_table`.

    Args:
        recordings: Of a manifest.
        grade_cuts: First grade of each class but the lowest.
        reasons: Why recordings are left out, by id.
        seconds: Lengths [s] of those that can be read, by id.
        learnt: Subjects that are learnt from and never scored.
    """
    import pandas as pd

    rows: list[dict[str, Any]] = []
    for one in recordings:
        row: dict[str, Any] = {name: getattr(one, name) for name in FACTS}
        row |= {f"rater_{n}": grade for n, grade in enumerate(one.raters, start=1)}
        reason = reasons.get(one.recording_id)
        lasts = one.video or one.audio or one.landmarks or one.regions  # numbers have no length
        rows.append(
            row
            | {
                "class": None if reason else grade_class(one.grade or 0, grade_cuts),
                "seconds": seconds.get(one.recording_id) if lasts else None,
                "part": LEFT_OUT if reason else TRAINING if one.subject_id in learnt else SCORED,
                "reason": reason,
            }
        )
    return pd.DataFrame(rows).convert_dtypes()


def _reasons(
    cohort: Cohort, items: Collection[str] | None, failures: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    """Yield the id of each recording that is left out, and why."""
    lacks = {name: need for need, names in cohort.lacking.items() for name in names}
    for one in cohort.manifest.recordings:
        reason = _reason(one, items, lacks, failures)
        if reason:
            yield one.recording_id, reason


def _reason(
    one: Recording,
    items: Collection[str] | None,
    lacks: Mapping[str, str],
    failures: Mapping[str, str],
) -> str:
    if items is not None and one.item not in items:
        return "other item"
    if one.is_unable:
        return "unable to rate"
    if one.recording_id in lacks:
        return f"no {lacks[one.recording_id]}"
    return failures.get(one.recording_id, "")
