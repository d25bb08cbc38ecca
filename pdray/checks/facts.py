"""Facts of recordings that are no movement: technical ones and clinical ones, in blocks."""

import re
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from pdray.checks.label_exchange import Slot
from pdray.checks.ridge import Block
from pdray.checks.traits import Traits
from pdray.data.cohort.manifest import Recording

Doubles = NDArray[np.float64]

_MOST_WORDS = 20
_PART = re.compile(r"\d+|[^\W\d_]+")


def technical_blocks(rows: Sequence[Recording], traits: Sequence[Traits]) -> list[Block]:
    """Return what is known of the files and the recording of N recordings, in blocks.

    Args:
        rows: Their rows in the manifest.
        traits: Their traits.

    Returns:
        The blocks that tell recordings apart, each (N, F).
    """
    size = _array(traits, "size", 3)
    blocks = [
        Block("duration", _log(_array(traits, "seconds", 1))),
        Block("frame size and rate", _log(size)),
        Block("codecs", _one_hot([tuple(one.get("coding", ())) for one in traits])),
        Block("background of the picture", _array(traits, "background")),
        Block("text and marks at the edges of the picture", _array(traits, "edges"), False),
        Block("level of the sound", _array(traits, "level")),
        Block("steady tones of the sound", _array(traits, "tones"), False),
        Block("file names", _names(rows)),
        Block("site", _one_hot([one.site for one in rows])),
        Block("who rated", _raters(rows)),
        Block("order of visits", visit_numbers(rows)[:, None].astype(float)),
    ]
    return _useful(blocks)


def clinical_blocks(rows: Sequence[Recording]) -> list[Block]:
    """Return what is known of the person and the task of N recordings, in blocks."""
    words: dict[str, Callable[[Recording], Hashable]] = {
        "item": lambda one: one.item,
        "side": lambda one: one.side,
        "sex": lambda one: one.sex,
        "medication": lambda one: one.medication_state,
        "stimulation": lambda one: one.stimulation_state,
        "recording protocol": lambda one: one.recording_protocol,
    }
    numbers: dict[str, Callable[[Recording], float | None]] = {
        "age": lambda one: one.age,
        "disease years": lambda one: one.disease_years,
        "hours since the last dose": lambda one: one.hours_since_dose,
    }
    blocks = [Block(name, _one_hot([of(one) for one in rows])) for name, of in words.items()]
    blocks += [
        Block(name, np.array([[np.nan if of(one) is None else of(one)] for one in rows], float))
        for name, of in numbers.items()
    ]
    return _useful(blocks)


def slots_of(rows: Sequence[Recording]) -> list[Slot]:
    """Return the place of each recording among those of its subject."""
    visits = visit_numbers(rows)
    return [Slot(int(visit), one.side, one.item) for visit, one in zip(visits, rows, strict=True)]


def visit_numbers(rows: Sequence[Recording]) -> NDArray[np.int64]:
    """Return (N,) number of each recording's visit among its subject's, from 0."""
    visits: dict[str, set[str]] = {}
    for one in rows:
        visits.setdefault(one.subject_id, set()).add(one.visit_id or "")
    ranks = {
        subject: {name: place for place, name in enumerate(sorted(names, key=_natural))}
        for subject, names in visits.items()
    }
    return np.array([ranks[one.subject_id][one.visit_id or ""] for one in rows], np.int64)


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (0, part) for part in _PART.findall(name)]


def _useful(blocks: Iterable[Block]) -> list[Block]:
    """Leave out blocks in which no number differs."""
    kept = []
    for name, values, is_scaled in blocks:
        low, high = (
            np.where(np.isfinite(values), values, other).astype(float)
            for other in (np.inf, -np.inf)
        )
        differs = (high.max(axis=0, initial=-np.inf) - low.min(axis=0, initial=np.inf)) > 1e-9
        if differs.any():
            kept.append(Block(name, values[:, differs], is_scaled))
    return kept


def _array(traits: Sequence[Traits], name: str, width: int = 0) -> Doubles:
    """Return (N, F) of a trait; NaN where a recording lacks it."""
    width = max([width, *(one[name].size for one in traits if name in one)])
    found = np.full((len(traits), width), np.nan)
    for row, one in zip(found, traits, strict=True):
        if name in one and one[name].size == width:
            row[:] = one[name]
    return found


def _log(values: Doubles) -> Doubles:
    return np.log(np.where(values > 0, values, np.nan))


def _one_hot(values: Sequence[Hashable]) -> Doubles:
    """Return (N, F) indicators of the values that at least two recordings have."""
    counts = Counter(values)
    kept = sorted((value for value, count in counts.items() if count > 1), key=repr)
    return np.array([[float(value == one) for one in kept] for value in values]).reshape(
        len(values), len(kept)
    )


def _raters(rows: Sequence[Recording]) -> Doubles:
    width = max(len(one.raters) for one in rows)
    return np.array(
        [[float(grade is not None) for grade in one.raters] + [0.0] * (width - len(one.raters))
         for one in rows]
    ).reshape(len(rows), width)  # fmt: skip


def _names(rows: Sequence[Recording]) -> Doubles:
    """Return (N, F) of file names and folders: their numbers, their length, their words.

    Words that the manifest's other columns give are left out.
    """
    names = [_name(one) for one in rows]
    parts = [_PART.findall(name.lower()) for name in names]
    numbers = [[float(part) for part in one if part.isdigit()] for one in parts]
    places = np.array(
        [[one[0] if one else np.nan, one[-1] if one else np.nan, len(name)]
         for one, name in zip(numbers, names, strict=True)]
    )  # fmt: skip
    words = [
        {part for part in one if not part.isdigit()} - _told(row)
        for one, row in zip(parts, rows, strict=True)
    ]
    counts = Counter(word for one in words for word in one)
    kept = [word for word, count in counts.most_common(_MOST_WORDS) if 1 < count < len(rows)]
    return np.concatenate(
        [_ranks(places), np.array([[float(word in one) for word in kept] for one in words])
         .reshape(len(rows), len(kept))], axis=1
    )  # fmt: skip


def _name(row: Recording) -> str:
    file = row.video or row.audio or row.landmarks or row.regions
    return row.recording_id if file is None else f"{file.parent.name}/{file.stem}"


def _told(row: Recording) -> set[str]:
    told = [row.item, row.side, row.visit_id, row.subject_id, row.medication_state]
    return {part for text in told if text for part in _PART.findall(text.lower())}


def _ranks(values: Doubles) -> Doubles:
    """Return each column's ranks, 0 to 1: numbers of files may be dates."""
    ranks = np.full(values.shape, np.nan)
    for place, column in enumerate(values.T):
        there = np.isfinite(column)
        unique, inverse = np.unique(column[there], return_inverse=True)
        ranks[there, place] = inverse / max(1, len(unique) - 1)
    return ranks
