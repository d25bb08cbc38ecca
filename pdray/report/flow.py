"""The flow of participants through a study, from the manifest to the scores.

For ill against healthy people it is the flow chart of a study of diagnostic accuracy (STARD 2015,
Bossuyt et al., BMJ 2015;351:h5527): the model is the index test, the diagnosis is the reference.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from pdray.data.cohort.people import HEALTHY
from pdray.data.cohort.settings import LABELS, target_of
from pdray.data.cohort.spelling import normal_form
from pdray.evaluation.metrics import predicted
from pdray.evaluation.predictions import num_classes, probabilities, targets
from pdray.report.case import Reported
from pdray.report.parts import ANALYSED, LEFT_OUT, LISTED, NOBODY_LEFT, SCORED, TRAINING, parts_of
from pdray.report.small_cells import HIDDEN, Shown

CASE_CONTROL = (
    "Cases against healthy volunteers overstate accuracy: in a clinic the people to be told apart "
    "are alike, many have other diseases with similar signs, and few have clear ones."
)
"""Printed wherever ill people were told from healthy ones (Rutjes et al., Clin Chem 2005)."""


@dataclass(frozen=True)
class Box:
    """One box of the flow.

    Attributes:
        title: What it counts.
        shown: People and recordings; those of few people are hidden.
    """

    title: str
    shown: Shown

    @property
    def text(self) -> str:
        """Title and counts, such as "scored: 12 people, 48 recordings"."""
        return f"{self.title}: {self.counts}"

    @property
    def counts(self) -> str:
        """The counts, such as "12 people, 48 recordings", "<5 people" or "hidden"."""
        if self.shown.people == HIDDEN:
            return HIDDEN
        if self.shown.recordings == HIDDEN:
            return f"{self.shown.people} people"
        return f"{self.shown.people} people, {self.shown.recordings} recordings"


@dataclass(frozen=True)
class Result:
    """Recordings of one reference class by the class that the model gave them.

    Attributes:
        reference: Class of the reference, such as "ill" or "class 1".
        results: Number of recordings by the model's class, highest class first.
    """

    reference: str
    results: dict[str, int]


@dataclass(frozen=True)
class Flow:
    """The flow of participants.

    Attributes:
        steps: From the manifest down to those who are scored.
        left_out: Recordings that are left out, by reason.
        lost: All of them, and the people of whom nothing else is left; None: there are none.
        training: Those who are learnt from and never scored; None: there are none.
        classes: Those who are scored, by reference class.
        results: Recordings by reference class and the model's class.
        is_case_control: Whether ill people are told from healthy ones.
        counts_repeats: Whether each recording stands several times in the results, once for each
            repeat of the evaluation.
    """

    steps: tuple[Box, ...]
    left_out: tuple[Box, ...]
    lost: Shown | None
    training: Box | None
    classes: tuple[Box, ...]
    results: tuple[Result, ...]
    is_case_control: bool
    counts_repeats: bool

    def lines(self) -> list[str]:
        """Return the flow in words, one line per box."""
        listed, *others = self.steps
        lines = [listed.text]
        if self.lost:
            of = " recordings" if self.lost.recordings != HIDDEN else ""
            lines.append(f"  left out: {self.lost.recordings}{of}")
            lines += [f"    {box.text}" for box in self.left_out]
            lines.append(f"    people of whom nothing is left: {self.lost.people}")
        lines += [box.text for box in others[:1]]
        lines += [self.training.text] if self.training else []
        lines += [box.text for box in others[1:]]
        lines += [f"  {box.text}" for box in self.classes]
        unit = "scorings" if self.counts_repeats else "recordings"
        for one in self.results:
            told = ", ".join(f"{number} called {name}" for name, number in one.results.items())
            lines.append(f"  {unit} of {one.reference}: {told}")
        return lines + [CASE_CONTROL] * self.is_case_control


def flow(case: Reported) -> Flow | None:
    """Return the flow of a study; None if its log has no table of recordings."""
    parts = parts_of(case)
    if parts is None:
        return None
    names = class_names(case)

    def box(title: str, key: str) -> Box:
        return Box(title, parts.shown[key])

    lost = None
    if LEFT_OUT in parts.rows:
        lost = Shown(parts.shown[NOBODY_LEFT].people, parts.shown[LEFT_OUT].recordings)
    scored = [box(SCORED, SCORED)] if parts.counts[SCORED].recordings else []
    return Flow(
        steps=(box("listed in the manifest", LISTED), box(ANALYSED, ANALYSED), *scored),
        left_out=tuple(box(reason, key) for reason, key in parts.reasons().items()),
        lost=lost,
        training=box("training only", TRAINING) if TRAINING in parts.rows else None,
        classes=tuple(
            box(names.get(number, name), key)
            for name, key in parts.classes("scored").items()
            for number in [int(name.removeprefix("class "))]
        ),
        results=tuple(_results(case.units, names)) if len(case.units) else (),
        is_case_control=is_case_control(case),
        counts_repeats=len(case.units) > case.units.get("recording_id", pd.Series()).nunique(),
    )


def is_case_control(case: Reported) -> bool:
    """Return whether the two classes are ill and healthy people, by the manifest's diagnosis.

    So they are if everybody who is scored has a diagnosis, and the healthy are those of class 0.
    """
    if case.cohort is None:
        return False
    scored = case.cohort[case.cohort["part"] == "scored"]
    if scored["diagnosis"].isna().any() or set(scored["class"]) != {0, 1}:
        return False
    healthy = np.array([normal_form(str(one)) in HEALTHY for one in scored["diagnosis"]])
    return bool((healthy == (scored["class"] == 0).to_numpy()).all())


def class_names(case: Reported) -> dict[int, str]:
    """Return what each class is called."""
    if target_of(case.settings) == "diagnosis" or is_case_control(case):
        return dict(enumerate(LABELS))
    if len(case.units):
        return {k: f"class {k}" for k in range(num_classes(case.units))}
    return {}


def _results(units: pd.DataFrame, names: dict[int, str]) -> list[Result]:
    true, called = targets(units), predicted(probabilities(units))
    order = sorted(names, reverse=True)
    return [
        Result(names[k], {names[c]: int(((true == k) & (called == c)).sum()) for c in order})
        for k in order
    ]
