"""Published weights into a network: all that belongs there, or nothing and a reason.

A file is recognised by its tensors (:mod:`pdray.models.weights.published`), mapped onto the network
by name, and written only when every tensor of the file and of the network is accounted for:

    same name, same shape     loaded
    head of other classes     dropped; the network's own head stays as it was drawn
    first convolution, of     for each channel of the network the mean over red, green and blue
      flow or boundaries      (cross-modality pre-training, Wang et al. 2016, arXiv:1608.00859,
                              section 3.2), not rescaled, as there
    relative embeddings of    offsets that both have are kept, farther ones repeat the farthest
      another length          (clipped as in Shaw et al. 2018, arXiv:1803.02155, section 3.2)
    attention where the       left as it was drawn; the convolution it replaced is dropped
      file convolves
    GoogLeNet into I3D        inflated first (Carreira and Zisserman 2017, section 2.4)
    what lies around a        left as it was drawn, or dropped, unless both have it
      backbone
    anything else             refused

Strides do not show in tensors. VGGFace2's ResNet-50 has torchvision's names and other strides, so
the two are told apart by their classes and by the strides of the network.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from pdray.errors import refuse
from pdray.models.networks.i3d import inflate_inception
from pdray.models.weights.checkpoint import CheckpointError, read_checkpoint
from pdray.models.weights.mapping import COUNTER, match
from pdray.models.weights.pixels import Pixels, refit
from pdray.models.weights.published import (
    FAMILIES,
    GOOGLENET,
    I3D,
    Family,
    Pair,
    Place,
    State,
    describe,
    find_places,
    num_classes,
    published_pixels,
    trait_faults,
)
from pdray.models.weights.strides import stride_faults, stride_notes

MOST_NAMES = 4
MOST_FAULTS = 6


@dataclass(frozen=True, slots=True)
class LoadReport:
    """What became of the tensors of a file and of a network; counters of batches are left out.

    Attributes:
        source: The file and what it was recognised as.
        loaded: Names of the network's tensors that hold the file's as they were.
        adapted: Names of those that hold them in another form, with what was done.
        left: Names of those that stayed as they were drawn.
        dropped: Names of the file's tensors that were not used.
        notes: What else the user has to know.
    """

    source: str
    loaded: tuple[str, ...]
    adapted: dict[str, str]
    left: tuple[str, ...]
    dropped: tuple[str, ...]
    notes: tuple[str, ...]

    def told(self) -> list[str]:
        """Return the report as lines of text."""
        lines = [f"weights: {self.source}", f"loaded as they are: {len(self.loaded)} tensors"]
        for what in dict.fromkeys(self.adapted.values()):
            names = [name for name, done in self.adapted.items() if done == what]
            lines.append(f"adapted, {what}: {_listed(names)}")
        if self.left:
            lines.append(f"left as drawn: {_listed(self.left)}")
        if self.dropped:
            lines.append(f"not used: {_listed(self.dropped)}")
        return [*lines, *self.notes]


def load_pretrained(network: nn.Module, path: Path, *, pixels: Pixels | None = None) -> LoadReport:
    """Fill a network with the weights of a file.

    Args:
        network: One of pdray's, alone or inside another; changes on success only.
        path: A published file, or the ``model.pt`` of a study.
        pixels: What the network is going to see of a pixel. When given, the first convolutions of
            a published file and the norms behind them are refitted from what it was trained on, so
            that they return what they returned there, but for the difference of the two means in
            the zeros around the picture. Give none for weights that pdray trained.

    Returns:
        What was loaded, adapted, left and dropped.

    Raises:
        CheckpointError: If the file cannot be read, is of another family, or leaves a tensor
            unaccounted for; nothing has been written then.
    """
    state, own = read_checkpoint(path), network.state_dict()
    sources, targets = find_places(state), find_places(own)
    source = f"{path}, {describe(state, sources)}"
    headline = f"{path} ({describe(state, sources)}) does not fit the network"
    done: dict[str, str] = {}
    if _families(sources) == {GOOGLENET} and _families(targets) == {I3D}:
        state, done = _inflated(state, headline)
        sources = find_places(state)
    refuse(_family_faults(state, own, sources, targets), CheckpointError, headline)
    pairs = _paired(sources, targets)
    faults = [fault for pair in pairs for fault in trait_faults(state, own, pair)]
    faults += [fault for pair in pairs for fault in stride_faults(network, state, pair)]
    # What tensors show beside these follows from them.
    faults = faults or match(state, own, pairs).faults
    refuse(_cut(faults), CheckpointError, headline)
    notes = [note for pair in pairs for note in stride_notes(network, state, pair)]
    notes += [place.family.note for place in sources if place.family.note]
    notes += _pixel_notes(state, sources, pixels)
    state, done = _refitted(state, sources, pixels, done)
    found = match(state, own, pairs, done)
    network.load_state_dict(found.values, strict=False)
    kept = [name for name in found.values if not name.endswith(COUNTER)]
    return LoadReport(
        source=source,
        loaded=tuple(name for name in kept if name not in found.adapted),
        adapted=found.adapted,
        left=tuple(found.left),
        dropped=tuple(found.dropped),
        notes=tuple(dict.fromkeys(notes)),
    )


def _families(places: Sequence[Place]) -> set[Family]:
    return {place.family for place in places}


def _inflated(state: dict[str, Tensor], headline: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Make an I3D of a GoogLeNet, and say of which tensors that is more than a new name."""
    try:
        state = inflate_inception(state)
    except ValueError as error:
        raise CheckpointError(f"{headline}: {error}") from error
    what = "inflated: repeated along time and divided by the length (Carreira and Zisserman 2017)"
    return state, {name: what for name in state if name.endswith("conv3d.weight")}


