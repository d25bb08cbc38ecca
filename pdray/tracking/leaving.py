"""Copies of a study's files as they may leave the room: running numbers, no group of few people."""

import csv
import io
import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pdray.atomic import replacing, write_text
from pdray.config import value_at
from pdray.tracking.address import ToldSubjects
from pdray.tracking.numbering import (
    SMALL,
    number_recordings,
    private_folder,
    visit_date,
    without_ids,
)
from pdray.tracking.run_log import FINDINGS, NUMBERS, PREDICTIONS, REPORT, StudyLog

KEY = "private/recordings.csv"
_NAMING = ("PDR002", "PDR004")  # checks that name recordings
_BY_VALUE = ("groups", "constant")  # parts of an evaluation whose groups are values of a fact
_OF_CLASS = re.compile(r"\b(\d+)((?:\s+subject)?)s?(?=\s+of\s+class\b)")
_BY_CLASS = re.compile(r"\s+\(class\s+0:\s+\d+(?:,\s+class\s+\d+:\s+\d+)+\)")


def leaving(
    path: Path, study: StudyLog, folder: Path, subjects: ToldSubjects | None = None
) -> Path | None:
    """Return a file as it may leave the room: itself if it names nobody, or else a copy.

    A damaged file of those that name somebody must stay: None.

    Args:
        path: A file of the study.
        study: The study, or a search inside it.
        folder: Folder for a copy, which gets the same name.
        subjects: How predictions name subjects and recordings; None: as the study's settings say.

    Raises:
        StudyError: If the key of the running numbers cannot be read or written.
    """
    write = _COPIES.get(path.name)
    if path.name == PREDICTIONS:
        told = subjects or _setting(study, "tracking.subjects")
        write = {"as_is": None, "none": _nameless}.get(told, write)
    if write is None:
        return path
    copy = folder / path.name
    try:
        write(path, study, copy)
    except (ValueError, TypeError, KeyError):
        return None
    return copy


def small_cells(study: StudyLog) -> int:
    """Return the number of people below which a group of a study is not told."""
    found = _setting(study, "report.small_cells")
    return found if isinstance(found, int) else SMALL


def _setting(study: StudyLog, key: str) -> Any:
    """Return a setting of the whole study; None where its version had none."""
    return value_at(StudyLog(private_folder(study).parent).read()["settings"], key)


def are_told(groups: Sequence[tuple[str, str, int]], least: int) -> list[bool]:
    """Return whether the scores of each group may be told: not of few people, nor of a date.

    Where a value of a fact is of few people, the next smallest value is not told either: the total
    and the others would tell how many the few are.

    Args:
        groups: Part of the evaluation, name, such as "site=Ulm", and subjects of each; all
            subjects, whose name is "", are told in any case.
        least: From :func:`small_cells`.
    """
    facts: dict[str, dict[str, int]] = {}
    for table, group, people in groups:
        if table in _BY_VALUE and "=" in group:
            facts.setdefault(group.partition("=")[0], {})[group] = people
    untold = set()
    for people_of in facts.values():
        few = sum(people < least for people in people_of.values())
        untold |= set(sorted(people_of, key=people_of.__getitem__)[: few + 1] if few else ())
    return [
        not group or (people >= least and group not in untold and visit_date(group) is None)
        for _, group, people in groups
    ]


def without_few(text: str, least: int) -> str:
    """Return sentences without counts of few people of a class.

    Args:
        text: Such as "too few subjects for an interval: 3 of class 1, 5 are needed".
        least: From :func:`small_cells`.
    """

    def is_few(number: str) -> bool:
        return 0 < int(number) < least

    def without(counts: re.Match[str]) -> str:
        found = re.findall(r":\s+(\d+)", counts[0])
        return "" if any(map(is_few, found)) else counts[0]

    def hidden(count: re.Match[str]) -> str:
        if not is_few(count[1]):
            return count[0]
        plural = "s" if count[2] else ""  # also of one, who would be told by the singular
        return f"<{least}{count[2]}{plural}"

    text = _OF_CLASS.sub(hidden, text)
    return _BY_CLASS.sub(without, text)


