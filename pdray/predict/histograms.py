"""Histogram matching: gives pictures the colours of others.

HRFAE (Yao et al. 2020, arXiv:2005.04410) ends with it: the published test program, whose settings
YouTubePD (Zhou et al. 2023, appendix C) used, gives the edited picture the histogram of its source
(option ``hist_trans``). It says no more; here each colour is matched by itself, by the usual rule
(Gonzalez and Woods, Digital Image Processing, histogram specification): with F and G the cumulative
shares of pixels of picture and reference, a value v becomes G^-1(F(v)), interpolated linearly
between the values that the reference has.
Letters: N pictures, H height, W width.
"""

import numpy as np
from numpy.typing import NDArray

Pictures = NDArray[np.uint8]
_CODES = 256


def match_histograms(pictures: Pictures, references: Pictures) -> Pictures:
    """Return pictures with the histograms of others, colour by colour.

    Args:
        pictures: (N, H, W, 3) uint8.
        references: (N, H, W, 3) uint8, one for each picture.

    Returns:
        (N, H, W, 3) uint8; equal values of a colour stay equal, and their order stays.
    """
    found = np.empty_like(pictures)
    for n in range(len(pictures)):
        for colour in range(pictures.shape[3]):
            codes = _codes(pictures[n, ..., colour], references[n, ..., colour])
            found[n, ..., colour] = codes[pictures[n, ..., colour]]
    return found


def _codes(picture: Pictures, reference: Pictures) -> Pictures:
    """Return the (256,) new value of each value."""
    shares = [_shares(one) for one in (picture, reference)]
    there = np.flatnonzero(np.diff(shares[1], prepend=0.0))
    new = np.interp(shares[0], shares[1][there], there)
    return np.rint(new).astype(np.uint8)


def _shares(picture: Pictures) -> NDArray[np.float64]:
    """Return the (256,) share of pixels whose value is at most each one."""
    counts = np.bincount(picture.ravel(), minlength=_CODES)
    return np.asarray(counts.cumsum() / picture.size)
