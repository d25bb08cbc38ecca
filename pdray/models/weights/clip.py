"""Loads weights of CLIP into the expression network: both encoders, whole, or nothing.

A file is recognised by the names of its tensors:

    transformers    vision_model.*, text_model.*; queries, keys and values in three matrices
    open_clip       visual.*, transformer.*; in one matrix, as in OpenAI's state dictionaries
    pdray           the ``model.pt`` of a study of the same network

The tensors do not show the activation, the numbers of heads and the phrases' vocabulary. The first
two are read from ``config.json`` or ``open_clip_config.json`` beside the file, where there is one;
the vocabulary must be there (:mod:`pdray.models.layers.phrase_tokens`). Published files were
trained on pixels in 0..1 minus ``OPENAI.mean``, divided by ``OPENAI.std``
(github.com/openai/CLIP, clip.py).
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from pdray.errors import refuse
from pdray.models.layers.phrase_encoder import BYTES, TABLE, as_bytes, from_bytes
from pdray.models.layers.phrase_tokens import (
    PACKED,
    PAIR,
    PhraseTokens,
    closed_vocabulary,
    read_vocabulary,
)
from pdray.models.layers.zero_pixel import NAME, set_zero_pixel
from pdray.models.networks.expression_clip import ExpressionClip
from pdray.models.weights.checkpoint import CheckpointError, read_checkpoint
from pdray.models.weights.clip_files import IGNORED, config_beside, kind_faults, layout, named
from pdray.models.weights.pixels import Pixels, State, Stem, refit
from pdray.models.weights.pretrained import LoadReport, cut
from pdray.models.weights.published import PIXELS

OPENAI = Pixels((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
_STEM = "image.conv1"
_FREE = (f"text.{TABLE}", "text.tokens", *(f"text.{name}" for name in BYTES))  # of any size
_FILES = f"{' and '.join(PAIR)}, or {PACKED},"
_FACTS = {  # setting to a tensor and the axis that shows it
    "image_width": ("image.conv1.weight", 0),
    "patch_size": ("image.conv1.weight", 2),
    "embed_dim": ("image.proj", 1),
    "text_width": ("text.text_projection", 0),
    "context_length": ("text.positional_embedding", 0),
}


def load_clip(
    network: ExpressionClip, path: Path, *, pixels: Pixels | None = None, trained_on: str = "auto"
) -> LoadReport:
    """Load the weights of a file into an expression network.

    Args:
        network: The network; changed only on success.
        path: A file of transformers or open_clip, or the ``model.pt`` of a study.
        pixels: Pixel scale of the pictures that the network will get; None: the file's own.
        trained_on: Value of the setting ``pretrained_pixels``; auto: that of OpenAI.

    Returns:
        Report of the tensors loaded, adapted, left random and dropped.

    Raises:
        CheckpointError: If the file cannot be read, is of another kind, or does not fit.
        SettingsError: If a phrase cannot be read with its vocabulary.
    """
    state = read_checkpoint(path)
    if f"{_STEM}.weight" in state:
        return _load_own(network, state, path)
    refuse(kind_faults(state), CheckpointError, f"{path} cannot be used")
    kind = layout(state)
    tensors, (facts, source) = named(state, kind), config_beside(path)
    headline = f"{path} (CLIP, {kind}) does not fit the network"
    refuse(_setting_faults(network, tensors, facts), CheckpointError, headline)
    refuse(cut(_tensor_faults(network, tensors)), CheckpointError, headline)
    activation = network.config.activation or facts.get("activation")
    if activation is None:
        raise CheckpointError(
            f"{path}: nothing beside it says which activation it was trained with, and another one "
            "changes all features; copy its config.json, or set model.activation (quick_gelu for "
            "OpenAI's weights)"
        )
    vocabulary = _vocabulary(path, len(tensors[f"text.{TABLE}"]))
    network.text.set_phrases(network.text.phrases, vocabulary)  # refuses one that is too long
    zero, adapted = None, {}
    there = PIXELS.get(trained_on, OPENAI)
    if pixels is not None and trained_on != "pdray" and pixels != there:
        tensors = refit(tensors, [Stem((_STEM,), "")], there=there, here=pixels)
        zero = tensors.pop(f"{_STEM}.{NAME}")
        adapted[f"{_STEM}.weight"] = f"from {there} to {pixels}"
    own = {name: one for name, one in network.state_dict().items() if name not in tensors}
    network.load_state_dict(own | tensors)
    for tower in (network.image, network.text):
        tower.set_activation(activation)
    if zero is not None:
        set_zero_pixel(network.image.conv1, zero.to(network.image.proj))
    return LoadReport(
        source=f"{path}, CLIP, {kind}, activation {activation} {source}",
        loaded=tuple(name for name in tensors if name not in adapted),
        adapted=adapted,
        left=tuple(name for name, _ in network.named_parameters() if name in own),
        dropped=tuple(name for name in state if IGNORED.match(name)),
        notes=(),
    )


def _vocabulary(path: Path, num_words: int) -> PhraseTokens:
    """Return the vocabulary in the folder of a weights file with so many tokens."""
    vocabulary = read_vocabulary(path.parent)
    if vocabulary is None:
        raise CheckpointError(
            f"{path}: there is no vocabulary in its folder, so phrases cannot be read; copy "
            f"{_FILES} of the same weights there"
        )
    if max(vocabulary.words.values()) >= num_words:
        raise CheckpointError(
            f"{path} has {num_words} tokens, and the vocabulary in its folder "
            f"{len(vocabulary.words)}; copy the vocabulary of the same weights"
        )
    return vocabulary


def _load_own(network: ExpressionClip, state: dict[str, Tensor], path: Path) -> LoadReport:
    """Load the weights of a study; phrases are those of the settings."""
    own = {name: one for name, one in network.state_dict().items() if name not in _FREE}
    plain = {name: one for name, one in state.items() if not name.endswith(f".{NAME}")}
    headline = f"{path} (an expression network of pdray) does not fit the network"
    refuse(cut(_compared(plain, own, _FREE)), CheckpointError, headline)
    network.load_state_dict(_with_phrases(network, state, path))
    return LoadReport(
        source=f"{path}, an expression network of pdray",
        loaded=tuple(plain),
        adapted={},
        left=(),
        dropped=(),
        notes=(),
    )


def _with_phrases(network: ExpressionClip, state: dict[str, Tensor], path: Path) -> State:
    """Return the weights of a study with the phrases of the network in place of theirs."""
    phrases, theirs = network.text.phrases, from_bytes(state[f"text.{BYTES[0]}"])
    if set(phrases) <= set(theirs):
        rows = state["text.tokens"][[theirs.index(one) for one in phrases]]
        return state | {"text.tokens": rows, f"text.{BYTES[0]}": as_bytes(phrases)}
    words = from_bytes(state[f"text.{BYTES[1]}"])
    vocabulary = closed_vocabulary(words) if words else read_vocabulary(path.parent)
    if vocabulary is None:
        raise CheckpointError(
            f"{path} has other phrases, and no vocabulary lies in its folder; copy {_FILES} "
            "there, or leave model.phrases as they were"
        )
    network.text.set_phrases(phrases, vocabulary)
    return state | {name: network.get_buffer(name) for name in _FREE[1:]}


def _setting_faults(
    network: ExpressionClip, named: Mapping[str, Tensor], facts: Mapping[str, Any]
) -> list[str]:
    """List the settings that another shape of the file, or its own settings, contradict."""
    config = network.config
    file: dict[str, Any] = {key: value for key, value in facts.items() if value is not None}
    for key, (name, axis) in _FACTS.items():
        if name in named and named[name].ndim > axis:
            file[key] = named[name].shape[axis]
    for key, part in (("image_depth", "image"), ("text_depth", "text")):
        found = re.compile(rf"{part}\.transformer\.resblocks\.(\d+)\.")
        file[key] = len({match[1] for name in named if (match := found.match(name))})
    places = named.get("image.positional_embedding")
    if places is not None:
        file["image_size"] = round((len(places) - 1) ** 0.5) * file.get("patch_size", 1)
    asked = {key: getattr(config, key) for key in file}
    return [
        f"model.{key} is {value} in the file and {asked[key]} in the settings; set "
        f"model.{key}={value}"
        for key, value in file.items()
        if asked[key] is not None and asked[key] != value
    ]


def _tensor_faults(network: ExpressionClip, named: Mapping[str, Tensor]) -> list[str]:
    ours = ("image.activation_code", "text.activation_code", "text.prompts", *_FREE)
    own = {
        name: value
        for name, value in network.state_dict().items()
        if name.startswith(("image.", "text.")) and name not in ours
    }
    return _compared(named, own, _FREE[:1])


def _compared(
    state: Mapping[str, Tensor], own: Mapping[str, Tensor], free: tuple[str, ...]
) -> list[str]:
    """List tensors that only one side has, or that differ in shape; those of ``free`` may."""
    faults = [f"the file has no '{name}'" for name in (*own, *free) if name not in state]
    for name, value in state.items():
        if name not in own:
            faults += [] if name in free else [f"the network has no '{name}'"]
        elif value.shape != own[name].shape:
            faults.append(
                f"'{name}' is {tuple(value.shape)} in the file and {tuple(own[name].shape)} in the "
                "network"
            )
    return faults
