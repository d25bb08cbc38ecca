"""PDR003: what technical facts alone, and clinical facts alone, tell about the class.

Both baselines are fitted on the training side of each split and scored on the same held-out
recordings as the model. Whether one tells anything is decided by exchanges of labels between
subjects, through its own fit, on folds of people that no label enters.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pdray.checks.case import Case
from pdray.checks.facts import clinical_blocks, slots_of, technical_blocks
from pdray.checks.finding import Finding
from pdray.checks.label_exchange import exchanges
from pdray.checks.ridge import Block, Side, class_shares, hat_of, indicators, skill
from pdray.checks.traits import traits_of

if TYPE_CHECKING:
    import pandas as pd

Doubles = NDArray[np.float64]

LEAST_SUBJECTS = 8
LEVEL = 0.05
NUM_EXCHANGES = 399
_FOLDS = 5
_CHUNK = 50  # exchanges at once
_KINDS = ("technical", "clinical")


@dataclass(frozen=True)
class Told:
    """What facts tell about the class.

    Attributes:
        p: Share of exchanges whose best block tells as much as the best one.
        blocks: Names of the blocks that tell more than the best one of all but ``level`` of the
            exchanges.
        skill: Skill of all facts together, -1..1.
    """

    p: float
    blocks: tuple[str, ...]
    skill: float


def run(case: Case) -> Finding:
    """Fit and test both baselines."""
    by_id = {one.recording_id: one for one in case.cohort.recordings}
    rows = [by_id[one.recording_id] for one in case.recordings]
    people = [one.people for one in case.recordings]
    classes = np.array([one.target for one in case.recordings])
    if len(set(people)) < LEAST_SUBJECTS or len(set(classes.tolist())) < 2:
        return Finding(
            state="unknown",
            found=f"{len(set(people))} subjects; {LEAST_SUBJECTS} of two classes are needed",
        )
    blocks = dict(zip(_KINDS, (technical_blocks(rows, traits_of(case)), clinical_blocks(rows)),
                      strict=True))  # fmt: skip
    labels = indicators(classes, case.cohort.num_classes)
    places = exchanges(people, slots_of(rows), count=NUM_EXCHANGES)
    told = {
        kind: tell(some, people, labels, places, level=LEVEL / len(blocks))
        for kind, some in blocks.items()
        if some
    }
    beside = {kind: _beside(case, blocks[kind], labels) for kind in told}
    warned = [kind for kind, one in told.items() if one.p <= LEVEL / len(blocks)]
    return Finding(
        state="warning" if warned else "passed",
        looked_at="; ".join(
            f"{kind} facts: {', '.join(block.name for block in blocks[kind]) or 'none'}"
            for kind in _KINDS
        ),
        found="; ".join(_sentence(kind, one, beside[kind]) for kind, one in told.items())
        or "no fact differs between recordings",
        sure=f"p is the share of {NUM_EXCHANGES} exchanges of labels between whole subjects that "
        f"tell as much, through the same fit; a warning needs p <= {LEVEL / len(blocks):g}",
        advice="balance these facts over the classes, or score inside one value of them; report "
        "the baseline beside the score" if warned else "report both baselines beside the score",
        numbers={
            **{f"{kind}_p": one.p for kind, one in told.items()},
            **{f"{kind}_skill": one.skill for kind, one in told.items()},
            **{f"{kind}_{name}": number for kind, numbers in beside.items()
               for name, number in numbers.items()},
        },
    )  # fmt: skip


def people_folds(people: Sequence[str], *, num_folds: int = _FOLDS, seed: int = 0) -> list[Side]:
    """Return folds in which each person is held out once; no label enters."""
    names = sorted(set(people))
    turned = np.random.default_rng(seed).permutation(len(names))
    fold = dict(zip(names, (turned % num_folds).tolist(), strict=True))
    of = np.array([fold[one] for one in people])
    return [
        Side(np.flatnonzero(of != number), np.flatnonzero(of == number))
        for number in range(min(num_folds, len(names)))
    ]


def tell(
    blocks: Sequence[Block],
    people: Sequence[str],
    labels: Doubles,
    places: NDArray[np.int64],
    *,
    level: float,
) -> Told:
    """Test whether facts tell the class.

    Each block alone and all together are fitted; the best of them, measured by its own exchanges,
    is compared with the best of each exchange (max-T, Westfall and Young 1993).

    Args:
        blocks: Facts of N recordings.
        people: Person of each.
        labels: (N, K) class indicators.
        places: (R, N) exchanges.
        level: Of the blocks that are named.
    """
    sides = people_folds(people)
    groups = [[block] for block in blocks] + ([list(blocks)] if len(blocks) > 1 else [])
    places = np.concatenate([np.arange(len(labels))[None], places])
    found = []
    for group in groups:
        hats = [hat_of(group, side) for side in sides]
        parts = [
            skill(hats, sides, labels[places[start : start + _CHUNK]])
            for start in range(0, len(places), _CHUNK)
        ]
        found.append(np.concatenate(parts))
    skills = np.array(found)  # (groups, 1 + R)
    spread = skills.std(axis=1, keepdims=True).clip(1e-12)
    score = (skills - skills.mean(axis=1, keepdims=True)) / spread
    best = score.max(axis=0)
    cut = np.quantile(best[1:], 1 - level)
    named = [block.name for block, one in zip(blocks, score, strict=False) if one[0] > cut]
    return Told(float((best >= best[0] - 1e-9).mean()), tuple(named), float(skills[-1, 0]))


def baseline_table(
    table: "pd.DataFrame",
    ids: Sequence[str],
    splits: Sequence[Side],
    blocks: Sequence[Block],
    labels: Doubles,
    *,
    by: str = "outer_fold",
) -> "pd.DataFrame | None":
    """Return the predictions of a baseline on the rows of a table.

    Args:
        table: Predictions, one row per recording.
        ids: The N recordings to which splits refer.
        splits: Which of them are learnt from and which are held out.
        blocks: Facts of the N recordings.
        labels: (N, K) class indicators.
        by: Column that tells the splits apart.

    Returns:
        The same rows; None if some of them are no held-out rows of one split.
    """
    parts = []
    for _, rows in table.groupby(by, sort=True):
        wanted = set(rows["recording_id"])
        side = next((one for one in splits if wanted <= {ids[i] for i in one.held}), None)
        if side is None:
            return None
        shares = class_shares(hat_of(blocks, side), labels[side.training])
        of = {ids[place]: row for place, row in zip(side.held, shares, strict=True)}
        numbers = np.array([of[name] for name in rows["recording_id"]])
        columns = {f"probability_{k}": numbers[:, k] for k in range(numbers.shape[1])}
        parts.append(rows.assign(**columns))
    return _concat(parts)


def _concat(parts: "list[pd.DataFrame]") -> "pd.DataFrame":
    import pandas as pd

    return pd.concat(parts, ignore_index=True)


def _beside(case: Case, blocks: Sequence[Block], labels: Doubles) -> dict[str, float]:
    """Return the scores of model and baseline and their difference, by name."""
    from pdray.evaluation.comparison_tests import comparison_numbers
    from pdray.evaluation.pairing import Predicted, pair
    from pdray.evaluation.settings import CompareConfig

    if case.table is None or not blocks:
        return {}
    ids = [one.recording_id for one in case.recordings]
    splits = [Side(np.array(one.training), np.array(one.held)) for one in case.splits]
    table = baseline_table(case.table, ids, splits, blocks, labels)
    if table is None:
        return {}
    paired = pair([Predicted("model", case.table), Predicted("baseline", table)])
    numbers = comparison_numbers(paired, CompareConfig(), [case.metric.rpartition("/")[2]])
    scores = {one.first: one for one in numbers if one.table == "score"}
    difference = next(one for one in numbers if one.table == "difference")
    return {
        "model": scores["model"].value, "score": scores["baseline"].value,
        "difference": difference.value, "low": difference.low, "high": difference.high,
    }  # fmt: skip


def _sentence(kind: str, told: Told, beside: dict[str, float]) -> str:
    known = f" ({', '.join(told.blocks)})" if told.blocks else ""
    text = f"{kind} facts{known}: p {told.p:.3g}"
    if not beside:
        return f"{text}; there are no predictions to score beside"
    ends = "no interval"
    if np.isfinite(beside["low"]):
        ends = f"95% interval {beside['low']:.3f} to {beside['high']:.3f}"
    return (
        f"{text}; this baseline scores {beside['score']:.3f}, the model {beside['model']:.3f}, "
        f"{beside['difference']:+.3f} more, {ends}"
    )
