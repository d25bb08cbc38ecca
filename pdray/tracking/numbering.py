"""Running numbers that stand for subjects and recordings in all that is made to leave the room.

    <study>/private/subjects.csv      number,subject_id: who is P01
    <study>/private/recordings.csv    number,recording_id: what is R001

Predictions tables on disk keep the pseudonyms as they are in the manifest. Reports, exports and
MLflow get these numbers. Their order is drawn at random once, so it says nothing about a person;
who has no number yet gets the next ones. The folder and its files are for their owner only, and
nothing sends them anywhere. Searches in outer folds use the numbers of the whole study.
"""

import csv
import io
import random
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from pdray.atomic import held, replacing_private
from pdray.errors import StudyError
from pdray.tracking.run_log import OUTER, PERMUTED, StudyLog

if TYPE_CHECKING:
    import pandas as pd

PRIVATE = "private"
COHORT = "recordings.parquet"
OLDEST = 90
"""Ages from here on are one group [years]."""
SMALL = 5
"""Values that fewer subjects share are not told."""
RARE = "rare"
"""Stands for a value that fewer than ``SMALL`` subjects share."""

_KEYS = {"subject_id": ("subjects.csv", "P", 2), "recording_id": ("recordings.csv", "R", 3)}
_DATES = (
    re.compile(r"(?<!\d)(?P<y>(?:19|20)\d\d)(?P<m>[01]\d)(?P<d>[0-3]\d)(?!\d)"),
    re.compile(r"(?<!\d)(?P<y>(?:19|20)\d\d)([-_./])(?P<m>[01]?\d)\2(?P<d>[0-3]?\d)(?!\d)"),
    re.compile(r"(?<!\d)(?P<d>[0-3]?\d)([-_./])(?P<m>[01]?\d)\2(?P<y>(?:19|20)\d\d)(?!\d)"),
)
_SHARED = ("site", "sex", "diagnosis", "recording_protocol")
_WAIT_SECONDS = 30.0


def private_folder(study: StudyLog) -> Path:
    """Return the folder of what must not leave the room; it may not exist yet."""
    folder = study.folder.absolute()
    while folder.parent.name in (OUTER, PERMUTED):
        folder = folder.parents[1]
    return folder / PRIVATE


@contextmanager
def writing_private(study: StudyLog, name: str) -> Iterator[Path]:
    """Yield a temporary path for a file of the private folder; on success, put it in its place.

    Folder and file are for their owner only, whatever the umask.

    Args:
        study: The study, or a search inside it.
        name: Name of the file.
    """
    with replacing_private(_made(private_folder(study)) / name) as temporary:
        yield temporary


def _made(folder: Path) -> Path:
    folder.mkdir(mode=0o700, exist_ok=True)
    with suppress(PermissionError):
        folder.chmod(0o700)
    return folder


def number_subjects(study: StudyLog, subject_ids: Iterable[str]) -> dict[str, str]:
    """Return the running number of each subject, such as ``{"S03": "P07"}``.

    Args:
        study: The study, or a search inside it.
        subject_ids: Pseudonyms as in the manifest; who has no number gets one.

    Returns:
        The numbers of all subjects of the study that have one.

    Raises:
        StudyError: If the key cannot be read or written.
    """
    return _number(study, "subject_id", subject_ids)


def number_recordings(study: StudyLog, subject_of: Mapping[str, str]) -> dict[str, str]:
    """Return the running number of each recording, as :func:`number_subjects` of subjects.

    Args:
        study: The study, or a search inside it.
        subject_of: Subject by recording. A recording of nobody known is its own subject, and has
            that subject's number.
    """
    alone = [one for one, subject in subject_of.items() if one == subject]
    numbers = _number(study, "recording_id", subject_of.keys() - set(alone))
    if not alone:
        return numbers
    subjects = number_subjects(study, alone)
    return {**numbers, **{one: subjects[one] for one in alone}}


