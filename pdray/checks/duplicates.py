"""PDR002: recordings on both sides of a split that are copies of each other."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pdray.checks.case import Case
from pdray.checks.copies import Match, matches, prepare, same_pictures
from pdray.checks.finding import Finding
from pdray.checks.likeness import feature_values
from pdray.checks.pictures import RATE, grey, small_frames
from pdray.checks.traits import Traits, traits_of
from pdray.data.store.entry import Entry
from pdray.tracking.leaving import KEY

_SOUND = 0.88  # likeness of sound of the same source
_TRACK = 0.95  # likeness of the course of a face, which has no pictures
_COURSE = 0.6  # likeness of movement from which pictures are compared
_PICTURES = 0.9  # likeness of pictures of the same moments
_JOINT = 0.92  # mean likeness of movement, pictures and what moves in them
_COMPARED = 3  # recordings that a recording is compared with, picture by picture
_MOMENTS = 7
_CHUNK = 256  # recordings compared at once
_SHOWN = 5


class Copy(NamedTuple):
    """Two recordings that are copies.

    Attributes:
        learnt: Position of that on the training side.
        held: Position of the held-out one.
        seen: "pictures", "landmarks", "sound" or a modality of features: where they agree.
        is_mirrored: Whether one is the mirror of the other.
        likeness: How alike they are, 0..1.
    """

    learnt: int
    held: int
    seen: str
    is_mirrored: bool
    likeness: float


def run(case: Case) -> Finding:
    """Compare every held-out recording with every recording of its training side."""
    traits = traits_of(case)
    sources = [name for name in ("course", "sound_course") if any(name in one for one in traits)]
    tables = feature_values(case.recordings)
    if not sources and not tables:
        return Finding(
            state="unknown",
            looked_at="pictures, landmarks, sound and features",
            found="no recording has pictures in the frame store, landmarks, sound or features",
        )
    pairs = _pairs(case) if sources else {}
    found = {
        (one.held, one.learnt): one
        for one in [
            *_by_features(case, tables),
            *_by_movement(case, traits, pairs),
            *_by_sound(traits, pairs),
        ]
    }
    copies = sorted(found.values(), key=lambda one: -one.likeness)
    looked = {"course": "movement in pictures or landmarks", "sound_course": "sound"}
    looked_at = [f"every number of {' and '.join(tables)}"] * bool(tables)
    if sources:
        looked_at.append(
            f"{' and '.join(looked[name] for name in sources)} of the first minute of "
            f"{len(traits)} recordings, at every shift in time, mirrored and in other sizes"
        )
    return Finding(
        state="warning" if copies else "passed",
        looked_at="; ".join(looked_at),
        found=_list(case, copies) if copies else "no copy of a recording is on the other side",
        sure="a copy agrees over at least 60% of its length, features in every number; recordings "
        "without movement and sound cannot be compared",
        advice="keep one of each pair, or give both the same subject_id; then search again; "
        f"{KEY} says which recordings they are",
        numbers={
            "copies": len(copies),
            "highest_likeness": max((one.likeness for one in copies), default=0.0),
        },
    )


def _list(case: Case, copies: Sequence[Copy]) -> str:
    named = [
        f"{case.number_of(one.held)} and {case.number_of(one.learnt)} "
        f"({'mirrored ' if one.is_mirrored else ''}{one.seen}, {one.likeness:.2f})"
        for one in copies[:_SHOWN]
    ]
    more = f", and {len(copies) - _SHOWN} more" if len(copies) > _SHOWN else ""
    return f"{len(copies)} pairs of copies across sides: {', '.join(named)}{more}"


def _pairs(case: Case) -> dict[int, list[int]]:
    """Return which recordings each one is compared with; every pair across sides stands once."""
    found: dict[int, list[int]] = {}
    seen: set[tuple[int, int]] = set()
    for split in case.splits:
        for place in split.held:
            others = [i for i in split.training if i != place and (i, place) not in seen]
            seen |= {(place, i) for i in others}
            found.setdefault(place, []).extend(others)
    return {place: list(dict.fromkeys(others)) for place, others in found.items()}


def _by_features(
    case: Case, tables: Mapping[str, tuple[tuple[str, ...], NDArray[np.float64]]]
) -> Iterator[Copy]:
    """Yield pairs across sides whose features are equal, or all absent."""
    for modality, (_, values) in tables.items():
        alike: dict[bytes, list[int]] = {}
        for place, one in enumerate(case.recordings):
            if modality in (one.stored or {}):
                alike.setdefault(values[place].tobytes(), []).append(place)
        for members in (some for some in alike.values() if len(some) > 1):
            is_empty = np.isnan(values[members[0]]).all()
            seen = f"{modality}, all absent" if is_empty else modality
            for split in case.splits:
                learnt = [place for place in split.training if place in members]
                for held in (place for place in split.held if place in members):
                    yield from (Copy(place, held, seen, False, 1.0) for place in learnt[:1])


def _by_sound(traits: Sequence[Traits], pairs: Mapping[int, Sequence[int]]) -> Iterator[Copy]:
    for place, alike in _alike(traits, "sound_course", pairs).items():
        for learnt, match in alike:
            if match.likeness >= _SOUND:
                yield Copy(learnt, place, "sound", False, match.likeness)


def _by_movement(
    case: Case, traits: Sequence[Traits], pairs: Mapping[int, Sequence[int]]
) -> Iterator[Copy]:
    for place, alike in _alike(traits, "course", pairs).items():
        for learnt, match in sorted(alike, key=lambda one: -one[1].likeness)[:_COMPARED]:
            seen, likeness, least = "landmarks", match.likeness, _TRACK
            if match.likeness >= _COURSE and all("look" in traits[i] for i in (place, learnt)):
                seen, likeness, least = "pictures", _joint(case, place, learnt, match), _JOINT
            if likeness >= least:
                yield Copy(learnt, place, seen, match.is_mirrored, likeness)


def _alike(
    traits: Sequence[Traits], name: str, pairs: Mapping[int, Sequence[int]]
) -> dict[int, list[tuple[int, Match]]]:
    """Return how each recording agrees with those that it is compared with."""
    known = [place for place, one in enumerate(traits) if name in one]
    longest = max((traits[place][name].shape[1] for place in known), default=0)
    found: dict[int, list[tuple[int, Match]]] = {}
    for start in range(0, len(known), _CHUNK):
        some = known[start : start + _CHUNK]
        prepared = prepare([traits[place][name] for place in some], longest)
        number_of = {place: number for number, place in enumerate(some)}
        for place in (one for one in pairs if name in traits[one]):
            others = [other for other in pairs[place] if other in number_of]
            if not others:
                continue
            one = prepare([traits[place][name]], longest)
            best = matches(
                one, prepared.of([number_of[i] for i in others]), mirrors=name == "course"
            )
            found.setdefault(place, []).extend(zip(others, best, strict=True))
    return found


def _joint(case: Case, place: int, learnt: int, match: Match) -> float:
    """Return the mean likeness of movement, pictures, and pictures less what stands still.

    It is 0 where pictures differ.
    """
    stored = [(case.recordings[i].stored or {}).get("rgb") for i in (place, learnt)]
    if stored[0] is None or stored[1] is None:
        return match.likeness
    entries = [Entry(path) for path in stored if path is not None]
    starts = [entry.seconds[0] for entry in entries]
    lengths = [entry.seconds[-1] - entry.seconds[0] for entry in entries]
    shift = match.shift / RATE
    times = np.linspace(max(0.0, -shift), min(lengths[0], lengths[1] - shift), _MOMENTS + 2)[1:-1]
    pictures = [
        _pictures(entry, start + moments)
        for entry, start, moments in zip(entries, starts, (times, times + shift), strict=True)
    ]
    whole = same_pictures(*pictures, is_mirrored=match.is_mirrored)
    if whole < _PICTURES:
        return 0.0
    moving = [one - one.mean(axis=0) for one in pictures]
    return float(
        np.mean([match.likeness, whole, same_pictures(*moving, is_mirrored=match.is_mirrored)])
    )


def _pictures(entry: Entry, times: NDArray[np.float64]) -> NDArray[np.float32]:
    indices = np.abs(entry.seconds[:, None] - times).argmin(axis=0)
    return grey(small_frames([entry.read(indices)]))
