"""One line of the doctor: what was looked at, what was found, and what to do."""

from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import Literal

State = Literal["ok", "warning", "fault"]

_WIDTH = 100
_INDENT = " " * 21


@dataclass(frozen=True)
class Line:
    """What was found of one thing.

    Attributes:
        topic: What was looked at, such as "memory".
        state: fault: jobs fail; warning: jobs run, but slowly or not everywhere.
        told: What was found, with values.
        way: What to do; empty: nothing.
    """

    topic: str
    state: State
    told: str
    way: str = ""

    def __str__(self) -> str:
        """Return the line as it is printed."""
        told = wrap(self.told, _WIDTH - len(_INDENT), break_on_hyphens=False)
        way = wrap(f"-> {self.way}", _WIDTH - len(_INDENT), break_on_hyphens=False)
        rest = [*told[1:], *(way if self.way else [])]
        first = f"{self.state:<8} {self.topic:<12}{told[0]}"
        return "\n".join([first, *(f"{_INDENT}{line}" for line in rest)])


def summary(lines: Sequence[Line]) -> str:
    """Return the last line of the doctor: how many faults and warnings there are."""
    counts = {state: sum(one.state == state for one in lines) for state in ("fault", "warning")}
    told = [f"{num} {state}{'s' * (num > 1)}" for state, num in counts.items() if num]
    return f"{len(lines)} lines: {', '.join(told) or 'nothing to mend'}"