def without_ids(table: "pd.DataFrame", study: StudyLog) -> "pd.DataFrame":
    """Return a table of recordings as it may leave the room.

    Subjects and recordings get their running numbers. Visits that are named by a date become days
    since the first visit of the subject; visits that fewer than ``SMALL`` subjects have are
    counted instead. Ages above 89 become 90, and facts that fewer than ``SMALL`` subjects share
    become :data:`RARE`. Subjects are counted, and first visits found, over the cohort that the
    study keeps in its private folder, or else over the table.

    Args:
        table: Any table with ``subject_id`` and ``recording_id``; other columns stay.
        study: The study, or a search inside it.

    Raises:
        StudyError: If the key cannot be read or written.
    """
    if table.empty:
        return table.copy()
    found, cohort = table.copy(), _cohort(table, study)
    if "visit_id" in table:
        shown = _visits(cohort)
        visits = zip(table["subject_id"], table["visit_id"], strict=True)
        texts = [shown.get(visit) for visit in visits]
        found["visit_id"] = table["visit_id"].where(table["visit_id"].isna(), texts)
    for name in set(_SHARED) & set(table):
        people = cohort.groupby(name)["subject_id"].nunique()
        rare = table[name].map(people) < SMALL
        found[name] = table[name].mask(rare, RARE)
    if "age" in table:
        found["age"] = table["age"].clip(upper=OLDEST)
    subjects = number_subjects(study, table["subject_id"].unique())
    subject_of = zip(table["recording_id"], table["subject_id"], strict=True)
    recordings = number_recordings(study, dict(subject_of))
    found["subject_id"] = table["subject_id"].map(subjects)
    found["recording_id"] = table["recording_id"].map(recordings)
    return found


def visit_date(visit: str) -> date | None:
    """Return the date in a visit's name; None if there is none."""
    for pattern in _DATES:
        if match := pattern.search(visit):
            with suppress(ValueError):  # there is no such day
                return date(*(int(match[part]) for part in "ymd"))
    return None


def _cohort(table: "pd.DataFrame", study: StudyLog) -> "pd.DataFrame":
    """Return the recordings over which subjects are counted."""
    import pandas as pd

    path = private_folder(study) / COHORT
    if not path.is_file():
        return table
    kept = _kept_cohort(path, path.stat().st_mtime_ns)
    names = [name for name in kept.columns if name in table]
    return pd.concat([kept[names], table[names]], ignore_index=True)


@lru_cache(maxsize=2)
def _kept_cohort(path: Path, changed: int) -> "pd.DataFrame":
    """Return the recordings that a study keeps; read once, not once per trial."""
    import pandas as pd

    return pd.read_parquet(path)


def _visits(cohort: "pd.DataFrame") -> dict[tuple[str, str], str]:
    """Return how each visit of each subject is told."""
    named = cohort[["subject_id", "visit_id"]].dropna().drop_duplicates()
    shared = named["visit_id"].value_counts()
    told: dict[tuple[str, str], str] = {}
    for subject, group in named.groupby("subject_id")["visit_id"]:
        visits = [str(visit) for visit in group]
        dates = {visit: on for visit in visits if (on := visit_date(visit)) is not None}
        for visit, on in dates.items():
            told[str(subject), visit] = f"day {(on - min(dates.values())).days}"
        others = sorted(set(visits) - dates.keys(), key=_natural)
        for place, visit in enumerate(others, start=1):
            told[str(subject), visit] = visit if shared[visit] >= SMALL else f"visit {place}"
    return told


def _natural(text: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", text)]


def _number(study: StudyLog, column: str, ids: Iterable[str]) -> dict[str, str]:
    name, letter, least = _KEYS[column]
    path, wanted = private_folder(study) / name, set(ids)
    known = _read(path, column)
    if wanted <= known.keys():
        return known
    try:
        with _locked(_made(path.parent) / f"{name}.lock"):
            known = _read(path, column)  # another process may have added some
            new = sorted(wanted - known.keys())
            random.SystemRandom().shuffle(new)
            width = max(least, len(str(len(known) + len(new))))
            for number, one in enumerate(new, start=len(known) + 1):
                known[one] = f"{letter}{number:0{width}d}"
            with writing_private(study, name) as temporary:
                temporary.write_text(_text(column, known), encoding="utf-8")
    except OSError as error:
        raise StudyError(
            f"{path}: the key of the running numbers cannot be written: "
            f"{error.strerror or error}; copy the study to a folder that you may write into"
        ) from error
    return known


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    until = time.monotonic() + _WAIT_SECONDS
    while True:
        try:
            with held(path):
                yield
            return
        except BlockingIOError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)


def _text(column: str, numbers: Mapping[str, str]) -> str:
    lines = io.StringIO()
    rows = csv.writer(lines, lineterminator="\n")
    rows.writerow(("number", column))
    rows.writerows((number, one) for one, number in numbers.items())
    return lines.getvalue()


def _read(path: Path, column: str) -> dict[str, str]:
    """Return the numbers of a key, by id; none if there is no key yet."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.reader(file))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise StudyError(
            f"{path}: the key of the running numbers cannot be read: {error}"
        ) from error
    numbers = {row[1]: row[0] for row in rows[1:] if len(row) == 2}
    is_whole = rows[:1] == [["number", column]] and len(numbers) == len(rows) - 1
    if not is_whole or len(set(numbers.values())) < len(numbers):
        raise StudyError(
            f"{path}: the key of the running numbers is damaged; restore it from a copy, or delete "
            "it: new numbers are drawn then, which differ from those that were sent before"
        )
    return numbers
