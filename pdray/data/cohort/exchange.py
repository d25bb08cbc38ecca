"""Grades that change places between people: a cohort in which there is nothing to learn.

The score of a study on such cohorts shows what chance alone gives, with the same people, files,
folds and search (permutation test; Ojala and Garriga 2010, test 1). The grades of a person depend
on each other, so whole vectors of grades change places, never single ones.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from pdray.data.cohort.manifest import Recording
from pdray.errors import FoldsError


def exchange_grades(recordings: Sequence[Recording], seed: int) -> tuple[Recording, ...]:
    """Exchange vectors of grades between people with equally many recordings of each item.

    Who shares a file with others changes places together with them. The grades of raters move
    with the grade. Every assignment is equally likely, the given one too.

    Args:
        recordings: With grades, in any order; their order decides nothing.
        seed: Seed of the exchange.

    Returns:
        The recordings in their order, with other grades; all else is unchanged.

    Raises:
        FoldsError: If no two people can change places.
    """
    draws = np.random.default_rng(seed)
    given = list(recordings)
    for vectors in alike(recordings):
        places = [[given[i] for i in vector] for vector in vectors]
        for vector, source in zip(vectors, draws.permutation(len(vectors)), strict=True):
            for i, other in zip(vector, places[source], strict=True):
                given[i] = replace(given[i], grade=other.grade, raters=other.raters)
    return tuple(given)


def alike(recordings: Sequence[Recording]) -> list[list[list[int]]]:
    """Return the people who can change places with each other.

    Args:
        recordings: With grades.

    Returns:
        For each set of two or more such people, the positions of the recordings of each person,
        in an order by item, visit, side, state and id.

    Raises:
        FoldsError: If no two people can change places.
    """
    of_person: defaultdict[str, list[int]] = defaultdict(list)
    for place in sorted(range(len(recordings)), key=lambda place: _order(recordings[place])):
        of_person[recordings[place].group].append(place)
    sets: defaultdict[tuple[str, ...], list[list[int]]] = defaultdict(list)
    for _, places in sorted(of_person.items()):
        sets[tuple(recordings[i].item for i in places)].append(places)
    found = [people for _, people in sorted(sets.items()) if len(people) > 1]
    if not found:
        raise FoldsError(
            f"evaluation.permutations: none of the {len(of_person)} subjects has as many "
            "recordings of each item as another one, so no grades can change places; set it to 0, "
            "or study one item (data.items)"
        )
    return found


def _order(recording: Recording) -> tuple[str, ...]:
    facts = (recording.visit_id, recording.side, recording.medication_state)
    return (recording.item, *(fact or "" for fact in facts), recording.recording_id)
