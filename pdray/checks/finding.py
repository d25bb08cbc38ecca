"""The result of one check: what it looked at, what it found, how sure it is, what to do."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

State = Literal["passed", "warning", "unknown", "muted"]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Result of one check. Its sentences hold neither names of people nor paths.

    Attributes:
        state: "unknown" if the check could not decide; ``found`` then says why.
        looked_at: Data that the check used.
        found: The result.
        sure: How certain the result is.
        advice: What to do.
        numbers: Numbers behind the result, by name.
        code: Code of the check; :func:`pdray.checks.run.run_checks` fills it in.
        title: Title of the check; filled in likewise.
        seconds: Time that the check took; filled in likewise.
    """

    state: State
    looked_at: str = ""
    found: str
    sure: str = ""
    advice: str = ""
    numbers: Mapping[str, float] = field(default_factory=dict)
    code: str = ""
    title: str = ""
    seconds: float = 0.0


def counted(number: int, noun: str, plural: str = "") -> str:
    """Return a number and its noun, such as "1 subject" or "2 studies"."""
    return f"{number} {noun if number == 1 else plural or f'{noun}s'}"
