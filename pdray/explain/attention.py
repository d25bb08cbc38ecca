"""Shows the weights of temporal self-attention by moment of a recording.

Source: Yin et al., "Assessment of Parkinson's disease severity from videos using deep
architectures", Eq. 6. At each place of a map every head gives moment i one weight for each moment j
of the snippet, softmax((Q K^T + S_rel) / sqrt(d_k)), and the weights of a moment sum to 1. The
paper shows no such weights. They do not depend on a class: they show where the block takes its
values from. Class activation maps show whether these values support a class.

Shown here, as means over heads and places:
    weights   how much each moment attends to each moment
    received  how much of a snippet's attention each moment gets: the mean over those that attend
    entropy   H(weights of one moment) / log T', then the mean: 0 each head takes one moment, 1 all
              moments alike
    received_entropy    the same for ``received``: 0 all attend to one moment, 1 uniform

Letters: S snippet, T frame, A head, T' time step of a block's map, H height, W width.
"""

import math
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from numpy.typing import NDArray
from torch import Tensor, nn

from pdray.data.cohort.settings import SYNTHETIC_MARK
from pdray.evaluation.plots import save_picture
from pdray.explain.spread import means_by_class
from pdray.models.layers.time_attention import AttendsOverTime

MEASURES = ("entropy", "received_entropy", "to_itself")
_IN_A_ROW = 6  # blocks of a picture


@dataclass(frozen=True)
class Attention:
    """The attention of one block over time in a recording.

    Attributes:
        weights: (S, T', T') float64, of moment i (axis 1) for j (axis 2); each sums to 1 over j.
        entropy: (S,) float64 in 0..1, the mean over heads, places and moments.
    """

    weights: NDArray[np.float64]
    entropy: NDArray[np.float64]

    @property
    def received(self) -> NDArray[np.float64]:
        """Return (S, T'): the share of its snippet's attention that each moment gets."""
        means: NDArray[np.float64] = self.weights.mean(axis=1)
        return means


def attention_blocks(network: nn.Module, layers: Sequence[str]) -> tuple[str, ...]:
    """Return the names of the blocks in some layers that attend over time, early to late.

    Args:
        network: Any network; blocks that attend are :class:`AttendsOverTime`.
        layers: Names of submodules.
    """
    return tuple(
        name
        for name, module in network.named_modules()
        if isinstance(module, AttendsOverTime) and layer_of(name, layers)
    )


def layer_of(block: str, layers: Iterable[str]) -> str:
    """Return the layer that contains a block, or an empty text."""
    return next((one for one in layers if f"{block}.".startswith(f"{one}.")), "")


@torch.inference_mode()
def attention_maps(
    network: nn.Module, parts: Sequence[Tensor], blocks: Sequence[str]
) -> dict[str, Attention]:
    """Return the attention of some blocks in the snippets of a recording.

    Args:
        network: In evaluation mode.
        parts: (B, C, T, H, W) normalised snippets, in parts that fit into memory.
        blocks: Names from :func:`attention_blocks`.
    """
    found: dict[str, list[tuple[Tensor, Tensor]]] = {name: [] for name in blocks}

    def watch(name: str) -> Callable[[Any, tuple[Tensor, ...]], None]:
        def look(module: Any, inputs: tuple[Tensor, ...]) -> None:
            weights = module.attention_over_time(inputs[0]).double()
            entropy = torch.special.entr(weights).sum(dim=3).mean(dim=(1, 2, 3, 4))
            found[name].append((weights.mean(dim=(1, 4, 5)), entropy / _most(weights.shape[3])))

        return look

    hooks = [network.get_submodule(one).register_forward_pre_hook(watch(one)) for one in blocks]
    try:
        for part in parts:
            network(part)
    finally:
        for hook in hooks:
            hook.remove()
    return {
        name: Attention(*(torch.cat(one).cpu().numpy() for one in zip(*seen, strict=True)))
        for name, seen in found.items()
    }


