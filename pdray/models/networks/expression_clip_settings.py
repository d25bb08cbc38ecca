"""Settings, limits and registry entry of the network that compares faces with phrases."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field

from pdray.models.entry import TRAINING, ModelEntry, ModelSettings
from pdray.models.layers.limits import frame_faults
from pdray.models.layers.settings import view_faults

PHRASES = {
    "neutral": "a relaxed face at rest, lips closed and brows level",
    "happiness": "a smiling face with raised cheeks and the corners of the mouth pulled up",
    "surprise": "a surprised face with raised brows, wide eyes and an open mouth",
    "anger": "an angry face with brows drawn together and lips pressed tight",
    "fear": "a frightened face with raised tense brows and lips stretched wide",
    "disgust": "a disgusted face with a wrinkled nose and a raised upper lip",
    "sadness": "a sad face with inner brows raised and the corners of the mouth pulled down",
}
"""The phrase of each expression, in the order in which classes take them."""
_LEAST_TOKENS = 2  # start and end


class ExpressionClipConfig(ModelSettings):
    """Settings of the network; the defaults are CLIP's ViT-B/32 and the paper's training."""

    kept_keys: ClassVar[tuple[str, ...]] = (
        "name", "gate", "stem", "pool", "image_width", "image_depth", "image_heads", "patch_size",
        "image_size", "embed_dim", "text_width", "text_depth", "text_heads", "context_length",
        "time_heads", "activation", "image_learning_rate", "phrases",
    )  # fmt: skip
    name: Literal["expression_clip"] = Field("expression_clip", description="name of the model")
    phrases: tuple[str, ...] = Field(
        (),
        description="a phrase per class, in their order; the name of an expression "
        f"({', '.join(PHRASES)}) stands for its phrase; []: the first of these",
    )
    num_prompts: int = Field(
        4, ge=0, description="learned vectors in front of each phrase, the same for all [tokens]"
    )
    tau: float = Field(
        0.01, gt=0, le=10, description="temperature tau: a logit is cos(F, G) / tau (eq. 3)"
    )
    gate: Literal["tokens", "frames", "none"] = Field(
        "tokens",
        description="where attention makes the gate of eq. 1; tokens: over the tokens of each "
        "frame; frames: over the vectors of all frames; none: no gate",
    )
    stem: Literal["patch", "convolution"] = Field(
        "patch",
        description="first layer; patch: one convolution as large as a patch, as published; "
        "convolution: small ones with batch norms, to learn from random weights",
    )
    pool: Literal["class", "mean"] = Field(
        "class",
        description="vector of a frame; class: the class token, as published; mean: the mean over "
        "the patches, to learn from random weights",
    )
    norm: Literal["none", "batch"] = Field(
        "none",
        description="norm of the vectors of videos; batch: a batch norm, to learn from random "
        "weights: then the mean video has no cosine with any phrase",
    )
    image_width: int = Field(768, ge=1, description="features per token of the image encoder")
    image_depth: int = Field(12, ge=1, description="blocks of the image encoder")
    image_heads: int = Field(12, ge=1, description="attention heads of the image encoder")
    patch_size: int = Field(32, ge=1, description="side of a patch [px]")
    image_size: int = Field(
        224,
        ge=1,
        description="side of the pictures whose positions are learned; those of other sizes are "
        "interpolated [px]",
    )
    embed_dim: int = Field(512, ge=1, description="features of the space of pictures and texts")
    text_width: int = Field(512, ge=1, description="features per token of the text encoder")
    text_depth: int = Field(12, ge=1, description="blocks of the text encoder")
    text_heads: int = Field(8, ge=1, description="attention heads of the text encoder")
    context_length: int = Field(
        77, ge=_LEAST_TOKENS, description="most tokens of a phrase, with prompts, start and end"
    )
    activation: Literal["quick_gelu", "gelu"] | None = Field(
        None,
        description="activation of both encoders; null: that of the config.json beside the weights "
        "file, gelu without a file",
    )
    time_depth: int = Field(1, ge=1, description="blocks of the temporal model")
    time_heads: int = Field(
        8, ge=1, description="attention heads of the temporal model and of the gate over frames"
    )
    max_frames: int = Field(
        16, ge=1, description="positions in time; a snippet has at most as many frames [frames]"
    )
    interpolate: bool = Field(
        False, description="stretch the positions in time to the frames of each snippet"
    )
    image_learning_rate: float = Field(
        1e-5,
        ge=0,
        description="highest learning rate of the image encoder; 0: it is frozen, and what it "
        "makes of frames is cached",
    )
    prompt_learning_rate: float = Field(
        1e-3, gt=0, description="highest learning rate of the prompts"
    )
    recompute: bool = Field(
        False,
        description="compute each block of the image encoder again for its gradient: less memory, "
        "more time",
    )

    @property
    def has_frozen_weights(self) -> bool:
        """Whether the image encoder is frozen."""
        return self.image_learning_rate == 0

    @property
    def keeps_maps(self) -> bool:
        """Whether the image encoder is frozen: then what it makes of frames is cached."""
        return self.has_frozen_weights

    @property
    def kept_facts(self) -> Mapping[str, Any]:
        """Facts of the tokens or vectors that are cached."""
        heads = {"heads": self.image_heads}
        if self.gate == "tokens":
            return {"kind": "tokens of frames", **heads}
        return {"kind": "vectors of frames", "pool": self.pool, **heads}

    @property
    def kept_classes(self) -> int:
        """Number of phrases; two of pdray's own without the setting."""
        return len(self.phrases) or 2

    def start_notes(self, num_classes: int, *, is_random: bool) -> list[str]:
        """Return the phrase of each class; without weights, what its words mean."""
        phrases = class_phrases(self.phrases, num_classes)
        notes = [f"note: class {number} is '{one}'" for number, one in enumerate(phrases)]
        if is_random:
            notes.append(
                "note: pretrained is not set: the frozen text encoder keeps random weights, and "
                "its vocabulary is closed: each word of the phrases is a token without meaning"
            )
        return notes


