"""A search space: dotted settings and the values they may take, checked before anything runs."""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic.fields import FieldInfo

from pdray.config import accepts, attempt, build, dump, leaves, merge, nearest, nest
from pdray.data.batches.settings import augment_faults, seen_size
from pdray.data.batches.snippet import snippet_shape
from pdray.models import MODELS
from pdray.training.settings import FitConfig

Value = bool | int | float | str | None

# Frames are prepared once for all trials, how they travel changes no result, trials of different
# length have no (fold, epoch) in common at which they could be compared, and nor have trials that
# are evaluated on different views. Networks of different kinds have different settings: they are
# compared as fixed trials, each with its own.
_FIXED = (
    "decode.",
    "limits.",
    "stream.",
    "optim.epochs",
    "optim.compiled",
    "snippet.views",
    "snippet.num_views",
    "snippet.view_frames",
    "augment.crop_size",
    "augment.crop_scales",  # a list is no value of a search
    "model.name",
    "model.backbone.name",
)
_SHAPING = ("model.", "snippet.", "segments.", "modality", "loss.kind")
_WEIGHED = ("model.", "modality", "loss.kind", "pretrained")  # decide which tensors there are
_MAX_COMBINATIONS = 20_000
_MAX_NETWORKS = 64
_SAMPLES = 8


@dataclass(frozen=True)
class Choices:
    """A setting that takes one of some values, without order."""

    values: tuple[Value, ...]


@dataclass(frozen=True)
class Range:
    """A number between two bounds, both included; whole when ``whole``."""

    low: float
    high: float
    log: bool
    step: float | None
    whole: bool


Space = dict[str, Choices | Range]


def searchable() -> dict[str, FieldInfo]:
    """Return every dotted key that a space may name."""
    return {key: field for key, field in leaves(FitConfig) if not key.startswith(_FIXED)}


def read_space(entries: object) -> tuple[Space, list[str]]:
    """Check the ``space`` section of a study's YAML file.

    Args:
        entries: Dotted key to ``{choices: [...]}`` or ``{low:, high:, log:, step:}``.

    Returns:
        The space of the entries that are right, and every fault: key, value, what would be right.
    """
    if not isinstance(entries, Mapping):
        return {}, [f"space: got {entries!r}; expected dotted keys with choices or low and high"]
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
                f"{name}: got {entry!r}; expected {{choices: [...]}} or {{low: .., high: ..}}"
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
    """List what no model can be built from, over every combination of the space.

    Ranges stand for some of their values; only settings that shape the model are combined.

    Args:
        base: The settings of a fit outside the space.
        space: As :func:`read_space` gives it, without faults.

    Returns:
        Each distinct fault once, with the first combination that has it.
    """
    shaping = {key: corners(entry) for key, entry in space.items() if key.startswith(_SHAPING)}
    if math.prod(len(values) for values in shaping.values()) > _MAX_COMBINATIONS:
        return [f"space: more than {_MAX_COMBINATIONS} combinations of {', '.join(shaping)}"]
    found: dict[str, str] = {}
    for values in itertools.product(*shaping.values()):
        params = dict(zip(shaping, values, strict=True))
        for fault in fit_faults(base, params):
            told = ", ".join(f"{key} = {value!r}" for key, value in params.items())
            found.setdefault(fault, f"{fault} (with {told})" if told else fault)
    return list(found.values())


def fit_faults(base: FitConfig, params: Mapping[str, Value]) -> list[str]:
    """List what is wrong with one trial's settings, the model's own limits included."""
    config, wrong = attempt(FitConfig, _overlaid(base, params))
    if config is None or config.network is None:
        return wrong
    size = {"height": config.decode.height, "width": config.decode.width}
    wrong = augment_faults(config.augment, **size)
    if wrong:
        return wrong
    height, width = seen_size(config.augment, **size)
    # Dense views may show an evaluated recording in shorter snippets than it is learnt from.
    lengths = {snippet_shape(config.snippet, training=training)[1] for training in (True, False)}
    network_faults = MODELS[config.network.name].faults
    for num_frames in sorted(lengths, reverse=True):
        wrong += network_faults(config.network, num_frames=num_frames, height=height, width=width)
    keys = {
        "num_frames: ": "snippet.num_frames: " if len(lengths) == 1 else "snippet: num_frames: ",
        "height: ": "decode.height: " if height == config.decode.height else "crop height: ",
        "width: ": "decode.width: " if width == config.decode.width else "crop width: ",
    }
    keys["model."] = f"{config.entry.network}."
    return list(dict.fromkeys(_named(fault, keys) for fault in wrong))


