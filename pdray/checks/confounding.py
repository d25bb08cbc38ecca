"""PDR012: classes that go with the site, rater, protocol, batch, visit order or date."""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import date
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pdray.checks.case import Case
from pdray.checks.exchange import Looked, exchange_classes
from pdray.checks.finding import Finding, State
from pdray.data.cohort.manifest import Recording

LEVEL = 0.05
"""Probability that the check warns of a cohort without any such relation."""
_NONE = "(none)"
_DATE = re.compile(r"((?:19|20)\d\d)-?([01]\d)-?([0-3]\d)")
Numbers = NDArray[np.float64]


class Look(NamedTuple):
    """One fact whose relation with the classes is tested.

    Attributes:
        name: The fact, for the report.
        facts: (U, F) facts of each unit.
        units: Recordings of each unit, as positions.
        blocks: Block of each unit; classes are exchanged inside blocks alone.
    """

    name: str
    facts: Numbers
    units: Sequence[Sequence[int]]
    blocks: Sequence[object]


def run(case: Case) -> Finding:
    """Test each fact by exchange of whole subjects, corrected for the number of facts."""
    rows = {one.recording_id: one for one in case.cohort.recordings}
    recordings = [rows[one.recording_id] for one in case.recordings]
    shares = np.eye(case.cohort.num_classes)[[one.target for one in case.recordings]]
    draws = np.random.default_rng(0)
    found: dict[str, Looked] = {}
    for look in looks(recordings):
        classes = np.array([shares[list(unit)].mean(axis=0) for unit in look.units])
        tested = exchange_classes(look.facts, classes, look.blocks, draws)
        if tested is not None:
            found[look.name] = tested
    worst = {name: one for name, one in found.items() if one.p * len(found) <= LEVEL}
    state: State = "warning" if worst else "passed" if found else "unknown"
    told = [
        f"classes go with {name} (it explains {one.strength:.0%} of their variance, p "
        f"{min(1.0, one.p * len(found)):.4f})"
        for name, one in worst.items()
    ]
    if not found:
        told = ["the manifest names no two sites, raters, protocols, folders or visits"]
    return Finding(
        state=state,
        looked_at=", ".join(found) or "facts of the manifest that say nothing about the disease",
        found="; ".join(told) or f"classes go with none of these: {', '.join(found)}",
        sure=f"exchange of whole subjects (of visits inside each subject), p times the number of "
        f"facts ({len(found)}); in {LEVEL:.0%} of cohorts without any relation it warns by chance",
        advice="read the scores inside each site or batch, not the score of all; collect every "
        "class at every site, with the same raters and at the same time; PDR003 says how well "
        "these facts alone predict",
        numbers={
            f"{kind} of {name}": number
            for name, one in found.items()
            for kind, number in (("strength", one.strength), ("p", one.p))
        },
    )


def looks(recordings: Sequence[Recording]) -> Iterator[Look]:
    """Yield every fact that differs between recordings."""
    people = _groups([one.subject_id for one in recordings])
    alike = [0] * len(people)
    texts = {
        "site": [one.site or _NONE for one in recordings],
        "recording protocol": [one.recording_protocol or _NONE for one in recordings],
        "who rated": [_raters(one) for one in recordings],
        "folder of the files": _folders(recordings),
    }
    for name, values in texts.items():
        # A value per person, such as a folder each, says who it is and not how it was recorded.
        if 2 <= len(set(values)) <= len(people) / 2:
            yield Look(name, _mean(_one_hot(values), people), people, alike)
    numbers = {
        "number of the visit": [_visit_number(one.visit_id) for one in recordings],
        "date of the visit": [_visit_date(one.visit_id) for one in recordings],
    }
    for name, found in numbers.items():
        known = [value for value in found if value is not None]
        if len(known) < len(found) or len(set(known)) < 2:
            continue
        column = np.array(known)[:, None]
        yield Look(f"{name}, between subjects", _mean(column, people), people, alike)
        visits = _groups([(one.subject_id, one.visit_id) for one in recordings])
        firsts = [recordings[unit[0]] for unit in visits]
        # States that were recorded at different visits change grades, whatever the time.
        blocks = [(one.subject_id, one.medication_state, one.stimulation_state) for one in firsts]
        if len(set(blocks)) < len(blocks):
            yield Look(f"{name}, within subjects", _mean(column, visits), visits, blocks)


def _groups(keys: Sequence[object]) -> list[list[int]]:
    found: defaultdict[object, list[int]] = defaultdict(list)
    for place, key in enumerate(keys):
        found[key].append(place)
    return list(found.values())


def _mean(values: Numbers, units: Sequence[Sequence[int]]) -> Numbers:
    return np.array([values[list(unit)].mean(axis=0) for unit in units])


def _one_hot(values: Sequence[str]) -> Numbers:
    _, places = np.unique(np.array(values), return_inverse=True)
    return np.eye(places.max() + 1)[places]


def _raters(one: Recording) -> str:
    return " ".join(f"{n}" for n, grade in enumerate(one.raters, 1) if grade is not None) or _NONE


def _folders(recordings: Sequence[Recording]) -> list[str]:
    files = [one.video or one.landmarks or one.audio for one in recordings]
    return [_NONE if file is None else str(file.parent) for file in files]


def _visit_number(visit: str | None) -> float | None:
    """Return the number in a visit's name, such as V2; None if there is none or a date."""
    found = re.findall(r"\d+", visit or "")
    return float(found[-1]) if len(found) == 1 and len(found[0]) < 4 else None


def _visit_date(visit: str | None) -> float | None:
    match = _DATE.search(visit or "")
    try:
        return None if match is None else float(date(*map(int, match.groups())).toordinal())
    except ValueError:  # there is no such day
        return None
