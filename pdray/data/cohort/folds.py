"""Folds: which subjects train, validate and test. Subjects are assigned, never recordings.

A :class:`Folds` that has a subject on both sides cannot be built, however it was made or loaded.
Stratification is scikit-learn's ``StratifiedGroupKFold``. A search sets the test subjects of the
outer split aside and cross-validates inside the development subjects; a comparison, which chooses
nothing, holds every outer fold out in turn, or the one group that the cohort's owner has named.
"""

import json
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass

import numpy as np

from pdray.data.cohort.settings import FoldsConfig
from pdray.errors import FoldsError, refuse

_SHOWN = 5  # subjects named in one message
_FOLDS = {"folds.num_outer": "outer folds", "folds.num_folds": "inner folds"}


@dataclass(frozen=True)
class Folds:
    """Subjects by side; every subject is in the test set or in exactly one fold.

    Attributes:
        test: Held-out subjects, never seen by a search; empty where every fold is held out in turn.
        folds: Held-out subjects of each fold; one fold alone is everybody outside the test set.
    """

    test: frozenset[str]
    folds: tuple[frozenset[str], ...]

    def __post_init__(self) -> None:
        """Refuse a subject on two sides, and an empty side."""
        sides = {"the test set": self.test}
        if len(self.folds) > 1 and not self.test:
            sides = {}  # the folds hold each other out
        sides.update({f"fold {number}": side for number, side in enumerate(self.folds)})
        faults = [f"{name} has no subject" for name, side in sides.items() if not side]
        if not self.folds:
            faults.append("there is no fold")
        home: dict[str, str] = {}
        for name, side in sides.items():
            for subject in sorted(side):
                if subject in home:
                    faults.append(f"subject {subject} is in {home[subject]} and in {name}")
                home[subject] = name
        refuse(faults, FoldsError, "folds must keep every subject on one side")

    @property
    def development(self) -> frozenset[str]:
        """All subjects that are not in the test set."""
        return frozenset().union(*self.folds)

    @property
    def splits(self) -> dict[str, tuple[frozenset[str], frozenset[str]]]:
        """Name of each held-out side to who is learnt from and who is held out."""
        what = "validation side of fold" if self.test else "held-out side of fold"
        numbers = range(len(self.folds)) if len(self.folds) > 1 else ()
        found = {f"{what} {n}": (self.train(n), self.folds[n]) for n in numbers}
        if self.test:
            found["test set"] = (self.development, self.test)
        return found

    def train(self, fold: int) -> frozenset[str]:
        """Return the subjects that are learnt from while a fold is held out."""
        return self.development - self.validation(fold)

    def validation(self, fold: int) -> frozenset[str]:
        """Return the held-out subjects of a fold, counted from 0."""
        if not 0 <= fold < len(self.folds):
            raise IndexError(f"fold {fold} is outside 0..{len(self.folds) - 1}")
        return self.folds[fold]


def make_folds(
    subjects: Sequence[str],
    classes: Sequence[int],
    config: FoldsConfig,
    *,
    num_classes: int,
    is_pooled: bool = False,
) -> Folds:
    """Split subjects for a search, stratified by the classes of their recordings.

    The result depends on the set of (subject, class) pairs and the settings, not on the order of
    the rows. A class absent from a validation side or the test set is allowed; list those with
    :func:`absent_classes` beside every score.

    Args:
        subjects: Subject of each recording.
        classes: Class of each recording, 0..num_classes-1; same length.
        config: Counts and seed.
        num_classes: How many classes the model has.
        is_pooled: Whether the test set is scored together with those of the other outer folds, so
            that it may be one subject.

    Returns:
        The folds.

    Raises:
        FoldsError: If there are fewer subjects than folds, or a class has no recording in a
            training side; with the counts, every fault at once.
        ValueError: If the lengths differ or a class is out of range.
    """
    labels = _check_rows(subjects, classes, num_classes)
    # One outer fold is set aside before the rest is split again.
    needed = max(config.num_outer, config.num_folds + 1)
    asked = f"{config.num_outer} outer and {config.num_folds} inner folds need"
    right = "lower folds.num_outer or folds.num_folds"
    faults = _count_faults(labels, needed, f"{asked}; {right}", num_classes)
    refuse(faults, FoldsError, "subjects cannot be split")
    outer = _split(labels, config.num_outer, seed=config.seed, key="folds.num_outer")
    test = outer[config.outer_fold]
    if len(test) < 2 and not is_pooled:
        raise FoldsError(
            f"the test set has {len(test)} subject, so its scores could have no interval; lower "
            f"folds.num_outer = {config.num_outer} for {len({s for s, _ in labels})} subjects"
        )
    development = [row for row in labels if row[0] not in test]
    inner = _split(development, config.num_folds, seed=config.seed, key="folds.num_folds")
    return _learnable(Folds(test, tuple(inner)), labels, num_classes)


