"""Settings, checks and registry entry of the network on regions of the face."""

from typing import Any, Literal

from pydantic import Field

from pdray.models.entry import TRAINING, ModelEntry
from pdray.models.layers.settings import RegionClassifierShape, classifier_faults
from pdray.models.networks.frame_resnet_settings import (
    FrameResNetConfig,
    FrameResNetShape,
    Layout,
    frame_resnet_faults,
)

LEAST_FROZEN_STAGES = 3
MOST_PLAIN_VIEWS = 2  # the plain one and its mirror image


class RegionAttentionConfig(RegionClassifierShape, FrameResNetShape):
    """Settings of the frame network, of the regions and of their classifier."""

    name: Literal["region_attention"] = Field("region_attention", description="name of the model")
    layout: Layout = Field(
        "vggface2",
        description="position of the strides: as in torchvision or as in vggface2 (depth 50, 101)",
    )
    map_stage: Literal[3, 4] = Field(
        4, description="stage whose map the regions are read from (YouTubePD's public code: 3)"
    )
    frozen_stages: int = Field(
        3, ge=0, le=4, description="number of first stages that stay frozen, stem included; 0: none"
    )
    roi_size: int = Field(3, ge=1, le=7, description="bins per region along each axis")

    @property
    def has_frozen_weights(self) -> bool:
        """Whether a stage is frozen."""
        return self.frozen_stages > 0

    @property
    def keeps_maps(self) -> bool:
        """Whether at least three stages are frozen: with fewer, maps are large and save little."""
        return self.frozen_stages >= LEAST_FROZEN_STAGES


def region_attention_faults(
    config: RegionAttentionConfig, *, num_frames: int, height: int, width: int
) -> list[str]:
    """List values that the network cannot take (:mod:`pdray.models.layers.limits`)."""
    shape: dict[str, Any] = config.model_dump(include={"depth", "width_factor", "layout"})
    faults = frame_resnet_faults(
        FrameResNetConfig(**shape), num_frames=num_frames, height=height, width=width
    )
    if config.frozen_stages > config.map_stage:
        faults.append(
            f"model.frozen_stages: {config.frozen_stages} is more than model.map_stage "
            f"{config.map_stage}, the stage that the regions are read from; use "
            f"{config.map_stage}"
        )
    return faults + classifier_faults(config, num_frames=num_frames)


def region_checks(fit: Any) -> list[str]:
    """List settings of views and segments that have no effect on a network on regions."""
    faults = _view_faults(fit)
    if fit.segments.consensus != "none":
        faults.append(
            f"segments.consensus: {fit.segments.consensus} has no effect, since {fit.model.name} "
            "does not join snippets; set it to none"
        )
    return faults


def _view_faults(fit: Any) -> list[str]:
    """List settings without effect on cached maps, or on pictures that are read directly."""
    if fit.views is None:
        if fit.features.views == type(fit.features)().views:
            return []
        why = (
            "features.cache is off" if fit.features.cache == "off" else "too few stages are frozen"
        )
        return [
            f"features.views: {fit.features.views} has no effect, because {why}; remove it, or "
            f"cache maps with features.cache=auto and model.frozen_stages={LEAST_FROZEN_STAGES}"
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
        f"{', '.join(changed)}: no effect, because maps of frozen stages are cached for "
        f"{fit.features.views} plain views; remove these settings, draw more views with "
        f"features.views={MOST_PLAIN_VIEWS + 2}, or augment pictures in each epoch with "
        "features.cache=off"
    ]


ENTRY = ModelEntry(
    settings=RegionAttentionConfig,
    description="ResNet-50 on frames, attention over 14 facial regions, then over time",
    builder="pdray.models.networks.region_attention:build_region_attention",
    sees=("rgb",),
    beside=("regions",),
    sections=(*TRAINING, "features"),
    faults=region_attention_faults,
    checks=region_checks,
    has_maps=False,
    small={
        "depth": 18,
        "width_factor": 0.25,
        "layout": "torchvision",
        "token_dim": 24,
        "frozen_stages": 0,
    },
)
