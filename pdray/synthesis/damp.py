"""The method ``damp``: landmarks of a face that moves less (:mod:`pdray.data.face.damping`).

It is the rival without a network. Its factors are those of the settings, or are learnt from the
training side: how much each part of the face moves in a class, compared with class 0.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from pdray.atomic import file_digest
from pdray.data.face.damping import (
    PARTS,
    Movement,
    at_strength,
    damped,
    damping_factors,
    movement_amounts,
    movement_ratios,
    split_movement,
)
from pdray.data.face.points import LANDMARKS
from pdray.data.face.shape import Floats, landmark_points
from pdray.data.media.tracks import Track, read_track, write_track
from pdray.errors import DecodeError, ManifestError, naming
from pdray.evaluation.translation import flicker
from pdray.synthesis.methods import Edit, Example, Written
from pdray.synthesis.people import People
from pdray.synthesis.settings import SynthesizeConfig

_HELD = 8  # sources that are kept in memory
_KNOWN = 4096  # recordings whose amounts of movement are kept


@dataclass(frozen=True)
class DampEditor:
    """Makes landmarks that move less.

    Attributes:
        factors: (K, G) by target class; row 0 is not used.
        told, learnt_subjects, learnt_contents, weights, and what follows: As
            :class:`~pdray.synthesis.methods.Editor`.
    """

    factors: Floats
    told: Sequence[str]
    learnt_subjects: Sequence[str] = ()
    learnt_contents: Sequence[str] = ()
    weights: str = ""
    study: str = ""
    seed: int = 0
    notes: Sequence[str] = ()
    store: None = None

    def write(self, edit: Edit, stem: Path) -> Written:
        """Write a track; see :meth:`pdray.synthesis.methods.Editor.write`."""
        assert edit.source.landmarks is not None, "the job needs landmarks"
        track, movement = _source(edit.source.landmarks)
        factors = at_strength(self.factors[edit.target_class], edit.strength)
        points = damped(movement, factors).astype(np.float32)
        path = stem.with_name(f"{stem.name}.npz")
        write_track(path, replace(track, points=points, names=LANDMARKS, made=edit.text))
        return Written({"landmarks": path}, flicker(points, track.points))


def learns(config: SynthesizeConfig) -> bool:
    """Return whether the factors are learnt."""
    return config.damp.factor is None


def fit(config: SynthesizeConfig, sets: Mapping[str, People]) -> dict[str, DampEditor]:
    """Return the method with the factors of each set.

    Args:
        config: Settings.
        sets: What each is made of; examples are not used if the settings give the factor.

    Raises:
        DecodeError: If a recording cannot be read; names it.
        ManifestError: If a class moves no less than class 0 in any part that is scaled.
    """
    return {name: _fit_set(config, name, people.learnt) for name, people in sets.items()}


def _fit_set(config: SynthesizeConfig, name: str, learnt: Sequence[Example]) -> DampEditor:
    num_classes, head = len(config.data.grade_cuts) + 1, config.damp.head
    if config.damp.factor is not None:
        ratios = np.full((num_classes, len(PARTS)), config.damp.factor)
        rows = [damping_factors(one, head=head) for one in ratios]
        return DampEditor(np.stack(rows), (f"factor {config.damp.factor:g}, as set",))
    amounts, contents = [], set()
    for recording, _ in learnt:
        with naming(recording.recording_id):
            assert recording.landmarks is not None, "the job needs landmarks"
            amounts.append(_amounts(recording.landmarks))
            contents.add(file_digest(recording.landmarks))
    ratios = movement_ratios(
        np.stack(amounts),
        [one.target for one in learnt],
        [one.recording.subject_id for one in learnt],
        num_classes=num_classes,
    )
    factors = np.stack([damping_factors(one, head=head) for one in ratios])
    for number in range(1, num_classes):
        if (factors[number] == 1).all():
            raise ManifestError(
                f"set {name}: class {number} moves no less than class 0 in any part of the face "
                f"(ratios of medians {_shown(ratios[number])}), so that damp has nothing to scale; "
                "set damp.factor, or use another method"
            )
    return DampEditor(
        factors,
        told=[f"class {number}: {_shown(factors[number])}" for number in range(1, num_classes)],
        learnt_subjects=sorted({one.recording.subject_id for one in learnt}),
        learnt_contents=sorted(contents),
        weights=hashlib.sha256(json.dumps(factors.tolist()).encode()).hexdigest(),
    )


@lru_cache(maxsize=_HELD)
def _source(path: Path) -> tuple[Track, Movement]:
    track = _real(path)
    points = landmark_points(track).astype(np.float32)
    ordered = replace(track, points=points, names=LANDMARKS)
    return ordered, split_movement(ordered)


@lru_cache(maxsize=_KNOWN)
def _amounts(path: Path) -> Floats:
    return movement_amounts(split_movement(_real(path)))


def _real(path: Path) -> Track:
    track = read_track(path)
    if track.made is not None:
        raise DecodeError(
            "its track is marked as made, and nothing is made of a made recording; remove its row, "
            "or fill in its made_by"
        )
    return track


def _shown(values: Floats) -> str:
    return ", ".join(f"{name} {value:.2f}" for name, value in zip(PARTS, values, strict=True))
