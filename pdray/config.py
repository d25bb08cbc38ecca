"""Settings: frozen classes, filled from defaults, YAML files and ``key=value`` words."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, ClassVar, TypeVar, Union, cast, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from pdray import plain_yaml
from pdray.atomic import folder_faults
from pdray.errors import SettingsError, refuse
from pdray.plugins import refuse_faults

_PACKAGE = Path(__file__).parent
HELP = ("-h", "--help", "--help-all")
"""Words of a command line that ask for help."""

# The papers' and other libraries' names of settings: the last words of their keys.
_SYNONYMS = {
    "lr": "learning_rate",
    "wd": "weight_decay",
    "lambda": "weight_decay",
    "bs": "batch_size",
    "num_epochs": "epochs",
    "frames": "num_frames",
    "depth": "attention_depth",
    "fps": "frame_rate",
    "n_trials": "trials",
    "device": "gpus_per_worker",
}
# What is right, by pydantic's type of fault, where its own text speaks of JSON.
_RIGHT = {
    "tuple_type": "expected a list in brackets, such as [1,2]",
    "dict_type": "expected 'key: value' lines",
    "model_type": "expected 'key: value' lines",
    "model_attributes_type": "expected 'key: value' lines",
}


class Settings(BaseModel):
    """The parent of every settings class: frozen, no unknown key, no silent conversion."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)
    # Set by a job's root class: the keys that --help lists, by title; model.* is a whole section.
    # Empty: --help lists all keys.
    help_groups: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    # Of a job's root: sections of dotted keys. A later source replaces an entry, or drops it: null.
    entry_sections: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def over_preset(cls, tree: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return nested values over those of a preset that they name; here there is none.

        A validator of pydantic could not do it: after it, a list is no longer read as a tuple.
        """
        return tree


SettingsT = TypeVar("SettingsT", bound=Settings)


def load(root: type[SettingsT], argv: Sequence[str]) -> SettingsT:
    """Build the settings of a job from its command line.

    Args:
        root: The job's root class.
        argv: ``--config FILE`` and ``key=value`` in any order; a later word replaces an earlier.

    Returns:
        The checked settings.

    Raises:
        SettingsError: Lists all faults: unknown keys (with the nearest valid one) and values of
            the wrong type or out of range. An unreadable file is reported alone.
    """
    return build(root, read_tree(root, argv))


def read_tree(
    root: type[Settings], argv: Sequence[str], *, start: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Merge the YAML files and ``key=value`` words of a command line over ``start``."""
    refuse_faults()
    tree: dict[str, Any] = merge({}, start or {})
    words = iter(argv)
    for word in words:
        if word == "--config":
            name = next(words, "")
            if not name:
                raise SettingsError("--config has no file; write --config FILE.yaml")
            _merge_source(root, tree, _read_yaml(Path(name)))
            continue
        key, separator, text = word.partition("=")
        if not separator or key.startswith("-"):
            raise SettingsError(f"got '{word}'; write key=value, --config FILE or --help")
        lay(root, tree, {key: _parse_word(root, key, text)})
    return tree


def lay(root: type[Settings], tree: dict[str, Any], newer: Mapping[str, Any]) -> dict[str, Any]:
    """Write settings with dotted or nested keys over ``tree`` in place, and return it."""
    for key, value in newer.items():
        section, _, entry = key.partition(".")
        is_entry = section in root.entry_sections and entry
        _merge_source(root, tree, {section: {entry: value}} if is_entry else nest({key: value}))
    return tree


def _merge_source(root: type[Settings], tree: dict[str, Any], newer: Mapping[str, Any]) -> None:
    """Write one source over ``tree`` in place; entries are replaced as a whole, or dropped."""
    for name in root.entry_sections:
        entries, before = newer.get(name), tree.get(name)
        if isinstance(entries, Mapping) and isinstance(before, dict):
            for key, entry in entries.items():
                if entry is None and key in before:
                    del before[key]
                else:
                    before[key] = entry
            newer = {key: value for key, value in newer.items() if key != name}
    merge(tree, newer)


def build(root: type[SettingsT], tree: Mapping[str, Any]) -> SettingsT:
    """Check a nested dict against a settings class.

    Args:
        root: The class to build.
        tree: Nested plain values, as YAML or :func:`dump` returns them.

    Returns:
        The settings.

    Raises:
        SettingsError: Lists all faults.
    """
    settings, wrong = attempt(root, tree)
    refuse(wrong, SettingsError, "settings")
    assert settings is not None, "there is no fault"
    return settings


def attempt(root: type[SettingsT], tree: Mapping[str, Any]) -> tuple[SettingsT | None, list[str]]:
    """Return the settings, or None, and all faults; see :func:`build`."""
    refuse_faults()
    tree = root.over_preset(tree)
    try:
        return root.model_validate_json(_as_json(tree)), []
    except ValidationError as error:
        return None, [_explain(root, tree, fault) for fault in error.errors()]


def part(settings: Settings, root: type[SettingsT]) -> SettingsT:
    """Return the fields of ``root`` out of larger, checked settings, without checking again."""
    has = type(settings).model_fields
    named = {name: getattr(settings, name) for name in root.model_fields if name in has}
    return cast("SettingsT", root.model_construct(**named))


def require_writable(folder: Path, *, key: str) -> None:
    """Refuse a folder that cannot be made or written, before any work starts.

    Args:
        folder: Where files will be written; it is not made.
        key: The setting that names it.

    Raises:
        SettingsError: If no file can be made there; gives the nearest existing folder and why.
    """
    refuse(folder_faults(folder, key=key), SettingsError, "settings")


def dump(settings: Settings) -> dict[str, Any]:
    """Return settings as plain nested values, which :func:`build` accepts."""
    plain: dict[str, Any] = settings.model_dump(mode="json")
    return plain


def value_at(tree: Mapping[str, Any], key: str) -> object:
    """Return the value at a dotted key of a nested mapping, or None."""
    found: object = tree
    for word in key.split("."):
        found = found.get(word) if isinstance(found, Mapping) else None
    return found


def leaves(
    root: type[BaseModel], prefix: str = "", *, given: Mapping[str, Any] | None = None
) -> Iterator[tuple[str, FieldInfo]]:
    """Yield (dotted key, field) of every setting of ``root``, in order.

    Where a section may be one of several classes, each key is yielded once: it accepts the values
    that any of the classes accepts, and its description names the classes if not all have it.
    Where ``given`` (nested values) names the class, only the keys of that class are yielded, and
    the description of its name says what the class is.
    """
    for name, field in root.model_fields.items():
        variants = _variants(field)
        below = given.get(name) if isinstance(given, Mapping) else None
        if not variants:
            yield f"{prefix}{name}", field
        chosen = _named(field, below) or variants
        if len(chosen) == 1:
            yield from _leaves_of(field, chosen[0], f"{prefix}{name}.", below)
            continue
        found: dict[str, dict[str, FieldInfo]] = {}
        for inner in variants:
            for key, leaf in leaves(inner, f"{prefix}{name}."):
                found.setdefault(key, {})[_tag(inner)] = leaf
        for key, owned in found.items():
            owners = ", ".join(owned)
            first = next(iter(owned.values())).description or ""
            if key == f"{prefix}{name}.name":
                text = f"{first}: {owners}"
            else:
                text = first if len(owned) == len(variants) else f"{first} ({owners})"
            yield key, _either(list(owned.values()), text)


def _leaves_of(
    field: FieldInfo, one: type[Settings], prefix: str, given: Any
) -> Iterator[tuple[str, FieldInfo]]:
    """Yield the settings of the only class of a section; describe the class at its name."""
    about = _about(field, one)
    for key, leaf in leaves(one, prefix, given=given):
        yield key, _either([leaf], about) if about and key == f"{prefix}name" else leaf


def complete(root: type[BaseModel], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return nested values, completed with the default sections of each class that they name."""
    whole = dict(given)
    for name, field in root.model_fields.items():
        for one in _named(field, given.get(name)):
            whole[name] = _with_sections(one, given[name])
    return whole


def _with_sections(one: type[BaseModel], given: Mapping[str, Any]) -> dict[str, Any]:
    whole = dict(given)
    for key, field in one.model_fields.items():
        if _variants(field):
            default, said = dump(cast("Settings", plain_default(field))), given.get(key)
            # Of a section given in part, the rest comes from its class, not from the default.
            is_said = isinstance(said, Mapping)
            whole[key] = {"name": default.get("name"), **(said or {})} if is_said else default
    return whole


def _named(field: FieldInfo, given: object) -> list[type[Settings]]:
    """Return the class of a section that ``given`` names, in a list; empty without a name."""
    variants = _variants(field)
    name = given.get("name") if isinstance(given, Mapping) else None
    return [one for one in variants if len(variants) > 1 and _tag(one) == name]


def accepts(field: FieldInfo, value: object) -> str | None:
    """Return None if ``value`` fits the declared type and range, else what is expected."""
    try:
        adapter = TypeAdapter(_full_type(field), config=ConfigDict(allow_inf_nan=False))
        adapter.validate_json(_as_json(value), strict=True)
    except ValidationError as error:
        return _lowered(error.errors()[0]["msg"])
    return None


def plain_default(field: FieldInfo) -> object:
    """Return the default of a field; call its factory if it has one."""
    return field.get_default(call_default_factory=True, validated_data={})


def written(value: object) -> str:
    """Return a value as it is written after ``key=``; the home folder becomes ``~``."""
    if isinstance(value, list | tuple):
        return f"[{','.join(map(written, value))}]"
    if isinstance(value, Settings):
        value = value.model_dump(exclude_unset=True)
    text = json.dumps(value, default=str).strip('"')
    home = os.path.expanduser("~")  # noqa: PTH111 - Path.home() raises where there is none
    return text if home == "~" else text.replace(home, "~")


def nest(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Turn ``{"a.b": 1}`` into ``{"a": {"b": 1}}``."""
    tree: dict[str, Any] = {}
    for key, value in flat.items():
        *path, last = key.split(".")
        here = tree
        for part in path:
            here = here.setdefault(part, {})
        here[last] = value
    return tree


def merge(tree: dict[str, Any], newer: Mapping[str, Any]) -> dict[str, Any]:
    """Write ``newer`` over ``tree``, key by key and in place, and return ``tree``."""
    for key, value in newer.items():
        if isinstance(value, Mapping) and isinstance(tree.get(key), dict):
            merge(tree[key], value)
        else:
            tree[key] = merge({}, value) if isinstance(value, Mapping) else value
    return tree


def nearest(key: str, known: Sequence[str]) -> str:
    """Return ``"did you mean 'x'? "`` for a misspelt key, or an empty text.

    Of a dotted key the last word decides, which may be the papers' or another library's name.
    """
    section, _, last = key.rpartition(".")
    found = [name for name in known if name.rpartition(".")[2] == _SYNONYMS.get(last, last)]
    if not found:
        lasts = [name.rpartition(".")[2] for name in known]
        near = get_close_matches(last, lasts, n=1)
        found = [name for name in known if name.rpartition(".")[2] in near]
        found = found or get_close_matches(key, known if not section else (), n=1)
    found.sort(key=lambda name: name.rpartition(".")[0] != section)  # its own section first
    return f"did you mean '{found[0]}'? " if found else ""


def _as_json(value: object) -> str:
    # JSON mode: text becomes a path and a list a tuple, but '3' never becomes 3.
    return json.dumps(value, default=str)


def _annotate(annotated: Any, extra: object) -> Any:
    return Annotated[annotated, extra]


def _read_yaml(path: Path) -> dict[str, Any]:
    # search_spaces/ is installed inside the package; in a checkout it lies beside the package.
    shipped = [folder / path for folder in (_PACKAGE, _PACKAGE.parent)]
    is_shipped = path.parts[:1] == ("search_spaces",) and not path.exists()
    found = next((one for one in shipped if is_shipped and one.is_file()), path)
    try:
        with found.open(encoding="utf-8") as file:
            content = plain_yaml.load(file)
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"--config {path}: the file cannot be read: {error}") from error
    except plain_yaml.Refused as error:
        raise SettingsError(f"--config {path}: {error}") from error
    except yaml.YAMLError as error:
        raise SettingsError(f"--config {path}: the file is not valid YAML: {error}") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise SettingsError(f"--config {path}: got {content!r}; write lines of 'key: value'")
    return content


def _parse_word(root: type[Settings], key: str, text: str) -> object:
    """Read the text after ``key=`` as its declared type; if none fits, as YAML."""
    try:
        plain = plain_yaml.load(text)
    except yaml.YAMLError:
        plain = text
    fields = dict(leaves(root))
    field = fields.get(key) or _entry(fields, key)
    if field is None:
        return plain
    candidates: list[object] = [None] if text in ("null", "none", "None") else []
    candidates += [text, plain, *([float(text)] if _is_number(text) else [])]
    return next((value for value in candidates if accepts(field, value) is None), plain)


def _entry(fields: Mapping[str, FieldInfo], key: str) -> FieldInfo | None:
    """Return the type of a text in a mapping, such as ``checks.mute.PDR003``; None for others."""
    for name, field in fields.items():
        inner = field.annotation
        while get_origin(inner) is dict:
            inner = get_args(inner)[1]
        if key.startswith(f"{name}.") and inner is str:
            return FieldInfo(annotation=str)
    return None


def _explain(root: type[Settings], tree: Mapping[str, Any], fault: Any) -> str:
    """Turn one pydantic fault into a message: key, value and what is expected."""
    location = [str(part) for part in fault["loc"]]
    parts, variants = _walk(root, location)
    key = ".".join(parts)
    if fault["type"] == "union_tag_invalid":
        tags = ", ".join(map(_tag, variants))
        return f"{key}.name: got {fault['ctx']['tag']!r}; expected one of {tags}"
    if fault["type"] == "extra_forbidden":
        known = _keys_at(root, location[:-1])
        if "." in location[-1]:
            return f"{key}: a dotted key is for the command line; write {_nested_form(key)}"
        return f"unknown key '{key}': {nearest(key, known)}valid keys: {', '.join(known)}"
    if fault["type"] == "missing":
        inside = [name for name in _keys_at(root, location) if _is_required(root, name)]
        named = "', '".join(inside or [key])
        return f"'{named}' is missing and has no default; set it"
    message = _RIGHT.get(fault["type"]) or _lowered(fault["msg"].removeprefix("Value error, "))
    if fault["type"] == "value_error":
        return f"{key}: {message}" if key else message
    value = fault["input"]
    hint = ""
    if isinstance(value, str) and "number" in message and _is_number(value):
        hint = f"; YAML reads {value} as text, write {float(value)!r}"
    return f"{key}: got {value!r}; {message}{hint}"


def _nested_form(key: str) -> str:
    """Return how a dotted key is written in YAML, on one line."""
    *sections, last = key.split(".")
    return f"{': {'.join([*sections, last])}: ...{'}' * len(sections)}"


def _is_required(root: type[Settings], key: str) -> bool:
    field = dict(leaves(root)).get(key)
    return field is not None and field.is_required()


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _keys_at(root: type[BaseModel], location: Sequence[str]) -> list[str]:
    """Return the dotted keys of the section at a fault's location; empty for a plain value."""
    key, here = _walk(root, location)
    prefix = "".join(f"{part}." for part in key)
    return [f"{prefix}{name}" for name in here[0].model_fields] if here else []


def _walk(
    root: type[BaseModel], location: Sequence[str]
) -> tuple[list[str], Sequence[type[BaseModel]]]:
    """Return the dotted key of a fault's location, in parts, and the classes allowed there."""
    here: Sequence[type[BaseModel]] = [root]
    key: list[str] = []
    for part in location:
        if len(here) > 1:  # pydantic puts the chosen class's tag after the section's name
            here = [one for one in here if _tag(one) == part]
            continue
        key.append(part)
        field = here[0].model_fields.get(part) if here else None
        here = _variants(field) if field else []
    return key, here


def _variants(field: FieldInfo) -> list[type[Settings]]:
    """Return the settings classes that a section may have; empty for a plain value."""
    return [inner for inner in _members(field.annotation) if issubclass(inner, Settings)]


def _members(annotation: Any) -> list[type]:
    if get_origin(annotation) is Annotated:
        return _members(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return [inner for member in get_args(annotation) for inner in _members(member)]
    return [annotation] if isinstance(annotation, type) else []


def _about(field: FieldInfo, variant: type[BaseModel]) -> str:
    """Return the description that a union gives one of its classes, or an empty text."""
    members = filter(None, map(get_args, get_args(field.annotation)))
    extras = [extra for inner, *more in members if inner is variant for extra in more]
    told = [extra.description or "" for extra in extras if isinstance(extra, FieldInfo)]
    return "".join(told)


def _tag(variant: type[BaseModel]) -> str:
    """Return the value of ``name`` that chooses this class for its section."""
    return str(variant.model_fields["name"].default)


def _either(fields: Sequence[FieldInfo], text: str) -> FieldInfo:
    """Join the fields that several classes have under one key; keep the first default."""
    either: Any = Union[tuple(_full_type(one) for one in fields)]  # noqa: UP007
    return FieldInfo(annotation=either, default=fields[0].default, description=text)


def _full_type(field: FieldInfo) -> Any:
    annotated: Any = field.annotation
    for extra in field.metadata:
        annotated = _annotate(annotated, extra)
    return annotated


def _lowered(text: str) -> str:
    return text[:1].lower() + text[1:]
