"""The search space: settings to search (dotted keys) and their values, checked before a run.

In about a tenth of published searches the winner is worse than the default settings (arXiv
2506.19540). So the default settings, without the space, are the first trial of every search.
"""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from pydantic.fields import FieldInfo

from pdray.config import accepts, attempt, build, dump, leaves, merge, nearest, nest, value_at
from pdray.training.settings import FitConfig, size_faults

Value = bool | int | float | str | None

# Not searchable. Frames are prepared once for all trials, and their transport changes no result.
# Trials with different epochs or different views cannot be compared at the same (fold, epoch).
# Different networks have different settings: compare them as fixed trials, each with its own.
_FIXED = (
    "decode.",
    "portraits.",
    "limits.",
    "stream.",
    "optim.epochs",
    "optim.compiled",
    "snippet.views",
    "snippet.num_views",
    "snippet.view_frames",
    "augment.crop_size",
    "augment.crop_scales",  # a list cannot be searched
    "model.name",
    "model.backbone.name",
    "synthesis.",  # its measure would be another one
)
_SHAPING = ("model.", "snippet.", "segments.", "modality", "loss.kind")
_WEIGHED = ("model.", "modality", "loss.kind", "pretrained")  # decide the tensors of a network
_MAX_COMBINATIONS = 20_000
_MAX_NETWORKS = 64
_SAMPLES = 8
_ROUNDING = 1e-9  # of a number of steps


@dataclass(frozen=True)
class Choices:
    """A searched setting with a list of values, without order."""

    values: tuple[Value, ...]


@dataclass(frozen=True)
class Range:
    """A searched number between two bounds (both included); an integer if ``whole``."""

    low: float
    high: float
    log: bool
    step: float | None
    whole: bool


Space = dict[str, Choices | Range]


def searchable() -> dict[str, FieldInfo]:
    """Return every dotted key that can be searched."""
    return {key: field for key, field in leaves(FitConfig) if not key.startswith(_FIXED)}


def read_space(entries: object) -> tuple[Space, list[str]]:
    """Check the ``space`` section of a study's YAML file.

    Args:
        entries: For each dotted key ``{choices: [...]}`` or ``{low:, high:, log:, step:}``.

    Returns:
        The space of the valid entries, and every fault: key, value, what is expected.
    """
    if not isinstance(entries, Mapping):
        return {}, [f"space: got {entries!r}; write dotted keys with choices, or with low and high"]
    known = searchable()
    space: Space = {}
    wrong: list[str] = []
    for key, entry in entries.items():
        name = f"space.{key}"
        if key not in known:
            hint = nearest(str(key), list(known))
            wrong.append(f"unknown key '{name}': {hint}searchable keys: {', '.join(known)}")
        elif entry is None:
            wrong.append(f"{name}: null takes it out of the space, but it is not in; leave it out")
        elif not isinstance(entry, Mapping):
            wrong.append(
                f"{name}: got {entry!r}; write {{choices: [...]}} or {{low: .., high: ..}}"
            )
        elif "choices" in entry:
            wrong += _choice_faults(name, known[key], entry)
            space[key] = Choices(tuple(entry["choices"]) if _is_list(entry["choices"]) else ())
        else:
            found = _range_faults(name, known[key], entry)
            wrong += found
            if not found:
                space[key] = _range(known[key], entry)
    return space, wrong


def combination_faults(base: FitConfig, space: Space) -> list[str]:
    """List the combinations of the space from which no model can be built.

    Of a range, only some values are tried. Only settings that shape the model are combined.

    Args:
        base: The settings of a fit outside the space.
        space: From :func:`read_space`, without faults.

    Returns:
        Each distinct fault once, with the first combination that has it.
    """
    shaping = {key: corners(entry) for key, entry in space.items() if key.startswith(_SHAPING)}
    if math.prod(len(values) for values in shaping.values()) > _MAX_COMBINATIONS:
        return [
            f"space: more than {_MAX_COMBINATIONS} combinations of {', '.join(shaping)}; remove "
            "some values or settings"
        ]
    found: dict[str, str] = {}
    for values in itertools.product(*shaping.values()):
        params = dict(zip(shaping, values, strict=True))
        for fault in fit_faults(base, params):
            told = ", ".join(f"{key} = {value!r}" for key, value in params.items())
            found.setdefault(fault, f"{fault} (with {told})" if told else fault)
    return list(found.values())


def fit_faults(base: FitConfig, params: Mapping[str, Value]) -> list[str]:
    """List the faults of one trial's settings, including the limits of its model."""
    config, wrong = attempt(FitConfig, _overlaid(base, params))
    return wrong if config is None else size_faults(config)


