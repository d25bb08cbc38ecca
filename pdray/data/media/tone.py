"""High dynamic range brought to standard: HLG and PQ pictures as an SDR camera shows the scene.

Phones record HDR in one of two transfer functions of ITU-R BT.2100 on the primaries of BT.2020.
Taken for BT.709 the picture is up to 70 grey levels too bright and its colours are pale, so the
brightness would tell the phone. Here, for each pixel R'G'B' from 0 to 1:

  1. light of a display, 1 being SDR white of 203 cd/m2 (ITU-R BT.2408: HLG at signal 0.75, PQ at
     0.58): of PQ by BT.2100's EOTF; of HLG by the inverse of BT.2100's OETF and the OOTF of a
     display of 1000 cd/m2, a power of 1.2. The power is taken of each colour by itself and not of
     luminance, since so does SDR: BT.709's OETF and BT.1886's EOTF together are such a power;
  2. BT.2020 to BT.709: the inverse of ITU-R BT.2087's matrix, what falls below 0 set to 0;
  3. the inverse of BT.1886's EOTF, a power of 1 / 2.4;
  4. the roll-off: signals up to 0.95 stay, above it ``0.95 + 0.05 (1 - exp((0.95 - V) / 0.05))``,
     so that white comes to 250 of 255 and nothing brighter passes 255.

FFmpeg's own ways are not in the wheels of PyAV: ``zscale`` and ``libplacebo`` are missing, and
``tonemap`` needs one of them.
"""

from typing import Literal

import numpy as np
import numpy.typing as npt

Transfer = Literal["hlg", "pq"]
Reals = npt.NDArray[np.float64]

TRANSFERS: dict[int, Transfer] = {16: "pq", 18: "hlg"}
"""FFmpeg's numbers of SMPTE ST 2084 and ARIB STD-B67 (H.273, table 3)."""

FULL_SCALE = 255 << 8
"""What swscale makes of white in 16 bits."""

WHITE = 203.0
"""Luminance of diffuse white by BT.2408 [cd/m2]."""

KNEE = 0.95
_HLG_POWER = 1.2  # BT.2100, table 5, note 5e, at 1000 cd/m2
_SDR_POWER = 2.4  # BT.1886
# BT.2087, Eq. (1): M2, BT.709 to BT.2020 in linear light.
_TO_2020 = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])
_FROM_2020 = np.linalg.inv(_TO_2020)
_BT709_PRIMARIES = 1
# BT.2100, table 5: HLG; table 4: PQ.
_A, _B, _C = 0.17883277, 0.28466892, 0.55991073
_M1, _M2 = 2610 / 16384, 2523 / 4096 * 128
_C1, _C2, _C3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32


def hlg_light(signal: npt.ArrayLike) -> Reals:
    """Return luminance of HLG signals on a display of 1000 cd/m2 by BT.2100, table 5 [cd/m2]."""
    x = np.asarray(signal, np.float64)
    scene = np.where(x <= 0.5, x * x / 3, (np.exp((x - _C) / _A) + _B) / 12)
    found: Reals = 1000 * scene**_HLG_POWER
    return found


def pq_light(signal: npt.ArrayLike) -> Reals:
    """Return luminance of PQ signals by BT.2100, table 4 [cd/m2]."""
    power = np.asarray(signal, np.float64) ** (1 / _M2)
    found: Reals = 10_000 * (np.maximum(power - _C1, 0) / (_C2 - _C3 * power)) ** (1 / _M1)
    return found


class Toner:
    """Brings pixels of one transfer function to SDR by a table of light and one of levels.

    Args:
        transfer: Of the pixels.
        primaries: Their colour primaries, as H.273 numbers them; all but BT.709's are taken for
            BT.2020's, which HDR has unless it says otherwise.
    """

    def __init__(self, transfer: Transfer, primaries: int) -> None:
        codes = np.minimum(np.arange(1 << 16) / FULL_SCALE, 1)
        self._light = (hlg_light if transfer == "hlg" else pq_light)(codes) / WHITE
        self._matrix = None if primaries == _BT709_PRIMARIES else _FROM_2020
        self._least = _least_light()

    def sdr(self, pixels: npt.NDArray[np.uint16]) -> npt.NDArray[np.uint8]:
        """Return (H, W, 3) uint8 of (H, W, 3) uint16 R'G'B', 65280 being 1."""
        light = self._light[pixels]
        if self._matrix is not None:
            # One by one, not by a matrix product, whose sums differ from processor to processor.
            r, g, b = light[..., 0], light[..., 1], light[..., 2]
            rows = [m[0] * r + m[1] * g + m[2] * b for m in self._matrix]
            light = np.stack(rows, axis=-1)
        return np.searchsorted(self._least, light, side="right").astype(np.uint8)


def _least_light() -> Reals:
    """Return for each level from 1 to 255 the least light that is rounded to it."""
    wanted = (np.arange(1, 256) - 0.5) / 255
    over = np.maximum(wanted - KNEE, 0) / (1 - KNEE)
    signal = np.where(wanted <= KNEE, wanted, KNEE - (1 - KNEE) * np.log1p(-over))
    found: Reals = signal**_SDR_POWER
    return found
