"""Expressions of the ill and of the healthy, as the expression network sees them.

Source: Huang et al. 2025, section 3.1: accuracy of the network in each group, confusion matrices
(Fig. 3), intensities of each video with each phrase (Fig. 4) and a t-SNE of its features (Fig. 2).
The paper prints no uncertainty and no test. Here the difference of accuracies has an interval by
resampling subjects, each pair of video and phrase has Cliff's delta (1993) and a Mann-Whitney test
between subjects, adjusted by Holm over all pairs, and groups in the plane have silhouettes.
Letters: R recording of one expression, S subject, V video, P phrase, E feature.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import softmax
from scipy.stats import mannwhitneyu

from pdray.data.cohort.manifest import Recording, grade_class
from pdray.data.cohort.settings import LABELS, DataConfig
from pdray.data.face.intensities import read_intensities
from pdray.data.face.intensity_checks import check_intensities
from pdray.evaluation.metrics import predicted
from pdray.evaluation.predictions import probabilities, targets
from pdray.evaluation.statistics.paired import holm
from pdray.evaluation.uncertainty import percentile_interval, weighted_scores
from pdray.explain.embedding import silhouette

Floats = NDArray[np.float64]

LEAST = 3  # subjects of each group, for a test
_PEOPLE = 5  # subjects of each group, for an interval


@dataclass(frozen=True)
class Expressions:
    """Videos of the visits of a cohort, one row each.

    Attributes:
        classes: V expressions; phrase k is that of video k.
        units: R rows of ``recording_id`` (the visit's), ``subject_id``, ``target`` (number of the
            expression that was asked for), ``group`` (0 healthy, 1 ill) and ``probability_0..V-1``,
            the share of each intensity.
        logs: (R, P) float64 log intensities, cosine / tau.
        features: (R, E) float64 features of unit length.
        num_absent: Videos that are absent.
        num_visits: Visits.
    """

    classes: tuple[str, ...]
    units: pd.DataFrame
    logs: Floats
    features: Floats
    num_absent: int
    num_visits: int

    def of_group(self, group: int) -> pd.DataFrame:
        """Return the rows of the healthy (0) or of the ill (1)."""
        return self.units[self.units["group"] == group]


@dataclass(frozen=True)
class Contrast:
    """Log intensity of one phrase in one video, of the ill against the healthy.

    Attributes:
        video: Expression that was asked for.
        phrase: Expression of the phrase.
        medians: Over subjects: of the healthy, of the ill; nan without subjects.
        counts: Subjects: healthy, ill.
        delta: Cliff's delta, -1..1: above 0 the ill have lower values.
        low, high: Ends of its 95% interval; nan without.
        p: Two-sided, Mann-Whitney; nan with fewer than three subjects of a group.
        p_holm: The same, adjusted over all contrasts.
    """

    video: str
    phrase: str
    medians: tuple[float, float]
    counts: tuple[int, int]
    delta: float
    low: float
    high: float
    p: float
    p_holm: float = math.nan


def read_expressions(recordings: Sequence[Recording], data: DataConfig) -> Expressions:
    """Read the intensities of visits.

    Args:
        recordings: Visits with a grade (or a label of the diagnosis) and a file of intensities.
        data: What makes a group of them.

    Raises:
        DecodeError: If a file cannot be read, files are not of one network, or a visit is of a
            person that the network learnt from.
    """
    check_intensities(recordings)
    found = {
        one.recording_id: read_intensities(one.intensities) for one in recordings if one.intensities
    }
    rows, logs, features = [], list[Floats](), list[Floats]()
    for one in recordings:
        made = found[one.recording_id]
        there = np.flatnonzero(made.is_present)
        group = grade_class(one.grade or 0, data.grade_cuts)
        rows += [(one.recording_id, one.subject_id, int(video), group) for video in there]
        logs += [*made.log[there]]
        features += [*made.features[there]]
    first = next(iter(found.values()))
    shares = softmax(np.stack(logs), axis=1)
    units = pd.DataFrame(rows, columns=["recording_id", "subject_id", "target", "group"])
    units = units.assign(**{f"probability_{k}": shares[:, k] for k in range(shares.shape[1])})
    vectors = np.stack(features)
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return Expressions(
        classes=first.classes,
        units=units,
        logs=np.stack(logs),
        features=vectors / np.maximum(length, 1e-300),
        num_absent=len(first.items) * len(recordings) - len(units),
        num_visits=len(recordings),
    )


def accuracy_difference(found: Expressions) -> tuple[float, float, float]:
    """Return accuracy of the healthy less that of the ill, and its 95% interval over subjects.

    The interval is nan if a group has fewer than five subjects.
    """
    units = found.units
    right = predicted(probabilities(units)) == targets(units)
    group = units["group"].to_numpy()

    def differences(weights: Floats) -> Floats:
        with np.errstate(invalid="ignore"):
            healthy, ill = (
                weights @ (right & (group == k)) / (weights @ (group == k)) for k in (0, 1)
            )
        return np.asarray(healthy - ill)

    value = float(differences(np.ones((1, len(units))))[0])
    if _fewest(units) < _PEOPLE:
        return value, math.nan, math.nan
    interval = percentile_interval(units["subject_id"], value, differences)
    return value, interval.low, interval.high


def contrasts(found: Expressions) -> list[Contrast]:
    """Return the contrast of each phrase in each video, video by video."""
    made = [
        _contrast(found, video, phrase)
        for video in range(len(found.classes))
        for phrase in range(len(found.classes))
    ]
    adjusted = holm([one.p for one in made])
    return [replace(one, p_holm=p) for one, p in zip(made, adjusted, strict=True)]


def subject_means(found: Expressions, video: int) -> pd.DataFrame:
    """Return the mean log intensities of each subject in the videos of one expression.

    Returns:
        One row per subject and group: ``subject_id``, ``group`` and one column per phrase, named by
        its number.
    """
    is_video = (found.units["target"] == video).to_numpy()
    who = found.units.loc[is_video, ["subject_id", "group"]].reset_index(drop=True)
    logs = pd.DataFrame(found.logs[is_video])
    return who.join(logs).groupby(["group", "subject_id"], as_index=False).mean()


def _contrast(found: Expressions, video: int, phrase: int) -> Contrast:
    means = subject_means(found, video)
    values, ill = means[phrase].to_numpy(), means["group"].to_numpy()
    sides = [values[ill == k] for k in (0, 1)]
    counts = (len(sides[0]), len(sides[1]))
    delta = low = high = p = math.nan
    if min(counts):
        # AUROC of "the ill have lower values" is the share of pairs where it is so.
        lower = np.stack([values, -values], axis=1)
        areas = partial(weighted_scores, "auroc", ill, lower)
        delta = 2 * float(areas(np.ones((1, len(values))))[0]) - 1
        if min(counts) >= _PEOPLE:
            interval = percentile_interval(means["subject_id"], delta, lambda w: 2 * areas(w) - 1)
            low, high = interval.low, interval.high
    if min(counts) >= LEAST:
        p = float(mannwhitneyu(*sides).pvalue)
    healthy, sick = (float(np.median(one)) if len(one) else math.nan for one in sides)
    return Contrast(
        found.classes[video], found.classes[phrase], (healthy, sick), counts, delta, low, high, p
    )


def silhouettes(found: Expressions) -> Iterator[tuple[str, float]]:
    """Yield the mean silhouette of each grouping of the features, in the feature space."""
    expression, group = (found.units[name].to_numpy() for name in ("target", "group"))
    for k, name in enumerate(LABELS):
        mine = group == k
        yield f"by expression, {name}", silhouette(found.features[mine], expression[mine])
    yield "by expression, all", silhouette(found.features, expression)
    yield "by group", silhouette(found.features, group)
    yield "by subject", silhouette(found.features, found.units["subject_id"].to_numpy())


def _fewest(units: pd.DataFrame) -> int:
    """Return the subjects of the smaller group."""
    return min(units.loc[units["group"] == k, "subject_id"].nunique() for k in (0, 1))
