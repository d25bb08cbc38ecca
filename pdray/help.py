"""The text of ``--help`` and ``--help-all``: about a job, its required keys, its settings."""

from collections.abc import Iterator, Mapping, Sequence
from shutil import get_terminal_size
from textwrap import wrap
from typing import Any

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
MAX_VALUE = 16  # columns; a longer value has lines of its own
MAX_LINES = 60  # of --help; a meaning that does not fit ends in ``MORE``
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
    """Return what a job prints for ``--help``, or for ``--help-all`` where ``words`` have it.

    Args:
        root: The job's root class; its ``help_groups`` say what ``--help`` lists.
        words: The words of the command line. Values that they or their files set stand in the
            place of defaults; a model that they name is the only one that is listed.
        about: What stands above the settings: what the job does, its usage and examples.
        start: What the job starts from in place of the class's own defaults, nested.

    Returns:
        Lines of at most 100 columns, of fewer on a narrow terminal, but not below 80.
    """
    named = read_tree(root, _settings_of(words))
    tree = complete(root, merge(merge({}, start or {}), named))
    fields = dict(leaves(root, given=tree))
    required = {"required keys": [key for key, field in fields.items() if field.is_required()]}
    if "--help-all" in words or not root.help_groups:
        table = "\n".join(_table({**required, **_sections(fields)}, fields, tree))
        return f"{about.rstrip()}\n\n{table}"
    groups = {**required, **_chosen(root, fields, named)}
    end = f"--help-all lists all {len(fields)} settings, each with its whole meaning."
    if "model.name" in fields:
        end += "\nWith model.name=NAME beside either: the settings of that model and no other's."
    for most in range(4, 0, -1):
        table = "\n".join(_table(groups, fields, tree, most=most))
        text = f"{about.rstrip()}\n\n{table}\n\n{end}"
        if len(text.splitlines()) <= MAX_LINES:
            break
    return text


def columns() -> int:
    """Return the columns of the terminal, within 80 and 100; 100 where there is no terminal."""
    return min(MAX_COLUMNS, max(MIN_COLUMNS, get_terminal_size((MAX_COLUMNS, 0)).columns))


def _settings_of(words: Sequence[str]) -> list[str]:
    """Return the words that give settings; a job's own options are none."""
    asked = [word for word in words if word not in HELP]
    return [
        word
        for before, word in zip(["", *asked], asked, strict=False)
        if word == "--config" or before == "--config" or ("=" in word and word[0] != "-")
    ]


def _chosen(root: type[Settings], fields: Fields, named: Mapping[str, Any]) -> Groups:
    """Return the settings that people change; all of ``model.*`` where the words name a model."""
    groups: Groups = {}
    for title, keys in root.help_groups.items():
        found = groups.setdefault(title, [])
        for key in keys:
            section = key.removesuffix("*")
            if section == key:
                found.append(key)
            elif value_at(named, f"{section}name") == plain_default(fields[f"{section}name"]):
                found += [one for one in fields if one.startswith(section)]
            else:  # no model is named, or none that there is
                found.append(f"{section}name")
    return groups


def _sections(fields: Fields) -> Groups:
    """Return all settings that are not required, by section."""
    groups: Groups = {}
    for key, field in fields.items():
        if not field.is_required():
            section, dot, _ = key.partition(".")
            groups.setdefault(section if dot else "settings", []).append(key)
    return groups


def _table(
    groups: Groups, fields: Fields, tree: Mapping[str, Any], *, most: int | None = None
) -> Iterator[str]:
    """Yield the lines of all groups: key, value and meaning, of ``most`` lines, in columns."""
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
    """Return the lines behind a key: the value, and beside or below it the meaning."""
    meaning = wrap(text, room - wide - 2, max_lines=most, placeholder=MORE, break_on_hyphens=False)
    if len(value) <= wide:
        first, *others = meaning or [""]
        return [f"{value:<{wide}}  {first}", *(f"{'':<{wide}}  {line}" for line in others)]
    whole = value.replace(",", ", ")
    lines = wrap(whole, room, max_lines=None if most is None else 1, placeholder=MORE)
    return [*lines, *(f"{'':<{wide}}  {line}" for line in meaning)]
