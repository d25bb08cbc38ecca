"""Decides which pixel scale a weights file was trained on.

Files of one family can differ by a factor of 70 in their pixel scale. Their tensors show it: the
running variance behind the first convolution is the variance of its output, so together with its
weights it gives the standard deviation of the pixels. Saving a file again, adding counters of
batches or fine-tuning on other classes does not change this.

Measured: the first layer of a published EfficientNet-Lite0 gives 0.53 (expected: 0.46). Kernels
that are random, smooth, of zero mean, differences in time or edges, applied to seven real clips,
give 0.7 to 1.3 times the expected value, both for the scale of 2018 and for that of 2020.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from pdray.models.layers.zero_pixel import NAME
from pdray.models.weights.mapping import TABLE
from pdray.models.weights.pixels import Pixels, State
from pdray.models.weights.published import (
    HARA_2018,
    HARA_2020,
    PIXELS,
    RESNET2D,
    RESNET3D,
    VGGFACE2,
    Place,
    num_classes,
)

SPREAD = 0.23
"""Standard deviation of pixels in 0..1; 0.20 to 0.24 in seven real clips."""

CORRELATIONS = (0.9, 0.98, 0.93, 0.93)
"""Between neighbouring colours, frames, rows and columns in these clips, at 112 px."""

FAR = 4.0
"""A first layer is reported if its scale is this many times larger or smaller than expected."""

OVERRULE = "if that is wrong, set pretrained_pixels"


class Decision(NamedTuple):
    """The pixel scale of a file, with the reason.

    Attributes:
        pixels: The scale; None: that of pdray.
        told: A sentence with the reason, for the log; empty if the input is not colours.
    """

    pixels: Pixels | None
    told: str


def decide(state: State, place: Place, asked: str = "auto") -> Decision:
    """Decide which pixel scale a network was trained on, from its file.

    Args:
        state: The tensors of the file.
        place: Place of the weights in it.
        asked: Value of the setting ``pretrained_pixels``: ``auto``, a name of ``PIXELS``,
            ``pdray``, or ``earlier`` for the rule of earlier versions.
    """
    if state[f"{place.stems[0].convs[0]}.weight"].shape[1] != 3:
        return Decision(None, "")
    if asked in PIXELS:
        return Decision(PIXELS[asked], _told(PIXELS[asked], "as pretrained_pixels says"))
    if asked == "pdray":
        return Decision(None, "pixels: those of pdray, as pretrained_pixels says")
    if asked == "earlier":
        pixels = _earlier(state, place)
        return Decision(pixels, _told(pixels, "by the rule of earlier versions"))
    if f"{place.stems[0].norm}.running_var" not in state or any(
        name.endswith((f".{NAME}", TABLE)) for name in state
    ):
        return Decision(None, "pixels: those of pdray, which alone trains such a network")
    return _by_facts(state, place)


def _by_facts(state: State, place: Place) -> Decision:
    kinds, count = place.family.pixels, num_classes(state, place)
    spread = pixel_spread(state, place)
    off = {pixels: max(spread / _spread(pixels), _spread(pixels) / spread) for pixels in kinds}
    named = next((pixels for pixels, counts in kinds.items() if count in counts), None)
    pixels = named or min(off, key=off.__getitem__)
    seen = f"its first layer has the scale of pixels with a spread of {spread:.2g}"
    expected = ", ".join(f"{_name(one)} has {_spread(one):.2g}" for one in kinds)
    if named is not None:
        why = f"by its {count} classes"
    elif len(kinds) > 1:
        why = f"since {seen} ({expected})"
    else:
        why = "as all published files of this kind"
    if off[pixels] > FAR and (named is not None or len(kinds) == 1):
        why += f", but {seen} ({expected}): check this"
    return Decision(pixels, _told(pixels, f"{why}; {OVERRULE}"))


def pixel_spread(state: State, place: Place) -> float:
    """Return the standard deviation of the pixels that a network was trained on, in its scale.

    The output of a kernel W has the variance ``s^2 W' R W``; R holds the correlations between the
    pixels under the kernel. Each output channel gives an estimate of s; the median is returned.

    Args:
        state: The tensors of the file.
        place: Place of the weights in it.
    """
    stem = place.stems[0]
    weight = state[f"{stem.convs[0]}.weight"].double()
    for name in stem.convs[1:]:  # in time, of each channel alone
        weight = weight * state[f"{name}.weight"].double()
    rates = CORRELATIONS if weight.ndim == 5 else (CORRELATIONS[0], *CORRELATIONS[2:])
    met = weight
    for axis, rate in enumerate(rates, start=1):
        step = torch.arange(weight.shape[axis], dtype=torch.float64)
        table = rate ** (step[:, None] - step).abs()
        met = torch.tensordot(met, table, dims=([axis], [0])).movedim(-1, axis)
    variance_of_unit: Tensor = (weight * met).flatten(1).sum(1)
    is_used = variance_of_unit > 1e-12 * variance_of_unit.max()
    variance = state[f"{stem.norm}.running_var"].double()
    return float((variance[is_used] / variance_of_unit[is_used]).sqrt().median().clamp(min=1e-12))


def _earlier(state: State, place: Place) -> Pixels | None:
    """Decide from the number of classes and the counters, as earlier versions did."""
    family, count, norm = place.family, num_classes(state, place), place.stems[0].norm
    if f"{norm}.running_mean" not in state or count not in family.num_classes:
        return None
    if family is RESNET3D:
        return HARA_2020 if f"{norm}.num_batches_tracked" in state else HARA_2018
    if family is RESNET2D and count == 8631:
        return VGGFACE2
    return next(iter(family.pixels))


def _spread(pixels: Pixels) -> float:
    return SPREAD * len(pixels.std) / sum(pixels.std)


def _name(pixels: Pixels) -> str:
    return next(name for name, one in PIXELS.items() if one == pixels)


def _told(pixels: Pixels | None, why: str) -> str:
    if pixels is None:
        return f"pixels: those of pdray, {why}"
    return f"pixels: trained on {_name(pixels)} ({pixels}), {why}"
