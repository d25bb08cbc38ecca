"""PDR004: persons who are told apart by how they look and sound, and one person under two ids.

Without subject ids, recordings are put into clusters of likeness, and a linear model on likeness is
scored twice: with recordings split at random, and with clusters kept on one side.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pdray.checks.baselines import people_folds
from pdray.checks.case import Case
from pdray.checks.facts import visit_numbers
from pdray.checks.finding import Finding
from pdray.checks.likeness import (
    PARTS,
    clusters,
    feature_values,
    joined,
    links,
    part_distances,
    table_distances,
    told_apart,
)
from pdray.checks.ridge import Block, Side, class_shares, hat_of, indicators
from pdray.checks.traits import Traits, traits_of
from pdray.config import build
from pdray.data.cohort.members import num_unnamed
from pdray.data.cohort.settings import DataConfig
from pdray.evaluation.metrics import score
from pdray.tracking.leaving import KEY

Doubles = NDArray[np.float64]
Places = NDArray[np.int64]

_RATIO = 0.3  # a third person is at least 3.3 times as far as two that are linked
_SHARE = 0.75  # of recordings are as near to another of their own person
_LEAST_PERSONS = 5  # with several recordings: from them, likeness of one person is learnt
_CUT = 1.5  # clusters are cut at so many times the usual distance to the nearest recording
_SHUFFLES = 99
_LEVEL = 0.05
_SHOWN = 5


def run(case: Case) -> Finding:
    """Link persons, or score by clusters where there are no ids."""
    traits = traits_of(case)
    tables = {name: values for name, (_, values) in feature_values(case.recordings).items()}
    parts = part_distances(traits) | table_distances(tables)
    if not parts:
        return Finding(
            state="unknown",
            looked_at="still pictures, voices, shapes of faces and features",
            found="no recording has pictures in the frame store, sound, landmarks or features",
        )
    if num_unnamed(case.cohort.recordings, build(DataConfig, case.config["data"])):
        blocks = [
            Block(name, tables[name] if name in tables else _values(traits, name), name != "look")
            for name in parts
        ]
        return _without_ids(case, blocks, parts)
    return _with_ids(case, parts)


def _with_ids(case: Case, parts: dict[str, Doubles]) -> Finding:
    people = [one.people for one in case.recordings]
    names = sorted(set(people))
    person = np.array([names.index(one) for one in people])
    rows = {one.recording_id: one for one in case.cohort.recordings}
    visits = visit_numbers([rows[one.recording_id] for one in case.recordings])
    right, chance, asked = told_apart(joined(list(parts.values())), person, visits)
    looked_at = f"{', '.join(PARTS.get(name, name) for name in parts)} of {len(names)} persons"
    if sum(np.bincount(person) > 1) < _LEAST_PERSONS:
        return Finding(
            state="unknown", looked_at=looked_at,
            found=f"fewer than {_LEAST_PERSONS} persons have several recordings, so how alike "
            "recordings of one person are is not known",
        )  # fmt: skip
    linked = _linked(case, parts, person)
    told = f"the nearest recording is of the same person for {right:.0%} of {asked} recordings" + (
        f" (chance {chance:.0%})" if asked else ""
    )
    return Finding(
        state="warning" if linked else "passed",
        looked_at=looked_at,
        found=f"{len(linked)} pairs of ids are near-certainly one person on both sides: "
        f"{', '.join(linked[:_SHOWN])}; {told}" if linked
        else f"no two ids on different sides look or sound like one person; {told}",
        sure="a pair is named if it is as alike as recordings of one person are and a third "
        f"person is {1 / _RATIO:.1f} times as far; one person in another room is not found",
        advice=f"look at both ({KEY} says which recordings they are); if they are one person, give "
        "them one subject_id" if linked
        else "split by subject_id, never by recording" ,
        numbers={"links": len(linked), "told_apart": right, "chance": chance},
    )  # fmt: skip


def _linked(case: Case, parts: dict[str, Doubles], person: Places) -> list[str]:
    """Return pairs of persons on different sides, each by one of its recordings and the part."""
    found: dict[tuple[int, int], str] = {}
    first_of = {int(number): place for place, number in reversed(list(enumerate(person)))}
    for name, distance in parts.items():
        for link in links(distance, person, ratio=_RATIO, share=_SHARE):
            if any(_apart(person, split.training, split.held, link[:2]) for split in case.splits):
                numbers = [case.number_of(first_of[one]) for one in link[:2]]
                told = f"those of {numbers[0]} and {numbers[1]} ({PARTS.get(name, name)})"
                found.setdefault(link[:2], told)
    return list(found.values())


def _apart(
    person: Places, training: Sequence[int], held: Sequence[int], pair: tuple[int, int]
) -> bool:
    sides = [{int(person[i]) for i in side} for side in (training, held)]
    return (pair[0] in sides[0] and pair[1] in sides[1]) or (
        pair[1] in sides[0] and pair[0] in sides[1]
    )


def _without_ids(case: Case, blocks: Sequence[Block], parts: dict[str, Doubles]) -> Finding:
    distance = joined(list(parts.values()))
    cluster = clusters(distance, factor=_CUT)
    count = int(cluster.max()) + 1
    looked_at = (
        f"{', '.join(PARTS.get(name, name) for name in parts)} of {len(cluster)} recordings "
        f"without subject ids, in {count} clusters of likeness"
    )
    if count < 2 * _LEAST_PERSONS or count == len(cluster):
        return Finding(
            state="unknown", looked_at=looked_at, found="too few or too small clusters to split by"
        )
    classes = np.array([one.target for one in case.recordings])
    labels = indicators(classes, case.cohort.num_classes)

    def scored(groups: Places) -> float:
        return _score(case.metric, blocks, labels, people_folds([f"{one:06d}" for one in groups]))

    random, kept = scored(np.arange(len(cluster))), scored(cluster)
    rng = np.random.default_rng(0)
    shuffled = [scored(rng.permutation(cluster)) for _ in range(_SHUFFLES)]
    p = (1 + sum(one <= kept for one in shuffled)) / (1 + _SHUFFLES)
    is_leak = p <= _LEVEL and kept < random
    return Finding(
        state="warning" if is_leak else "passed",
        looked_at=looked_at,
        found=f"a linear model on likeness alone scores {random:.3f} with recordings split at "
        f"random and {kept:.3f} with each cluster on one side (p {p:.2g})",
        sure=f"p is the share of {_SHUFFLES} shuffles of the clusters' members that score as low; "
        "clusters are no identities",
        advice="add subject ids; until then, report the score with clusters kept on one side"
        if is_leak else "add subject ids",
        numbers={"clusters": count, "random": random, "by_cluster": kept, "p": p},
    )  # fmt: skip


def _values(traits: Sequence[Traits], name: str) -> Doubles:
    width = next(one[name].size for one in traits if name in one)
    absent = np.full(width, np.nan)
    return np.array([one.get(name, absent) for one in traits], np.float64)


def _score(metric: str, blocks: Sequence[Block], labels: Doubles, sides: Sequence[Side]) -> float:
    shares = np.zeros_like(labels)
    for side in sides:
        shares[side.held] = class_shares(hat_of(blocks, side), labels[side.training])
    return score(metric.rpartition("/")[2], labels.argmax(axis=1), shares)
