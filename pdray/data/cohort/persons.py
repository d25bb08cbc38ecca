"""Splits that each hold out one ill person, as in Table 5 of YouTubePD (Zhou et al. 2023).

The paper averages three splits of which each has an ill person in its test side only. It says
neither which persons nor which healthy recordings are tested beside them. Here the seed draws three
ill persons without whom every class can still be learnt, and deals the healthy persons to the three
test sides; everybody else is learnt from.
"""

from collections.abc import Sequence

import numpy as np

from pdray.errors import FoldsError

NUM_PERSONS = 3


def person_sides(
    subjects: Sequence[str], classes: Sequence[int], *, person: int, seed: int
) -> list[str]:
    """Return the side of each recording, train or test.

    Args:
        subjects: Subject of each recording.
        classes: Class of each recording, 0 is healthy; same length.
        person: Which of the three splits, from 0.
        seed: Of the draw; the order of the recordings decides nothing.

    Raises:
        FoldsError: If fewer than three ill persons can be held out, or fewer than three subjects
            are healthy in all their recordings; with the counts.
    """
    owners: dict[int, set[str]] = {}
    for subject, label in zip(subjects, classes, strict=True):
        owners.setdefault(label, set()).add(subject)
    ill = {subject for label, some in owners.items() if label > 0 for subject in some}
    alone = {subject for some in owners.values() if len(some) == 1 for subject in some}
    chosen, healthy = sorted(ill - alone), sorted(set(subjects) - ill - alone)
    if min(len(chosen), len(healthy)) < NUM_PERSONS:
        raise FoldsError(
            f"three splits of one ill person each need {NUM_PERSONS} ill subjects without whom "
            f"every class has a recording, and {NUM_PERSONS} healthy ones; there are {len(chosen)} "
            f"of {len(ill)} ill subjects and {len(healthy)} healthy"
        )
    draws = np.random.default_rng(seed)
    held = {str(draws.permutation(chosen)[person])}
    held |= set(draws.permutation(healthy)[person::NUM_PERSONS].tolist())
    return ["test" if subject in held else "train" for subject in subjects]
