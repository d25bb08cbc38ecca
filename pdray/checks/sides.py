"""PDR001: a person or a file on both sides of a split, and what the settings allow by name."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from pdray.checks.case import Case, Split
from pdray.checks.finding import Finding, State, counted
from pdray.config import build
from pdray.data.cohort.manifest import Recording
from pdray.data.cohort.members import num_unnamed
from pdray.data.cohort.rated import RatedRecording
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
            f"{counted(unnamed, 'recording')} without a subject, split at random: a person may be "
            "on both sides"
        )
    state: State = "warning" if found else "passed"
    if unnamed and not found:
        state = "unknown"
        found.append(
            f"{counted(unnamed, 'recording')} without a subject: whether the manifest's own split "
            "keeps each person on one side cannot be seen"
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
    people = [{one.people for one in side} for side in rated]
    both = subjects[0] & subjects[1]
    counts = {
        ("subject", ""): len(both),
        ("group of people who share a file", "groups of people who share a file"): len(
            (people[0] & people[1]) - both
        ),
        ("file", ""): _num_shared(manifest, _files),
        ("entry of the frame store", "entries of the frame store"): _num_shared(rated, _stems),
        ("number as an id with and without letters (1, P1)",
         "numbers as ids with and without letters (1, P1)"): _num_alike(*subjects),
    }  # fmt: skip
    told = [counted(number, *nouns) for nouns, number in counts.items() if number]
    if told:
        yield f"{split.name}: on both sides: {', '.join(told)}"


def _num_shared(sides: Sequence[Sequence[Any]], of: Callable[[Any], Iterable[object]]) -> int:
    learnt, held = ({key for one in side for key in of(one)} for side in sides)
    return len(learnt & held)


def _files(recording: Recording) -> set[object]:
    return {getattr(recording, name) for name in FILES} - {None}


def _stems(one: RatedRecording) -> set[str]:
    """Return the names of store entries, which are digests of their content."""
    return {path.stem for path in (one.stored or {}).values()}


def _num_alike(learnt: Iterable[str], held: Iterable[str]) -> int:
    return len(_bare(learnt) & _lettered(held) | _lettered(learnt) & _bare(held))


def _bare(subjects: Iterable[str]) -> set[str]:
    return {form for form in map(look_alike_form, subjects) if form.isdigit()}


def _lettered(subjects: Iterable[str]) -> set[str]:
    forms = (re.fullmatch(r"[^\W\d_]+(\d+)", look_alike_form(name)) for name in subjects)
    return {match[1] for match in forms if match}


def _allowed(case: Case, data: DataConfig) -> Iterator[str]:
    """Yield what would have been refused if the settings did not allow it by name."""
    if data.shared_files:
        yield (
            f"data.shared_files allows {counted(len(data.shared_files), 'file')} with parts of "
            "several people, who are kept on one side"
        )
    if data.different_subjects:
        apart = sum(
            any(_are_apart(case, split, set(group)) for split in case.splits)
            for group in data.different_subjects
        )
        yield (
            "data.different_subjects says of "
            f"{counted(len(data.different_subjects), 'group')} of ids that look alike that they "
            f"are different people; on both sides: {apart}"
        )


def _are_apart(case: Case, split: Split, names: set[str]) -> bool:
    return all(
        names & {case.recordings[i].subject_id for i in side}
        for side in (split.training, split.held)
    )
