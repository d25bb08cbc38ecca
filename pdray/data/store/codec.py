"""Codecs of the frame store: raw and lz4 (both exact), and jpeg.

Each item is coded by itself, so that it can be read without the others.

``raw`` is the array's memory. ``lz4`` is exact too: 180 kB instead of 261 kB per frame of a
340x256 SYNTHETIC video, 0.48 of the size on a real 256x256 clip. It stores colours as planes, red
and blue as their difference to green modulo 256, which gives LZ4 more repeats. ``jpeg``
(libjpeg-turbo, 4:2:0) takes 15 to 17 kB per frame of the same video and loses fine detail. The two
channels of a flow field are stored as one grey picture, one above the other.
"""

from typing import Any

import lz4.block
import numpy as np
import numpy.typing as npt
import simplejpeg

from pdray.data.store.settings import CodecName, StoreConfig

Item = npt.NDArray[Any]


def encode(item: Item, config: StoreConfig) -> bytes | memoryview:
    """Return the bytes of an item; with ``raw`` they are its own memory.

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
        codec: Codec of the data.
        out: Array to fill.

    Raises:
        ValueError: If the bytes do not hold such an item.
    """
    if codec == "raw":
        flat = np.frombuffer(data, out.dtype)
        if flat.size != out.size:
            raise ValueError(f"has {flat.size} numbers, expected {out.size}")
        out[...] = flat.reshape(out.shape)
    elif codec == "lz4":
        try:
            plain = lz4.block.decompress(data, uncompressed_size=out.nbytes)
        except lz4.block.LZ4BlockError as error:
            raise ValueError(str(error)) from error
        if len(plain) != out.nbytes:
            raise ValueError(f"has {len(plain)} bytes, expected {out.nbytes}")
        _join(np.frombuffer(plain, out.dtype), out)
    else:
        _decode_jpeg(data, out)


def _decode_jpeg(data: Any, out: Item) -> None:
    height, width, channels = out.shape
    colours = "RGB" if channels == 3 else "GRAY"
    picture = out if channels == 3 else np.empty((channels * height, width, 1), np.uint8)
    found = simplejpeg.decode_jpeg_header(data)[:2]
    if found != picture.shape[:2]:
        raise ValueError(f"has a picture of {found}, expected {picture.shape[:2]}")
    simplejpeg.decode_jpeg(data, colours, buffer=picture)
    if channels == 2:
        # Codes of flow are 1 to 255, mirrored as 256 - code; JPEG can give 0.
        np.maximum(picture, 1, out=picture)
    if channels != 3:
        out[...] = picture.reshape(channels, height, width).transpose(1, 2, 0)


def _stacked(item: Item) -> Item:
    return np.concatenate(list(np.moveaxis(item, 2, 0)))


def _is_picture(item: Item) -> bool:
    return item.dtype == np.uint8 and item.ndim == 3 and item.shape[2] in (2, 3)


def _separated(item: Item) -> Item:
    """Return the colour planes of a picture, as LZ4 packs them best; other items unchanged."""
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