def moments(seconds: NDArray[np.float64], num_steps: int) -> NDArray[np.float64]:
    """Return (S, T') times of the frames in the middle of each time step, in seconds.

    Time steps cover a snippet evenly, as in class activation maps.

    Args:
        seconds: (S, T) times of the frames of each snippet.
        num_steps: T'.
    """
    num_frames = seconds.shape[1]
    middle = ((np.arange(num_steps) + 0.5) * num_frames / num_steps).astype(np.int64)
    return seconds[:, middle]


def attention_numbers(attention: Attention, seconds: NDArray[np.float64]) -> dict[str, float]:
    """Measure the attention of a block in a recording, as means over its snippets.

    Args:
        attention: Attention of the block.
        seconds: (S, T') from :func:`moments`.

    Returns:
        ``entropy`` and ``received_entropy`` in 0..1; ``to_itself``, the share of its attention
        that a moment gives to itself; ``even``, this share for uniform attention;
        ``most_seconds``, the time of the moment that gets most attention, and ``most_share``, its
        share of the snippet's attention.
    """
    received = attention.received
    num_steps = received.shape[1]
    parts = np.where(received > 0, received, 1.0)
    spread = -(parts * np.log(parts)).sum(axis=1) / _most(num_steps)
    first = np.unravel_index(received.argmax(), received.shape)
    return {
        "entropy": float(attention.entropy.mean()),
        "received_entropy": float(spread.mean()),
        "to_itself": float(np.trace(attention.weights, axis1=1, axis2=2).mean() / num_steps),
        "even": 1 / num_steps,
        "most_seconds": float(seconds[first]),
        "most_share": float(received[first]),
    }


def received_table(attention: Attention, seconds: NDArray[np.float64]) -> pd.DataFrame:
    """Return one row per snippet and moment: ``snippet``, ``seconds`` and ``received``, 0..1."""
    num_snippets, num_steps = seconds.shape
    return pd.DataFrame(
        {
            "snippet": np.repeat(np.arange(num_snippets), num_steps),
            "seconds": seconds.ravel(),
            "received": attention.received.ravel(),
        }
    )


def attention_table(rows: pd.DataFrame) -> str:
    """Return the attention of each block by true class as a table: mean and SD over subjects.

    Args:
        rows: One per recording and block, with ``subject_id``, ``target``, ``layer`` and the
            numbers of :func:`attention_numbers`; a subject's recordings are averaged.

    Returns:
        Lines of text that explain each number and give its value for uniform attention.
    """
    head = (
        "attention over time (Yin et al., Eq. 6), by true class: mean +- SD over subjects; entropy "
        "0: each head attends to one moment, 1: uniform; received_entropy 0: all moments attend to "
        "the same one, 1: uniform; to_itself: share of attention that a moment gives to itself"
    )
    even = ", ".join(
        f"{share:.2f} in {', '.join(group['layer'].unique())}"
        for share, group in rows.groupby("even")
    )
    return "\n".join([head, *means_by_class(rows, MEASURES), f"to_itself if uniform: {even}"])


@dataclass(frozen=True)
class Attending:
    """The data to draw of one block.

    Attributes:
        attention: Attention of the block in a recording.
        seconds: (S, T') from :func:`moments`.
        frames: (F,) times of the frames of the layer's class activation map [s].
        activity: (F,) sum of that map over each frame, at least 0.
    """

    attention: Attention
    seconds: NDArray[np.float64]
    frames: NDArray[np.float64]
    activity: NDArray[np.float64]


