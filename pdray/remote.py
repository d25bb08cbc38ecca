"""Brings an error back from a remote task, and says when a task was lost.

An error that is raised in a task gets Ray's own words and type. So a task returns a
:class:`PdrayError` as a value, and whoever reads the answer raises it.
"""

import pickle
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from pdray.errors import ClusterError, PdrayError

T = TypeVar("T")
Key = TypeVar("Key")
Answer = tuple[T | None, bytes]
"""The result of a task, and the pickled error that ended it; empty where none did."""


def answer(work: Callable[..., T], *arguments: Any) -> Answer[T]:
    """Do the work of a task; an error that the user can mend is part of the answer."""
    try:
        return work(*arguments), b""
    except PdrayError as error:
        return None, pickle.dumps(error)


def raise_fault(fault: bytes) -> None:
    """Raise the error of an answer, if there is one."""
    if fault:
        raise pickle.loads(fault)


@contextmanager
def naming_lost_process(who: str, what_stays: str) -> Iterator[None]:
    """Say in pdray's words that Ray lost a process.

    Args:
        who: The process, at the start of the message.
        what_stays: What is kept and how to go on, at its end.

    Raises:
        ClusterError: In place of an error of Ray.
    """
    import ray.exceptions

    try:
        yield
    except ray.exceptions.RayError as error:
        reason = str(error).splitlines()[0]
        raise ClusterError(f"{who} was lost: {reason}; {what_stays}") from error


def answers(
    tasks: Mapping[Key, Any], *, who: Callable[[Key], str], what_stays: str
) -> Iterator[tuple[Key, Answer[Any]]]:
    """Yield the key and the answer of each task as it ends; the rest is cancelled when closed.

    Args:
        tasks: Key to the reference of a task that returns :func:`answer`.
        who: Names the process of a task, as for :func:`naming_lost_process`.
        what_stays: As for :func:`naming_lost_process`.

    Raises:
        ClusterError: If a process was lost.
    """
    import ray

    keys = {reference: key for key, reference in tasks.items()}
    waiting = list(keys)
    try:
        while waiting:
            (ready,), waiting = ray.wait(waiting)
            with naming_lost_process(who(keys[ready]), what_stays):
                found = ray.get(ready)
            yield keys[ready], found
    finally:
        for left in waiting:
            ray.cancel(left)
