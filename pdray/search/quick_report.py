"""Says what a quick look found: the score of each model, its time, and the better one."""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass

from pdray.command import console
from pdray.display import clock
from pdray.evaluation.metrics import METRICS
from pdray.search.plan import StudyPlan
from pdray.search.study import StudyOutcome
from pdray.search.tuning import where
from pdray.tracking.run_log import NUMBERS

_WARNING = re.compile(r"PDR\d+ warning")


@dataclass(frozen=True)
class Looked:
    """A finished study of a quick look.

    Attributes:
        title: What the model looks at.
        plan: Its settings.
        outcome: Its results.
        seconds: Time that it took; None if it was begun in an earlier session [s].
        forecast: Its forecast; None: unknown [s].
    """

    title: str
    plan: StudyPlan
    outcome: StudyOutcome
    seconds: float | None
    forecast: float | None


def report(looks: Sequence[Looked]) -> str:
    """Return the text at the end of a quick look."""
    parts = [_of_one(one) for one in looks]
    return "\n" + "\n\n".join([*parts, *_together(looks)])


def _of_one(one: Looked) -> str:
    """Return the score, the baselines, the warnings and the places of one study."""
    score, *others = one.outcome.held_out.splitlines()
    checks, *findings = one.outcome.checks.splitlines() or [""]
    lines = [f"{one.title}: {score}", *(line for line in others if line.startswith("baseline"))]
    lines += [checks, *(line for line in findings if _WARNING.match(line))]
    if one.seconds is not None:
        told = f"time       it took {clock(one.seconds)}, with decoding and checks"
        if one.forecast:
            error = one.forecast / one.seconds - 1
            told += f"; forecast before it started: {clock(one.forecast)} ({error:+.0%})"
        lines.append(told)
    return "\n".join(filter(None, [*lines, where(one.outcome)]))


def _together(looks: Sequence[Looked]) -> list[str]:
    """Say which model is better, if there are two; a difference needs an interval to be shown."""
    if len(looks) < 2:
        return []
    metric = looks[0].plan.config.search.metric
    scores = [_score(one) for one in looks]
    greater = METRICS[metric].greater_is_better
    known = all(score == score for score in scores)
    best = looks[int((scores[1] > scores[0]) == greater)] if known else looks[0]
    told = ", ".join(f"{one.title} {score:.3f}" for one, score in zip(looks, scores, strict=True))
    protocols = [one.plan.config.search.protocol for one in looks]
    if not known or scores[0] == scores[1]:
        first = f"better     neither: test/{metric} {told}"
    else:
        first = f"better     {best.title}: test/{metric} {told}"
    if protocols[0] != protocols[1]:
        return [
            f"{first}\n           they were tested on different subjects (the network on one group "
            "only), so this is no comparison"
        ]
    command = console("compare", *(str(one.outcome.folder) for one in looks))
    return [f"{first}\n           whether the difference is more than chance, says: {command}"]


def _score(one: Looked) -> float:
    """Return the score of the test subjects; nan if it is undefined."""
    metric = one.plan.config.search.metric
    with (one.outcome.folder / "evaluation" / NUMBERS).open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["metric"] == metric]
    return float(next(row["value"] for row in rows if not row["group"]) or "nan")
