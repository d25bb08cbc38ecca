"""Tests where the expression network looks on SYNTHETIC faces: covered places, activation maps.

A part of ``expression_learning.py``. The faces are those of healthy actors that the network did
not learn from, with their exact landmarks. A place is a box of 26 x 12 pixels about the mean of
some landmarks, or the upper left corner of the picture.
Letters: N recording, T frame, H height, W width.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from benchmarks.expression_scores import Doubles, Numbers, Report, Truths, interval
from pdray.data.batches.normalise import normalise_frames
from pdray.data.batches.snippet import frame_indices
from pdray.data.cohort.rated import RatedRecording
from pdray.data.face.points import INDEX
from pdray.data.store.entry import Entry
from pdray.demo.cohort import points_of
from pdray.demo.illness.severity import POSED_ITEMS, DemoConfig, plan_cohort
from pdray.explain.activation import class_activation
from pdray.models.networks.expression_clip import ExpressionClip
from pdray.training.settings import FitConfig

PLACES = {"mouth": "mouth", "brows": "brow", "nose and folds beside it": "nose"}  # landmarks
CORNER = "corner of the picture"
HIGH, WIDE = 12, 26  # of a box [px]
AT_ONCE = 64  # recordings
LEAST_LOST, MOST_LOST_AT_CORNER = 0.1, 0.05  # accuracy
LAYER = "image.conv1.5"  # whose map tells mouth from brows: cells of 4 x 4 pixels
LEAST_DENSITY, MOST_AT_CORNER = 2.0, 0.5  # of the map; that of the whole picture is 1


@dataclass(frozen=True)
class Faces:
    """What the network sees of recordings.

    Attributes:
        frames: (N, T, H, W, 3) uint8.
        targets: (N,) class of each recording; those of one actor follow each other.
        inside: (N, T, H, W) whether a pixel is in the box of a place, by place.
    """

    frames: NDArray[np.uint8]
    targets: Numbers
    inside: Mapping[str, Truths]

    def __len__(self) -> int:
        return len(self.targets)


def see(recordings: Sequence[RatedRecording], config: DemoConfig, fitted: FitConfig) -> Faces:
    """Read the frames that the network sees of drawn recordings, and find the places in them."""
    frames, boxes = [], []
    for one, plan in zip(recordings, plan_cohort(config), strict=True):
        assert one.stored is not None
        entry, points = Entry(one.stored["rgb"]), points_of(plan, config).points
        chosen = frame_indices(len(entry), fitted.snippet, None)[0]
        frames.append(entry.read(chosen))
        boxes.append(boxes_of(points[chosen], frames[-1].shape[1:3]))
    return Faces(
        frames=np.stack(frames),
        targets=np.array([one.target for one in recordings]),
        inside={name: np.stack([own[name] for own in boxes]) for name in boxes[0]},
    )


def boxes_of(points: NDArray[np.float32], size: tuple[int, ...]) -> dict[str, Truths]:
    """Return (T, H, W), whether a pixel is in the box of a place, from (T, 106, 2) landmarks."""
    centres = {
        name: points[:, [k for one, k in INDEX.items() if word in one]].mean(axis=1)
        for name, word in PLACES.items()
    }
    centres[CORNER] = np.tile((WIDE / 2, HIGH / 2), (len(points), 1))
    y, x = np.mgrid[: size[0], : size[1]] + 0.5
    return {
        name: (abs(x - at[:, 0, None, None]) <= WIDE / 2)
        & (abs(y - at[:, 1, None, None]) <= HIGH / 2)
        for name, at in centres.items()
    }


def covered(faces: Faces, place: str) -> NDArray[np.uint8]:
    """Return the frames with a place in the mean colour of each frame."""
    mean = faces.frames.mean(axis=(2, 3), keepdims=True).astype(np.uint8)
    return np.where(faces.inside[place][..., None], mean, faces.frames)


def batches(frames: NDArray[np.uint8], targets: Numbers) -> list[tuple[Tensor, Tensor]]:
    """Return normalised snippets and their classes, some at once."""
    return [
        (normalise_frames(torch.from_numpy(x)), torch.from_numpy(y))
        for x, y in zip(
            np.split(frames, range(AT_ONCE, len(frames), AT_ONCE)),
            np.split(targets, range(AT_ONCE, len(targets), AT_ONCE)),
            strict=True,
        )
    ]


def is_right(network: ExpressionClip, frames: NDArray[np.uint8], targets: Numbers) -> Truths:
    """Return (N,) whether the expression of a recording has the highest logit."""
    with torch.inference_mode():
        found = [network(x).argmax(dim=1) == y for x, y in batches(frames, targets)]
    return torch.cat(found).numpy()


def maps_of(network: ExpressionClip, faces: Faces) -> dict[str, Doubles]:
    """Return (N, T, H, W) activation maps of the own class of each recording, by layer."""
    found: dict[str, list[Tensor]] = {name: [] for name in network.MAP_LAYERS}
    for x, targets in batches(faces.frames, faces.targets):

        def own(logits: Tensor, targets: Tensor = targets) -> Tensor:
            return logits.gather(1, targets[:, None])[:, 0]

        for name, maps in class_activation(network, x, own, network.MAP_LAYERS).items():
            found[name].append(interpolate(maps, x.shape[3:], mode="nearest"))
    return {name: torch.cat(some).double().numpy() for name, some in found.items()}


def density(maps: Doubles, inside: Truths) -> Doubles:
    """Return (N,) the share of a map that lies inside, over the share of the picture.

    1 for a uniform map; NaN where a map is nowhere above 0.
    """
    axes = (1, 2, 3)
    with np.errstate(invalid="ignore"):
        share = (maps * inside).sum(axis=axes) / maps.sum(axis=axes)
    return np.asarray(share / inside.mean(axis=axes))


def tell_places(network: ExpressionClip, faces: Faces, report: Report) -> None:
    """Report the accuracy with places covered, and how much of the maps lies on them."""
    network.float().eval()
    frames = {"nothing": faces.frames} | {one: covered(faces, one) for one in faces.inside}
    right = {
        place: tell(f"accuracy, {place} covered", is_right(network, some, faces.targets), report)
        for place, some in frames.items()
    }
    for place in ("mouth", "brows"):
        report.target(f"{place} covered: at least {LEAST_LOST} lower",
                      right["nothing"] - right[place] >= LEAST_LOST)  # fmt: skip
    report.target(f"corner covered: at most {MOST_LOST_AT_CORNER} lower",
                  right["nothing"] - right[CORNER] <= MOST_LOST_AT_CORNER)  # fmt: skip
    both = faces.inside["mouth"] | faces.inside["brows"]
    maps = maps_of(network, faces)
    found = {
        layer: tell(f"map of {layer}: mouth or brows", density(one, both), report)
        for layer, one in maps.items()
    }
    for place, inside in faces.inside.items():
        found[place] = tell(f"map of {LAYER}: {place}", density(maps[LAYER], inside), report)
    report.target(f"map: at least {LEAST_DENSITY} on mouth or brows", found[LAYER] >= LEAST_DENSITY)
    report.target(f"map: at most {MOST_AT_CORNER} in the corner", found[CORNER] <= MOST_AT_CORNER)


def tell(name: str, values: NDArray[Any], report: Report) -> float:
    """Report the mean over recordings (N,), and that of each expression; return the first."""
    own = values.reshape(-1, len(POSED_ITEMS)).astype(float)  # an actor's recordings, in this order

    def mean(chosen: Numbers) -> float:
        return float(np.nanmean(own[chosen]))

    value = mean(np.arange(len(own)))
    each = "  ".join(
        f"{item.removeprefix('expression_')} {one:.2f}"
        for item, one in zip(POSED_ITEMS, np.nanmean(own, axis=0), strict=True)
    )
    report.row(name, value, interval(mean, np.zeros(len(own), np.int64)), each)
    return value
