"""PDR001: a person or a file on both sides of a split, and what the settings allow by name."""

import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from pdray.checks.case import Case, Split
from pdray.checks.finding import Finding, State, counted
from pdray.checks.made import made_faults, made_words
from pdray.config import build
from pdray.data.cohort.members import num_unnamed
from pdray.data.cohort.settings import DataConfig
from pdray.data.cohort.spelling import look_alike_form
from pdray.data.modalities import is_table

_NOUNS = {
    "subject": ("subject", ""),
    "group": ("group of people who share a file", "groups of people who share a file"),
    "file": ("file", ""),
    "entry": ("entry of the frame store", "entries of the frame store"),
    "number": (
        "number as an id with and without letters (1, P1)",
        "numbers as ids with and without letters (1, P1)",
    ),
}


def run(case: Case) -> Finding:
    """Compare people, their ids and their files on both sides of every split."""
    data = build(DataConfig, case.config["data"])
    unnamed = num_unnamed(case.cohort.recordings, data)
    index = _Index(case)
    found = [fault for split in case.splits for fault in index.faults(split)]
    found += made_faults(case)
    folds = case.config["folds"]
    if unnamed and (folds["of_recordings"] or folds.get("alike")):
        how = "those with alike features kept together" if folds.get("alike") else "split at random"
        found.append(
            f"{counted(unnamed, 'recording')} without a subject, {how}: a person may be on both "
            "sides"
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
    found += made_words(case)
    return Finding(
        state=state,
        looked_at="subject ids, people who share a file, files by path, and content of the frame "
        f"store, on both sides of each split ({len(case.splits)}); made recordings, by the "
        "content of files that provenance files list",
        found="; ".join([*found, *_allowed(case, data)]),
        sure="as sure as the ids are: one person under two ids is not seen here, nor a made file "
        "that was encoded anew",
        advice="write one subject_id for each person; without ids, use the split of the data set's "
        "owner or do not report the score",
        numbers={"unnamed": unnamed, "made": len(case.made)},
    )


class _Index:
    """Positions of the recordings of each person, file and so on, found once for all splits."""

    def __init__(self, case: Case) -> None:
        rows = {one.recording_id: one for one in case.cohort.recordings}
        ids = {name: _number(name) for name in {one.subject_id for one in case.recordings}}
        self._keys: list[dict[str, set[Any]]] = [
            {
                "subject": {one.subject_id},
                "group": {one.people},
                "file": {
                    file
                    for column, file in rows[one.recording_id].files.items()
                    if not is_table(column)
                },
                "entry": {path.stem for path in (one.stored or {}).values()},
                "number": ids[one.subject_id],
            }
            for one in case.recordings
        ]
        self._places: defaultdict[tuple[str, object], set[int]] = defaultdict(set)
        for place, kinds in enumerate(self._keys):
            for kind, keys in kinds.items():
                for key in keys:
                    self._places[kind, key].add(place)

    def faults(self, split: Split) -> Iterator[str]:
        """Yield what is on both sides of a split."""
        learnt = set(split.training)
        both: dict[str, set[object]] = {}
        for kind in _NOUNS:
            held = set[object]().union(*(self._keys[place][kind] for place in split.held))
            both[kind] = {
                key for key in held if self._places.get((kind, _other(key)), set()) & learnt
            }
        both["group"] -= both["subject"]
        told = [counted(len(both[kind]), *nouns) for kind, nouns in _NOUNS.items() if both[kind]]
        if told:
            yield f"{split.name}: on both sides: {', '.join(told)}"


def _number(subject: str) -> set[object]:
    """Return the number of an id, and whether it is bare; nothing of an id that is no number."""
    match = re.fullmatch(r"([^\W\d_]*)(\d+)", look_alike_form(subject))
    return {(match[2], not match[1])} if match else set()


def _other(key: object) -> object:
    """Return the key to look for on the other side: of a bare number, that with letters."""
    return (key[0], not key[1]) if isinstance(key, tuple) else key


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
