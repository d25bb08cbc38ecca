"""Translates held-out pictures of class 0, and compares them with held-out ones of other classes.

Letters: F pictures, S side, K classes, D features.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from pdray.data.batches.frames import FrameReader
from pdray.data.cohort.rated import RatedRecording
from pdray.evaluation.predictions import Origin
from pdray.evaluation.statistics.frechet import LEAST, kernel_distance
from pdray.evaluation.translations import translations_table
from pdray.training.loop.step import Precision
from pdray.training.task import FitTask
from pdray.training.translators.guide import Guide
from pdray.training.translators.method import Method
from pdray.training.translators.pictures import as_floats

Numbers = NDArray[np.float64]
_AT_ONCE = 16  # pictures that are translated at once


@dataclass
class HeldOut:
    """What was found on held-out pictures; parts of several workers can be added.

    Attributes:
        rows: Of each translated picture: what the table says of it, without its origin.
        shares: (F, K) the guide's probabilities of these; none without a guide.
        changed: Of each of these (D,) features.
        sources: Of each source picture (D,) features.
        real: Of each real picture its class and (D,) features.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    shares: list[Numbers] = field(default_factory=list)
    changed: list[Numbers] = field(default_factory=list)
    sources: list[Numbers] = field(default_factory=list)
    real: list[tuple[int, Numbers]] = field(default_factory=list)

    def add(self, other: "HeldOut") -> None:
        """Add the part of another worker."""
        for name, values in vars(self).items():
            values += getattr(other, name)

    def table(self, origin: Origin, *, has_guide: bool, num_classes: int) -> pd.DataFrame:
        """Return the translations table, ordered by recording, picture and class."""
        keys = ("recording_id", "frame", "target_class")
        order = sorted(range(len(self.rows)), key=lambda n: [self.rows[n][key] for key in keys])
        names = (*keys, "subject_id", "item", "grade", "seconds")
        rows = {name: [self.rows[place][name] for place in order] for name in names}
        shares = None
        if has_guide:
            shares = np.array([self.shares[place] for place in order], np.float64)
            shares = shares.reshape(len(order), num_classes)
        return translations_table(origin, rows, shares)

    def distances(self) -> dict[str, float]:
        """Return the kernel distance to the real pictures, of the changed ones and of the sources.

        Binkowski et al. 2018; the mean over the classes of which there are two real pictures; nan
        where there is none, or fewer than two sources.
        """
        found: dict[str, list[float]] = {"kernel_distance": [], "kernel_distance_source": []}
        for target in sorted({target for target, _ in self.real}):
            real = np.array([one for of, one in self.real if of == target])
            changed = [
                one
                for one, row in zip(self.changed, self.rows, strict=True)
                if row["target_class"] == target
            ]
            if min(len(real), len(changed), len(self.sources)) < LEAST:
                continue
            found["kernel_distance"].append(kernel_distance(np.array(changed), real))
            found["kernel_distance_source"].append(kernel_distance(np.array(self.sources), real))
        return {
            name: float(np.mean(values)) if values else math.nan for name, values in found.items()
        }


def translate_held_out(
    task: FitTask,
    places: Sequence[int],
    reader: FrameReader,
    method: Method,
    guide: Guide | None,
    precision: Precision,
) -> HeldOut:
    """Translate pictures of recordings of class 0 to each other class, at full strength.

    Args:
        task: Recordings and settings.
        places: Positions of held-out recordings, of any class.
        reader: Reader of their pictures.
        method: The translator.
        guide: On the device of the translator; None: nothing is compared.
        precision: Device and number format.
    """
    found, frames = HeldOut(), task.config.synthesis.frames
    for place in places:
        one, length = task.recordings[place], reader.length(place)
        spaced = sorted({int((k + 0.5) * length / frames) for k in range(frames)})
        for first in range(0, len(spaced), _AT_ONCE):
            some = spaced[first : first + _AT_ONCE]
            pictures = reader.read([(place, number) for number in some])
            x = as_floats(pictures, precision.device)
            if one.target > 0:
                if guide is not None:
                    found.real += [(one.target, row) for row in _features(guide, x)]
                continue
            if guide is not None:
                found.sources += [*_features(guide, x)]
            for target in range(1, task.num_classes):
                classes = torch.full((len(x),), target, device=x.device)
                with precision.autocast():
                    y = method.translate(x, classes, torch.ones(len(x), device=x.device)).float()
                found.rows += [_row(one, reader, place, number, target) for number in some]
                if guide is not None:
                    found.changed += [*_features(guide, y)]
                    found.shares += [*_shares(guide, y)]
    return found


def _row(
    one: RatedRecording, reader: FrameReader, place: int, number: int, target: int
) -> dict[str, Any]:
    return {
        "recording_id": one.recording_id,
        "subject_id": one.subject_id,
        "item": one.item,
        "grade": one.grade,
        "frame": number,
        "seconds": float(reader.seconds(place)[number]),
        "target_class": target,
    }


@torch.inference_mode()
def _features(guide: Guide, x: torch.Tensor) -> Numbers:
    features: Numbers = guide.features(x).double().cpu().numpy()
    return features


@torch.inference_mode()
def _shares(guide: Guide, x: torch.Tensor) -> Numbers:
    shares: Numbers = guide(x).double().exp().cpu().numpy()
    return shares
