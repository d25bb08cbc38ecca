"""Measures what pdray prints where there is nothing to find: intervals and p on null cohorts.

    python -m benchmarks.null_cohorts             # 52 minutes on two busy cores
    python -m benchmarks.null_cohorts quick=true  # only a test run; ignore its numbers

SYNTHETIC numbers, no recordings: subjects with two to four recordings each, five numbers of each
recording, grades 0 to 4 in two classes. Numbers and grades follow a severity of the subject. Then
whole vectors of grades change places between subjects with equally many recordings
(:func:`pdray.data.cohort.exchange.exchange_grades`), so that nothing is left to learn.

Each cohort runs a nested search: five outer folds of subjects, in each of them two inner folds
that choose one of twelve settings (six ridge penalties, all numbers or the first two) by MCC, and
a fit on the training side. The predictions of the outer folds are pooled. Folds, scores and
intervals are those of pdray; only the model is a closed form, so that thousands of searches take
minutes.

Printed for each size: how often the 95% interval contains chance, where there is one; how often p
against chance is at most 0.05, with 19 exchanges of grades through the whole search, folds included
(``evaluation.permutations``). With 19, p is at most 0.05 only if no exchange scores as well, so a
cohort ends at the first that does. Beside it stand two rivals that pdray does not print, on the
first 100 cohorts: p from exchanges of grades under *fixed* pooled predictions, and the interval of
the same search with folds of recordings in place of subjects.
"""

import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from pdray.data.batches.plan import derive_seed
from pdray.data.cohort.exchange import exchange_grades
from pdray.data.cohort.folds import make_held_out_folds
from pdray.data.cohort.manifest import Recording, grade_class
from pdray.data.cohort.settings import FoldsConfig
from pdray.errors import FoldsError
from pdray.evaluation.report import aligned
from pdray.evaluation.score_intervals import Rows, rows_interval
from pdray.evaluation.uncertainty import confusions, counted_scores, weighted_scores

Numbers = NDArray[np.float64]
Labels = NDArray[np.int64]

SIZES = (16, 40, 100)
NUM_COHORTS, NUM_EXCHANGES, BATCH = 1000, 19, 20
NUM_RIVALS = 100
CHANCE = {"mcc": 0.0, "balanced_accuracy": 0.5, "auroc": 0.5}
TESTED = ("mcc", "auroc")
OUTER, INNER, NUM_NUMBERS = 5, 2, 5
PENALTIES = (0.01, 0.1, 1.0, 10.0, 100.0, 1000.0)  # of standardised numbers, in recordings
WIDTHS = (2, NUM_NUMBERS)
CUTS = (2,)
LEAST_COVERAGE = {16: 0.90, 40: 0.935, 100: 0.935}
MOST_REJECTED = 0.065
_STEPS = np.array([-0.9, 0.0, 0.8, 1.6])  # severities at which grades 1 to 4 begin


@dataclass(frozen=True)
class Drawn:
    """A cohort: its recordings with grades, and the numbers of each recording.

    Attributes:
        recordings: N recordings.
        x: (N, D) numbers.
    """

    recordings: tuple[Recording, ...]
    x: Numbers

    @property
    def classes(self) -> Labels:
        """(N,) class of each grade."""
        return np.array([grade_class(one.grade or 0, CUTS) for one in self.recordings])

    @property
    def people(self) -> list[str]:
        """Subject of each recording."""
        return [one.subject_id for one in self.recordings]


def draw(num_subjects: int, seed: int) -> Drawn:
    """Draw a cohort and exchange its grades, so that nothing is left to learn."""
    rng = np.random.default_rng([seed, num_subjects])
    subject = np.repeat(np.arange(num_subjects), rng.integers(2, 5, num_subjects))
    severity = _mixed(rng, subject, 1)
    x = _mixed(rng, subject, NUM_NUMBERS) + 0.8 * severity
    grades = np.searchsorted(_STEPS, severity[:, 0])
    recordings = [
        Recording(f"R{place:04d}", f"S{one:03d}", "gait", grade=int(grade))
        for place, (one, grade) in enumerate(zip(subject, grades, strict=True))
    ]
    return Drawn(exchange_grades(recordings, derive_seed(seed, "null") % 2**32), x)


def _mixed(rng: np.random.Generator, subject: Labels, count: int) -> Numbers:
    """Return (N, count) numbers of variance 1, half of it between subjects."""
    own = rng.normal(size=(subject.max() + 1, count))[subject]
    mixed: Numbers = np.sqrt(0.5) * (own + rng.normal(size=own.shape))
    return mixed


