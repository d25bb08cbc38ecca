"""Intensities of expressions: how much each video of a visit shows what each phrase says.

Source: Huang et al. 2025, "Dynamic Facial Expressions Analysis Based Parkinson's Disease Auxiliary
Diagnosis", equation 3: ``I = exp(cos(F, G) / tau)`` for a video F and a phrase G. At their tau of
0.01 I spans forty decades, so a file keeps the cosines, and log I is what is read.

A file is an ``.npz``, read without pickle, of these arrays. V videos, P = V phrases, E features:
  cosines          (V, P) real in -1..1; a row of NaN where a video is absent
  features         (V, E) real: F, the features of each video; likewise
  items            (V,) text: what each video should show, such as expression_happiness
  classes          (P,) text: the expression of each phrase; phrase k is that of video k
  phrases          (P,) text
  seconds          (V,) real: length of each video [s]; NaN where it is absent
  recording_ids    (V,) text: SHA-256 of the id of each recording, or of several; empty if absent
  contents         (R,) text: SHA-256 of each file that was read
  tau              () real above 0
  num_frames       () integer: frames of a snippet
  weights          () text: SHA-256 of the network's weights
  learnt_subjects  (L,) text: SHA-256 of each subject that the network learnt from: of the form
                   that ids which look alike share
  learnt_contents  (M,) text: SHA-256 of each file that it learnt from
  other_people     () boolean: whether equal ids are other people
Ids and files stand as digests, so that a file names nobody.

Messages carry no path and no name: whoever knows the recording's id puts it in front.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pdray.atomic import replacing
from pdray.data.cohort.settings import POSED
from pdray.data.media.arrays import Arrays, array_form, load_arrays
from pdray.errors import DecodeError, refuse

Floats = npt.NDArray[np.float64]

MAX_BYTES = 64 * 1024**2  # digests of a million recordings are no more
_SLACK = 1e-6  # cosines are rounded
# Number of axes, and kinds of numpy's types, of each array.
_FORMS: dict[str, tuple[int, str]] = {
    "cosines": (2, "iuf"), "features": (2, "iuf"), "items": (1, "U"), "classes": (1, "U"),
    "phrases": (1, "U"), "seconds": (1, "iuf"), "recording_ids": (1, "U"), "contents": (1, "U"),
    "tau": (0, "iuf"), "num_frames": (0, "iu"), "weights": (0, "U"),
    "learnt_subjects": (1, "U"), "learnt_contents": (1, "U"), "other_people": (0, "b"),
}  # fmt: skip
_WORDS = {"iuf": "numbers", "iu": "an integer", "U": "text", "b": "a boolean"}
_PER_VIDEO = ("features", "items", "classes", "phrases", "seconds", "recording_ids")
# What the files of a study share; the module says what each is.
SHARED = ("items", "phrases", "tau", "num_frames", "weights")


@dataclass(frozen=True)
class Intensities:
    """Intensities of one visit; the module says what each is.

    Attributes:
        cosines: (V, P) float64, NaN in the rows of absent videos.
        features: (V, E) float64, likewise.
        items: V items.
        classes: P expressions.
        phrases: P phrases.
        seconds: (V,) float64 [s].
        recording_ids: V digests.
        contents: Digests of the files of the recordings.
        tau: Temperature.
        num_frames: Frames of a snippet.
        weights: Digest of the weights.
        learnt_subjects: Digests of the network's subjects.
        learnt_contents: Digests of the network's files.
        other_people: Whether equal ids are other people.
    """

    cosines: Floats
    features: Floats
    items: tuple[str, ...]
    classes: tuple[str, ...]
    phrases: tuple[str, ...]
    seconds: Floats
    recording_ids: tuple[str, ...]
    contents: tuple[str, ...]
    tau: float
    num_frames: int
    weights: str
    learnt_subjects: tuple[str, ...]
    learnt_contents: tuple[str, ...]
    other_people: bool

    @property
    def is_present(self) -> npt.NDArray[np.bool_]:
        """(V,) whether each video is there."""
        return ~np.isnan(self.cosines[:, 0])

    @property
    def log(self) -> Floats:
        """(V, P) float64 log I, the cosines over tau; NaN in the rows of absent videos."""
        return self.cosines / self.tau


def text_digest(*texts: str) -> str:
    """Return the SHA-256 of one text, or of several one after the other, hexadecimal."""
    digest = hashlib.sha256()
    for text in texts:
        digest.update(text.encode())
    return digest.hexdigest()


def read_intensities(path: Path) -> Intensities:
    """Read a file of intensities.

    Raises:
        DecodeError: With every fault of the file at once.
    """
    what = "file of intensities"
    arrays = load_arrays(path, what, num_known=len(_FORMS), max_bytes=MAX_BYTES)
    refuse(_faults(arrays), DecodeError, f"its {what} cannot be used")
    plain: dict[str, Any] = {name: array.tolist() for name, array in arrays.items()}
    plain |= {name: tuple(one) for name, one in plain.items() if isinstance(one, list)}
    numbers = {name: arrays[name].astype(np.float64) for name in ("cosines", "features", "seconds")}
    return Intensities(**(plain | numbers))


def write_intensities(path: Path, intensities: Intensities) -> None:
    """Write a file of intensities, whole or not at all.

    Raises:
        DecodeError: If :func:`read_intensities` would refuse it; nothing is written.
        OSError: If it cannot be written.
    """
    arrays = {one.name: np.asarray(getattr(intensities, one.name)) for one in fields(intensities)}
    for name, (_, kinds) in _FORMS.items():
        if kinds == "U" and not arrays[name].size:  # of no text numpy makes numbers
            arrays[name] = arrays[name].astype(np.str_)
    refuse(_faults(arrays), DecodeError, "the file of intensities cannot be written")
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


def log_intensities(path: Path, _: Any) -> Iterator[tuple[float, Floats]]:
    """Yield the place 0..V-1 of each video of a visit and its (P,) float64 log intensities.

    Those of an absent video are NaN.

    Args:
        path: A file of intensities.
        _: No settings.

    Raises:
        DecodeError: As :func:`read_intensities`.
    """
    for place, row in enumerate(read_intensities(path).log):
        yield float(place), row


def _faults(arrays: Arrays) -> list[str]:
    faults = [f"array '{name}' is missing" for name in _FORMS if name not in arrays]
    faults += [
        f"unknown array '{name}': known are {', '.join(_FORMS)}"
        for name in sorted(arrays.keys() - _FORMS.keys())
    ]
    for name, (num_axes, kinds) in _FORMS.items():
        array = arrays.get(name)
        if array is not None and (array.ndim != num_axes or array.dtype.kind not in kinds):
            right = f"{num_axes} axes of {_WORDS[kinds]}"
            faults.append(f"{name} is {array_form(array)}, not {right}")
    return faults or [*_length_faults(arrays), *_item_faults(arrays), *_number_faults(arrays)]


def _length_faults(arrays: Arrays) -> list[str]:
    rows, columns = arrays["cosines"].shape
    if rows != columns or not rows:
        return [f"cosines are {rows} videos of {columns} phrases; one phrase for each video"]
    return [
        f"there are {len(arrays[name])} {name} for {rows} videos"
        for name in _PER_VIDEO
        if len(arrays[name]) != rows
    ]


def _item_faults(arrays: Arrays) -> list[str]:
    items, classes = arrays["items"].tolist(), arrays["classes"].tolist()
    faults = [f"item '{one}' is not one of {', '.join(POSED)}" for one in items if one not in POSED]
    if len(set(items)) < len(items):
        faults.append("items are not unique")
    if items != [f"expression_{one}" for one in classes]:
        faults.append(f"classes {classes} are not the expressions of items {items}")
    return faults


def _number_faults(arrays: Arrays) -> list[str]:
    cosines, tau = arrays["cosines"].astype(np.float64), float(arrays["tau"])
    faults = []
    absent = np.isnan(cosines)
    if (absent.any(axis=1) != absent.all(axis=1)).any():
        faults.append("cosines of a video are absent in part; NaN stands for a whole video")
    is_absent = np.isnan(arrays["features"].astype(np.float64))
    if len(is_absent) == len(absent) and (is_absent != absent[:, :1]).any():
        faults.append("features and cosines are not of the same videos")
    if absent.all():
        faults.append("no video has cosines")
    if (np.abs(cosines[~absent]) > 1 + _SLACK).any():
        faults.append("a cosine is outside -1..1")
    if not (np.isfinite(tau) and tau > 0):
        faults.append(f"tau is {tau:g}; it must be above 0")
    return faults


assert {one.name for one in fields(Intensities)} == set(_FORMS)