def _named(fault: str, keys: Mapping[str, str]) -> str:
    """Name the setting that a network, which knows sizes only, speaks of."""
    for size, key in keys.items():
        if fault.startswith(size):
            return key + fault.removeprefix(size)
    return fault


def trial_config(base: FitConfig, params: Mapping[str, Value]) -> FitConfig:
    """Build the settings of one trial: the study's with the searched values over them."""
    return build(FitConfig, _overlaid(base, params)) if params else base


def _overlaid(base: FitConfig, params: Mapping[str, Value]) -> dict[str, Any]:
    tree = dump(base)
    if "model.name" in params:  # another network has other settings, at its own defaults
        tree["model"] = {}
    elif "model.backbone.name" in params:
        tree["model"]["backbone"] = {}
    return merge(tree, nest(params))


def networks(space: Space) -> list[dict[str, Value]]:
    """Return the searched values of every network of a space, as far as its tensors differ.

    A range stands for its ends. Of more than 64 combinations the first 64.
    """
    keys = [key for key in space if key.startswith(_WEIGHED)]
    weighed: dict[str, tuple[Value, ...]] = {}
    last = ("modality", "model.branches")  # what is seen is never cut short
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
    """Return the values that stand for all in a check: every choice, parts of a range."""
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
        yield f"{name}.{other}: does not go with choices"
    values = entry["choices"]
    if not _is_list(values) or not values:
        yield f"{name}.choices: got {values!r}; expected a list of one value or more"
        return
    for value in values:
        expected = accepts(field, value)
        if expected is not None:
            yield f"{name}.choices: got {value!r}; {expected}"
    if len({repr(value) for value in values}) < len(values):
        yield f"{name}.choices: got {list(values)!r}; a value stands there twice"


def _range_faults(name: str, field: FieldInfo, entry: Mapping[str, Any]) -> list[str]:
    wrong = [
        f"unknown key '{name}.{key}': expected low, high and, if wanted, log or step; or choices"
        for key in sorted(entry.keys() - {"low", "high", "log", "step"})
    ]
    wrong += [f"'{name}.{end}' is missing" for end in ("low", "high") if end not in entry]
    if not isinstance(entry.get("log", False), bool):
        wrong.append(f"{name}.log: got {entry['log']!r}; expected true or false")
    if wrong:
        return wrong
    for end in ("low", "high"):
        if not _is_number(entry[end]):
            wrong.append(f"{name}.{end}: got {entry[end]!r}; expected a number{_hint(entry[end])}")
        elif (expected := accepts(field, entry[end])) is not None:
            wrong.append(f"{name}.{end}: got {entry[end]!r}; {expected}")
    return wrong or _order_faults(name, field, entry)


def _order_faults(name: str, field: FieldInfo, entry: Mapping[str, Any]) -> list[str]:
    low, high, step = entry["low"], entry["high"], entry.get("step")
    wrong = []
    if low >= high:
        wrong.append(f"{name}: low {low} is not below high {high}; swap them")
    if entry.get("log", False) and low <= 0:
        wrong.append(f"{name}.low: got {low}; a logarithmic range starts above 0")
    if step is not None and (not _is_number(step) or not 0 < step <= high - low):
        wrong.append(f"{name}.step: got {step!r}; expected a number above 0, at most high - low")
    elif step is not None and _is_whole(field, entry) and not isinstance(step, int):
        wrong.append(f"{name}.step: got {step!r}; expected a whole number, as the setting is one")
    elif step is not None and abs((high - low) / step - round((high - low) / step)) > 1e-9:
        last = low + (high - low) // step * step
        wrong.append(f"{name}.high: got {high}; steps of {step} from {low} end at {last:g}")
    if step is not None and entry.get("log", False):
        wrong.append(f"{name}.step: does not go with log")
    return wrong


def _range(field: FieldInfo, entry: Mapping[str, Any]) -> Range:
    log, step = entry.get("log", False), entry.get("step")
    return Range(entry["low"], entry["high"], log, step, _is_whole(field, entry))


def _is_whole(field: FieldInfo, entry: Mapping[str, Any]) -> bool:
    # Between two accepted ends, only its type can keep a field from taking a value.
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