def search(drawn: Drawn, seed: int, *, by_subject: bool = True) -> Rows:
    """Run a nested search and return the pooled predictions of its outer folds.

    Raises:
        FoldsError: If a training side would lack a class.
    """
    classes, people = drawn.classes, drawn.people
    units = people if by_subject else [one.recording_id for one in drawn.recordings]
    outer = _sides(units, classes, OUTER, seed)
    inner = np.stack([_within(units, classes, ~held, seed) for held in outer])  # (outer, inner, N)
    held = np.concatenate([inner, outer[:, None]], axis=1)
    learnt = np.concatenate([~outer[:, None] & ~inner, ~outer[:, None]], axis=1)
    shares = expit(2 * ridge_scores(drawn.x, classes, learnt))  # (outer, inner + 1, setting, N)
    found = np.zeros(len(classes))
    for fold in range(OUTER):
        values = [_of_settings(classes, shares[fold, n], inner[fold, n]) for n in range(INNER)]
        best = int(np.nan_to_num(np.mean(values, axis=0), nan=-1.0).argmax())
        found[held[fold, -1]] = shares[fold, -1, best, held[fold, -1]]
    subject = np.unique(people, return_inverse=True)[1]
    both = np.stack([1 - found, found], axis=1)
    return Rows(subject, classes, both, outer.argmax(axis=0), is_apart=by_subject)


def _sides(units: Sequence[str], classes: Labels, count: int, seed: int) -> NDArray[np.bool_]:
    """Return (count, N) whether each fold holds a recording out."""
    asked = FoldsConfig(num_outer=count, seed=seed)
    folds = make_held_out_folds(units, classes.tolist(), asked, num_classes=len(CUTS) + 1)
    return np.array([[unit in side for unit in units] for side in folds.folds])


def _within(
    units: Sequence[str], classes: Labels, training: NDArray[np.bool_], seed: int
) -> NDArray[np.bool_]:
    """Return (inner, N) whether each inner fold of a training side holds a recording out."""
    places = np.flatnonzero(training)
    found = np.zeros((INNER, len(classes)), dtype=np.bool_)
    found[:, places] = _sides([units[i] for i in places.tolist()], classes[places], INNER, seed)
    return found


def ridge_scores(x: Numbers, classes: Labels, learnt: NDArray[np.bool_]) -> Numbers:
    """Return ridge regression on the class (-1 or 1) for each side and setting.

    Args:
        x: (N, D) numbers.
        classes: (N,) 0 or 1.
        learnt: (..., N) whether a side learns from a recording.

    Returns:
        (..., settings, N).
    """
    weight = learnt / learnt.sum(axis=-1, keepdims=True)
    y = 2.0 * classes - 1
    mean_y = weight @ y
    mean = weight @ x
    products = np.einsum("...n,nd,ne->...de", weight, x, x)
    spread = products - mean[..., :, None] * mean[..., None, :]
    along = np.einsum("...n,nd,n->...d", weight, x, y) - mean * mean_y[..., None]
    size = np.sqrt(np.diagonal(spread, axis1=-2, axis2=-1))
    found = []
    for width in WIDTHS:
        used = size[..., :width]
        scaled = spread[..., :width, :width] / used[..., :, None] / used[..., None, :]
        penalty = np.array(PENALTIES)[:, None, None] * np.eye(width)
        relative = penalty / learnt.sum(axis=-1)[..., None, None, None]
        target = (along[..., :width] / used)[..., None, :, None]
        slope = np.linalg.solve(scaled[..., None, :, :] + relative, target)[..., 0]
        slope = slope / used[..., None, :]
        offset = mean_y[..., None] - (slope * mean[..., None, :width]).sum(axis=-1)
        found.append(slope @ x[:, :width].T + offset[..., None])
    return np.concatenate(found, axis=-2)


def _of_settings(classes: Labels, shares: Numbers, held: NDArray[np.bool_]) -> Numbers:
    """Return the (settings,) MCC of held-out recordings."""
    right, chosen = classes[held], shares[:, held] > 0.5
    counts = np.stack(
        [
            np.stack([((right == a) & (chosen == b)).sum(axis=1) for b in (0, 1)], axis=-1)
            for a in (0, 1)
        ],
        axis=1,
    )
    return counted_scores("mcc", counts.astype(np.float64))


def value_of(name: str, rows: Rows) -> float:
    """Return a score of all rows; AUROC from pairs inside one fold."""
    once = np.ones((1, len(rows.y_true)))
    if name == "auroc":
        return float(weighted_scores(name, rows.y_true, rows.probability, once, rows.network)[0])
    return float(counted_scores(name, confusions(rows.y_true, rows.probability, once))[0])


def exchanged(drawn: Drawn, seed: int) -> Iterator[Drawn]:
    """Yield the cohort with exchanged grades, again and again."""
    for number in range(NUM_EXCHANGES):
        drawn_now = derive_seed(seed, "permuted", number) % 2**32
        yield Drawn(exchange_grades(drawn.recordings, drawn_now), drawn.x)


def rejected(drawn: Drawn, rows: Rows, seed: int, *, fixed: bool) -> dict[str, bool]:
    """Return for each score whether p against chance is at most 0.05.

    Args:
        drawn: The cohort.
        rows: Its pooled predictions.
        seed: Seed of the exchanges and of the folds.
        fixed: Whether the predictions stay, in place of the whole search again.
    """
    observed = {name: value_of(name, rows) for name in TESTED}
    left = {name for name in TESTED if not np.isnan(observed[name])}
    for other in exchanged(drawn, seed):
        if not left:
            break
        again = replace(rows, y_true=other.classes) if fixed else search(other, seed)
        left -= {name for name in left if not value_of(name, again) < observed[name]}
    return {name: name in left for name in TESTED}


