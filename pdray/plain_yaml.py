"""Reads YAML that may come from elsewhere: bounded in size, no repeated key, no object built."""

import math
from typing import Any, TextIO

import yaml

_MOST_BYTES = 1 << 20
_MOST_VALUES = 100_000  # after each alias was replaced by what it stands for


class Refused(yaml.YAMLError):
    """YAML that is valid, and is not read: a repeated key, too large, too deep."""


def load(file: TextIO | str) -> Any:
    """Return the plain values of YAML: mappings, lists, texts, numbers, dates, true and null.

    Args:
        file: An open text file, or text.

    Raises:
        yaml.YAMLError: If it is not YAML, repeats a key in a section, or is too large.
    """
    loader = _loader(file)
    node = _compose(loader)
    try:
        return None if node is None else loader.construct_document(node)
    except ValueError as error:  # such as a date in month 13, or a number of 5,000 digits
        raise yaml.YAMLError(str(error)) from error
    except (AttributeError, KeyError, TypeError) as error:  # such as !!bool x
        raise Refused("a tag (!!type) does not fit its value; remove the tag") from error


def compose(file: TextIO | str) -> yaml.Node | None:
    """Return the nodes of YAML, with their lines; None of an empty file. See :func:`load`."""
    return _compose(_loader(file))


def _loader(file: TextIO | str) -> "_PlainLoader":
    text = file if isinstance(file, str) else file.read(_MOST_BYTES + 1)
    if len(text) > _MOST_BYTES:
        raise Refused(f"it is larger than {_MOST_BYTES >> 20} MiB; is it the right file?")
    return _PlainLoader(text)


def _compose(loader: "_PlainLoader") -> yaml.Node | None:
    try:
        node: yaml.Node | None = loader.get_single_node()
        num_values = 0 if node is None else _count(node, {})
    except RecursionError as error:
        raise Refused("its lists and sections are nested too deeply") from error
    if num_values > _MOST_VALUES:
        raise Refused(
            f"it stands for more than {_MOST_VALUES:,} values, because aliases (*name) repeat "
            "others; write the values that you need"
        )
    return node


def _count(node: yaml.Node, known: dict[int, float]) -> float:
    """Return the number of values below a node; infinity for one that holds itself."""
    if id(node) not in known:
        known[id(node)] = math.inf  # until it is known: an alias inside refers to it
        parts = node.value if isinstance(node, yaml.CollectionNode) else ()
        pairs = isinstance(node, yaml.MappingNode)
        inside = [one for pair in parts for one in pair] if pairs else parts
        known[id(node)] = 1 + sum(_count(one, known) for one in inside)
    return known[id(node)]


class _PlainLoader(yaml.SafeLoader):
    """A safe YAML loader that refuses repeated keys in a section."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Build a mapping; of two equal keys YAML would silently keep the later one."""
        lines: dict[Any, int] = {}
        for key_node, _ in node.value:
            key, line = key_node.value, key_node.start_mark.line + 1
            if not isinstance(key, str):  # a list or a mapping, such as {{name}} of a template
                continue
            if key in lines:
                raise Refused(f"'{key}' is in line {lines[key]} and in line {line}; join the two")
            lines[key] = line
        return super().construct_mapping(node, deep)
