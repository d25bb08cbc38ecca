"""Mistakes that a user can correct, as exceptions whose message is the whole explanation."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager


class PdrayError(Exception):
    """A mistake or a fault outside pdray; jobs print it without a traceback and exit 2."""


class SettingsError(PdrayError):
    """A setting is unknown, of the wrong type or out of range."""


class ManifestError(PdrayError):
    """A manifest or one of its rows cannot be used."""


class FoldsError(PdrayError):
    """Subjects cannot be assigned to folds as asked."""


class DecodeError(PdrayError):
    """A recording cannot be read whole."""


class StoreError(PdrayError):
    """The frame store cannot be written, or an entry of it is damaged."""


class StreamError(PdrayError):
    """No data comes any more."""


class ClusterError(PdrayError):
    """The cluster cannot run what was planned."""


class TrackingError(PdrayError):
    """The tracking server cannot be reached or refuses."""


class DivergedError(PdrayError):
    """Training met a loss that is not finite."""


class StudyError(PdrayError):
    """A study folder cannot be started, resumed or read."""


@contextmanager
def naming(recording_id: str) -> Iterator[None]:
    """Put a recording's id in front of what is wrong with its files or entries."""
    try:
        yield
    except (DecodeError, StoreError) as error:
        raise type(error)(f"recording {recording_id}: {error}") from error


def refuse(faults: Sequence[str], error: type[PdrayError], headline: str) -> None:
    """Raise one error that lists every fault, one a line.

    Args:
        faults: What is wrong; nothing is raised when it is empty.
        error: The class to raise.
        headline: The first line, without a full stop; the number of faults is added.

    Raises:
        PdrayError: Of class ``error``, when there is a fault.
    """
    if not faults:
        return
    if len(faults) == 1:
        raise error(f"{headline}: {faults[0]}")
    listed = "\n".join(f"  - {fault}" for fault in faults)
    raise error(f"{headline}, {len(faults)} faults:\n{listed}")
