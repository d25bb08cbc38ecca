import lz4.block
import numpy as np
import pytest

from pdray.data.store.codec import decode_into, encode
from pdray.data.store.settings import StoreConfig


def picture(height=48, width=64, channels=3):
    """Smooth colours and a few edges, as in nature; noise would hide what is lost."""
    rows, columns = np.mgrid[0:height, 0:width]
    planes = [128 + 80 * np.sin(rows / (7 + k) + columns / (11 - k)) for k in range(channels)]
    drawn = np.stack(planes, -1)
    drawn[10:20, 15:40] = (200, 40, 90)[:channels]
    return drawn.round().astype(np.uint8)


def there_and_back(item, config):
    out = np.empty(item.shape, item.dtype)
    decode_into(encode(item, config), config.codec, out)
    return out


def luma_psnr(first, second):
    weights = np.array([0.299, 0.587, 0.114])
    error = (first.astype(np.float64) - second) @ weights
    return 10 * np.log10(255**2 / np.mean(error**2))


@pytest.mark.parametrize("codec", ["raw", "lz4"])
@pytest.mark.parametrize(
    "item",
    [
        picture(),
        picture(channels=2),
        np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8),
        np.random.default_rng(0).integers(0, 256, (1, 1, 2), np.uint8),
        np.arange(-600, 600, dtype=np.int16),
        np.array([[1.5, np.nan], [-np.inf, 0.0]], np.float32),
    ],
    ids=["rgb", "flow", "noise", "one pixel", "sound", "points"],
)
def test_exact_codecs_give_every_bit_back(codec, item):
    back = there_and_back(item, StoreConfig(codec=codec))
    assert back.tobytes() == item.tobytes()


def test_a_view_is_stored_as_it_looks():
    turned = picture().transpose(1, 0, 2)[:, ::-1]
    for codec in ("raw", "lz4"):
        assert (there_and_back(turned, StoreConfig(codec=codec)) == turned).all()
    assert luma_psnr(there_and_back(turned, StoreConfig(codec="jpeg")), turned) > 38


@pytest.mark.parametrize(("quality", "decibel"), [(90, 38), (95, 40)])
def test_jpeg_loses_little_of_a_natural_picture(quality, decibel):
    config = StoreConfig(codec="jpeg", quality=quality)
    assert luma_psnr(there_and_back(picture(), config), picture()) > decibel
    assert len(encode(picture(), config)) < picture().nbytes / 4


@pytest.mark.parametrize("channels", [1, 2])
def test_channels_that_are_no_colours_survive_jpeg_in_their_places(channels):
    codes = picture(channels=channels)
    back = there_and_back(codes, StoreConfig(codec="jpeg"))
    for component in range(channels):
        error = back[..., component].astype(int) - codes[..., component]
        # Components of a real field are as smooth as this one: a quarter of a code's step apart.
        assert np.abs(error).mean() < 2


def test_codes_of_flow_stay_codes_and_mirror_after_jpeg():
    codes = np.where(np.indices((16, 16)).sum(0)[..., None] % 3, 1, 255).repeat(2, 2)
    back = there_and_back(codes.astype(np.uint8), StoreConfig(codec="jpeg"))
    assert back.min() >= 1
    assert (256 - back.astype(int)).max() <= 255


def test_lz4_finds_more_in_planes_than_in_pixels():
    plain = len(lz4.block.compress(picture().tobytes(), store_size=False))
    assert len(encode(picture(), StoreConfig(codec="lz4"))) < plain


@pytest.mark.parametrize("codec", ["raw", "lz4", "jpeg"])
def test_bytes_of_another_item_are_refused(codec):
    data = bytes(encode(picture(), StoreConfig(codec=codec)))
    for wrong in (data[: len(data) // 2], bytes(encode(picture(24), StoreConfig(codec=codec)))):
        with pytest.raises(ValueError, match=r"."):
            decode_into(wrong, codec, np.empty_like(picture()))


def test_raw_copies_nothing():
    item = picture()
    assert np.shares_memory(np.frombuffer(encode(item, StoreConfig()), np.uint8), item)
