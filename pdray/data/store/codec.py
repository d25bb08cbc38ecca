"""Coding of one item of an entry as bytes: raw, lz4 (both exact) or jpeg.

Every item is coded by itself, so that any one is read without touching another.

``raw`` is the array's memory. ``lz4`` is exact too and about half the size on natural pictures:
colours are stored as planes, red and blue as their difference to green modulo 256, which leaves
LZ4 runs to find. ``jpeg`` (libjpeg-turbo, 4:2:0) is an order of magnitude smaller and loses what
the eye does not see; channels that are no colours, as the two of a flow field, travel as one grey
picture, one above the other.
"""

from typing import Any

import lz4.block
import numpy as np
import numpy.typing as npt
import simplejpeg

from pdray.data.store.settings import CodecName, StoreConfig

Item = npt.NDArray[Any]


def encode(item: Item, config: StoreConfig) -> bytes | memoryview:
    """Return the bytes of an item; those of ``raw`` are its own memory.

    Args:
        item: Any array for ``raw`` and ``lz4``; (H, W, C) uint8 for ``jpeg``.
        config: Codec and quality.
    """
    item = np.ascontiguousarray(item)
    if config.codec == "jpeg":
        quality, picture = config.quality, item
        if item.shape[2] != 3:
            return bytes(
                simplejpeg.encode_jpeg(_stacked(item)[..., None], quality, colorspace="GRAY")
            )
        return bytes(simplejpeg.encode_jpeg(picture, quality, colorsubsampling="420"))
    if config.codec == "lz4":
        return bytes(lz4.block.compress(_separated(item), store_size=False))
    return memoryview(item.data).cast("B")  # no copy


def decode_into(data: Any, codec: CodecName, out: Item) -> None:
    """Write an item to a contiguous array of its shape and dtype.

    Args:
        data: What :func:`encode` returned, as any buffer.
        codec: The codec it was encoded with.
        out: Is filled.

    Raises:
        ValueError: If the bytes do not hold such an item.
    """
    if codec == "raw":
        flat = np.frombuffer(data, out.dtype)
        if flat.size != out.size:
            raise ValueError(f"holds {flat.size} numbers where {out.size} are due")
        out[...] = flat.reshape(out.shape)
    elif codec == "lz4":
        try:
            plain = lz4.block.decompress(data, uncompressed_size=out.nbytes)
        except lz4.block.LZ4BlockError as error:
            raise ValueError(str(error)) from error
        if len(plain) != out.nbytes:
            raise ValueError(f"holds {len(plain)} bytes where {out.nbytes} are due")
        _join(np.frombuffer(plain, out.dtype), out)
    else:
        _decode_jpeg(data, out)


def _decode_jpeg(data: Any, out: Item) -> None:
    height, width, channels = out.shape
    colours = "RGB" if channels == 3 else "GRAY"
    picture = out if channels == 3 else np.empty((channels * height, width, 1), np.uint8)
    found = simplejpeg.decode_jpeg_header(data)[:2]
    if found != picture.shape[:2]:
        raise ValueError(f"holds a picture of {found} where {picture.shape[:2]} is due")
    simplejpeg.decode_jpeg(data, colours, buffer=picture)
    if channels == 2:
        # Codes of flow are 1 to 255, mirrored as 256 - code; JPEG rings below 1.
        np.maximum(picture, 1, out=picture)
    if channels != 3:
        out[...] = picture.reshape(channels, height, width).transpose(1, 2, 0)


def _stacked(item: Item) -> Item:
    return np.concatenate(list(np.moveaxis(item, 2, 0)))


def _is_picture(item: Item) -> bool:
    return item.dtype == np.uint8 and item.ndim == 3 and item.shape[2] in (2, 3)


def _separated(item: Item) -> Item:
    """Return planes that LZ4 finds runs in; anything but a picture stays as it is."""
    if not _is_picture(item):
        return item
    planes = np.ascontiguousarray(item.transpose(2, 0, 1))
    if len(planes) == 3:
        planes[0] -= planes[1]
        planes[2] -= planes[1]
    return planes


def _join(flat: Item, out: Item) -> None:
    if not _is_picture(out):
        out[...] = flat.reshape(out.shape)
        return
    planes = flat.reshape(out.shape[2], *out.shape[:2])
    if len(planes) == 2:
        out[..., 0], out[..., 1] = planes
        return
    out[..., 1] = planes[1]
    np.add(planes[0], planes[1], out=out[..., 0])
    np.add(planes[2], planes[1], out=out[..., 2])