def trial_config(base: FitConfig, params: Mapping[str, Value]) -> FitConfig:
    """Build the settings of one trial: the searched values replace those of the study."""
    return build(FitConfig, _overlaid(base, params)) if params else base


def _overlaid(base: FitConfig, params: Mapping[str, Value]) -> dict[str, Any]:
    tree = dump(base)
    if "model.name" in params:  # another network starts from its own defaults
        tree["model"] = {}
    elif "model.backbone.name" in params:
        tree["model"]["backbone"] = {}
    return merge(tree, nest(params))


def networks(space: Space) -> list[dict[str, Value]]:
    """Return the searched values of each network in a space whose tensors differ.

    Of a range, only the two ends are used; of more than 64 combinations, the first 64.
    """
    keys = [key for key in space if key.startswith(_WEIGHED)]
    weighed: dict[str, tuple[Value, ...]] = {}
    last = ("modality", "model.branches")  # vary fastest, so that the limit cuts none of them
    for key in sorted(keys, key=lambda key: key in last):
        entry = space[key]
        weighed[key] = entry.values if isinstance(entry, Choices) else (entry.low, entry.high)
    every = itertools.product(*weighed.values())
    chosen = itertools.islice(every, _MAX_NETWORKS)
    return [dict(zip(weighed, values, strict=True)) for values in chosen]


def combinations(space: Space) -> tuple[tuple[Value, ...], ...] | None:
    """Return every combination of a space, values in its order; None where there is no end.

    Of more than 20,000 combinations there is no end either: no search tries them all.
    """
    values = [_values(entry) for entry in space.values()]
    if math.prod(math.inf if found is None else len(found) for found in values) > _MAX_COMBINATIONS:
        return None
    return tuple(itertools.product(*(found or () for found in values)))


def holds(entry: Choices | Range, value: Value) -> bool:
    """Return whether a search can propose a value."""
    if isinstance(entry, Choices):
        kind = isinstance(value, bool)  # True is no 1
        return any(value == one and isinstance(one, bool) is kind for one in entry.values)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    if not entry.low <= value <= entry.high or (entry.whole and value != int(value)):
        return False
    steps = (value - entry.low) / entry.step if entry.step else 0.0
    return abs(steps - round(steps)) < _ROUNDING


def _values(entry: Choices | Range) -> tuple[Value, ...] | None:
    if isinstance(entry, Choices):
        return entry.values
    if not entry.whole and entry.step is None:
        return None
    step = entry.step or 1
    values = [
        entry.low + step * count for count in range(round((entry.high - entry.low) / step) + 1)
    ]
    return tuple(int(value) if entry.whole else round(value, 9) for value in values)


def corners(entry: Choices | Range) -> tuple[Value, ...]:
    """Return the values to check: every choice, or evenly spaced values of a range."""
    if isinstance(entry, Choices):
        return entry.values
    if entry.whole:
        step = int(entry.step or 1)
        whole = range(int(entry.low), int(entry.high) + 1, step)
        return tuple(whole) if len(whole) <= 64 and not entry.log else (whole[0], whole[-1])
    part = (entry.high - entry.low) / _SAMPLES
    return tuple(entry.low + part * number for number in range(_SAMPLES + 1))


def _choice_faults(name: str, field: FieldInfo, entry: Mapping[str, Any]) -> Iterator[str]:
    for other in sorted(entry.keys() - {"choices"}):
        yield f"{name}.{other}: cannot be combined with choices; remove one of them"
    values = entry["choices"]
    if not _is_list(values) or not values:
        yield f"{name}.choices: got {values!r}; write a list of one or more values"
        return
    for value in values:
        expected = accepts(field, value)
        if expected is not None:
            yield f"{name}.choices: got {value!r}; {expected}"
    if len({repr(value) for value in values}) < len(values):
        yield f"{name}.choices: got {list(values)!r}; a value is there twice, remove one"


def _range_faults(name: str, field: FieldInfo, entry: Mapping[str, Any]) -> list[str]:
    wrong = [
        f"unknown key '{name}.{key}': write low and high, with log or step if needed, or choices"
        for key in sorted(entry.keys() - {"low", "high", "log", "step"})
    ]
    wrong += [f"'{name}.{end}' is missing; set it" for end in ("low", "high") if end not in entry]
    if not isinstance(entry.get("log", False), bool):
        wrong.append(f"{name}.log: got {entry['log']!r}; write true or false")
    if wrong:
        return wrong
    for end in ("low", "high"):
        if not _is_number(entry[end]):
            wrong.append(f"{name}.{end}: got {entry[end]!r}; write a number{_hint(entry[end])}")
        elif (expected := accepts(field, entry[end])) is not None:
            wrong.append(f"{name}.{end}: got {entry[end]!r}; {expected}")
    return wrong or _order_faults(name, field, entry)


