"""Reads what the names of files say, by a pattern such as ``{subject_id}_{item}_{side}``."""

import re
from pathlib import PurePath
from typing import NamedTuple

_COLUMN = re.compile(r"\{([^{}]*)\}|\*")
_FREE = "item"  # may hold the signs between columns, as in finger_tapping


class _Part(NamedTuple):
    """A column (with its name), or other text, of a pattern."""

    text: str  # as it stands in the pattern
    expression: str
    column: str = ""


class NamePattern:
    """A pattern of the names of files.

    A column does not contain the signs that stand beside it in the pattern, except the item: so
    ``P01_finger_tap_L`` is read by ``{subject_id}_{item}_{side}``. Case of other text is left out.
    """

    def __init__(self, text: str) -> None:
        """Read a pattern; an ending such as ``.mp4`` is left out."""
        text = re.sub(r"(?<=[}*])\.\w{2,4}$", "", text)
        self._depth = text.count("/") + 1  # parts of a path that are compared, from its end
        self._parts: list[_Part] = []
        end = 0
        for match in _COLUMN.finditer(text):
            self._add(text[end : match.start()])
            end = match.end()
            if match[1] is None:
                self._parts.append(_Part("*", "[^/]*?"))
                continue
            beside = text[match.start() - 1 : match.start()] + text[end : end + 1]
            signs = "" if match[1] == _FREE else re.sub(r"[^\W_]|[{}*/]", "", beside)
            self._parts.append(_Part(match[0], f"([^/{re.escape(signs)}]+?)", match[1]))
        self._add(text[end:])

    @property
    def fields(self) -> list[str]:
        """Names in braces, in order."""
        return [one.column for one in self._parts if one.column]

    def match(self, path: PurePath) -> dict[str, str] | None:
        """Return the text of each column in a file's name; None where the name does not fit."""
        found = re.fullmatch(self._expression(len(self._parts)), self._name(path), re.IGNORECASE)
        return None if found is None else dict(zip(self.fields, found.groups(), strict=True))

    def reach(self, path: PurePath) -> str:
        """Say how far a name that does not fit was read, and how it should go on."""
        name = self._name(path)
        for number in range(len(self._parts), -1, -1):
            found = re.match(self._expression(number), name, re.IGNORECASE)
            # The end of a column is known by what follows it.
            if found and not (number and self._parts[number - 1].column):
                rest = "".join(one.text for one in self._parts[number:])
                fits = f"fits up to {found[0]!r}" if found[0] else "does not begin as it should"
                return f"{name!r} {fits}: {rest or 'the end'} is expected there"
        return repr(name)

    def _name(self, path: PurePath) -> str:
        return "/".join(path.with_suffix("").parts[-self._depth :])

    def _expression(self, number: int) -> str:
        return "".join(one.expression for one in self._parts[:number])

    def _add(self, text: str) -> None:
        if text:
            self._parts.append(_Part(text, re.escape(text)))
