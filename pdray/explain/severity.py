"""Severity that is read out of the features of a network, in people whom it never learnt from.

The hypomimia abstract reads a "potential alignment with clinical severity markers" off a picture of
its embedding. A number is the rank correlation (Spearman 1904; ties have their mean rank) of
severity and a linear readout of the features. The readout is ridge regression (Hoerl and Kennard
1970) of the standardised features on the severity of the recordings that the network learnt from;
its penalty is the one of least leave-one-out error among them. So no held-out severity has a part
in anything but the correlation. Its interval resamples the held-out subjects.
Differs: the abstract shows a picture alone.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn.linear_model import RidgeCV

from pdray.evaluation.uncertainty import Interval, interval_of

Numbers = NDArray[np.float64]
SEVERITIES = {"grade": "grade", "hoehn_yahr": "Hoehn and Yahr stage"}
"""Fields of a recording that say how severe the disease is, and what pictures call them."""

_PENALTIES = np.logspace(-2, 6, 17)  # times the squares of weights of standardised features
_LEAST_SD = 1e-12


@dataclass(frozen=True)
class Readout:
    """A severity read out of the features of N held-out recordings.

    Attributes:
        field: Of :data:`SEVERITIES`; a column of the facts.
        values: (N,) what the readout says, in units of the severity.
        alignment: Rank correlation with the severity where that is known, and its interval.
        num_learnt: Recordings that the readout learnt from.
    """

    field: str
    values: Numbers
    alignment: Interval
    num_learnt: int

    @property
    def name(self) -> str:
        """What pictures and reports call the severity."""
        return SEVERITIES[self.field]

    @property
    def sentence(self) -> str:
        """The rank correlation with its interval, of whom, and what the readout learnt from."""
        one = self.alignment
        return (
            f"rank correlation of the {self.name} and its linear readout {one.value:.2f}, "
            f"{100 * one.level:g}% interval {one.low:.2f} to {one.high:.2f} ({one.num_resamples} "
            f"resamples of {one.num_subjects} held-out subjects); the readout learnt from the "
            f"{self.num_learnt} recordings that the winner learnt from"
        )


def read_out(
    field: str,
    learnt: tuple[NDArray[np.float32], pd.DataFrame],
    held: tuple[NDArray[np.float32], pd.DataFrame],
) -> Readout | str:
    """Learn a linear readout of a severity, and correlate it with that of held-out recordings.

    Args:
        field: Of :data:`SEVERITIES`; nan where it is not known.
        learnt: (M, D) features of recordings that the network learnt from, and M rows of facts.
        held: (N, D) features of held-out ones, and N rows with ``subject_id``.

    Returns:
        The readout; or why there is none.
    """
    features, facts = learnt
    known = facts[field].notna().to_numpy()
    severity = np.asarray(facts[field], np.float64)
    if len(np.unique(severity[known])) < 2:
        return f"the recordings learnt from have not two values of the {SEVERITIES[field]}"
    centre = features[known].mean(axis=0, dtype=np.float64)
    deviation = features[known].std(axis=0, dtype=np.float64)
    scale = np.where(deviation > _LEAST_SD, deviation, np.inf)  # what never varies says nothing
    linear = RidgeCV(_PENALTIES).fit((features[known] - centre) / scale, severity[known])
    values = linear.predict((held[0] - centre) / scale)
    rated = held[1][field].notna().to_numpy()
    subjects = held[1]["subject_id"].to_numpy()[rated]
    if len(np.unique(subjects)) < 2:
        return f"the {SEVERITIES[field]} is known of fewer than two held-out subjects"
    truth = np.asarray(held[1][field], np.float64)[rated]
    return Readout(field, values, alignment(truth, values[rated], subjects), int(known.sum()))


def alignment(truth: Numbers, values: Numbers, subjects: NDArray[np.object_]) -> Interval:
    """Return the rank correlation of two columns and its interval by resampling subjects.

    Args:
        truth: (N,) severity.
        values: (N,) readout.
        subjects: (N,) of at least two subjects.
    """

    def of_resamples(times: Numbers) -> Numbers:
        rows = [np.repeat(np.arange(len(truth)), one.astype(int)) for one in times]
        return np.array([_rank_correlation(truth[some], values[some]) for some in rows])

    return interval_of(subjects, _rank_correlation(truth, values), of_resamples)


def _rank_correlation(first: Numbers, second: Numbers) -> float:
    """Return Spearman's rho; nan where either is constant."""
    a, b = (rankdata(one) - (len(one) + 1) / 2 for one in (first, second))
    size = np.sqrt((a @ a) * (b @ b))
    return float(a @ b / size) if size else float("nan")