@dataclass(frozen=True)
class Outcome:
    """What one cohort printed.

    Attributes:
        values: Each score.
        covers: Whether its interval contains chance; None where there is no interval.
        rejects: Whether p against chance is at most 0.05.
        fixed: The same for the rival with fixed predictions; None if it was not tried.
        leaky: Whether the interval contains chance where recordings are split; None likewise.
    """

    values: dict[str, float]
    covers: dict[str, bool | None]
    rejects: dict[str, bool]
    fixed: dict[str, bool] | None
    leaky: dict[str, bool | None] | None


def one_cohort(num_subjects: int, seed: int) -> Outcome | None:
    """Return what one null cohort prints; None if a fold would lack a class."""
    drawn, is_rival = draw(num_subjects, seed), seed < NUM_RIVALS
    try:
        rows = search(drawn, seed)
        leaky = search(drawn, seed, by_subject=False) if is_rival else None
        rejects = rejected(drawn, rows, seed, fixed=False)
    except FoldsError:
        return None
    return Outcome(
        values={name: value_of(name, rows) for name in CHANCE},
        covers=_covers(rows),
        rejects=rejects,
        fixed=rejected(drawn, rows, seed, fixed=True) if is_rival else None,
        leaky=None if leaky is None else _covers(leaky),
    )


def _covers(rows: Rows) -> dict[str, bool | None]:
    found: dict[str, bool | None] = {}
    for name, chance in CHANCE.items():
        one = rows_interval(name, rows)
        found[name] = bool(one.low <= chance <= one.high) if one.exists else None
    return found


def _batch(num_subjects: int, seeds: Sequence[int]) -> list[Outcome | None]:
    return [one_cohort(num_subjects, seed) for seed in seeds]


def report(outcomes: dict[int, list[Outcome]]) -> tuple[str, list[str]]:
    """Return the shares as text [%], and the targets that are missed."""
    header = ["score", "subjects", "mean", "SD", "interval", "contains chance", "p <= .05",
              "fixed predictions: p <= .05", "recordings split: contains chance"]  # fmt: skip
    body, missed = [], []
    for name in CHANCE:
        for size, found in outcomes.items():
            values = np.array([one.values[name] for one in found])
            covers = [one.covers[name] for one in found]
            leaky = [one.leaky[name] for one in found if one.leaky is not None]
            printed = _known(covers)
            coverage, rejects, fixed = _share(printed), "-", "-"
            if printed and sum(printed) < LEAST_COVERAGE[size] * len(printed):
                missed.append(f"{name}, {size} subjects: {coverage}% contain chance")
            if name in TESTED:
                small = [one.rejects[name] for one in found]
                rejects = _share(small)
                fixed = _share([one.fixed[name] for one in found if one.fixed is not None])
                if sum(small) > MOST_REJECTED * len(small):
                    missed.append(f"{name}, {size} subjects: p <= .05 in {rejects}%")
            there = _share([one is not None for one in covers])
            body.append(
                [name, str(size), f"{np.nanmean(values):.3f}", f"{np.nanstd(values):.3f}", there,
                 coverage, rejects, fixed, _share(_known(leaky))]
            )  # fmt: skip
    return "\n".join(aligned([header, *body], numbers_right=True)), missed


def _known(found: Sequence[bool | None]) -> list[bool]:
    return [one for one in found if one is not None]


def _share(found: Sequence[bool]) -> str:
    return f"{100 * sum(found) / len(found):.1f}" if found else "-"


def measure(num_cohorts: int) -> int:
    """Run all sizes, print the table, and return the exit status."""
    started = time.perf_counter()
    outcomes: dict[int, list[Outcome]] = {}
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        for size in SIZES:
            seeds = [range(s, min(s + BATCH, num_cohorts)) for s in range(0, num_cohorts, BATCH)]
            found = [one for some in pool.map(partial(_batch, size), seeds) for one in some]
            outcomes[size] = [one for one in found if one is not None]
            minutes = (time.perf_counter() - started) / 60
            lost = len(found) - len(outcomes[size])
            print(
                f"{size} subjects: {minutes:.1f} min, {lost} cohorts could not be split", flush=True
            )
    text, missed = report(outcomes)
    print(f"\nSYNTHETIC null cohorts, {num_cohorts} of each size; shares in percent\n{text}")
    print("\n".join(f"MISSED {one}" for one in missed) or "all targets are met")
    return 1 if missed else 0


def main(argv: list[str]) -> int:
    """Run the benchmark; return 0, 1 if a target is missed, or 2 for other words."""
    if argv not in ([], ["quick=true"]):
        print(__doc__)
        return 0 if {"-h", "--help"} & set(argv) else 2
    status = measure(BATCH if argv else NUM_COHORTS)
    return 0 if argv else status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
