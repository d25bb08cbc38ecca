"""Networks and estimators by name.

Networks see pictures and are trained by gradients; an estimator sees the numbers that describe a
recording and learns from all of them at once.
"""

from collections.abc import Callable
from functools import wraps
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Discriminator, Tag
from torch import nn

from pdray.config import Settings
from pdray.models.estimators.audio_mlp import AudioMlpConfig
from pdray.models.estimators.fusion import FusionConfig
from pdray.models.estimators.landmark_choice import LandmarkChoiceConfig
from pdray.models.estimators.landmark_head import LandmarkHeadConfig
from pdray.models.estimators.landmark_mlp import LandmarkMlpConfig
from pdray.models.estimators.linear_probe import LinearProbeConfig
from pdray.models.layers.time_padding import guard_time_axis
from pdray.models.networks.c2d import C2DConfig, build_c2d, c2d_faults
from pdray.models.networks.frame_resnet import (
    FrameResNetConfig,
    build_frame_resnet,
    frame_resnet_faults,
)
from pdray.models.networks.i3d import I3DConfig, build_i3d, i3d_faults
from pdray.models.networks.r3d import R3DConfig, build_r3d, r3d_faults
from pdray.models.networks.region_attention import (
    RegionAttentionConfig,
    build_region_attention,
    region_attention_faults,
)
from pdray.models.networks.resnet3d import ResNet3DConfig, build_resnet3d, resnet3d_faults
from pdray.models.networks.s3d import S3DConfig, build_s3d, s3d_faults
from pdray.models.networks.slowfast import SlowFastConfig, build_slowfast, slowfast_faults
from pdray.models.networks.tsa import TsaConfig, build_tsa, tsa_faults
from pdray.models.networks.two_stream import TwoStreamConfig, build_two_stream, two_stream_faults
from pdray.models.networks.x3d import X3DConfig, build_x3d, x3d_faults

DEFAULT = "tsa"


class Architecture(NamedTuple):
    """What is known of a model.

    Attributes:
        settings: Class of its settings, the section ``model`` of a study.
        build: ``build(config, num_classes, num_channels)`` gives the network.
        faults: ``faults(config, num_frames=, height=, width=)`` lists what the network cannot
            take.
        sees: What it may be given, as ``modality``.
        beside: What it is given beside that.
    """

    settings: type[Settings]
    build: Callable[..., nn.Module]
    faults: Callable[..., list[str]]
    sees: tuple[str, ...] = ("rgb", "flow", "boundaries")
    beside: tuple[Literal["regions"], ...] = ()


def _guarded(build: Callable[..., nn.Module]) -> Callable[..., nn.Module]:
    """Return a builder whose convolutions have right gradients on every processor."""

    @wraps(build)
    def build_guarded(*settings: Any, **named: Any) -> nn.Module:
        network = build(*settings, **named)
        guard_time_axis(network)
        return network

    return build_guarded


class Estimator(NamedTuple):
    """What is known of an estimator.

    Attributes:
        settings: Class of its settings, the section ``model`` of a study.
        sees: What it may be given, as ``modality``.
    """

    settings: type[Settings]
    sees: tuple[str, ...]


_ARCHITECTURES = (
    Architecture(TsaConfig, build_tsa, tsa_faults),
    Architecture(ResNet3DConfig, build_resnet3d, resnet3d_faults),
    Architecture(I3DConfig, build_i3d, i3d_faults),
    Architecture(R3DConfig, build_r3d, r3d_faults),
    Architecture(S3DConfig, build_s3d, s3d_faults),
    Architecture(SlowFastConfig, build_slowfast, slowfast_faults),
    Architecture(X3DConfig, build_x3d, x3d_faults),
    Architecture(C2DConfig, build_c2d, c2d_faults),
    Architecture(FrameResNetConfig, build_frame_resnet, frame_resnet_faults),
    Architecture(TwoStreamConfig, build_two_stream, two_stream_faults),
    Architecture(
        RegionAttentionConfig,
        build_region_attention,
        region_attention_faults,
        sees=("rgb",),
        beside=("regions",),
    ),
)

ESTIMATORS: dict[str, Estimator] = {
    "landmark_head": Estimator(LandmarkHeadConfig, ("landmarks",)),
    "landmark_choice": Estimator(LandmarkChoiceConfig, ("landmarks",)),
    "landmark_mlp": Estimator(LandmarkMlpConfig, ("landmarks",)),
    "audio_mlp": Estimator(AudioMlpConfig, ("mfcc", "log_mel", "waveform")),
    "fusion": Estimator(FusionConfig, ("several",)),
    "linear_probe": Estimator(LinearProbeConfig, ("rgb", "flow", "boundaries")),
}
"""Every estimator under its short key."""

MODELS: dict[str, Architecture] = {
    str(one.settings.model_fields["name"].default): one._replace(build=_guarded(one.build))
    for one in _ARCHITECTURES
}


def _key(section: Any) -> str:
    """Return which model a section is of; without a name it is the default one."""
    if isinstance(section, dict):
        return str(section.get("name", DEFAULT))
    return str(getattr(section, "name", DEFAULT))


ModelConfig = Annotated[
    Annotated[TsaConfig, Tag("tsa")]
    | Annotated[ResNet3DConfig, Tag("resnet3d")]
    | Annotated[I3DConfig, Tag("i3d")]
    | Annotated[R3DConfig, Tag("r3d")]
    | Annotated[S3DConfig, Tag("s3d")]
    | Annotated[SlowFastConfig, Tag("slowfast")]
    | Annotated[X3DConfig, Tag("x3d")]
    | Annotated[C2DConfig, Tag("c2d")]
    | Annotated[FrameResNetConfig, Tag("frame_resnet")]
    | Annotated[TwoStreamConfig, Tag("two_stream")]
    | Annotated[RegionAttentionConfig, Tag("region_attention")]
    | Annotated[LandmarkHeadConfig, Tag("landmark_head")]
    | Annotated[LandmarkChoiceConfig, Tag("landmark_choice")]
    | Annotated[LandmarkMlpConfig, Tag("landmark_mlp")]
    | Annotated[AudioMlpConfig, Tag("audio_mlp")]
    | Annotated[FusionConfig, Tag("fusion")]
    | Annotated[LinearProbeConfig, Tag("linear_probe")],
    Discriminator(_key),
]
"""The section ``model`` of a study; its ``name`` says which model it is of."""
