"""HDR is brought to the grey levels of the SDR clip of the same scene, whatever way it is read.

The reference is slow and of its own: scalars in float64, each equation by its number.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from pdray.data.media.decode import decode, inspect
from pdray.data.media.seek import read_frames, scan
from pdray.data.media.settings import DecodeConfig
from pdray.data.media.tone import FULL_SCALE, KNEE, Toner, hlg_light, pq_light
from tests.fixtures.made_videos import write_planes
from tests.places import SHARED

HANDED = SHARED / "cases" / "field" / "videos" / "hdr_hlg.mov"
SIZE = 64
CONFIG = DecodeConfig(height=SIZE, width=SIZE)
STORED = DecodeConfig(height=SIZE, width=SIZE, hdr="stored")
WHITE = 203.0  # BT.2408, table 1 [cd/m2]

# BT.2087, 2.2, Eq. (2): linear R, G, B of BT.709 to BT.2020.
M2 = ((0.6274, 0.3293, 0.0433), (0.0691, 0.9195, 0.0114), (0.0164, 0.0880, 0.8956))


def hlg_oetf(light: float) -> float:
    """BT.2100, table 5, "HLG reference OETF": scene light 0 to 1 to a signal."""
    a = 0.17883277
    b, c = 1 - 4 * a, 0.5 - a * math.log(4 * a)
    return math.sqrt(3 * light) if light <= 1 / 12 else a * math.log(12 * light - b) + c


def hlg_signal(luminance: float) -> float:
    """BT.2100, table 5: the inverse OOTF at 1000 cd/m2 (gamma 1.2), then the OETF."""
    return hlg_oetf((luminance / 1000) ** (1 / 1.2))


def pq_signal(luminance: float) -> float:
    """BT.2100, table 4, "PQ reference inverse EOTF": cd/m2 to a signal."""
    m1, m2 = 2610 / 2**14, 2523 / 2**12 * 2**7
    c1, c2, c3 = 3424 / 2**12, 2413 / 2**12 * 2**5, 2392 / 2**12 * 2**5
    y = (luminance / 10_000) ** m1
    return ((c1 + c2 * y) / (1 + c3 * y)) ** m2


def sdr_signal(light: float) -> float:
    """The inverse of BT.1886's EOTF (annex 1, gamma 2.4) and the roll-off above 0.95."""
    signal = max(light, 0.0) ** (1 / 2.4)
    if signal <= KNEE:
        return signal
    return KNEE + (1 - KNEE) * (1 - math.exp((KNEE - signal) / (1 - KNEE)))


ENCODE: dict[str, Callable[[float], float]] = {"hlg": hlg_signal, "pq": pq_signal}
TAGS = {"hlg": "arib-std-b67", "pq": "smpte2084"}


def hdr_code(sdr: Sequence[float], transfer: str) -> tuple[int, int, int]:
    """Return Y, Cb, Cr of 10 bits of the HDR clip in which SDR signals have the SDR light."""
    light = [WHITE * value**2.4 for value in sdr]  # BT.1886, annex 1
    wide = [sum(m * one for m, one in zip(row, light, strict=True)) for row in M2]
    red, green, blue = (ENCODE[transfer](one) for one in wide)
    luma = 0.2627 * red + 0.6780 * green + 0.0593 * blue  # BT.2100, table 6
    cb, cr = (blue - luma) / 1.8814, (red - luma) / 1.4746
    # BT.2100, table 9: narrow range.
    return round(876 * luma + 64), round(896 * cb + 512), round(896 * cr + 512)


def sdr_code(sdr: Sequence[float]) -> tuple[int, int, int]:
    """Return Y, Cb, Cr of 10 bits by BT.709, items 3.2 to 3.4."""
    red, green, blue = sdr
    luma = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    return (
        round(876 * luma + 64),
        round(896 * (blue - luma) / 1.8556 + 512),
        round(896 * (red - luma) / 1.5748 + 512),
    )


GREYS = [(value, value, value) for value in np.linspace(0.0, 0.95, 12)]
COLOURS = [
    (0.8, 0.55, 0.45), (0.35, 0.22, 0.18), (0.9, 0.75, 0.65), (0.2, 0.4, 0.7), (0.1, 0.5, 0.2),
    (0.7, 0.1, 0.15), (0.9, 0.9, 0.2), (0.3, 0.3, 0.5),
]  # fmt: skip
SCENES = {"greys": GREYS, "colours": COLOURS, "faces": [*COLOURS[:3], *GREYS[2:9]]}


