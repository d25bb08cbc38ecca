"""Checks of a finished search: leaks, confounders, poor fits, repeated scoring.

One table names all checks, one per line, by code. Every list of checks is derived from it.
"""

from typing import NamedTuple


class Check(NamedTuple):
    """One line of the table.

    Attributes:
        title: What the check looks for, in a few words.
        run: Place of its function, "module:function", which takes a
            :class:`pdray.checks.case.Case` and returns a :class:`pdray.checks.finding.Finding`.
    """

    title: str
    run: str


CHECKS = {
    "PDR001": Check("a person or file on both sides", "pdray.checks.sides:run"),
    "PDR006": Check("worse than a linear model on motion", "pdray.checks.motion:run"),
    "PDR009": Check("too few subjects per class", "pdray.checks.subjects:run"),
}