def class_phrases(phrases: tuple[str, ...], num_classes: int) -> tuple[str, ...]:
    """Return the phrase of each class.

    Args:
        phrases: The setting.
        num_classes: Classes K.
    """
    return tuple(PHRASES.get(one, one) for one in phrases or tuple(PHRASES)[:num_classes])


def class_faults(config: ExpressionClipConfig, num_classes: int) -> list[str]:
    """List why there is not one phrase for each of K classes."""
    given = len(class_phrases(config.phrases, num_classes))
    if given == num_classes:
        return []
    return [
        f"model.phrases: got {given} for {num_classes} classes; write one for each class, in their "
        f"order (own phrases: {', '.join(PHRASES)})"
    ]


def expression_clip_faults(
    config: ExpressionClipConfig, *, num_frames: int, height: int, width: int
) -> list[str]:
    """List values that the network cannot take (:mod:`pdray.models.layers.limits`)."""
    faults = frame_faults(num_frames)
    if num_frames > config.max_frames and not config.interpolate:
        faults.append(
            f"model.max_frames: {config.max_frames} is less than the {num_frames} frames of a "
            f"snippet; use at least {num_frames}, set snippet.num_frames={config.max_frames}, or "
            "set model.interpolate=true"
        )
    for name, size in (("height", height), ("width", width)):
        faults += _side_faults(name, size, config.patch_size)
    return [*faults, *_shape_faults(config), *_phrase_faults(config)]


def _side_faults(name: str, size: int, patch: int) -> list[str]:
    if size % patch == 0 and size > 0:
        return []
    if size < patch:
        advice = f"use at least {patch} px"
    else:
        low = size // patch * patch
        advice = f"use {low} or {low + patch} px, or cut it by augment.crop_size"
    return [f"{name}: {size} px is no multiple of model.patch_size {patch}; {advice}"]


def _shape_faults(config: ExpressionClipConfig) -> list[str]:
    heads = (
        ("image_heads", "image_width"), ("text_heads", "text_width"), ("time_heads", "embed_dim"),
    )  # fmt: skip
    faults = []
    for key, width in heads:
        number, total = getattr(config, key), getattr(config, width)
        if total % number:
            valid = ", ".join(str(one) for one in range(1, 17) if total % one == 0)
            faults.append(
                f"model.{key}: {number} does not divide model.{width} {total}; use one of {valid}"
            )
    if config.image_size % config.patch_size:
        faults.append(
            f"model.image_size: {config.image_size} px is no multiple of model.patch_size "
            f"{config.patch_size}; use the size that the weights were trained with"
        )
    if config.stem == "convolution" and config.patch_size.bit_count() != 1:
        faults.append(
            f"model.patch_size: {config.patch_size} is no power of two, and model.stem=convolution "
            "halves pictures; use 8, 16 or 32"
        )
    return faults


def _phrase_faults(config: ExpressionClipConfig) -> list[str]:
    from pdray.models.layers.phrase_tokens import words_of  # every study reads these settings

    phrases = class_phrases(config.phrases, len(PHRASES))
    twice = list(dict.fromkeys(one for one in phrases if phrases.count(one) > 1))
    faults = [
        f"model.phrases: '{one}' is there twice; two classes cannot share it" for one in twice
    ]
    room = config.context_length - config.num_prompts - _LEAST_TOKENS
    for one in phrases if room > 0 else ():
        count = len(words_of(one))  # with CLIP's own vocabulary there are more tokens than words
        if not 0 < count <= room:
            faults.append(
                f"model.phrases: '{one}' has {count} words; use 1 to {room}, which "
                f"model.context_length {config.context_length} has room for"
            )
    if room < 1:
        faults.append(
            f"model.num_prompts: {config.num_prompts} leaves no place for a phrase in "
            f"model.context_length {config.context_length}; use fewer"
        )
    return faults


def expression_clip_checks(fit: Any) -> list[str]:
    """List settings of other sections that contradict the network."""
    faults = view_faults(
        fit, nothing="the image encoder is trained", freeze="model.image_learning_rate=0"
    )
    if fit.loss.entry.is_ordered:
        faults.append(
            f"loss.kind: {fit.loss.kind} has one score for all classes, and {fit.model.name} one "
            "per phrase; use cross_entropy"
        )
    if fit.model.num_prompts == 0 and fit.model.prompt_learning_rate != 1e-3:
        faults.append("model.prompt_learning_rate: no effect without prompts; leave it out")
    if fit.pretrained is not None and fit.model.stem == "convolution":
        faults.append(
            "pretrained: weights of CLIP have one large first convolution; set model.stem=patch, "
            "or leave pretrained out"
        )
    return faults


ENTRY = ModelEntry(
    settings=ExpressionClipConfig,
    description="CLIP on frames, attention over time; logits are cosines with a phrase per class",
    builder="pdray.models.networks.expression_clip:build_expression_clip",
    loader="pdray.models.weights.clip:load_clip",
    sees=("rgb",),
    sections=(*TRAINING, "features"),
    faults=expression_clip_faults,
    class_faults=class_faults,
    checks=expression_clip_checks,
    small={
        "image_width": 16, "image_depth": 2, "image_heads": 2, "patch_size": 8, "image_size": 24,
        "embed_dim": 16, "text_width": 16, "text_depth": 1, "text_heads": 2, "time_heads": 2,
    },
)  # fmt: skip
