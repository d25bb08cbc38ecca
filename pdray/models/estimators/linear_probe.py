"""Linear probe: a linear classifier on the features of a frozen network.

Source: YouTubePD, Tables 2 and 8 (ResNet-50 of faces, section 6: "VGGFace"; of expressions,
"AffectNet") and Table 7 (networks of action recognition), all "with linear probing"; section C.2
for the loss (lambda 0.9) and its training (Adam, 1e-3, batches of 32).
Choices where the paper is silent: the features are averaged over the snippets of a recording and
standardised by the training recordings; the number of epochs. YouTubePD calls its ResNet both
frozen (5.1) and finetuned (6); here it is frozen, norms included.
"""

from typing import Literal

from pydantic import Field

from pdray.models import BackboneConfig
from pdray.models.entry import ModelEntry, ModelSettings
from pdray.models.networks.frame_resnet_settings import FrameResNetConfig


class LinearProbeConfig(ModelSettings):
    """Settings of the classifier and of its frozen network."""

    name: Literal["linear_probe"] = Field("linear_probe", description="name of the model")
    backbone: BackboneConfig = FrameResNetConfig()
    kind: Literal["adam", "logistic"] = Field(
        "adam",
        description="adam: hierarchy-guided loss and Adam, as YouTubePD; logistic: logistic "
        "regression with an L2 penalty and balanced classes",
    )
    learning_rate: float = Field(1e-3, gt=0, description="learning rate of adam; YouTubePD: 1e-3")
    batch_size: int = Field(
        32, ge=1, description="recordings per step of adam; YouTubePD: 32 [recordings]"
    )
    num_epochs: int = Field(
        100, ge=1, description="passes of adam over the training recordings [epochs]"
    )
    hierarchy_lambda: float = Field(
        0.9, ge=0, le=1, description="weight of ill or healthy in the loss of adam; YouTubePD: 0.9"
    )
    strength: float = Field(1.0, gt=0, description="C of logistic: the inverse of the L2 penalty")

    @property
    def has_frozen_weights(self) -> bool:
        """Always true: the network is never trained."""
        return True


ENTRY = ModelEntry(
    settings=LinearProbeConfig,
    description="linear classifier on the features of a frozen network on pictures",
    sections=("snippet", "augment.crop_size", "pretrained", "optim.epochs=1"),
    network="model.backbone",
    loop="once",
    learner="pdray.training.estimators.probe:PARTS",
    has_maps=False,
)
