"""The report of an external validation, from the study and the graded recordings."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd

from pdray.config import dump
from pdray.evaluation.predictions import by_recording
from pdray.external.checks import run_external_checks
from pdray.external.validated import Validated
from pdray.report import external_words
from pdray.report.card.filled import people_of
from pdray.report.case import External, Reported, baselines, read_case, told_numbers
from pdray.report.methods import headline
from pdray.report.results import results_of
from pdray.tracking.numbering import without_ids
from pdray.tracking.provenance import source_identity, versions
from pdray.tracking.run_log import StudyLog

_GUESS = "guessing by the class frequencies of the study"


def external_case(
    found: Validated, numbers: pd.DataFrame, where: tuple[StudyLog, Path], before: int
) -> Reported:
    """Return an external validation as its report tells it.

    Args:
        found: The graded recordings.
        numbers: All numbers of the evaluation.
        where: The folder of the validation, whose private part has the key of running numbers and
            the table of recordings; and the output folder, whose list of scorings is checked.
        before: Scorings of some of these people by this study before.
    """
    (log, output), studied = where, found.studied
    study = read_case(studied.study)
    units, least = by_recording(found.table), study.small_cells
    return replace(
        study,
        settings={**study.settings, "evaluation": dump(found.how.evaluation),
                  "decision": dump(found.how.decision)},
        tags=_tags(found, study),
        protocol="external",
        is_synthetic=studied.is_synthetic or any(one.row.is_synthetic for one in found.scored),
        numbers=told_numbers(numbers, least),
        units=without_ids(units, log),
        cohort=without_ids(found.parts(), log),
        epochs=(),
        importance={},
        findings=run_external_checks(found, log, output),
        chance={},
        seconds={},
        baselines=_baselines(found, units, study.metric),
        external=_external(found, study, before),
    )  # fmt: skip


def told_notes(found: Validated, case: Reported) -> Iterator[str]:
    """Yield the sentences that the printed report has beside its numbers; counts are exact."""
    results, rows = results_of(case), found.manifest.recordings
    reasons = Counter(found.reasons.values()).most_common()
    gone = ", ".join(f"{number} {reason}" for reason, number in reasons) or "none"
    listed = len({one.subject_id for one in rows})
    scored = len({one.row.subject_id for one in found.scored})
    yield (
        f"{len(rows)} recordings of {listed} people are listed; {len(found.scored)} recordings of "
        f"{scored} people are scored; recordings left out: {gone}"
    )
    yield from external_words.apart_words(results)
    yield from external_words.before_words(results)
    yield from external_words.development_words(results)
    if len(found.models) > 1:
        yield (
            "thresholds and calibration of the decisions are chosen on predictions of single "
            "models of the study, and applied to the mean of the models"
        )
    for name, value in case.baselines.items():
        yield f"baseline ({name}): {case.metric} {value:.3f}"


def _tags(found: Validated, study: Reported) -> dict[str, str]:
    rows = found.manifest.recordings
    return {
        **study.tags,
        **{f"version.{name}": text for name, text in versions().items()},
        "source": source_identity(),
        "manifest_digest": found.manifest.digest,
        "recordings": str(len(rows)),
        "subjects": str(len({one.subject_id for one in rows})),
    }


def _baselines(found: Validated, units: pd.DataFrame, metric: str) -> dict[str, float]:
    """Return the scores of guesses by what the study knows: its classes, and sites that recur."""
    usual, *by_site = baselines(units, found.studied.inner, metric).values()
    guesses = {_GUESS: usual}
    known = found.studied.inner.get("site", pd.Series(dtype=object))
    if by_site and set(units["site"]) & set(known.dropna()):
        guesses["guessing by site"] = by_site[0]
    return guesses


def _external(found: Validated, study: Reported, before: int) -> External:
    learnt = frozenset().union(*(one.learnt for one in found.models))
    inner = found.studied.inner
    people, least = len(learnt), study.small_cells
    few = people < least
    return External(
        models=found.graded_by,
        people=f"<{least}" if few else str(people),
        recordings="hidden" if few else str(int(inner["subject_id"].isin(learnt).sum())),
        score={str(name): value for name, value in (headline(study) or {}).items()},
        described=people_of(study),
        other_people=found.other_people,
        calibration=found.how.decision.calibration,
        unlike=_unlike(found, least),
        before=before,
    )


def _unlike(found: Validated, least: int) -> str:
    """Count people by what is strange of their recordings."""
    subjects = {one.row.recording_id: one.row.subject_id for one in found.scored}
    people: dict[str, set[str]] = defaultdict(set)
    for row in found.graded.rows:
        name = str(row["recording_id"])
        for note in filter(None, str(row["note"]).split("; ") if name in subjects else []):
            people[note.partition(":")[0]].add(subjects[name])
    return ", ".join(
        f"{what} ({f'<{least}' if len(some) < least else len(some)} people)"
        for what, some in people.items()
    )
