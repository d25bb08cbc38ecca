"""Loads published weights into a network: all that belong there, or none.

A file is recognised by its tensors (:mod:`pdray.models.weights.published`). They are mapped onto
the network by name, and written only if each tensor of file and network falls under a rule:

    same name, same shape     loaded
    head of other classes     dropped; the network's head keeps its random values
    first convolution, of     for each channel of the network the mean over red, green and blue
      flow or boundaries      (cross-modality pre-training, Wang et al. 2016, arXiv:1608.00859,
                              section 3.2), not rescaled, as there
    relative embeddings of    offsets that both have are loaded; offsets beyond the file's repeat
      another length          its last (Shaw et al. 2018, arXiv:1803.02155, section 3.2)
    attention in place of     keeps its random values; the file's convolution is dropped
      a convolution
    GoogLeNet into I3D        inflated first (Carreira and Zisserman 2017, section 2.4)
    layers around a           keep their random values, or are dropped, unless both have them
      backbone
    PySlowFast's names        those of PyTorchVideo (:mod:`pdray.models.weights.pyslowfast`)
    zero_pixel                loaded with the weights that it was saved with
    anything else             refused

Tensors do not show strides. VGGFace2's ResNet-50 has the same names as torchvision's and other
strides: the number of classes and the strides of the network distinguish them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from pdray.errors import refuse
from pdray.models.layers.zero_pixel import NAME, set_zero_pixel
from pdray.models.networks.i3d import inflate_inception
from pdray.models.weights.checkpoint import CheckpointError, read_checkpoint
from pdray.models.weights.mapping import COUNTER, match
from pdray.models.weights.pixels import Pixels, State, refit
from pdray.models.weights.published import (
    FAMILIES,
    GOOGLENET,
    I3D,
    Family,
    Pair,
    Place,
    describe,
    find_places,
    trait_faults,
)
from pdray.models.weights.pyslowfast import renamed
from pdray.models.weights.strides import stride_faults, stride_notes
from pdray.models.weights.trained_pixels import decide

MOST_NAMES = 4
MOST_FAULTS = 6


@dataclass(frozen=True, slots=True)
class LoadReport:
    """Report on the tensors of a file and of a network; counters of batches are left out.

    Attributes:
        source: The file and its family of weights.
        loaded: Names of the network's tensors that were loaded unchanged.
        adapted: For each tensor that was changed: how it was changed.
        left: Names of the network's tensors that keep their random values.
        dropped: Names of the file's tensors that were not used.
        notes: Further sentences for the user.
    """

    source: str
    loaded: tuple[str, ...]
    adapted: dict[str, str]
    left: tuple[str, ...]
    dropped: tuple[str, ...]
    notes: tuple[str, ...]

    def told(self) -> list[str]:
        """Return the report as lines of text."""
        lines = [f"weights: {self.source}", f"loaded unchanged: {len(self.loaded)} tensors"]
        for what in dict.fromkeys(self.adapted.values()):
            names = [name for name, done in self.adapted.items() if done == what]
            lines.append(f"adapted, {what}: {_listed(names)}")
        if self.left:
            lines.append(f"start from random values: {_listed(self.left)}")
        if self.dropped:
            lines.append(f"not used: {_listed(self.dropped)}")
        return [*lines, *self.notes]


def load_pretrained(
    network: nn.Module, path: Path, *, pixels: Pixels | None = None, trained_on: str = "auto"
) -> LoadReport:
    """Load the weights of a file into a network.

    Args:
        network: A network of pdray, alone or inside another; changed only on success.
        path: A published file, or the ``model.pt`` of a study.
        pixels: Pixel scale of the pictures that the network will get. If given, the first layers
            of a published file are adapted to it (:mod:`pdray.models.weights.pixels`). Give none
            for weights that pdray trained.
        trained_on: Value of the setting ``pretrained_pixels``.

    Returns:
        Report of the tensors loaded, adapted, left random and dropped.

    Raises:
        CheckpointError: If the file cannot be read, is of another family, or has a tensor that
            fits no rule; the network is then unchanged.
    """
    state, own = renamed(read_checkpoint(path)), network.state_dict()
    sources, targets = find_places(state), find_places(own)
    source = f"{path}, {describe(state, sources)}"
    headline = f"{path} ({describe(state, sources)}) does not fit the network"
    done: dict[str, str] = {}
    if _families(sources) == {GOOGLENET} and _families(targets) == {I3D}:
        state, done = _inflated(state, headline)
        sources = find_places(state)
    zeros, state = _split(state)
    had_zeros, own = _split(own)
    refuse(_family_faults(state, own, sources, targets), CheckpointError, headline)
    pairs = _paired(sources, targets)
    faults = [fault for pair in pairs for fault in trait_faults(state, own, pair)]
    faults += [fault for pair in pairs for fault in stride_faults(network, state, pair)]
    # Wrong traits and strides explain most other faults, which would only repeat them.
    faults = faults or match(state, own, pairs).faults
    refuse(cut(faults), CheckpointError, headline)
    notes = [note for pair in pairs for note in stride_notes(network, state, pair)]
    notes += [place.family.note for place in sources if place.family.note]
    if pixels is not None:
        state, more = _refitted(state | zeros, sources, pixels, trained_on, done)
        notes += more
        fresh, state = _split(state)
        zeros |= fresh
    found = match(state, own, pairs, done)
    network.load_state_dict(found.values, strict=False)
    for name in had_zeros:
        network.get_buffer(name).zero_()
    _set_zeros(network, zeros, pairs)
    kept = [name for name in found.values if not name.endswith(COUNTER)]
    return LoadReport(
        source=source,
        loaded=tuple(name for name in kept if name not in found.adapted),
        adapted=found.adapted,
        left=tuple(found.left),
        dropped=tuple(found.dropped),
        notes=tuple(dict.fromkeys(notes)),
    )


def _split(state: State) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return the zero pixels among tensors, and the others."""
    zeros = {name: value for name, value in state.items() if name.endswith(f".{NAME}")}
    return zeros, {name: value for name, value in state.items() if name not in zeros}


