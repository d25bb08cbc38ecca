"""Decides which recordings from elsewhere are scored, and why the others are not.

A person of the study is never scored: neither one that a model learnt from, nor one of its test
set, whose score the study has told already.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from pdray.data.cohort.manifest import Manifest, Recording
from pdray.data.cohort.members import check_action_classes
from pdray.data.cohort.spelling import look_alike_form
from pdray.data.modalities import needed_fields
from pdray.errors import StudyError
from pdray.predict.new_recordings import New
from pdray.predict.studied import Studied

SEEN, TESTED, UNREADABLE = "seen in training", "tested in the study", "damaged file"
_LACKS, _NO_GRADE, _OTHER_ITEM = "no ", "no grade", "other item"


def reasons_before(studied: Studied, manifest: Manifest, *, other_people: bool) -> dict[str, str]:
    """Return why recordings are not scored, by id, as far as it is known before they are read.

    Args:
        studied: The study.
        manifest: Of the recordings from elsewhere.
        other_people: Whether an equal subject id is another person.

    Raises:
        StudyError: If it is the study's own manifest, or nobody is left; counts the reasons.
        ManifestError: If an action has a class that the study does not have.
    """
    if manifest.digest == studied.facts["tags"].get("manifest_digest"):
        raise StudyError(
            f"data.manifest: {manifest.path.name} is the manifest of study {studied.name} itself, "
            "so nobody in it is new; leave it out to score the test set of the study"
        )
    rows = manifest.recordings
    wanted = [one for one in rows if one.item in studied.items]
    check_action_classes(wanted, studied.data.grade_cuts)
    known = {} if other_people else _people(studied)
    found = {one.recording_id: why for one in rows if (why := _reason(studied, one, known))}
    refuse_nobody(studied, manifest, found, other_people=other_people)
    return found


def reasons_after(
    studied: Studied, found: Sequence[New], failures: Collection[str]
) -> dict[str, str]:
    """Return why recordings that were wanted are not scored, by id.

    Args:
        studied: The study.
        found: Recordings that could be read.
        failures: Ids of those that could not.
    """
    read = {name for names in (studied.entries or {}).values() for name in names}
    reasons = dict.fromkeys(failures, UNREADABLE)
    for one in found:
        paths: Mapping[str, Path] = one.rated.stored or {}
        if one.subject is not None:
            reasons[one.row.recording_id] = SEEN
        elif read & {path.stem for path in paths.values()}:
            reasons[one.row.recording_id] = TESTED
    return reasons


def refuse_nobody(
    studied: Studied, manifest: Manifest, reasons: Mapping[str, str], *, other_people: bool
) -> None:
    """Refuse a manifest of which no recording can be scored.

    Args:
        studied: The study.
        manifest: Of the recordings from elsewhere.
        reasons: Why recordings are not scored, by id.
        other_people: Whether an equal subject id is another person.

    Raises:
        StudyError: Counts the reasons, and says what to do.
    """
    if len(reasons) < len(manifest.recordings):
        return
    counts = Counter(reasons.values())
    told = ", ".join(f"{number} {reason}" for reason, number in counts.most_common())
    advice = "; ".join(_advice(studied, counts, other_people=other_people))
    raise StudyError(
        f"{manifest.path.name}: none of its {len(reasons)} recordings can be scored by study "
        f"{studied.name}: {told}; {advice}"
    )


def _advice(studied: Studied, reasons: Collection[str], *, other_people: bool) -> Iterator[str]:
    if _OTHER_ITEM in reasons:
        yield f"choose a study of these items: this one learnt {', '.join(studied.items)}"
    for lack in [one for one in reasons if one.startswith(_LACKS)]:
        column, also = lack.removeprefix(_LACKS), ""
        if lack == _NO_GRADE:
            column, also = studied.data.target, ", or grade them with jobs/predict.py"
        yield f"fill in the column {column}{also}"
    if {SEEN, TESTED} & {*reasons}:
        way = "" if other_people else "; if equal ids are other people, write other_people=true"
        yield f"give recordings of people who took no part in the study{way}"
    if not {*reasons} - {"unable to rate", UNREADABLE}:
        yield "give other recordings"


def _people(studied: Studied) -> dict[str, str]:
    """Return why nobody of the study is scored, by the form of ids that look alike."""
    sides = {TESTED: studied.folds.test, SEEN: studied.folds.development}
    return {look_alike_form(name): why for why, names in sides.items() for name in names}


def _reason(studied: Studied, one: Recording, known: Mapping[str, str]) -> str:
    if one.item not in studied.items:
        return _OTHER_ITEM
    if one.is_unable:
        return "unable to rate"
    if one.grade is None:
        return _NO_GRADE
    fields = needed_fields(studied.config.needs)
    lacking = next((field for field in fields if one.given(field) in (None, ())), None)
    return f"{_LACKS}{lacking}" if lacking else known.get(look_alike_form(one.subject_id), "")
