"""Errors that a user can correct; their message is the whole explanation."""

import errno
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

_OF_ROW = re.compile(r"row ([0-9]+): (.*)", re.DOTALL)
_VALUE = re.compile(r"'[^']*'|\"[^\"]*\"|\S*[0-9/]\S*")
_FULL = {code: os.strerror(code) for code in (errno.ENOSPC, errno.EDQUOT)}
_MANY, _SHOWN = 10, 3  # faults that are grouped; rows, and texts with other values, that are shown


class PdrayError(Exception):
    """An error that the user can correct; jobs print it without a traceback and exit with 2.

    Example:
        >>> try:
        ...     pdray.load_manifest("absent.csv")
        ... except pdray.PdrayError as error:
        ...     print("cannot be read" in str(error))
        True
    """


class SettingsError(PdrayError):
    """A setting is unknown, of the wrong type or out of range."""


class PluginError(PdrayError):
    """A plug-in cannot be used, or one that is needed is not installed."""


class ManifestError(PdrayError):
    """A manifest or one of its rows cannot be used."""


class FoldsError(PdrayError):
    """Subjects cannot be divided into the requested folds."""


class DecodeError(PdrayError):
    """A recording cannot be read completely."""


class StoreError(PdrayError):
    """The frame store cannot be written, or one of its entries is damaged."""


class StreamError(PdrayError):
    """The stream of training data has stopped."""


class ClusterError(PdrayError):
    """The cluster cannot run the planned work."""


class TrackingError(PdrayError):
    """The tracking server cannot be reached, or it refuses a request."""


class DivergedError(PdrayError):
    """The training loss became infinite or NaN."""


class StudyError(PdrayError):
    """A study cannot be started, resumed or read."""


def full_disk(error: BaseException) -> OSError | None:
    """Return the error of a full disk or a used-up quota that caused an error; None: neither did.

    An error that came from another process has no cause any more, and is known by its text.
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in _FULL:
            return cause
        for code, words in _FULL.items():
            if match := re.search(rf"{words}(?:: '([^'\n]+)')?", str(cause)):
                return OSError(code, words, match[1])
        cause = cause.__cause__
    return None


@contextmanager
def naming(recording_id: str) -> Iterator[None]:
    """Put the recording's id in front of errors about its files or entries."""
    try:
        yield
    except (DecodeError, StoreError) as error:
        raise type(error)(f"recording {recording_id}: {error}") from error


def refuse(faults: Sequence[str], error: type[PdrayError], headline: str) -> None:
    """Raise one error that lists all faults, one per line.

    Args:
        faults: What is wrong; if empty, nothing is raised.
        error: The class to raise.
        headline: The first line, without a full stop; the number of faults is added.

    Raises:
        PdrayError: Of class ``error``, if there is a fault.
    """
    if not faults:
        return
    if len(faults) == 1:
        raise error(f"{headline}: {faults[0]}")
    listed = "\n".join(f"  - {fault}" for fault in _grouped(faults))
    raise error(f"{headline}, {len(faults)} faults:\n{listed}")


def _grouped(faults: Sequence[str]) -> list[str]:
    """Put many faults of rows that differ in nothing, or in values alone, into few lines."""
    kinds: dict[str, list[tuple[str, str]]] = {}  # by what they say but for values; row, text
    lines = []
    for fault in faults:
        if match := _OF_ROW.fullmatch(fault):
            kinds.setdefault(_VALUE.sub("*", match[2]), []).append((match[1], match[2]))
    for fault in faults:
        match = _OF_ROW.fullmatch(fault)
        members = kinds[_VALUE.sub("*", match[2])] if match else []
        if len(members) < _MANY:
            lines.append(fault)
        elif match and match.groups() == members[0]:
            texts: dict[str, list[str]] = {}
            for row, text in members:
                texts.setdefault(text, []).append(row)
            shown = list(texts)[:_SHOWN]
            lines += [f"{_rows(texts[text])}: {text}" for text in shown]
            if others := [row for row, text in members if text not in shown]:
                lines.append(f"{_rows(others)}: the same with other values")
    return lines


def _rows(rows: Sequence[str]) -> str:
    if len(rows) == 1:
        return f"row {rows[0]}"
    more = ", ..." if len(rows) > _SHOWN else ""
    return f"{len(rows)} rows ({', '.join(rows[:_SHOWN])}{more})"
