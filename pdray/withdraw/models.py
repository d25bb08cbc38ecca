"""Finds the models that learnt from a person, by folds and start weights, and their exports."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from pdray.atomic import file_digest
from pdray.errors import StudyError
from pdray.tracking.run_log import EXPORTS, StudyLog, TrialLog
from pdray.tracking.withdrawn import read_marks
from pdray.withdraw.person import Person, whole_of

ENSEMBLE = "ensemble"
WHO = "learnt.json"
"""Beside weights of a model that makes pictures: subjects and contents that it learnt from."""


@dataclass(frozen=True)
class Touched:
    """A study, or a search inside one, that a person took part in, or whose start weights learnt.

    Attributes:
        log: Its log.
        learnt: Models that learnt from the person.
        start: Name of the study whose model it started from; empty if the person took part.
    """

    log: StudyLog
    learnt: tuple[str, ...]
    start: str = ""

    @cached_property
    def weights(self) -> list[Path]:
        """Files of weights that learnt from the person."""
        found = sorted(self.log.folder.glob("networks/*/*.pt"))
        for name in self.learnt:
            log = _log_of(self.log, name)
            found += [log.model_path] if log is not None and log.model_path.is_file() else []
        return found

    @cached_property
    def digests(self) -> dict[str, Path]:
        """These files by the SHA-256 of their content, and by their paths."""
        return {key: path for path in self.weights for key in (str(path), file_digest(path))}


@dataclass(frozen=True)
class Export:
    """A model that was exported from a study, as the study's ``exports.jsonl`` notes it.

    Attributes:
        study: The study.
        folder: Where it was written.
        model: ``ensemble``, ``refit`` or ``fold:K``.
        time: When.
    """

    study: StudyLog
    folder: Path
    model: str
    time: str


def find_touched(logs: Sequence[StudyLog], person: Person) -> list[Touched]:
    """Return the studies and searches of a person, then those that started from their models.

    Raises:
        StudyError: If folds or a mark cannot be read.
    """
    found = {one.log.folder: one for log in logs if (one := _took_part(log, person)) is not None}
    found |= {
        log.folder: Touched(log, names)
        for log in logs
        if log.folder not in found and (names := _said(log, person))
    }
    while more := [
        one for log in logs if log.folder not in found and (one := _started(log, found))
    ]:
        found |= {one.log.folder: one for one in more}
    return list(found.values())


def find_exports(touched: Sequence[Touched]) -> list[Export]:
    """Return the exports of models that learnt from the person."""
    return [
        export
        for one in touched
        for export in _exports(one.log)
        if export.model in one.learnt
        or (export.model == ENSEMBLE and any(name.startswith("fold:") for name in one.learnt))
    ]


def _took_part(log: StudyLog, person: Person) -> Touched | None:
    mark = read_marks(log.folder).get(person.key)
    if mark is not None:  # an interrupted deletion may have removed what told it
        return Touched(log, mark.learnt, mark.start)
    sides = sides_of(log)
    homes = [place for place, side in enumerate(sides) if {person.subject, person.stand_in} & side]
    if not homes:
        return None
    return Touched(log, () if homes == [0] else _learnt(log, person, homes[0] - 1))


def _said(log: StudyLog, person: Person) -> tuple[str, ...]:
    """Return the models that make pictures and say beside their weights that they learnt from whom.

    They may have learnt from somebody by their guide, who took no part in the study itself.
    """
    folds = sorted((log.folder / "winner" / "folds").glob(f"*/{WHO}"))
    found = {f"fold:{path.parent.name}": path for path in folds}
    return tuple(
        name
        for name, path in {"refit": log.winner.folder / WHO, **found}.items()
        if _names(path, person)
    )


def _names(path: Path, person: Person) -> bool:
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
        subjects, contents = set(plain["subjects"]), set(plain["contents"])
    except FileNotFoundError:
        return False
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StudyError(f"{path}: cannot be read: {error}; restore it") from error
    return person.subject in subjects or not person.contents.isdisjoint(contents)


def sides_of(log: StudyLog) -> list[set[str]]:
    """Return the test set and the folds of a study; nothing if it has none yet."""
    try:
        plain = json.loads(log.folds_path.read_text(encoding="utf-8"))
        return [set(side) for side in (plain["test"], *plain["folds"])]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StudyError(f"{log.folds_path}: cannot be read: {error}; restore it") from error


def _learnt(log: StudyLog, person: Person, fold: int) -> tuple[str, ...]:
    """Return the models of a study that learnt from a development subject.

    Args:
        log: The study.
        person: The subject.
        fold: The fold that it stands in; the winning trial may have been split otherwise.
    """
    if log.folder.parent.name == "assembling":
        return ("networks",)
    if not log.winner.exists():  # a comparison, or a study that has not ended
        return ("trials",)
    held = _held_out(log, person.subject) or {fold}
    return ("refit", *(f"fold:{k}" for k in range(_num_folds(log)) if k not in held))


def _held_out(log: StudyLog, subject: str) -> set[int]:
    """Return the folds of the winning trial that held a subject out, as far as it is known."""
    table = log.trial(int(log.winner.read()["number"])).predictions_path
    if not table.is_file():
        return set()
    import pyarrow.parquet as pq

    rows = pq.read_table(table, columns=["subject_id", "fold"]).to_pylist()
    return {int(row["fold"]) for row in rows if row["subject_id"] == subject}


def _num_folds(log: StudyLog) -> int:
    return len(sides_of(log)) - 1


def _started(log: StudyLog, found: dict[Path, Touched]) -> Touched | None:
    """Return a study that started from weights which learnt from the person."""
    kept = whole_of(log).weights_path
    if not kept.is_file():
        return None
    starts: dict[str, Any] = json.loads(kept.read_text(encoding="utf-8"))
    words = {*starts, *starts.values()}
    for one in found.values():
        if words & one.digests.keys():
            names = tuple(f"fold:{k}" for k in range(_num_folds(log)))
            return Touched(log, ("refit", *names), whole_of(one.log).name)
    return None


def _log_of(study: StudyLog, model: str) -> TrialLog | None:
    """Return the log of a model; None of trials, which keep no weights."""
    if model == "refit":
        return study.winner
    kind, _, fold = model.partition(":")
    return study.kept_fold(int(fold)) if kind == "fold" else None


def _exports(log: StudyLog) -> Iterator[Export]:
    try:
        lines = (log.folder / EXPORTS).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return
    for line in lines:
        try:
            plain = json.loads(line)
            day = datetime.fromtimestamp(float(plain["time"]), UTC).strftime("%Y-%m-%d")
            yield Export(log, Path(plain["output"]), str(plain["model"]), day)
        except (ValueError, KeyError, TypeError) as error:
            raise StudyError(
                f"{log.folder / EXPORTS}: the line {line!r} is damaged: {error}; correct it"
            ) from error