def patches(codes: Sequence[tuple[int, int, int]]) -> list[np.ndarray]:
    """Draw codes as patches of 16 px, in rows of four."""
    planes = [np.full((SIZE, SIZE), fill, np.uint16) for fill in (64, 512, 512)]
    for number, code in enumerate(codes[:16]):
        top, left = 16 * (number // 4), 16 * (number % 4)
        for plane, value in zip(planes, code, strict=True):
            plane[top : top + 16, left : left + 16] = value
    return [planes[0], planes[1][::2, ::2], planes[2][::2, ::2]]


def middles(pixels: np.ndarray, count: int) -> np.ndarray:
    return np.array([pixels[16 * (n // 4) + 8, 16 * (n % 4) + 8] for n in range(count)], int)


def write(path, codes, transfer):
    tags = f"colorprim=bt2020:transfer={TAGS[transfer]}:colormatrix=bt2020nc"
    if transfer == "sdr":
        tags = "colorprim=bt709:transfer=bt709:colormatrix=bt709"
    options = {"crf": "2", "x265-params": f"{tags}:range=limited:log-level=none:keyint=4"}
    return write_planes(path, [patches(codes)] * 6, options=options)


TAGS["sdr"] = "bt709"


@pytest.mark.parametrize("transfer", ["hlg", "pq"])
@pytest.mark.parametrize("scene", SCENES)
def test_hdr_comes_within_6_levels_of_the_sdr_clip_of_the_scene(tmp_path, scene, transfer):
    colours = SCENES[scene]
    sdr = write(tmp_path / "sdr.mp4", [sdr_code(one) for one in colours], "sdr")
    hdr = write(tmp_path / "hdr.mp4", [hdr_code(one, transfer) for one in colours], transfer)
    assert inspect(sdr, CONFIG).transfer is None
    assert inspect(hdr, CONFIG).transfer == transfer
    plain, toned = decode(sdr, CONFIG).frames, decode(hdr, CONFIG).frames
    wanted = middles(plain[3], len(colours))
    assert np.abs(middles(toned[3], len(colours)) - wanted).max() <= 6
    # Every way of reading gives the same.
    index = scan(hdr, CONFIG)
    np.testing.assert_array_equal(read_frames(hdr, index, np.arange(6), CONFIG), toned)
    # As it was stored it is another picture, and the SDR clip is the same under both settings.
    assert np.abs(middles(decode(hdr, STORED).frames[3], len(colours)) - wanted).max() > 20
    np.testing.assert_array_equal(decode(sdr, STORED).frames, plain)


@pytest.mark.parametrize("transfer", ["hlg", "pq"])
def test_the_curves_are_the_inverses_of_bt_2100(transfer):
    light = {"hlg": hlg_light, "pq": pq_light}[transfer]
    for luminance in (0.0, 0.01, 1.0, 26.0, 100.0, WHITE, 999.0):
        found = float(light(ENCODE[transfer](luminance)))
        assert found == pytest.approx(luminance, rel=1e-5, abs=1e-6)
    # BT.2408, table 1: diffuse white.
    signal = {"hlg": 0.75, "pq": 0.58}[transfer]
    assert float(light(signal)) == pytest.approx(WHITE, rel=0.01)


def test_the_roll_off_keeps_what_is_below_it_and_rises_to_white():
    grey = np.repeat(np.arange(FULL_SCALE + 1, dtype=np.uint16), 3).reshape(1, -1, 3)
    levels = Toner("pq", 9).sdr(grey)[0, :, 0].astype(int)
    light = np.array(pq_light(np.arange(FULL_SCALE + 1) / FULL_SCALE)) / WHITE
    assert (np.diff(levels) >= 0).all()
    assert levels[-1] == 255
    below = light ** (1 / 2.4) < KNEE
    np.testing.assert_allclose(levels[below], 255 * light[below] ** (1 / 2.4), atol=0.6)
    assert levels[np.argmin(np.abs(light - 1))] == 250  # white


@pytest.mark.parametrize("transfer", ["hlg", "pq"])
def test_the_tables_round_as_the_formula_does(transfer):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, FULL_SCALE + 1, (20, 20, 3), np.uint16)
    light = {"hlg": hlg_light, "pq": pq_light}[transfer](pixels / FULL_SCALE) / WHITE
    exact = np.vectorize(lambda one: 255 * sdr_signal(one))
    wide = exact(light @ np.linalg.inv(np.array(M2)).T)
    np.testing.assert_allclose(Toner(transfer, 9).sdr(pixels), wide, atol=0.501)
    # Primaries of BT.709 need no matrix.
    np.testing.assert_allclose(Toner(transfer, 1).sdr(pixels), exact(light), atol=0.501)


@pytest.mark.skipif(not HANDED.is_file(), reason="the handed clip is not beside the checkout")
def test_the_handed_clip_has_the_brightness_and_the_colours_of_its_source():
    frames = decode(HANDED, DecodeConfig(height=120, width=160)).frames.astype(float)
    luma = frames @ [0.299, 0.587, 0.114]
    assert np.mean([one.std() for one in luma]) == pytest.approx(64.6, abs=6)
    # The source has 97.0; 4:2:0 and a coarse quantiser took a part that no curve brings back.
    assert frames.std(-1).mean() > 80
    stored = decode(HANDED, DecodeConfig(height=120, width=160, hdr="stored")).frames
    assert stored.std(-1).mean() == pytest.approx(36.5, abs=0.5)  # as it was
    bars = frames[0, 90:100].mean(0)
    wanted = {12: (255, 0, 0), 66: (255, 255, 0), 92: (0, 0, 255), 147: (0, 255, 255)}
    for column, colour in wanted.items():
        assert np.abs(bars[column] - colour).max() < 15