def attention_picture(
    path: Path, blocks: Mapping[str, Attending], *, caption: str, synthetic: bool
) -> None:
    """Draw the attention matrix of each block, and below it attention and activation over time.

    All values are multiples of the uniform value, so 1 is uniform. No person is shown.

    Args:
        path: The PNG to write.
        blocks: By name, at least one.
        caption: Names the recording and the class.
        synthetic: Whether the cohort is SYNTHETIC; the title says so.
    """
    columns = min(len(blocks), _IN_A_ROW)
    rows = -(-len(blocks) // columns)
    # Set positions here: matplotlib takes ten seconds to compute them for 18 blocks.
    wide, high = 1.5 + 2.2 * columns, 1.4 + 3.5 * rows  # inches
    figure = Figure(figsize=(wide, high))
    axes = figure.subplots(
        2 * rows,
        columns,
        squeeze=False,
        height_ratios=[2.0, 1.0] * rows,
        gridspec_kw={"left": 0.5 / wide, "right": 1 - 0.9 / wide, "wspace": 0.4, "hspace": 0.5,
                     "bottom": 0.8 / high, "top": 1 - 0.7 / high},
    )  # fmt: skip
    highest = max(
        one.attention.weights.mean(axis=0).max() * one.seconds.shape[1] for one in blocks.values()
    )
    for number in range(len(blocks), rows * columns):
        row, column = divmod(number, columns)
        for one in axes[2 * row : 2 * row + 2, column]:
            one.set_axis_off()
    lines: dict[str, Line2D] = {}
    for number, (name, block) in enumerate(blocks.items()):
        row, column = divmod(number, columns)
        above, below = axes[2 * row : 2 * row + 2, column]
        image = _draw_weights(above, block, highest)
        above.set_title(name, fontsize=7)
        _draw_curves(below, block)
        lines |= {str(line.get_label()): line for line in below.lines}
    bar = figure.colorbar(image, cax=figure.add_axes((1 - 0.65 / wide, 0.25, 0.12 / wide, 0.5)))
    bar.set_label("attention (1: uniform)", fontsize=7)
    bar.ax.tick_params(labelsize=6)
    named = [label for label in lines if not label.startswith("_")]
    handles = [lines[label] for label in named]
    figure.legend(handles, named, loc="lower center", ncols=3, fontsize=7)
    mark = f"{SYNTHETIC_MARK}; " if synthetic else ""
    told = textwrap.wrap(f"{mark}{caption}", 20 + 30 * columns, break_on_hyphens=False)
    figure.suptitle("\n".join(told), fontsize=8, parse_math=False)
    save_picture(figure, path)


def _draw_weights(axes: Axes, seen: Attending, highest: float) -> AxesImage:
    """Draw the mean matrix of the snippets; with one snippet, ticks are seconds."""
    num_snippets, num_steps = seen.seconds.shape
    shown = seen.attention.weights.mean(axis=0) * num_steps
    image = axes.imshow(shown, cmap="inferno", vmin=0, vmax=highest, interpolation="nearest")
    ticks = np.unique(np.linspace(0, num_steps - 1, min(num_steps, 4)).astype(np.int64))
    unit = "[s]" if num_snippets == 1 else f"(mean of {num_snippets} snippets)"
    named = [f"{seen.seconds[0, at]:.1f}" if num_snippets == 1 else str(at + 1) for at in ticks]
    axes.set_xticks(ticks, labels=named, fontsize=6)
    axes.set_yticks(ticks, labels=named, fontsize=6)
    axes.set_xlabel(f"attended to {unit}", fontsize=6)
    axes.set_ylabel(f"moment that attends {unit}", fontsize=6)
    return image


def _draw_curves(axes: Axes, seen: Attending) -> None:
    """Draw received attention and class activation over time."""
    num_steps = seen.seconds.shape[1]
    labels = ["attention received"] + [None] * (len(seen.seconds) - 1)
    for seconds, received, label in zip(seen.seconds, seen.attention.received, labels, strict=True):
        axes.plot(seconds, received * num_steps, "o-", color="C0", markersize=2, label=label)
    if seen.activity.sum() > 0:
        level = seen.activity / seen.activity.mean()
        axes.plot(seen.frames, level, "--", color="C1", label="class activation of the layer")
    axes.axhline(1, color="0.6", linewidth=0.6, linestyle=":", label="uniform")
    axes.set_ylim(bottom=0)
    axes.tick_params(labelsize=6)
    axes.set_xlabel("time in the recording [s]", fontsize=6)


def _most(num_steps: int) -> float:
    """Return the entropy of uniform attention over the moments; nan for a single moment."""
    return math.log(num_steps) or math.nan
