"""A recording's spectra as one vector: how they are on average, how they vary, how fast they move.

Of each of the C numbers of an item (a mel band, or a cepstral coefficient) three are kept: its mean
over time, its standard deviation, and its mean absolute change from an item to the next, which is
``audio.hop_seconds`` later. A flat and monotonous voice (MDS-UPDRS 3.1) has the mean of another and
little of the last two. Nothing here is learnt, and nothing grows with the recording's length.
YouTubePD gives no statistics for its MFCC (section D.1); these are a choice.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pdray.errors import DecodeError

STATISTICS = ("mean", "spread", "change")


class SoundStatistics(NamedTuple):
    """A recording's numbers.

    Attributes:
        names: ``statistic.number``, the statistics one after the other.
        values: (3 C,) float64, in the unit of the items: nats for log_mel and mfcc.
    """

    names: tuple[str, ...]
    values: npt.NDArray[np.float64]


def sound_statistics(items: npt.NDArray[np.floating]) -> SoundStatistics:
    """Describe a recording by its spectra.

    Args:
        items: (N, C) float, equally far apart in time.

    Returns:
        Mean, population standard deviation and mean absolute change of each of the C numbers.

    Raises:
        DecodeError: If there are fewer than two items, so that nothing can change, or a number is
            not finite.
    """
    if len(items) < 2:
        raise DecodeError(
            f"has {len(items)} window of sound; how it changes needs 2: a longer recording, or a "
            "shorter audio.window_seconds"
        )
    x = items.astype(np.float64)
    if not np.isfinite(x).all():
        raise DecodeError("has spectra that are not finite")
    values = np.concatenate(
        [x.mean(axis=0), x.std(axis=0), np.abs(np.diff(x, axis=0)).mean(axis=0)]
    )
    names = tuple(f"{name}.{number}" for name in STATISTICS for number in range(x.shape[1]))
    return SoundStatistics(names, values)
