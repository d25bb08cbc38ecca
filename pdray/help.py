"""Writes the text of ``--help`` and ``--help-all``: the job, its required keys, its settings."""

import re
from collections.abc import Iterator, Mapping, Sequence
from shutil import get_terminal_size
from textwrap import wrap
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from pdray.config import (
    HELP,
    Settings,
    complete,
    leaves,
    merge,
    plain_default,
    read_tree,
    value_at,
    written,
)

MIN_COLUMNS, MAX_COLUMNS = 80, 100
MAX_VALUE = 16  # columns; a longer value gets its own lines
MAX_LINES = 60  # of --help; a description that does not fit ends with ``MORE``
MORE = " ..."

Fields = Mapping[str, FieldInfo]
Groups = dict[str, list[str]]


def help_text(
    root: type[Settings],
    words: Sequence[str],
    *,
    about: str,
    start: Mapping[str, Any] | None = None,
) -> str:
    """Return the text that a job prints for ``--help``, or for ``--help-all`` if in ``words``.

    Args:
        root: The job's root class; ``--help`` lists its required keys and its ``help_groups``.
        words: The words of the command line. Values that they or their files set replace the
            defaults; if they name a model, only that model is listed.
        about: The text above the settings: what the job does, usage and examples.
        start: The job's own defaults, nested; they replace those of the class.

    Returns:
        Lines of at most 100 columns; fewer on a narrow terminal, but never below 80.
    """
    named = read_tree(root, _settings_of(words))
    tree = complete(root, merge(merge({}, start or {}), named))
    fields = dict(leaves(root, given=tree))
    required = {"required keys": [key for key, field in fields.items() if field.is_required()]}
    if "--help-all" in words or not root.help_groups:
        table = "\n".join(_table({**required, **_sections(fields)}, fields, tree))
        return f"{about.rstrip()}\n\n{table}"
    groups = {**required, **_chosen(root, fields, named)}
    end = f"--help-all lists all {len(fields)} settings with their full descriptions."
    if "model.name" in fields:
        end += "\nAdd model.name=NAME to either option to list the settings of that model only."
    for listed in (groups, {title: _direct(keys, named) for title, keys in groups.items()}):
        for most in range(4, 0, -1):
            table = "\n".join(_table(listed, fields, tree, most=most))
            text = f"{about.rstrip()}\n\n{table}\n\n{end}"
            if len(text.splitlines()) <= MAX_LINES:
                return text
    return text


def completions(
    root: type[Settings],
    words: Sequence[str],
    *,
    about: str,
    start: Mapping[str, Any] | None = None,
) -> str:
    """Return what the last of the words may become, one on each line.

    Args:
        root: The job's root class.
        words: As for :func:`help_text`, the last one unfinished.
        about: The options that it names are completed.
        start: As for :func:`help_text`.
    """
    *before, last = words
    if last.startswith("-"):
        found = [*HELP, "--config", *re.findall(r"--[a-z-]+", about)]
    else:
        tree = complete(root, merge(merge({}, start or {}), read_tree(root, _settings_of(before))))
        fields = dict(leaves(root, given=tree))
        key, is_whole, _ = last.partition("=")
        choices = _choices(fields[key].annotation) if is_whole and key in fields else []
        found = [f"{key}={one}" for one in choices] if is_whole else [f"{one}=" for one in fields]
    return "\n".join(dict.fromkeys(one for one in found if one.startswith(last)))


def _choices(annotation: Any) -> list[str]:
    """Return the values of a field that takes one of few."""
    if annotation is bool:
        return ["true", "false"]
    if get_origin(annotation) is Literal:
        return [written(value) for value in get_args(annotation)]
    if get_origin(annotation) in (Annotated, Union, UnionType):
        return [one for inner in get_args(annotation) for one in _choices(inner)]
    return []


def columns() -> int:
    """Return the columns of the terminal, between 80 and 100; 100 without a terminal."""
    return min(MAX_COLUMNS, max(MIN_COLUMNS, get_terminal_size((MAX_COLUMNS, 0)).columns))


def _settings_of(words: Sequence[str]) -> list[str]:
    """Return the words that give settings, without the job's own options."""
    asked = [word for word in words if word not in HELP]
    return [
        word
        for before, word in zip(["", *asked], asked, strict=False)
        if word == "--config" or before == "--config" or ("=" in word and word[0] != "-")
    ]


def _chosen(root: type[Settings], fields: Fields, named: Mapping[str, Any]) -> Groups:
    """Return the settings that people change; all of ``model.*`` if the words name a model."""
    groups: Groups = {}
    for title, keys in root.help_groups.items():
        found = groups.setdefault(title, [])
        for key in keys:
            section = key.removesuffix("*")
            if section == key:
                found.append(key)
            elif value_at(named, f"{section}name") == plain_default(fields[f"{section}name"]):
                found += [one for one in fields if one.startswith(section)]
            else:  # no model is named, or an unknown one
                found.append(f"{section}name")
    return groups


def _direct(keys: Sequence[str], named: Mapping[str, Any]) -> list[str]:
    """Leave out settings of sections of sections, unless the words name such a section."""
    return [
        key
        for key in keys
        if key.count(".") < 2
        or key.endswith(".name")
        or value_at(named, key.rpartition(".")[0]) is not None
    ]


def _sections(fields: Fields) -> Groups:
    """Return all optional settings by section."""
    groups: Groups = {}
    for key, field in fields.items():
        if not field.is_required():
            section, dot, _ = key.partition(".")
            groups.setdefault(section if dot else "settings", []).append(key)
    return groups


def _table(
    groups: Groups, fields: Fields, tree: Mapping[str, Any], *, most: int | None = None
) -> Iterator[str]:
    """Yield the lines of all groups: key, value and description of at most ``most`` lines."""
    keys = [key for found in groups.values() for key in found]
    values = {key: _value(key, fields[key], tree) for key in keys}
    wide_key = max(map(len, keys))
    wide_value = max(len(value) for value in values.values() if len(value) <= MAX_VALUE)
    room = columns() - wide_key - 4
    for title, found in groups.items():
        yield from [f"{title}:"] if found else []
        for key in found:
            text = fields[key].description or ""
            right = _right(values[key], text, wide=wide_value, room=room, most=most)
            for name, line in zip([key, *[""] * len(right)], right, strict=False):
                yield f"  {name:<{wide_key}}  {line}".rstrip()


def _value(key: str, field: FieldInfo, tree: Mapping[str, Any]) -> str:
    given = value_at(tree, key)
    if given is None and field.is_required():
        return ""
    return written(plain_default(field) if given is None else given)


def _right(value: str, text: str, *, wide: int, room: int, most: int | None) -> list[str]:
    """Return the lines after a key: the value, and beside or below it the description."""
    meaning = wrap(text, room - wide - 2, max_lines=most, placeholder=MORE, break_on_hyphens=False)
    if len(value) <= wide:
        first, *others = meaning or [""]
        return [f"{value:<{wide}}  {first}", *(f"{'':<{wide}}  {line}" for line in others)]
    whole = re.sub(", *", ", ", value)
    lines = wrap(whole, room, max_lines=None if most is None else 1, placeholder=MORE)
    return [*lines, *(f"{'':<{wide}}  {line}" for line in meaning)]
