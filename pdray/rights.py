"""Rights of what jobs write: for its owner alone, unless ``output_mode`` says otherwise."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Literal

from pydantic import Field

OutputMode = Annotated[
    Literal["owner", "group", "umask"],
    Field(
        description="who may read and write what the job makes. owner: folders 0700, files 0600; "
        "group: its group too, 0770 and 0660; umask: as the umask of the shell says. A folder that "
        "is there keeps its rights"
    ),
]
"""Setting ``output_mode``."""

_MASKS = {"owner": 0o077, "group": 0o007}
_of_shell: int | None = None


@contextmanager
def written_for(mode: OutputMode = "owner") -> Iterator[None]:
    """Let this process, and those that it starts, make files for the asked people.

    A private Ray that is started inside the block keeps the rights; for one that is joined see
    ``pdray/cluster.py``. Blocks may be nested: the inner one counts.

    Args:
        mode: Setting ``output_mode``.
    """
    global _of_shell
    before, is_outer = umask(), _of_shell is None
    if is_outer:
        _of_shell = before
    assert _of_shell is not None
    os.umask(_MASKS.get(mode, _of_shell))
    try:
        yield
    finally:
        os.umask(before)
        if is_outer:
            _of_shell = None


def umask() -> int:
    """Return the rights that are taken from what this process makes."""
    now = os.umask(0o077)
    os.umask(now)
    return now
