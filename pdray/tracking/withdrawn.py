"""Marks of studies that somebody took part in who has withdrawn consent since.

``<study>/withdrawn.json`` has one entry per such subject. Its key is the digest of the subject's id
by which the list of scorings knows it, so that the mark names nobody. ``jobs/withdraw.py`` writes
the marks; whoever uses a model or continues a study reads them.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from pdray.atomic import write_text
from pdray.errors import StudyError
from pdray.tracking.run_log import StudyLog, study_around

WITHDRAWN = "withdrawn.json"
LEARNT = "learnt from a withdrawn subject"
_MEMORY = "mirror.json"


class Mark(NamedTuple):
    """Mark of one withdrawn subject: the models that learnt from them.

    Attributes:
        date: When the subject was withdrawn, such as "2026-11-30".
        learnt: Models that learnt from the subject: ``refit``, ``fold:0``, ...; ``trials`` of a
            comparison, ``networks`` of visits.
        start: Name of the study whose model these started from, where that one learnt from the
            subject; empty if the subject took part here.
        again: Command that trains again without the subject; empty if there is none.
        sent: Whether MLflow's runs have the mark too.
    """

    date: str
    learnt: tuple[str, ...]
    start: str = ""
    again: str = ""
    sent: bool = False


def read_marks(folder: Path) -> dict[str, Mark]:
    """Return the marks of a folder, by the digest of a subject's id; empty if it has none.

    Raises:
        StudyError: If the marks cannot be read.
    """
    path = folder / WITHDRAWN
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError) as error:
        raise StudyError(f"{path}: cannot be read: {error}; restore it") from error
    try:
        plain = {key: Mark(**mark) for key, mark in json.loads(text).items()}
        return {key: mark._replace(learnt=tuple(mark.learnt)) for key, mark in plain.items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise StudyError(
            f"{path}: is damaged: {error}; restore it, or delete it and run jobs/withdraw.py again"
        ) from error


def write_mark(folder: Path, key: str, mark: Mark) -> None:
    """Write the mark of one subject into a folder; marks of others stay."""
    plain = {one: found._asdict() for one, found in {**read_marks(folder), key: mark}.items()}
    write_text(folder / WITHDRAWN, json.dumps(plain, indent=1, sort_keys=True) + "\n")


def sent_runs(study: StudyLog) -> dict[str, dict[str, str]]:
    """Return the ids of MLflow's runs by tracking URI and by trial, as the study notes them.

    A database in a file that is not there any more has none.
    """
    try:
        memory = json.loads((study.folder / _MEMORY).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    found: dict[str, dict[str, str]] = {}
    for place, runs in memory.items():
        uri = _uri_of(str(place))
        if uri is None:
            continue
        ids = {key: str(run["run_id"]) for key, run in runs.items() if run.get("run_id")}
        found.setdefault(uri, {}).update(ids)
    return found


def _uri_of(place: str) -> str | None:
    """Return the URI of "URI experiment", which may hold spaces; None of a file that is gone."""
    if not place.startswith("sqlite:"):
        return place.partition(" ")[0]
    words = place.split(" ")
    uris = (" ".join(words[:number]) for number in range(len(words) - 1, 0, -1))
    return next((uri for uri in uris if Path(uri.removeprefix("sqlite:///")).is_file()), None)


def refuse_learnt(study: StudyLog, models: Iterable[str], others: Iterable[str] = ()) -> None:
    """Refuse models that learnt from a withdrawn subject.

    Args:
        study: Their study.
        models: Such as ``refit`` or ``fold:0``.
        others: All models that could be chosen in their place.

    Raises:
        StudyError: Names the models, and those that may be used.
    """
    marks = read_marks(study.folder)
    learnt = {model for mark in marks.values() for model in mark.learnt}
    refused = [model for model in models if model in learnt]
    if not refused:
        return
    free = [model for model in others if model not in learnt]
    way = f"use model={free[0]}, which did not learn from them, or " if free else ""
    raise StudyError(
        f"study {study.name}: {', '.join(refused)} {LEARNT} ({_dates(marks)}) and may not be used; "
        f"{way}train again without them{_again(marks)}"
    )


def refuse_withdrawn(study: StudyLog, doing: str) -> None:
    """Refuse to go on with a study that a withdrawn subject took part in.

    Args:
        study: The study.
        doing: What is refused, such as "cannot be continued".

    Raises:
        StudyError: Says since when, and what to do.
    """
    if marks := read_marks(study.folder):
        raise StudyError(
            f"study {study.name} {doing}: {_told(marks)}; its old scores are in "
            f"{study.folder / 'report.txt'}. Train again without them{_again(marks)}"
        )


def refuse_start(file: Path) -> None:
    """Refuse weights of a model that learnt from a withdrawn subject.

    Raises:
        StudyError: Names the file.
    """
    study = study_around(file)
    if study is None:
        return
    folder = file.absolute().parent
    refuse_learnt(study, [f"fold:{folder.name}" if folder.parent.name == "folds" else "refit"])


def withdrawn_notes(study: StudyLog) -> tuple[str, ...]:
    """Return what a reader of a study's scores must know; empty if nobody has withdrawn."""
    marks = read_marks(study.folder)
    if not marks:
        return ()
    return (
        f"study {study.name}: {_told(marks)}; rows of theirs are deleted, so that scores differ "
        "from those of its report.txt",
    )


def _told(marks: dict[str, Mark]) -> str:
    learnt = list(dict.fromkeys(model for mark in marks.values() for model in mark.learnt))
    what = f"; {', '.join(learnt)} {LEARNT}" if learnt else ", whom no model of it learnt from"
    people = "a subject has" if len(marks) == 1 else f"{len(marks)} subjects have"
    return f"{people} withdrawn ({_dates(marks)}){what}"


def _dates(marks: dict[str, Mark]) -> str:
    return ", ".join(sorted({mark.date for mark in marks.values()}))


def _again(marks: dict[str, Mark]) -> str:
    found = [mark.again for mark in marks.values() if mark.again]
    return f": {found[-1]}" if found else ""
