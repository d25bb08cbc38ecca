"""Recognises how a CSV file is written: its encoding, and what stands between two cells."""

import re
from typing import NamedTuple

_UTF_16 = (b"\xff\xfe", b"\xfe\xff")  # byte order marks
_WINDOWS = "cp1252"
# Of Windows-1252, what tables of people hold besides letters.
_SIGNS = frozenset(
    "\u20ac\u201a\u201e\u2026\u2018\u2019\u201c\u201d\u2013\u2014"
    "\u00a0\u00a7\u00ab\u00b0\u00b1\u00b2\u00b3\u00b4\u00b5\u00b7\u00bb\u00bd"
)
_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_UTF_8 = re.compile(rb"[\xc3-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
_NAMES = {";": "semicolons", "\t": "tabs"}


class Form(NamedTuple):
    """How a CSV file is written.

    Attributes:
        encoding: Python's name of it.
        delimiter: What stands between two cells.
    """

    encoding: str
    delimiter: str

    def notes(self, what: str) -> list[str]:
        """Return what is unusual of a file, which ``what`` names, one sentence each."""
        found = []
        if self.delimiter in _NAMES:
            found.append(f"{what} has {_NAMES[self.delimiter]} between cells")
        if self.encoding != PLAIN.encoding:
            name = "Windows-1252" if self.encoding == _WINDOWS else "UTF-16"
            found.append(f"{what} is not in UTF-8; it was read as {name}, so check accents")
        return found


PLAIN = Form("utf-8-sig", ",")  # spreadsheets write a byte order mark


def find_form(content: bytes) -> Form:
    """Return how a CSV file is written; UTF-8 where no other encoding is sure.

    UTF-16 is sure by its byte order mark. Windows-1252 is sure where nothing but letters and signs
    of text is outside ASCII, and no two bytes together are a letter of UTF-8. The delimiter is that
    of comma, semicolon and tab which makes most columns of the first line.
    """
    encoding = PLAIN.encoding
    if content.startswith(_UTF_16):
        encoding = "utf-16"
    elif _is_windows(content):
        encoding = _WINDOWS
    text = content.decode(encoding, errors="replace").lstrip("\r\n")
    header = text.partition("\n")[0]
    return Form(encoding, max((",", *_NAMES), key=header.count))


def _is_windows(content: bytes) -> bool:
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        if _CONTROL.search(content) or _UTF_8.search(content):
            return False
    else:
        return False
    try:
        text = content.decode(_WINDOWS)
    except UnicodeDecodeError:
        return False
    return all(one.isascii() or one.isalpha() or one in _SIGNS for one in text)
