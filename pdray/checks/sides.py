"""PDR001: a person or a file on both sides of a split, and what the settings allow by name."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from pdray.checks.case import Case, Split
from pdray.checks.finding import Finding, State
from pdray.config import build
from pdray.data.cohort.manifest import Recording
from pdray.data.cohort.members import num_unnamed
from pdray.data.cohort.rows import FILES
from pdray.data.cohort.settings import DataConfig
from pdray.data.cohort.spelling import look_alike_form


def run(case: Case) -> Finding:
    """Compare people, their ids and their files on both sides of every split."""
    data = build(DataConfig, case.config["data"])
    unnamed = num_unnamed(case.cohort.recordings, data)
    found = [fault for split in case.splits for fault in _faults(case, split)]
    if unnamed and case.config["folds"]["of_recordings"]:
        found.append(
            f"{unnamed} recordings name no subject and were split at random, so a person may be "
            "on both sides"
        )
    state: State = "warning" if found else "passed"
    if unnamed and not found:
        state = "unknown"
        found.append(
            f"{unnamed} recordings name no subject; whether the manifest's own split keeps each "
            "person on one side cannot be seen"
        )
    if not found:
        found.append("each person and each file is on one side")
    return Finding(
        state=state,
        looked_at="subject ids, people who share a file, files by path, and content of the frame "
        f"store, on both sides of each split ({len(case.splits)})",
        found="; ".join([*found, *_allowed(case, data)]),
        sure="as sure as the ids are: one person under two ids is not seen here",
        advice="write one subject_id for each person; without ids, use the split of the data set's "
        "owner or do not report the score",
        numbers={"unnamed": unnamed},
    )


def _faults(case: Case, split: Split) -> Iterator[str]:
    """Yield what is on both sides of a split."""
    rows = {one.recording_id: one for one in case.cohort.recordings}
    places = (split.training, split.held)
    rated = [[case.recordings[i] for i in side] for side in places]
    manifest = [[rows[one.recording_id] for one in side] for side in rated]
    subjects = [{one.subject_id for one in side} for side in rated]
    counts = {
        "subjects are": len(subjects[0] & subjects[1]),
        "groups of people who share a file are": len(
            {one.people for one in rated[0]}
            & {one.people for one in rated[1]} - (subjects[0] & subjects[1])
        ),
        "files are": _num_shared(manifest, _files),
        "recordings with the same content are": _num_shared(
            rated, lambda one: {path.stem for path in (one.stored or {}).values()}
        ),
        "ids of which one is a bare number, such as 1 and P1, are": len(
            _bare(subjects[0]) & _lettered(subjects[1])
            | _lettered(subjects[0]) & _bare(subjects[1])
        ),
    }
    yield from (f"{split.name}: {count} {what} on both sides" for what, count in counts.items()
                if count)  # fmt: skip


def _num_shared(sides: Sequence[Sequence[Any]], of: Callable[[Any], Iterable[object]]) -> int:
    learnt, held = ({key for one in side for key in of(one)} for side in sides)
    return len(learnt & held)


def _files(recording: Recording) -> set[object]:
    return {getattr(recording, name) for name in FILES} - {None}


def _bare(subjects: Iterable[str]) -> set[str]:
    return {form for form in map(look_alike_form, subjects) if form.isdigit()}


def _lettered(subjects: Iterable[str]) -> set[str]:
    forms = (re.fullmatch(r"[^\W\d_]+(\d+)", look_alike_form(name)) for name in subjects)
    return {match[1] for match in forms if match}


def _allowed(case: Case, data: DataConfig) -> Iterator[str]:
    """Yield what would have been refused if the settings did not allow it by name."""
    if data.shared_files:
        yield (
            f"data.shared_files allows {len(data.shared_files)} files with parts of several "
            "people, who are kept on one side"
        )
    if data.different_subjects:
        apart = sum(
            any(_are_apart(case, split, set(group)) for split in case.splits)
            for group in data.different_subjects
        )
        yield (
            f"data.different_subjects says that {len(data.different_subjects)} groups of ids that "
            f"look alike are different people; {apart} of them lie on both sides"
        )


def _are_apart(case: Case, split: Split, names: set[str]) -> bool:
    return all(
        names & {case.recordings[i].subject_id for i in side}
        for side in (split.training, split.held)
    )
