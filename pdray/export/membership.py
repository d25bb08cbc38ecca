"""Measures what a model tells of who it learnt from: a loss-threshold attack on membership.

Whoever has a recording and its grade takes the person for one that the model learnt from if the
loss is low (Yeom et al. 2018, IEEE CSF, section 3.3). How well this works is the AUROC of people
that a model learnt from against people that it did not, each person with the mean loss of all
recordings; 0.5 is guessing. Models of several folds are compared inside each fold.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pdray.command import Say
from pdray.data.cohort.rated import RatedRecording
from pdray.errors import PdrayError
from pdray.evaluation.report import interval_words
from pdray.evaluation.score_intervals import score_interval
from pdray.evaluation.statistics.intervals import Interval
from pdray.export.models import Shares
from pdray.predict.learning import training_recordings
from pdray.predict.models import Model
from pdray.predict.studied import Studied
from pdray.tracking.leaving import without_few

Numbers = NDArray[np.float64]
_LEAST = 1e-12  # probability


@dataclass(frozen=True)
class Attack:
    """How well the attack works.

    Attributes:
        interval: AUROC over people with its interval; None: it was not measured.
        members: People that a model learnt from.
        others: People that a model did not learn from.
        reason: Why it was not measured.
    """

    interval: Interval | None
    members: int = 0
    others: int = 0
    reason: str = ""

    def words(self, least: int) -> str:
        """Return it as text; numbers of fewer than ``least`` people are not told."""
        if self.interval is None:
            return f"not measured: {self.reason}"
        members, others = (
            f"{count}" if count >= least else f"<{least}" for count in (self.members, self.others)
        )
        told = f"no interval: {without_few(self.interval.reason, least)}"
        if self.interval.exists:
            told = interval_words(self.interval)
        return (
            f"AUROC {self.interval.value:.3f} ({told}), {members} people "
            f"that a model learnt from against {others} that it did not"
        )


def attack(studied: Studied, models: Sequence[Model], shares: Shares, say: Say) -> Attack:
    """Measure the attack on the people of the study.

    Args:
        studied: The study.
        models: Those that are exported.
        shares: As :attr:`pdray.export.models.Exportable.shares`.
        say: Prints why it cannot be measured, which may name a recording.
    """
    try:
        known = training_recordings(studied)
        table = pd.concat([_losses(one, known, shares(one, known)) for one in models])
    except PdrayError as error:
        say(f"note: the membership attack is not measured: {error}")
        return Attack(None, reason="the study's recordings are not there as it read them")
    is_member = table["target"] == 1
    members, others = (table.loc[one, "subject_id"].nunique() for one in (is_member, ~is_member))
    if not (members and others):
        return Attack(None, reason="the study has nobody that the model did not learn from")
    return Attack(score_interval(table, "auroc"), members, others)


def _losses(model: Model, known: Sequence[RatedRecording], shares: Numbers) -> pd.DataFrame:
    """Return a row per person: whether the model learnt from it, and exp(-mean loss)."""
    right = shares[np.arange(len(known)), [one.target for one in known]]
    rows = pd.DataFrame(
        {
            "subject_id": [one.subject_id for one in known],
            "loss": -np.log(np.maximum(right, _LEAST)),
        }
    )
    people = rows.groupby("subject_id", as_index=False)["loss"].mean()
    sure = np.exp(-people["loss"])
    target = people["subject_id"].isin(model.learnt).astype(int)
    found: pd.DataFrame = people.assign(
        target=target, probability_0=1 - sure, probability_1=sure, fold=model.fold
    )
    return found