def make_held_out_folds(
    subjects: Sequence[str],
    classes: Sequence[int],
    config: FoldsConfig,
    *,
    num_classes: int,
    key: str = "folds.num_outer",
) -> Folds:
    """Split all subjects into folds, each of which is held out in turn.

    Args:
        subjects: Subject of each recording.
        classes: Class of each recording, 0..num_classes-1; same length.
        config: Counts and seed.
        num_classes: How many classes the model has.
        key: The count that is used. ``folds.num_outer``: the folds are those that
            :func:`make_folds` makes test sets of, one after the other. ``folds.num_folds``: those
            of a search on all subjects.

    Returns:
        Folds without a test set.

    Raises:
        FoldsError: If there are fewer subjects than folds, or a class has no recording in a
            training side; with the counts, every fault at once.
        ValueError: If the lengths differ or a class is out of range.
    """
    labels = _check_rows(subjects, classes, num_classes)
    num_sides = config.num_outer if key == "folds.num_outer" else config.num_folds
    most = len(set(subjects))
    right = f"lower {key} to at most {most}" if most > 1 else "add recordings of more subjects"
    faults = _count_faults(
        labels, num_sides, f"{num_sides} {_FOLDS[key]} need; {right}", num_classes
    )
    refuse(faults, FoldsError, "subjects cannot be split")
    folds = _split(labels, num_sides, seed=config.seed, key=key)
    return _learnable(Folds(frozenset(), tuple(folds)), labels, num_classes)


def make_fixed_folds(
    subjects: Sequence[str],
    classes: Sequence[int],
    sides: Sequence[str | None],
    *,
    num_classes: int,
    inner: FoldsConfig | None = None,
) -> Folds:
    """Take the split that the cohort's owner has fixed.

    Args:
        subjects: Subject of each recording.
        classes: Class of each recording, 0..num_classes-1; same length.
        sides: Side of each recording, same length: train, and what is held out: test, or val where
            the owner keeps the test side to himself (Kinetics).
        num_classes: How many classes the model has.
        inner: Count and seed of the folds that a search makes of everybody else; None for a
            comparison, which trains on them.

    Returns:
        The held-out subjects as test set, all others as the inner folds or the only fold.

    Raises:
        FoldsError: If a recording is on no side, there are both test and val, a subject is on both
            sides, or a class has no recording to learn from.
        ValueError: If the lengths differ or a class is out of range.
    """
    labels = _check_rows(subjects, classes, num_classes)
    found = {side or "nothing" for side in sides}
    if found not in ({"train", "test"}, {"train", "val"}):
        raise FoldsError(
            f"folds.from_split: the manifest's column split holds {', '.join(sorted(found))}; "
            "expected train and test, or train and val, in the rows that are used"
        )
    rows = list(zip(subjects, sides, strict=True))
    held = frozenset(subject for subject, side in rows if side != "train")
    learnt = frozenset(subject for subject, side in rows if side == "train")
    if inner is None or held & learnt:
        return _learnable(Folds(held, (learnt,)), labels, num_classes)
    development = [row for row in labels if row[0] in learnt]
    folds = _split(development, inner.num_folds, seed=inner.seed, key="folds.num_folds")
    return _learnable(Folds(held, tuple(folds)), labels, num_classes)


def absent_classes(
    folds: Folds, subjects: Sequence[str], classes: Sequence[int], *, num_classes: int
) -> list[str]:
    """List the classes that a held-out side lacks.

    Returns:
        One sentence for each, to be printed beside the scores it touches; empty when none.
    """
    labels = _check_rows(subjects, classes, num_classes)
    found = []
    for name, (_, side) in folds.splits.items():
        counts = _class_counts(labels, side)
        found += [
            f"{name}: class {label} has 0 of {counts.total()} recordings"
            for label in range(num_classes)
            if counts[label] == 0
        ]
    return found


def with_people(folds: Folds, groups: Mapping[str, str]) -> Folds:
    """Put the people of each group, which were split as if they were one subject, in its place.

    Args:
        folds: Of groups.
        groups: Subject to group.
    """

    def members(side: Set[str]) -> frozenset[str]:
        return frozenset(subject for subject, group in groups.items() if group in side)

    return Folds(members(folds.test), tuple(map(members, folds.folds)))


def folds_to_json(folds: Folds) -> str:
    """Return the folds as JSON text with sorted subjects; :func:`folds_from_json` reads it."""
    plain = {"test": sorted(folds.test), "folds": [sorted(side) for side in folds.folds]}
    return json.dumps(plain, indent=1)