def _family_faults(
    state: State, own: State, sources: Sequence[Place], targets: Sequence[Place]
) -> list[str]:
    """Refuse weights of another family, and more or fewer backbones than the network has."""
    if set(state) == set(own):
        return []
    if not sources:
        first = "', '".join(list(state)[:3])
        known = ", ".join(family.title for family in FAMILIES)
        return [f"its first tensors are '{first}'; known are weights of {known}"]
    if not targets:
        return ["the network has no published weights; it takes a model.pt of its own only"]
    if _families(sources) != _families(targets):
        titles = ", ".join(sorted(family.title for family in _families(targets)))
        return [f"the network is {describe(own, targets)}; take a file of {titles}"]
    if len(sources) > 1 and len(sources) != len(targets):
        return [f"it holds {len(sources)} backbones and the network {len(targets)}"]
    return []


def _paired(sources: Sequence[Place], targets: Sequence[Place]) -> list[Pair]:
    """Say which weights of the file go where; those of one backbone go to each of the network."""
    if len(sources) == 1:
        return [Pair(sources[0], target) for target in targets]
    return [Pair(old, new) for old, new in zip(sources, targets, strict=True)]


def _pixel_notes(state: State, sources: Sequence[Place], pixels: Pixels | None) -> list[str]:
    """Say what the weights were trained on, where they are not refitted."""
    notes = []
    for place in sources:
        trained = published_pixels(state, place)
        if trained is not None and pixels is None:
            notes.append(f"note: trained on {trained}")
        elif trained is None and pixels is not None:
            notes.append(
                f"note: no published weights of colours have {num_classes(state, place)} classes; "
                "taken to be trained on what the network is given"
            )
    return notes


def _refitted(
    state: dict[str, Tensor],
    sources: Sequence[Place],
    pixels: Pixels | None,
    done: dict[str, str],
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Refit published weights to what the network will see; add to what was done to tensors."""
    for place in sources:
        trained = published_pixels(state, place)
        if trained is None or pixels is None:
            continue
        changed = refit(state, place.stems, there=trained, here=pixels)
        what = f"refitted from {trained} to {pixels}"
        names = [name for name in state if changed[name] is not state[name]]
        done = done | {name: f"{done[name]}, {what}" if name in done else what for name in names}
        state = changed
    return state, done


def _cut(faults: list[str]) -> list[str]:
    """Return the first faults, and how many more there are."""
    if len(faults) <= MOST_FAULTS:
        return faults
    return [*faults[:MOST_FAULTS], f"and {len(faults) - MOST_FAULTS} more"]


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:MOST_NAMES])
    return shown if len(names) <= MOST_NAMES else f"{shown} and {len(names) - MOST_NAMES} more"
