"""How far a job is with its recordings: a bar on a terminal, a line now and then in a log."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tqdm import tqdm

_LINES = 10  # of a log, for all recordings


@contextmanager
def recordings_bar(say: Callable[[str], None]) -> Iterator[Callable[[int, int], None]]:
    """Show progress until the block ends, whichever way it does.

    Args:
        say: Prints a line; called where the standard error is no terminal.

    Yields:
        What is to be called with (done, all) after each recording.
    """
    with tqdm(unit="recording", leave=False, disable=None) as bar:

        def progress(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)
            if bar.disable and _LINES * done // total != _LINES * (done - 1) // total:
                say(f"{done}/{total} recordings")

        yield progress
