"""Reads a video for an exported model, and turns its scores into the cells of a row.

An exported model has this file whole, so it imports nothing but NumPy and files that are exported.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pdray.data.batches.snippet import frame_indices
from pdray.data.media.decode import decode_frames
from pdray.data.media.flow import boundary_codes, flow_codes, motion
from pdray.data.media.movement_spectrum import movement_spectrum
from pdray.evaluation.statistics.scaled import scaled, softmax

Floats = NDArray[np.float64]


def named(videos: Sequence[Path]) -> list[str]:
    """Return names of videos without folder and ending; whole paths if two names are equal."""
    names = [video.stem for video in videos]
    return names if len({*names}) == len(names) else [video.as_posix() for video in videos]


def describe(video: Path, facts: Any) -> tuple[NDArray[Any], str]:
    """Return what the network takes of a video.

    The video is decoded twice, so that it is never in memory whole; motion is computed once.

    Args:
        video: The file.
        facts: Content of ``settings.json``, each section with its keys as attributes.

    Returns:
        (S, T, H, W, C) uint8 pictures of S snippets, or (1, D) float64 numbers; and what is unlike
        the training recordings, as text.

    Raises:
        PdrayError: If the video cannot be read whole.
    """
    is_motion = facts.modality != "rgb"
    seconds = np.array([time for time, _ in decode_frames(video, facts.decode, facts.limits)])
    if is_motion:
        seconds = seconds[:-1]  # a field stands at the time of the first frame of its pair
    step = float(np.median(np.diff(seconds))) if len(seconds) > 1 else 0.0
    length = float(seconds[-1] - seconds[0]) + step
    note = unusual({"length [s]": length, "frames per second": 1 / step if step else 0.0}, facts)
    if facts.reads == "spectrum":
        pieces = (picture[None] for _, picture in pictures(video, facts))
        return movement_spectrum(pieces, seconds, is_motion=is_motion)[None], note
    wanted = frame_indices(len(seconds), facts.snippet, None, recording_id=video.stem)
    places = set(wanted.ravel().tolist())
    seen = {
        place: picture
        for place, (_, picture) in enumerate(pictures(video, facts))
        if place in places
    }
    return np.stack([[seen[place] for place in row] for row in wanted.tolist()]), note


def pictures(video: Path, facts: Any) -> Iterator[tuple[float, NDArray[np.uint8]]]:
    """Yield the time [s] and the (H, W, C) uint8 picture of each frame, or of each pair of them."""
    frames = decode_frames(video, facts.decode, facts.limits)
    if facts.modality == "rgb":
        return frames
    codes = flow_codes if facts.modality == "flow" else boundary_codes
    return codes(motion(frames, facts.flow), facts.flow)


def unusual(found: dict[str, float], facts: Any) -> str:
    """Return which numbers lie outside those of the training recordings."""
    known = vars(facts.training)
    return "; ".join(
        f"{what}: {value:.3g}, training had {known[what][0]} to {known[what][1]}"
        for what, value in found.items()
        if what in known and value and not known[what][0] <= value <= known[what][1]
    )


def grade(scores: Floats, facts: Any, grades: list[str]) -> dict[str, Any]:
    """Return the cells of a recording.

    Args:
        scores: (S, M, K) scores of S snippets by M models; their softmax are probabilities.
        facts: Content of ``settings.json``.
        grades: The grades of each class, as text.
    """
    if facts.mean_of == "scores":
        scores = scores.mean(axis=0, keepdims=True)
    shares = np.stack([softmax(one) for one in scores]).mean(axis=0)
    mean = shares.mean(axis=0)
    calibrated = scaled(facts.calibration.kind, facts.calibration.numbers, mean[None])[0]
    chosen = int(calibrated.argmax())
    cells: dict[str, Any] = {"estimated_grade": grades[chosen], "num_models": len(shares)}
    cells["disagreement"] = float(np.ptp(shares[:, chosen]))
    for kind, values in (("probability", mean), ("calibrated", calibrated)):
        cells |= {f"{kind}_{k}": float(share) for k, share in enumerate(values)}
    return cells
