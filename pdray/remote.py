"""Returns errors from remote tasks, and reports lost tasks.

Ray changes the type and text of an error that a task raises. So a task returns a
:class:`PdrayError` as a value, and the caller raises it.
"""

import pickle
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from pdray.errors import ClusterError, PdrayError

T = TypeVar("T")
Key = TypeVar("Key")
Answer = tuple[T | None, bytes]
"""The result of a task, and the pickled error that ended it; empty without an error."""


def answer(work: Callable[..., T], *arguments: Any) -> Answer[T]:
    """Do the work of a task; return a ``PdrayError`` as part of the answer."""
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
    """Turn an error of Ray into a message that names the lost process.

    Args:
        who: The process; the message starts with it.
        what_stays: What is kept and how to go on; the message ends with it.

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
    """Yield the key and the answer of each task as it ends; on close, cancel the others.

    Args:
        tasks: References of tasks that return :func:`answer`, by key.
        who: Returns the name of a task's process, as for :func:`naming_lost_process`.
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
