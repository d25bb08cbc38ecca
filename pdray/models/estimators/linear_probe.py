"""Linear probe: a classifier on what a frozen network makes of a recording.

Source: 000, Tables 2 and 8 (ResNet-50 of faces, section 6: "VGGFace"; of expressions, "AffectNet")
and Table 7 (networks of action recognition), all "with linear probing"; section C.2 for the loss
(lambda 0.9) and its training (Adam, 1e-3, batches of 32).
Differs, where the paper is silent: the network's features are averaged over a recording's snippets
and standardised by the training side before the classifier, and the number of epochs is ours. 000
calls its ResNet both frozen (5.1) and finetuned (6); here it is frozen, norms included.
"""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from pdray.config import Settings
from pdray.models.networks.c2d import C2DConfig
from pdray.models.networks.frame_resnet import FrameResNetConfig
from pdray.models.networks.i3d import I3DConfig
from pdray.models.networks.r3d import R3DConfig
from pdray.models.networks.resnet3d import ResNet3DConfig
from pdray.models.networks.s3d import S3DConfig
from pdray.models.networks.slowfast import SlowFastConfig
from pdray.models.networks.tsa import TsaConfig
from pdray.models.networks.two_stream import TwoStreamConfig
from pdray.models.networks.x3d import X3DConfig

DEFAULT_BACKBONE = "frame_resnet"


def _key(section: Any) -> str:
    """Return which network a section is of; without a name it is the one of 000."""
    if isinstance(section, dict):
        return str(section.get("name", DEFAULT_BACKBONE))
    return str(getattr(section, "name", DEFAULT_BACKBONE))


# In the order of ``ModelConfig``: Python keeps one order of the same members for both.
BackboneConfig = Annotated[
    Annotated[TsaConfig, Tag("tsa")]
    | Annotated[ResNet3DConfig, Tag("resnet3d")]
    | Annotated[I3DConfig, Tag("i3d")]
    | Annotated[R3DConfig, Tag("r3d")]
    | Annotated[S3DConfig, Tag("s3d")]
    | Annotated[SlowFastConfig, Tag("slowfast")]
    | Annotated[X3DConfig, Tag("x3d")]
    | Annotated[C2DConfig, Tag("c2d")]
    | Annotated[FrameResNetConfig, Tag("frame_resnet")]
    | Annotated[TwoStreamConfig, Tag("two_stream")],
    Discriminator(_key),
]
"""The section ``model.backbone``: any network on pictures alone, as it stands under ``model``."""


class LinearProbeConfig(Settings):
    """Settings of the classifier and of the network under it."""

    name: Literal["linear_probe"] = Field("linear_probe", description="architecture")
    backbone: BackboneConfig = FrameResNetConfig()
    kind: Literal["adam", "logistic"] = Field(
        "adam",
        description="adam: hierarchy-guided loss by Adam, as 000; logistic: regression with an L2 "
        "penalty and balanced classes, to its optimum",
    )
    learning_rate: float = Field(1e-3, gt=0, description="of Adam; 000: 1e-3")
    batch_size: int = Field(32, ge=1, description="recordings of a step; 000: 32 [recordings]")
    num_epochs: int = Field(100, ge=1, description="times over the training side [epochs]")
    hierarchy_lambda: float = Field(
        0.9, ge=0, le=1, description="weight of ill or not in the loss of adam; 000: 0.9"
    )
    strength: float = Field(
        1.0, gt=0, description="C of logistic: inverse of the penalty on the weights"
    )
