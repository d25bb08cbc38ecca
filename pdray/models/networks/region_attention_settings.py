"""Settings, rules and registry entry of the network on regions of the face."""

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
    """Settings of the frame network, of the regions and of what is made of them."""

    name: Literal["region_attention"] = Field("region_attention", description="architecture")
    layout: Layout = Field(
        "vggface2", description="where the strides lie: torchvision or vggface2 (depth 50, 101)"
    )
    map_stage: Literal[3, 4] = Field(
        4, description="stage whose map the regions are read from (3: the public code of YouTubePD)"
    )
    frozen_stages: int = Field(
        3, ge=0, le=4, description="first stages that are not trained, the stem with them; 0: none"
    )
    roi_size: int = Field(3, ge=1, le=7, description="bins of a region along each axis")

    @property
    def has_frozen_weights(self) -> bool:
        """Whether a stage is frozen."""
        return self.frozen_stages > 0

    @property
    def keeps_maps(self) -> bool:
        """Whether three stages are frozen: maps of fewer are larger, and less is saved."""
        return self.frozen_stages >= LEAST_FROZEN_STAGES


def region_attention_faults(
    config: RegionAttentionConfig, *, num_frames: int, height: int, width: int
) -> list[str]:
    """List what the network cannot take, as :mod:`pdray.models.layers.limits` says."""
    shape: dict[str, Any] = config.model_dump(include={"depth", "width_factor", "layout"})
    faults = frame_resnet_faults(
        FrameResNetConfig(**shape), num_frames=num_frames, height=height, width=width
    )
    if config.frozen_stages > config.map_stage:
        faults.append(
            f"model.frozen_stages: {config.frozen_stages} stages are more than the "
            f"{config.map_stage} that the regions are read behind (model.map_stage); use "
            f"{config.map_stage}"
        )
    return faults + classifier_faults(config, num_frames=num_frames)


def region_checks(fit: Any) -> list[str]:
    """List settings of views and of segments that have no effect on a network on regions."""
    faults = _view_faults(fit)
    if fit.segments.consensus != "none":
        faults.append(
            f"segments.consensus {fit.segments.consensus}: {fit.model.name} joins no snippets; "
            "set it to none"
        )
    return faults


def _view_faults(fit: Any) -> list[str]:
    """Say which settings have no effect on maps that are kept, or on pictures that are read."""
    if fit.views is None:
        if fit.features.views == type(fit.features)().views:
            return []
        why = "with features.cache off" if fit.features.cache == "off" else "so early"
        return [
            f"features.views: got {fit.features.views}; no view is kept {why}: leave it out, or "
            f"keep maps with features.cache=auto and model.frozen_stages={LEAST_FROZEN_STAGES}"
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
        f"{', '.join(changed)}: maps of frozen stages are kept for {fit.features.views} fixed "
        f"views, which these do not change; leave them out, draw more views with features.views="
        f"{MOST_PLAIN_VIEWS + 2}, or change pictures in every epoch with features.cache=off"
    ]


ENTRY = ModelEntry(
    settings=RegionAttentionConfig,
    description="ResNet-50 of frames, then attention over 14 regions of the face and over time",
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
