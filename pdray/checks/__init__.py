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
    "PDR002": Check("near-duplicate recordings across sides", "pdray.checks.duplicates:run"),
    "PDR003": Check("classes told by facts without movement", "pdray.checks.baselines:run"),
    "PDR004": Check("one person under two ids", "pdray.checks.identity:run"),
    "PDR005": Check("pretrained weights that saw a test subject", "pdray.checks.weights:run"),
    "PDR006": Check("worse than a linear model on motion", "pdray.checks.motion:run"),
    "PDR007": Check("winner at the edge of its space", "pdray.checks.edges:run"),
    "PDR008": Check("winner not better than the default", "pdray.checks.default:run"),
    "PDR009": Check("too few subjects per class", "pdray.checks.subjects:run"),
    "PDR010": Check("under- and overfitting by fold", "pdray.checks.fitting:run"),
    "PDR011": Check("test side scored more than once", "pdray.checks.ledger:run"),
    "PDR012": Check("classes confounded with site or time", "pdray.checks.confounding:run"),
    "PDR013": Check("columns that tell the grade", "pdray.checks.telling:run"),
}
