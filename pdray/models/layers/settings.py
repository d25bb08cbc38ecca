"""Settings of layers that several models share; imports no torch."""

from typing import Any, Literal

from pydantic import Field

from pdray.config import Settings

Stride = tuple[int, int, int]
Norm = Literal["batch", "group"]
Shortcut = Literal["A", "B"]


class SegmentsConfig(Settings):
    """Settings of how the snippets of a training recording become one prediction."""

    consensus: Literal["none", "mean", "attention"] = Field(
        "none",
        description="none: each snippet is learnt by itself; mean: mean of the snippets' features; "
        "attention: mean with a learned weight per snippet (motion boundary paper, eq. 1)",
    )


NUM_REGIONS = 14
MOST_PLAIN_VIEWS = 2  # the plain one and its mirror image


def view_faults(fit: Any, *, nothing: str, freeze: str) -> list[str]:
    """List settings without effect on cached outputs, or on pictures that are read directly.

    Args:
        fit: Settings of a fit whose model can cache the outputs of frozen layers.
        nothing: Why nothing is cached under ``features.cache=auto``.
        freeze: The setting that freezes the layers.
    """
    if fit.views is None:
        if fit.features.views == type(fit.features)().views:
            return []
        why = "features.cache is off" if fit.features.cache == "off" else nothing
        return [
            f"features.views: {fit.features.views} has no effect, because {why}; remove it, or "
            f"cache the outputs of frozen layers with features.cache=auto and {freeze}"
        ]
    if fit.features.views > MOST_PLAIN_VIEWS:
        return []
    same = type(fit.augment)(crop_size=fit.augment.crop_size)
    changed = [
        f"augment.{name}"
        for name in type(same).model_fields
        if getattr(fit.augment, name) != getattr(same, name)
    ]
    if not changed:
        return []
    return [
        f"{', '.join(changed)}: no effect, because the outputs of frozen layers are cached for "
        f"{fit.features.views} plain views; remove these settings, draw more views with "
        f"features.views={MOST_PLAIN_VIEWS + 2}, or augment pictures in each epoch with "
        "features.cache=off"
    ]


class RegionClassifierShape(Settings):
    """Settings of the region tokens, of their attention and of the heads."""

    token_dim: int = Field(768, ge=1, description="features per region token in the attention")
    attention_kind: Literal["spatial", "temporal", "both", "none"] = Field(
        "both", description="attention over regions (spatial), over frames (temporal), both or none"
    )
    attention_depth: int = Field(1, ge=1, le=12, description="number of attention blocks in a row")
    num_heads: int = Field(
        3, ge=1, description="attention heads per attention block; must divide token_dim"
    )
    dropout: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="dropout probability on tokens, attention and hidden layers of the heads",
    )
    max_frames: int = Field(
        64, ge=1, description="longest snippet; a position is learned for each of its frames"
    )


def classifier_faults(config: RegionClassifierShape, *, num_frames: int) -> list[str]:
    """List values that the classifier cannot take (:mod:`pdray.models.layers.limits`)."""
    faults = []
    if config.attention_kind != "none" and config.token_dim % config.num_heads:
        valid = [n for n in range(1, 17) if config.token_dim % n == 0]
        faults.append(
            f"model.num_heads: {config.num_heads} does not divide model.token_dim "
            f"{config.token_dim}; use one of {', '.join(map(str, valid))}"
        )
    if config.attention_kind in ("temporal", "both") and num_frames > config.max_frames:
        faults.append(
            f"model.max_frames: {config.max_frames} is shorter than a snippet of {num_frames} "
            f"frames; use at least {num_frames}"
        )
    return faults