def folds_from_json(text: str) -> Folds:
    """Read what :func:`folds_to_json` wrote, checking the sides again.

    Raises:
        FoldsError: If the text is not such JSON, or a subject is on two sides.
    """
    try:
        plain = json.loads(text)
    except json.JSONDecodeError as error:
        raise FoldsError(f"folds: not JSON: {error}") from error
    if not isinstance(plain, Mapping) or set(plain) != {"test", "folds"}:
        raise FoldsError('folds: expected an object with "test" and "folds"')
    folds = plain["folds"] if isinstance(plain["folds"], list) else [plain["folds"]]
    test, *inner = [_side_of(side) for side in (plain["test"], *folds)]
    return Folds(test, tuple(inner))


def _side_of(side: object) -> frozenset[str]:
    if not isinstance(side, list) or not all(isinstance(name, str) for name in side):
        raise FoldsError(f"folds: expected lists of subject ids, got {side!r}")
    twice = sorted(name for name, times in Counter(side).items() if times > 1)
    refuse([f"subject {name} stands twice in one side" for name in twice], FoldsError, "folds")
    return frozenset(side)


Labels = list[tuple[str, int]]  # (subject, class) of each recording


def _check_rows(subjects: Sequence[str], classes: Sequence[int], num_classes: int) -> Labels:
    if len(subjects) != len(classes):
        raise ValueError(f"{len(subjects)} subjects but {len(classes)} classes")
    outside = sorted({label for label in classes if not 0 <= label < num_classes})
    if outside:
        raise ValueError(f"classes {outside} are outside 0..{num_classes - 1}")
    # Sorted, so that the order of a manifest's rows decides nothing.
    return sorted(zip(subjects, map(int, classes), strict=True))


def _count_faults(labels: Labels, needed: int, asked: str, num_classes: int) -> list[str]:
    num_subjects = len({subject for subject, _ in labels})
    faults = []
    if num_subjects < needed:
        are = "subject is" if num_subjects == 1 else "subjects are"
        faults.append(f"{num_subjects} {are} fewer than the {needed} that {asked}")
    counts = Counter(label for _, label in labels)
    return faults + [
        f"class {label} has 0 of {len(labels)} recordings; choose other data.grade_cuts or "
        "data.items"
        for label in range(num_classes)
        if counts[label] == 0
    ]


def _split(labels: Labels, num_sides: int, *, seed: int, key: str) -> list[frozenset[str]]:
    """Return the subjects of each side; ``key`` is the setting that says how many."""
    subjects = np.array([subject for subject, _ in labels])
    classes = np.array([label for _, label in labels])
    num_subjects, largest = len(set(subjects)), max(Counter(classes.tolist()).values())
    if num_subjects == num_sides:  # each held out by itself: nothing to balance
        return [frozenset([subject]) for subject in sorted(set(subjects.tolist()))]
    if num_subjects < num_sides or largest < num_sides:
        most = num_subjects if num_subjects < num_sides else largest
        right = f"lower {key} to at most {most}" if most > 1 else "too few for any folds"
        raise FoldsError(
            f"{num_sides} {_FOLDS[key]} need at least {num_sides} subjects and as many recordings "
            f"of the most frequent class; there are {num_subjects} subjects and {largest} "
            f"recordings: {right}"
        )
    from sklearn.model_selection import StratifiedGroupKFold

    splitter = StratifiedGroupKFold(num_sides, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        # A class rarer than the number of folds is reported by absent_classes, by name.
        warnings.filterwarnings("ignore", message="The least populated class in y")
        halves = list(splitter.split(subjects, classes, subjects))
    return [frozenset(subjects[held].tolist()) for _, held in halves]


def _learnable(folds: Folds, labels: Labels, num_classes: int) -> Folds:
    """Return the folds; refuse them where a training side lacks a class."""
    faults = []
    for name, (side, _) in folds.splits.items():
        counts = _class_counts(labels, side)
        for label in range(num_classes):
            if counts[label] == 0:
                owners = {subject for subject, of in labels if of == label}
                faults.append(
                    f"outside the {name}: class {label} has 0 of {counts.total()} recordings "
                    f"({_total(labels, label)} recordings of {len(owners)} subjects in all: "
                    f"{_named(owners)}); choose other data.grade_cuts, folds.outer_fold or "
                    "folds.seed"
                )
    refuse(faults, FoldsError, "a class cannot be learnt")
    return folds


def _class_counts(labels: Labels, side: Set[str]) -> Counter[int]:
    return Counter(label for subject, label in labels if subject in side)


def _total(labels: Labels, wanted: int) -> int:
    return sum(label == wanted for _, label in labels)


def _named(subjects: Set[str]) -> str:
    shown = sorted(subjects)[:_SHOWN]
    return ", ".join(shown) + (", ..." if len(subjects) > _SHOWN else "")