def _order_faults(name: str, field: FieldInfo, entry: Mapping[str, Any]) -> list[str]:
    low, high, step = entry["low"], entry["high"], entry.get("step")
    wrong = []
    if low >= high:
        wrong.append(f"{name}: low {low} is not below high {high}; swap them")
    if entry.get("log", False) and low <= 0:
        wrong.append(f"{name}.low: got {low}; with log, set it above 0")
    if step is not None and (not _is_number(step) or not 0 < step <= high - low):
        wrong.append(f"{name}.step: got {step!r}; write a number above 0, at most high - low")
    elif step is not None and _is_whole(field, entry) and not isinstance(step, int):
        wrong.append(f"{name}.step: got {step!r}; write an integer, as the setting is one")
    elif step is not None and abs((high - low) / step - round((high - low) / step)) > 1e-9:
        last = low + (high - low) // step * step
        wrong.append(
            f"{name}.high: got {high}, which steps of {step} from {low} do not reach; set it to "
            f"{last:g}"
        )
    if step is not None and entry.get("log", False):
        wrong.append(f"{name}.step: cannot be combined with log; remove one of them")
    return wrong


def _range(field: FieldInfo, entry: Mapping[str, Any]) -> Range:
    log, step = entry.get("log", False), entry.get("step")
    return Range(entry["low"], entry["high"], log, step, _is_whole(field, entry))


def _is_whole(field: FieldInfo, entry: Mapping[str, Any]) -> bool:
    # Between two accepted ends, only the type of a field can refuse a value.
    return accepts(field, (entry["low"] + entry["high"]) / 2) is not None


def _is_list(value: object) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _hint(value: object) -> str:
    try:
        return (
            f"; YAML reads {value} as text, write {float(value)!r}"
            if isinstance(value, str)
            else ""
        )
    except ValueError:
        return ""


@dataclass(frozen=True)
class Start:
    """Settings of a first trial.

    Attributes:
        label: "default" for the study's own settings, else "start".
        params: Value of every searched setting, and of others that the user gave, by dotted key.
        is_held: Whether the space holds them, so that the sampler can learn from the trial.
    """

    label: str
    params: Mapping[str, Value]
    is_held: bool


def read_starts(
    start: str | Sequence[Mapping[str, Any]], fit: FitConfig, space: Space
) -> tuple[tuple[Start, ...], list[str]]:
    """Return the first trials of a search.

    Args:
        start: ``search.start``; not the folder of a study, see ``starts.py``.
        fit: The study's settings of a fit.
        space: Its search space.

    Returns:
        The first trials, and every fault.
    """
    if start == "sampler" or not space:
        return (), []
    own = _own(fit, space)
    if start == "default":
        wrong = [
            f"the study's own settings, its first trial, cannot be trained: {fault}; correct them, "
            "or set search.start=sampler"
            for fault in fit_faults(fit, {})
        ]
        return (Start("default", own, _is_held(own, space)),), wrong
    assert not isinstance(start, str), "a folder was read before"
    wrong = [
        f"search.start: {fault}"
        for number, given in enumerate(start, 1)
        for fault in _faults(f"entry {number}", given, fit)
    ]
    whole = [own | dict(given) for given in start]
    wrong += [
        f"search.start: entries {whole.index(one) + 1} and {number + 1} are the same; remove one"
        for number, one in enumerate(whole)
        if whole.index(one) < number
    ]
    return tuple(Start("start", one, _is_held(one, space)) for one in whole), wrong


def _own(fit: FitConfig, space: Space) -> dict[str, Value]:
    tree = dump(fit)
    return {key: cast("Value", value_at(tree, key)) for key in space}


def _is_held(params: Mapping[str, Value], space: Space) -> bool:
    return params.keys() == space.keys() and all(
        holds(entry, params[key]) for key, entry in space.items()
    )


def _faults(name: str, given: Mapping[str, Any], fit: FitConfig) -> list[str]:
    known = list(searchable())
    unknown = [key for key in given if key not in known]
    if unknown or not given:
        return [
            f"{name}: unknown key '{key}'; {nearest(key, known)}write dotted keys of settings "
            "that can be searched"
            for key in unknown
        ] or [f"{name} has no setting; remove it"]
    return [f"{name}: {fault}" for fault in fit_faults(fit, given)]
