"""Recordings that are folders of numbered pictures, as some data sets are handed out.

A *picture list* is a small file that stands for such a folder, with the suffix ``.pictures``. It is
JSON: the rate at which the pictures follow each other, the folder (relative to the list), and the
name and the SHA-256 of each picture in its order. So a list is one file, like any video; what is
read is what was listed, whole, or an error. The pictures are JPEG or PNG files of one kind.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from pdray.errors import DecodeError

SUFFIX = ".pictures"
RATE = "pictures_per_second"
START = f'{{"{RATE}":'.encode()  # of every list
# Suffix of a picture to the name of FFmpeg's reader for pictures one after the other.
READERS = {".jpg": "jpeg_pipe", ".jpeg": "jpeg_pipe", ".png": "png_pipe"}
_NUMBERED = re.compile(r"\D*(\d+)\.\w+")


class PictureList(NamedTuple):
    """Content of a picture list.

    Attributes:
        path: Of the list.
        rate: Pictures per second.
        folder: Where the pictures are.
        digests: SHA-256 of each picture by its name, in their order; at least one.
    """

    path: Path
    rate: float
    folder: Path
    digests: Mapping[str, str]

    @property
    def reader(self) -> str:
        """Name of FFmpeg's reader of the pictures."""
        return READERS[Path(next(iter(self.digests))).suffix.lower()]


def numbered_pictures(folder: Path) -> list[Path]:
    """Return the pictures of a folder by their numbers.

    Raises:
        DecodeError: If there is none, their kinds differ, or a number is missing or there twice.
        OSError: If the folder cannot be read.
    """
    found = [one for one in folder.iterdir() if one.suffix.lower() in READERS]
    found = sorted(one for one in found if not one.name.startswith("."))
    if not found:
        raise DecodeError(f"has no picture ({', '.join(READERS)})")
    if len(kinds := sorted({READERS[one.suffix.lower()] for one in found})) > 1:
        raise DecodeError(f"has pictures of {len(kinds)} kinds; keep JPEG or PNG files alone")
    numbers: dict[int, Path] = {}
    for one in found:
        match = _NUMBERED.fullmatch(one.name)
        if match is None:
            raise DecodeError(f"has picture {one.name}, whose name does not end with a number")
        if numbers.setdefault(int(match[1]), one) is not one:
            raise DecodeError(f"has {numbers[int(match[1])].name} and {one.name}: one number twice")
    first, last = min(numbers), max(numbers)
    missing = next((number for number in range(first, last) if number not in numbers), None)
    if missing is not None:
        raise DecodeError(f"has pictures {first} to {last}, but none of number {missing}")
    return [numbers[number] for number in sorted(numbers)]


def list_text(pictures: Sequence[Path], folder: str, rate: float) -> str:
    """Return the text of a list.

    Args:
        pictures: In their order; each is read for its digest.
        folder: Where they are, as it is to be written.
        rate: Pictures per second.

    Raises:
        OSError: If a picture cannot be read.
    """
    digests = {one.name: _digest(one.read_bytes()) for one in pictures}
    return json.dumps({RATE: rate, "folder": folder, "pictures": digests}, indent=0).replace(
        "\n", "", 1
    )


def read_list(path: Path) -> PictureList:
    """Read a list; the pictures are not looked at.

    Raises:
        DecodeError: If it is no picture list; messages carry no path.
        OSError: If it cannot be read.
    """
    try:
        found = json.loads(path.read_bytes())
        rate, folder, digests = float(found[RATE]), Path(found["folder"]), dict(found["pictures"])
    except (ValueError, TypeError, KeyError) as error:
        raise DecodeError(f"is no picture list: {error!r}; import the pictures again") from error
    wrong = [name for name in digests if Path(name).name != name or not _NUMBERED.fullmatch(name)]
    kinds = {READERS.get(Path(name).suffix.lower()) for name in digests}
    if wrong or not 0 < rate <= 240 or len(kinds) != 1 or None in kinds:
        raise DecodeError(
            f"is no picture list: {len(digests)} pictures, {rate:g} per second"
            f"{f', {wrong[0]!a}' if wrong else ''}; import the pictures again"
        )
    return PictureList(path, rate, path.parent / folder, digests)


class PictureStream:
    """The pictures of a list as one file, read as far as it is asked for.

    Args:
        listed: The list.
    """

    def __init__(self, listed: PictureList) -> None:
        self.name = str(listed.path)  # what FFmpeg's container is called
        self._listed = listed
        self._left = iter(listed.digests)
        self._bytes = b""

    def read(self, size: int) -> bytes:
        """Return at most ``size`` bytes; none at the end.

        Raises:
            DecodeError: If a picture is missing or is not the one that was listed.
        """
        if not self._bytes:
            self._bytes = self._next()
        given, self._bytes = self._bytes[:size], self._bytes[size:]
        return given

    def _next(self) -> bytes:
        name = next(self._left, None)
        if name is None:
            return b""
        try:
            content = (self._listed.folder / name).read_bytes()
        except OSError as error:
            raise DecodeError(f"lacks picture {name}: {error.strerror}") from error
        if _digest(content) != self._listed.digests[name]:
            raise DecodeError(f"has another picture {name} than was imported; restore it")
        return content


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
