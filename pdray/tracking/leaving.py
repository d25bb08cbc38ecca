"""Copies of a study's files as they may leave the room: running numbers, no group of few people."""

import csv
import io
import json
import re
from collections.abc import Callable
from pathlib import Path

from pdray.atomic import replacing, write_text
from pdray.config import value_at
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


def leaving(path: Path, study: StudyLog, folder: Path) -> Path | None:
    """Return a file as it may leave the room: itself if it names nobody, or else a copy.

    A damaged file of those that name somebody must stay: None.

    Args:
        path: A file of the study.
        study: The study, or a search inside it.
        folder: Folder for a copy, which gets the same name.

    Raises:
        StudyError: If the key of the running numbers cannot be read or written.
    """
    write = _COPIES.get(path.name)
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
    found = value_at(study.read()["settings"], "report.small_cells")
    return found if isinstance(found, int) else SMALL


def is_told(group: str, num_subjects: int, least: int) -> bool:
    """Return whether the scores of a group may be told: not of few people, nor of a date.

    Args:
        group: Such as "site=Ulm"; empty: all, who are told in any case.
        num_subjects: Its subjects.
        least: From :func:`small_cells`.
    """
    return not group or (num_subjects >= least and visit_date(group) is None)


def _predictions(path: Path, study: StudyLog, copy: Path) -> None:
    import pandas as pd

    with replacing(copy) as temporary:
        without_ids(pd.read_parquet(path), study).to_parquet(temporary, index=False)


def _numbers(path: Path, study: StudyLog, copy: Path) -> None:
    """Leave out the groups of few people, and those that are named by a date."""
    least = small_cells(study)
    rows = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))
    lines = io.StringIO()
    table = csv.DictWriter(lines, list(rows[0]) if rows else [], lineterminator="\n")
    table.writeheader()
    for row in rows:
        if is_told(row["group"], int(row["num_subjects"]), least):
            table.writerow(row)
    write_text(copy, lines.getvalue())


def _findings(path: Path, study: StudyLog, copy: Path) -> None:
    findings = json.loads(path.read_text(encoding="utf-8"))
    for one in findings:
        if names_ids(**one):
            one["found"] = numbered(one["found"], study)
    write_text(copy, json.dumps(findings, indent=1) + "\n")


def _report(path: Path, study: StudyLog, copy: Path) -> None:
    def told(block: re.Match[str]) -> str:
        return block[0] if KEY in block[0] else numbered(block[0], study)

    naming = rf"^(?:{'|'.join(_NAMING)}) warning.*?(?=^\S|\Z)"
    text = path.read_text(encoding="utf-8")
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
