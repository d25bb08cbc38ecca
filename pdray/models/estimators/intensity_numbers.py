"""Numbers that describe the expression intensities of a visit, for a classifier.

Source: Huang et al. 2025 ("Dynamic Facial Expressions Analysis Based Parkinson's Disease Auxiliary
Diagnosis"), section 2.3 and Eq. 4: eight statistics of the intensities of each video, around the
highlight value hv, the intensity of the expression that was asked for. The standard deviation is
that of a population. |z| is at most sqrt(3) for four phrases.
Readings: the statistics replace the intensities (``both`` gives both to a classifier); on the scale
``log`` they are computed from cosine / tau, whose mean may be negative or near 0, so that the
percentage difference pd may be large. z of equal intensities and pd with a mean of 0 are 0/0 and
thus absent (NaN).
Letters: N visit, V video, P phrase, D number.
"""

from typing import Literal

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
STATISTICS = ("hv", "mean", "std", "z", "pd", "range", "d_min", "d_max")
"""Statistics of a video in their order: Eq. 4 of Huang et al. 2025."""
LARGEST_LOG = 300.0
"""Logarithm of the largest intensity whose square, summed over visits, float64 can hold."""


def video_statistics(intensities_NVP: Floats) -> Floats:
    """Return (N, V, 8) statistics of each video, in the order of :data:`STATISTICS`.

    Args:
        intensities_NVP: (N, V, V) float64; phrase j is the expression asked for in video j. NaN
            where a video is absent.
    """
    x_NVP = intensities_NVP
    hv_NV = np.diagonal(x_NVP, axis1=1, axis2=2)
    mean_NV, std_NV = x_NVP.mean(axis=2), x_NVP.std(axis=2)
    low_NV, high_NV = x_NVP.min(axis=2), x_NVP.max(axis=2)
    above_NV = hv_NV - mean_NV
    return np.stack(
        [
            hv_NV,
            mean_NV,
            std_NV,
            _ratio(above_NV, std_NV, high_NV > low_NV),  # std of equal ones is 0 but for rounding
            _ratio(above_NV, mean_NV, mean_NV != 0),
            high_NV - low_NV,
            hv_NV - low_NV,
            hv_NV - high_NV,
        ],
        axis=2,
    )


def intensity_numbers(
    logs_NVP: Floats,
    features: Literal["original", "processed", "both"],
    scale: Literal["log", "exp"],
) -> Floats:
    """Return (N, V, D) numbers of visits: 4, 8 or 12 per video for four phrases.

    Args:
        logs_NVP: (N, V, V) float64 logarithms of intensities, cosine / tau, at most
            :data:`LARGEST_LOG` for ``exp``; NaN where a video is absent.
        features: Which numbers; see the settings of ``intensity_head``.
        scale: Whether the numbers are of the logarithms or of the intensities.

    Raises:
        ValueError: If the last two axes differ; names the shape.
    """
    if logs_NVP.ndim != 3 or logs_NVP.shape[1] != logs_NVP.shape[2]:
        raise ValueError(
            f"intensities need the axes (N, V, P) with one phrase for each video, got "
            f"{logs_NVP.shape}"
        )
    x_NVP = np.exp(logs_NVP) if scale == "exp" else logs_NVP
    if features == "original":
        return x_NVP
    statistics_NVD = video_statistics(x_NVP)
    if features == "processed":
        return statistics_NVD
    return np.concatenate([x_NVP, statistics_NVD], axis=2)


def _ratio(above: Floats, below: Floats, exists: npt.NDArray[np.bool_]) -> Floats:
    """Return above / below where it exists, else NaN."""
    return np.divide(above, below, out=np.full_like(above, np.nan), where=exists)