def told_finding(finding: Mapping[str, Any], study: StudyLog) -> dict[str, Any]:
    """Return what a check found as it may leave the room: running numbers, no count of few people.

    Args:
        finding: Fields of a :class:`~pdray.checks.finding.Finding`.
        study: The study, or a search inside it.
    """
    told, least = dict(finding), small_cells(study)
    found = str(told["found"])
    told["found"] = without_few(numbered(found, study) if names_ids(**told) else found, least)
    numbers: Mapping[str, float] = told.get("numbers", {})
    if any(0 < people < least for name, people in numbers.items() if name.startswith("scored_")):
        # The other classes and the total would tell how many the few are.
        told["numbers"] = {
            name: number for name, number in numbers.items() if not name.startswith("scored_")
        }
    return told


def _predictions(path: Path, study: StudyLog, copy: Path) -> None:
    import pandas as pd

    table = without_ids(pd.read_parquet(path), study)
    # The rows of the manifest's order would tell the order of its ids.
    table = table.sort_values(["recording_id"], kind="stable", ignore_index=True)
    with replacing(copy) as temporary:
        table.to_parquet(temporary, index=False)


def _nameless(path: Path, study: StudyLog, copy: Path) -> None:
    import pandas as pd

    _predictions(path, study, copy)
    table = pd.read_parquet(copy).drop(
        columns=["recording_id", "subject_id", "visit_id"], errors="ignore"
    )
    table = table.sort_values(list(table.columns), ignore_index=True)
    with replacing(copy) as temporary:
        table.to_parquet(temporary, index=False)


def _numbers(path: Path, study: StudyLog, copy: Path) -> None:
    """Leave out the groups of few people, and those that are named by a date."""
    least = small_cells(study)
    rows = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))
    groups = [(row["table"], row["group"], int(row["num_subjects"])) for row in rows]
    told = are_told(groups, least)
    lines = io.StringIO()
    table = csv.DictWriter(lines, list(rows[0]) if rows else [], lineterminator="\n")
    table.writeheader()
    for row, is_told in zip(rows, told, strict=True):
        if is_told:
            table.writerow({name: without_few(cell, least) for name, cell in row.items()})
    write_text(copy, lines.getvalue())


def _findings(path: Path, study: StudyLog, copy: Path) -> None:
    findings = json.loads(path.read_text(encoding="utf-8"))
    told = [told_finding(one, study) for one in findings]
    write_text(copy, json.dumps(told, indent=1) + "\n")


def _report(path: Path, study: StudyLog, copy: Path) -> None:
    def told(block: re.Match[str]) -> str:
        return block[0] if KEY in block[0] else numbered(block[0], study)

    naming = rf"^(?:{'|'.join(_NAMING)}) warning.*?(?=^\S|\Z)"
    text = without_few(path.read_text(encoding="utf-8"), small_cells(study))
    write_text(copy, re.sub(naming, told, text, flags=re.MULTILINE | re.DOTALL))


def names_ids(*, code: str, state: str, advice: str, **others: object) -> bool:
    """Return whether what a check found names recordings by ids, as earlier versions did."""
    return code in _NAMING and state == "warning" and KEY not in advice


def numbered(text: str, study: StudyLog) -> str:
    """Return what a check of an earlier version found, with numbers for the recordings it names.

    Today's checks name recordings by their numbers and say so, with :data:`KEY`.

    Args:
        text: Sentences of a warning of PDR002 or PDR004.
        study: The study, or a search inside it.
    """
    whole = StudyLog(private_folder(study).parent)
    try:
        ids = json.loads((whole.folder / "entries.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        ids = {}
    numbers = {
        " ".join(one.split()): number
        for one, number in number_recordings(whole, dict.fromkeys(ids, "")).items()
    }
    # The longest first, as an id may be the start of another; lines may be broken at spaces.
    known = (
        re.escape(one).replace(r"\ ", r"\s+") for one in sorted(numbers, key=len, reverse=True)
    )
    naming = rf"(?<![\w.-])(?:{'|'.join(known)})(?![\w-])"
    return re.sub(naming, lambda match: numbers[" ".join(match[0].split())], text)


_COPIES: dict[str, Callable[[Path, StudyLog, Path], None]] = {
    PREDICTIONS: _predictions,
    NUMBERS: _numbers,
    FINDINGS: _findings,
    REPORT: _report,
}
