"""Settings, checks and registry entry of the network on regions of the face."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field

from pdray.models.entry import TRAINING, ModelEntry
from pdray.models.layers.settings import RegionClassifierShape, classifier_faults, view_faults
from pdray.models.networks.frame_resnet_settings import (
    FrameResNetConfig,
    FrameResNetShape,
    Layout,
    frame_resnet_faults,
)

LEAST_FROZEN_STAGES = 3


class RegionAttentionConfig(RegionClassifierShape, FrameResNetShape):
    """Settings of the frame network, of the regions and of their classifier."""

    kept_keys: ClassVar[tuple[str, ...]] = (
        "name", "depth", "width_factor", "layout", "map_stage", "frozen_stages",
    )  # fmt: skip
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

    @property
    def kept_facts(self) -> Mapping[str, Any]:
        """Facts of the maps that are cached."""
        return {"kind": "maps", "layout": self.layout, "stages": self.frozen_stages}


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
    faults = view_faults(
        fit,
        nothing="too few stages are frozen",
        freeze=f"model.frozen_stages={LEAST_FROZEN_STAGES}",
    )
    if fit.segments.consensus != "none":
        faults.append(
            f"segments.consensus: {fit.segments.consensus} has no effect, since {fit.model.name} "
            "does not join snippets; set it to none"
        )
    return faults


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
