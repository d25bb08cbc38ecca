"""Mapping of the tensors of a file to those of a network; each tensor is accounted for.

The rules are listed in :mod:`pdray.models.weights.pretrained`.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from pdray.models.weights.pixels import State
from pdray.models.weights.published import Pair, num_classes

COUNTER = "num_batches_tracked"
"""Batch norm reads this counter only if it has no momentum; old files (torch < 0.4.1) lack it."""

TABLE = "relative_RE"
ATTENTION = re.compile(rf"(?:(?:query|key|value|out)\.weight|{TABLE})$")


@dataclass
class Match:
    """Values to write into a network, and reasons not to.

    Attributes:
        values: Tensors to write, by their names in the network.
        adapted: For each tensor that had to be changed: how it was changed.
        left: Names of the network's tensors that keep their random values.
        dropped: Names of the file's tensors that are not used.
        faults: Tensors that do not fit.
    """

    values: dict[str, Tensor] = field(default_factory=dict)
    adapted: dict[str, str] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


def match(
    state: State, own: State, pairs: Sequence[Pair], done: Mapping[str, str] | None = None
) -> Match:
    """Account for every tensor of a file and of a network.

    Args:
        state: Tensors of the file.
        own: Tensors of the network.
        pairs: Places of the file's weights in the network; tensors outside keep their names.
        done: Changes made to tensors of the file before, by name.

    Returns:
        The match; write it only if it has no fault.
    """
    found = Match()
    open_heads = tuple(
        f"{pair.new.prefix}{pair.new.family.head}."
        for pair in pairs
        if num_classes(state, pair.old) != num_classes(own, pair.new)
    )
    reached = set()
    for name, target, is_inside in _routes(state, pairs):
        reached.add(target)
        if target.startswith(open_heads):
            found.dropped.append(name)
        elif target in own:
            _fill(found, target, state[name], own[target], pairs)
            if done and name in done:
                found.adapted[target] = ", ".join(
                    what for what in (done[name], found.adapted.get(target)) if what
                )
        elif not is_inside or _is_replaced(target, own):
            found.dropped.append(name)
        elif not target.endswith(COUNTER):
            found.faults.append(f"the network has no '{target}'")
    heads = [name for name in own if name.startswith(open_heads)]
    others = own.keys() - reached - set(heads)
    stay = {name for name in others if _may_stay(name, reached, pairs)}
    found.left += [
        name for name in own if (name in stay or name in heads) and not name.endswith(COUNTER)
    ]
    found.faults += [f"the file has no '{name}'" for name in own if name in others - stay]
    return found


def _routes(state: State, pairs: Sequence[Pair]) -> Iterator[tuple[str, str, bool]]:
    """Yield (name in the file, name in the network, whether it belongs to a backbone)."""
    for name in state:
        inside = [pair for pair in pairs if name.startswith(pair.old.prefix)]
        longest = max((len(pair.old.prefix) for pair in inside), default=0)
        for pair in inside:
            if len(pair.old.prefix) == longest:
                yield name, f"{pair.new.prefix}{name[longest:]}", True
        if not inside:
            yield name, name, False


def _fill(found: Match, target: str, value: Tensor, room: Tensor, pairs: Sequence[Pair]) -> None:
    """Plan to write a tensor of the file, unchanged or adapted, or note a fault."""
    old, new = tuple(value.shape), tuple(room.shape)
    firsts = {f"{stem.convs[0]}.weight" for pair in pairs for stem in pair.new.stems}
    if value.is_floating_point() != room.is_floating_point():
        found.faults.append(f"'{target}' is {value.dtype} in the file, expected {room.dtype}")
    elif old == new:
        found.values[target] = value
    elif target in firsts and old[1] == 3 and (old[0], *old[2:]) == (new[0], *new[2:]):
        found.values[target] = value.mean(1, keepdim=True).expand(new)
        found.adapted[target] = (
            f"the mean over red, green and blue for each of {new[1]} channels (Wang et al. 2016)"
        )
    elif target.endswith(TABLE) and old[1:] == new[1:]:
        longest = old[0] // 2
        offset = torch.arange(new[0]) - new[0] // 2
        found.values[target] = value[offset.clamp(-longest, longest) + longest]
        found.adapted[target] = (
            f"{new[0]} relative offsets from {old[0]}; offsets beyond the file's repeat its last"
        )
    else:
        found.faults.append(f"'{target}' is {old} in the file and {new} in the network")


def _is_replaced(target: str, own: State) -> bool:
    """Return whether the network has attention in the place of this convolution of the file."""
    return f"{target.removesuffix('weight')}query.weight" in own


def _may_stay(name: str, reached: set[str], pairs: Sequence[Pair]) -> bool:
    """Return whether a tensor of the network may be missing from the file."""
    is_around = bool(pairs) and not any(name.startswith(pair.new.prefix) for pair in pairs)
    stem, num_found = ATTENTION.subn("", name)
    return name.endswith(COUNTER) or is_around or (num_found == 1 and f"{stem}weight" in reached)
