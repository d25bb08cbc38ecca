"""Predicts severity from the features of a network, and correlates it with that of test subjects.

The hypomimia abstract sees a "potential alignment with clinical severity markers" in a picture of
its embedding. Here it is a number: the rank correlation (Spearman 1904; ties get their mean rank)
of severity and a linear readout of the features. The readout is ridge regression (Hoerl and Kennard
1970) from standardised features to the severity of the development recordings; its penalty has the
least leave-one-out error among them. So the severity of test subjects is used only for the
correlation. The interval is over test subjects.
Differs: the abstract shows only a picture.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn.linear_model import RidgeCV

from pdray.evaluation.score_intervals import interval_of
from pdray.evaluation.statistics.intervals import TRUTHS, Interval

Numbers = NDArray[np.float64]
SEVERITIES = {"grade": "grade", "hoehn_yahr": "Hoehn and Yahr stage"}
"""Fields of a recording with the severity of the disease, and their names in pictures."""

_PENALTIES = np.logspace(-2, 6, 17)  # factors of the squared weights of standardised features
_LEAST_SD = 1e-12


@dataclass(frozen=True)
class Readout:
    """The severity of N test recordings, predicted from their features.

    Attributes:
        field: One of :data:`SEVERITIES`; a column of the facts.
        values: (N,) predicted severity, in its own unit.
        alignment: Rank correlation with the known severity, and its interval.
        num_learnt: Number of recordings that the readout was fitted on.
    """

    field: str
    values: Numbers
    alignment: Interval
    num_learnt: int

    @property
    def name(self) -> str:
        """Name of the severity in pictures and reports."""
        return SEVERITIES[self.field]

    @property
    def sentence(self) -> str:
        """The rank correlation with its interval, and the numbers of people and recordings."""
        one = self.alignment
        covered = one.reason or (
            f"{100 * one.level:g}% interval {one.low:.2f} to {one.high:.2f} {TRUTHS[one.truth]}"
        )
        return (
            f"rank correlation of the {self.name} and its linear prediction from the features: "
            f"{one.value:.2f}, {covered} ({one.num_subjects} test subjects); the prediction was "
            f"fitted on the {self.num_learnt} development recordings"
        )


def read_out(
    field: str,
    learnt: tuple[NDArray[np.float32], pd.DataFrame],
    held: tuple[NDArray[np.float32], pd.DataFrame],
) -> Readout | str:
    """Fit a linear readout of a severity, and correlate it with that of test recordings.

    Args:
        field: One of :data:`SEVERITIES`; nan where unknown.
        learnt: (M, D) features of development recordings, and M rows of facts.
        held: (N, D) features of test recordings, and N rows of facts with ``subject_id``.

    Returns:
        The readout, or the reason why there is none.
    """
    features, facts = learnt
    known = facts[field].notna().to_numpy()
    severity = np.asarray(facts[field], np.float64)
    if len(np.unique(severity[known])) < 2:
        return f"all development recordings have the same {SEVERITIES[field]}, or none"
    centre = features[known].mean(axis=0, dtype=np.float64)
    deviation = features[known].std(axis=0, dtype=np.float64)
    scale = np.where(deviation > _LEAST_SD, deviation, np.inf)  # ignore constant features
    linear = RidgeCV(_PENALTIES).fit((features[known] - centre) / scale, severity[known])
    values = linear.predict((held[0] - centre) / scale)
    rated = held[1][field].notna().to_numpy()
    subjects = held[1]["subject_id"].to_numpy()[rated]
    if len(np.unique(subjects)) < 2:
        return f"the {SEVERITIES[field]} is known for fewer than two test subjects"
    truth = np.asarray(held[1][field], np.float64)[rated]
    return Readout(field, values, alignment(truth, values[rated], subjects), int(known.sum()))


def alignment(truth: Numbers, values: Numbers, subjects: NDArray[np.object_]) -> Interval:
    """Return the rank correlation of two columns and its interval over subjects.

    Args:
        truth: (N,) severity.
        values: (N,) readout.
        subjects: (N,) of at least two subjects.
    """

    def weighted(times: Numbers) -> Numbers:
        rows = [np.repeat(np.arange(len(truth)), one.astype(int)) for one in times]
        return np.array([_rank_correlation(truth[some], values[some]) for some in rows])

    return interval_of(subjects, _rank_correlation(truth, values), weighted, transform="fisher")


def _rank_correlation(first: Numbers, second: Numbers) -> float:
    """Return Spearman's rho; nan where either is constant."""
    a, b = (rankdata(one) - (len(one) + 1) / 2 for one in (first, second))
    size = np.sqrt((a @ a) * (b @ b))
    return float(a @ b / size) if size else float("nan")
