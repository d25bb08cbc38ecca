"""Tests whether marked facial regions predict severity (YouTubePD, section B.2).

A linear classifier (multinomial logistic regression) predicts the severity of a recording from the
regions, of 14, that a clinician marked. YouTubePD reports 70% right, and 15% with random marks.
Only ill recordings have marks, so having any mark identifies patients. Two controls separate this
from severity: marks shuffled among patients still identify patients, but say nothing about
severity; and with patients only, nothing but severity is left. Random marks for everybody are the
paper's control.
YouTubePD discusses the weights and biases of the model; they are printed here, as mean and SD over
the fits of all folds and repeats. An input is 0 or 1 and not standardised, so a weight is the
amount that a mark adds to the logit of a class.
Differs: YouTubePD names neither its recordings nor its split nor the strength of the penalty (C = 1
here).
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score, mean_squared_error

from pdray.config import build, dump, require_writable
from pdray.data.cohort.manifest import open_manifest
from pdray.data.cohort.marks import NO_MARKS, add_marks, read_marks
from pdray.data.cohort.members import compared_sides, make_cohort, rated
from pdray.data.cohort.settings import subject_faults
from pdray.data.face.points import REGIONS
from pdray.errors import FoldsError, SettingsError, refuse
from pdray.evaluation.report import aligned, headline
from pdray.papers.settings import MarksConfig
from pdray.search.settings import StudyConfig
from pdray.tracking.provenance import source_identity
from pdray.tracking.scorings import Scoring, note_scoring, subject_marks

Marked = NDArray[np.bool_]
Classes = NDArray[np.int64]
Split = Sequence[tuple[Sequence[int], Sequence[int]]]
"""Training and test positions of each fold."""

_COIN = 0.5
_SCORES = ("Top-1 [%]", "F1 macro", "MSE")
_DIGITS = (1, 2, 2)
_NOTHING = "-"


class MarkedRecordings(NamedTuple):
    """Marks and classes of N recordings.

    Attributes:
        marked: (N, 14) whether a region is marked.
        classes: (N,) severity class, 0 is healthy.
        synthetic: Whether any recording is synthetic.
    """

    marked: Marked
    classes: Classes
    synthetic: bool


def correlate_marks(config: MarksConfig) -> str:
    """Score the marks of a manifest's recordings and return the report.

    Args:
        config: Checked settings; the folds are those of a comparison.

    Raises:
        PdrayError: If a table has a fault, ``data.marks`` is missing, or the recordings cannot be
            split as asked.
    """
    if config.data.marks is None:
        raise SettingsError(
            "'data.marks' is missing; give the table of marks that jobs/import_youtubepd.py wrote"
        )
    study = build(StudyConfig, {"data": dump(config)["data"], "folds": dump(config)["folds"]})
    refuse(subject_faults(study.data, study.folds), SettingsError, "settings")
    require_writable(config.output, key="output")
    manifest = open_manifest(config.data, check_files=False)
    table = read_marks(config.data.marks)
    splits: list[Split] = []
    for repeat in range(config.repeats):
        folds = config.folds.model_copy(update={"seed": config.folds.seed + repeat})
        cohort = make_cohort(manifest, config.data, folds, needs=(), searches=False)
        recordings = add_marks(rated(cohort, config.data, None), table)
        sides = compared_sides(cohort.folds, recordings)
        splits.append([(side.training, side.evaluation) for side in sides])
    if not any(one.marks for one in recordings):
        raise SettingsError(
            f"data.marks: none of its {len(table.regions)} recordings is among the "
            f"{len(recordings)} of the manifest; give the table that belongs to the manifest"
        )
    every = [one.marks or NO_MARKS for one in recordings]
    known = MarkedRecordings(
        np.array([[bool(mark) for mark in marks] for marks in every]),
        np.array([one.target for one in recordings], np.int64),
        cohort.is_synthetic,
    )
    note_scoring(
        config.output,
        Scoring(
            table="correlate_marks",
            study="correlate_marks",
            seed=config.folds.seed,
            source=source_identity(),
            manifest=manifest.path.name,
            runs="marks",
            digest=manifest.digest,
            subjects=subject_marks(cohort.folds.test or cohort.folds.development),
        ),
    )
    how = f"each of {config.folds.num_outer} folds is tested in turn"
    if config.folds.from_split:
        how = "the test set is that of the manifest's column split"
    return "\n".join([marks_report(known, splits, how), *(f"note: {one}" for one in cohort.notes)])


def correlate(known: MarkedRecordings, splits: Sequence[Split]) -> dict[str, NDArray[np.float64]]:
    """Score the classifier on the marks and on every control.

    Args:
        known: The recordings.
        splits: Split of each repeat; the number of the repeat is the seed of the controls.

    Returns:
        By row label, (repeats, 3) accuracy, macro F1 and MSE of all test recordings of the row.

    Raises:
        FoldsError: If the ill training recordings of a fold have fewer than two classes.
    """
    marked, classes, _ = known
    ill = classes > 0
    found: dict[str, list[list[float]]] = {}
    for repeat, split in enumerate(splits):
        draws = np.random.default_rng(repeat)
        exchanged = marked.copy()
        exchanged[ill] = marked[ill][draws.permutation(int(ill.sum()))]
        tossed, none = draws.random(marked.shape) < _COIN, np.zeros_like(marked)
        everyone = np.ones_like(ill)
        rows = {
            "marks": (marked, everyone),
            "control: marks shuffled among patients": (exchanged, everyone),
            "control: random marks for everybody": (tossed, everyone),
            "control: no marks": (none, everyone),
            "patients only: marks": (marked, ill),
            "patients only, control: marks shuffled": (exchanged, ill),
            "patients only, control: no marks": (none, ill),
        }
        for label, (given, chosen) in rows.items():
            found.setdefault(label, []).append(_crossed(given, classes, chosen, split))
    return {label: np.array(scores) for label, scores in found.items()}


def _crossed(given: Marked, classes: Classes, chosen: Marked, split: Split) -> list[float]:
    guess, true = [], []
    for linear, held in _fits(given, classes, chosen, split):
        guess.append(linear.predict(given[held]))
        true.append(classes[held])
    y, predicted = np.concatenate(true), np.concatenate(guess)
    macro = f1_score(y, predicted, average="macro", zero_division=0.0)
    return [accuracy_score(y, predicted), macro, mean_squared_error(y, predicted)]


def _fits(
    given: Marked, classes: Classes, chosen: Marked, split: Split
) -> Iterator[tuple[LogisticRegression, Classes]]:
    """Yield the classifier of each fold and its test positions, at least one."""
    for sides in split:
        learnt, held = (np.array([i for i in side if chosen[i]], np.int64) for side in sides)
        if not len(held):
            continue
        severities = np.unique(classes[learnt])
        if len(severities) < 2:
            found = ", ".join(map(str, severities)) or "none"
            raise FoldsError(
                f"the training recordings of a fold need two classes, also those of patients only, "
                f"got {found}; use more data.grade_cuts or fewer folds"
            )
        yield LogisticRegression(max_iter=1000).fit(given[learnt], classes[learnt]), held


def fitted_weights(
    known: MarkedRecordings, splits: Sequence[Split], chosen: Marked
) -> tuple[list[int], NDArray[np.float64]]:
    """Return the weights of the classifier on the marks, for each fold and repeat.

    Args:
        known: The recordings.
        splits: Split of each repeat.
        chosen: (N,) which recordings are used.

    Returns:
        The K classes, and the (fits, K, 15) weights of their logits: of each region and, last, the
        bias; nan for a class without a training recording in a fold. With two classes each has half
        of the difference, which gives the same probabilities.

    Raises:
        FoldsError: As :func:`correlate`.
    """
    numbers = np.unique(known.classes[chosen])
    found = []
    for split in splits:
        for linear, _ in _fits(known.marked, known.classes, chosen, split):
            fitted = np.column_stack([linear.coef_, linear.intercept_])
            fitted = np.concatenate([-fitted, fitted]) / 2 if len(fitted) == 1 else fitted
            whole = np.full((len(numbers), fitted.shape[1]), np.nan)
            whole[np.searchsorted(numbers, linear.classes_)] = fitted
            found.append(whole)
    return numbers.tolist(), np.array(found)


def marks_report(known: MarkedRecordings, splits: Sequence[Split], how: str) -> str:
    """Return the scores of :func:`correlate` as text, and how often each region is marked.

    Args:
        known: The recordings.
        splits: Split of each repeat.
        how: Description of the split.
    """
    title = "YouTubePD, section B.2: severity from the regions that a clinician marked"
    body: list[Sequence[str]] = [("", *_SCORES)]
    for label, scores in correlate(known, splits).items():
        mean = _percent(scores.mean(axis=0))
        cells = [f"{value:.{d}f}" for value, d in zip(mean, _DIGITS, strict=True)]
        if len(scores) > 1:
            spread = _percent(scores.std(axis=0, ddof=1))
            cells = [f"{a}+-{b:.{d}f}" for a, b, d in zip(cells, spread, _DIGITS, strict=True)]
        body.append((label, *cells))
    ill = known.classes > 0
    bare = int((~known.marked[ill].any(axis=1)).sum())
    notes = [
        f"{len(known.classes)} recordings, {int(ill.sum())} ill, {bare} of them without a mark; "
        f"{how}; mean+-SD over {len(splits)} repeats",
        "paper: Top-1 of marks 70, of random marks 15; it names neither recordings nor split",
        "only ill recordings are marked, so shuffled marks show who is ill, but not how severely",
    ]
    weights = [
        "weights of the model: the amount that a marked region adds to the logit of a class;",
        "mean+-SD over the fits of all folds and repeats, which share recordings",
        *_weights("all, weight for class", known, splits, np.ones_like(ill)),
        "",
        *_weights("patients only, for class", known, splits, ill),
    ]
    head = [headline(title, known.synthetic), "", *aligned(body), "", *notes]
    return "\n".join([*head, "", *_shares(known), "", *weights])


def _percent(scores: NDArray[np.float64]) -> list[float]:
    percent: list[float] = (scores * (100, 1, 1)).tolist()
    return percent


def _weights(
    heading: str, known: MarkedRecordings, splits: Sequence[Split], chosen: Marked
) -> list[str]:
    """Return the weights of each region and the bias, by class, as lines of a table."""
    classes, fits = fitted_weights(known, splits, chosen)
    body: list[Sequence[str]] = [(heading, *map(str, classes))]
    for place, name in enumerate((*REGIONS, "bias")):
        cells = []
        for column in fits[:, :, place].T:
            values = column[~np.isnan(column)]
            spread = f"+-{values.std(ddof=1):.2f}" if len(values) > 1 else ""
            cells.append(f"{values.mean():.2f}{spread}" if len(values) else _NOTHING)
        body.append((name, *cells))
    return aligned(body)


def _shares(known: MarkedRecordings) -> list[str]:
    """Return the percentage of recordings of each class in which each region is marked."""
    of_class: Mapping[int, Marked] = {
        k: known.marked[known.classes == k] for k in np.unique(known.classes[known.classes > 0])
    }
    body: list[Sequence[str]] = [("marked [%], of class", *map(str, of_class))]
    for region, name in enumerate(REGIONS):
        body.append((name, *(f"{100 * rows[:, region].mean():.0f}" for rows in of_class.values())))
    counts = (f"{rows.sum(axis=1).mean():.1f}" for rows in of_class.values())
    body.append(("regions per recording", *counts))
    return aligned(body)