def _set_zeros(network: nn.Module, zeros: State, pairs: Sequence[Pair]) -> None:
    """Give each first convolution its zero pixel; none where the colours were averaged."""
    for old, new in pairs:
        for was, now in zip(old.stems, new.stems, strict=True):
            conv, zero = network.get_submodule(now.convs[0]), zeros.get(f"{was.convs[0]}.{NAME}")
            weight: Tensor = conv.get_parameter("weight")
            if zero is not None and weight.shape[1] == len(zero):
                set_zero_pixel(conv, zero.to(weight))


def _families(places: Sequence[Place]) -> set[Family]:
    return {place.family for place in places}


def _inflated(state: dict[str, Tensor], headline: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Turn a GoogLeNet into an I3D, and describe the tensors that were inflated."""
    try:
        state = inflate_inception(state)
    except ValueError as error:
        raise CheckpointError(f"{headline}: {error}") from error
    what = "inflated: repeated along time and divided by the length (Carreira and Zisserman 2017)"
    return state, {name: what for name in state if name.endswith("conv3d.weight")}


def _family_faults(
    state: State, own: State, sources: Sequence[Place], targets: Sequence[Place]
) -> list[str]:
    """List why a file is of another family, or has another number of backbones."""
    if set(state) == set(own):
        return []
    if not sources:
        first = "', '".join(list(state)[:3])
        known = ", ".join(family.title for family in FAMILIES)
        return [f"its first tensors are '{first}'; use a file of {known}"]
    if not targets:
        return ["the network has no published weights; use a model.pt of the same network"]
    if _families(sources) != _families(targets):
        titles = ", ".join(sorted(family.title for family in _families(targets)))
        return [f"the network is {describe(own, targets)}; use a file of {titles}"]
    if len(sources) > 1 and len(sources) != len(targets):
        return [
            f"it holds {len(sources)} backbones and the network {len(targets)}; use a file with 1 "
            "backbone or with as many"
        ]
    return []


def _paired(sources: Sequence[Place], targets: Sequence[Place]) -> list[Pair]:
    """Pair the backbones of file and network; a single one of the file goes to each."""
    if len(sources) == 1:
        return [Pair(sources[0], target) for target in targets]
    return [Pair(old, new) for old, new in zip(sources, targets, strict=True)]


def _refitted(
    state: dict[str, Tensor],
    sources: Sequence[Place],
    pixels: Pixels,
    trained_on: str,
    done: dict[str, str],
) -> tuple[dict[str, Tensor], list[str]]:
    """Adapt published weights to the pixel scale of the study; return them and notes on it.

    Each change of a tensor is added to ``done``.
    """
    notes = []
    for place in sources:
        trained, told = decide(state, place, trained_on)
        notes += [told] if told else []
        if trained is None or trained == pixels:
            continue
        in_norm = trained_on == "earlier"
        changed = refit(state, place.stems, there=trained, here=pixels, in_norm=in_norm)
        what = f"from {trained} to {pixels}"
        for name in state:
            if changed[name] is not state[name]:
                done[name] = f"{done[name]}, {what}" if name in done else what
        state = changed
    return state, notes


def cut(faults: list[str]) -> list[str]:
    """Return the first faults and the number of the others."""
    if len(faults) <= MOST_FAULTS:
        return faults
    return [*faults[:MOST_FAULTS], f"and {len(faults) - MOST_FAULTS} more"]


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:MOST_NAMES])
    return shown if len(names) <= MOST_NAMES else f"{shown} and {len(names) - MOST_NAMES} more"
