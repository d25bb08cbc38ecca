"""Settings, limits and registry entry of the face editor HRFAE, which a classifier guides."""

from typing import Literal

from pydantic import Field

from pdray.models.entry import ModelEntry, ModelSettings
from pdray.models.layers.limits import width_faults
from pdray.models.networks.translator_settings import (
    FEWEST_SUBJECTS,
    SECTIONS,
    SMALL,
    least_side,
    picture_faults,
)

WIDTH = 32  # channels of the first layer of the editor; the discriminator's are those of PatchGAN


class HRFAEConfig(ModelSettings):
    """Settings of HRFAE; the defaults are those of Yao et al. 2020."""

    name: Literal["hrfae"] = Field("hrfae", description="name of the model")
    width_factor: float = Field(
        1.0,
        gt=0,
        le=4,
        description="channels of editor and discriminator relative to the published ones",
    )
    num_blocks: int = Field(4, ge=1, le=16, description="residual blocks of the encoder [count]")
    discriminator_layers: int = Field(
        3,
        ge=1,
        le=5,
        description="layers of the discriminator that halve the picture; 1, 2, 3 see patches of "
        "16, 34, 70 px [count]",
    )
    residual: bool = Field(
        False,
        description="add the editor's output to the source, so that training starts at the source "
        "and learns the change; not published",
    )
    learning_rate: float = Field(1e-4, gt=0, description="learning rate of Adam")
    reconstruction_weight: float = Field(
        10.0, ge=0, description="weight of the loss of pictures that keep their class"
    )
    class_weight: float = Field(
        0.1, ge=0, description="weight of the guide's cross-entropy of the target class"
    )
    adversarial_weight: float = Field(1.0, ge=0, description="weight of the adversarial loss")
    r1_weight: float = Field(
        10.0, ge=0, description="gamma of the discriminator's R1 penalty; 0: none"
    )


def hrfae_faults(config: HRFAEConfig, *, num_frames: int, height: int, width: int) -> list[str]:
    """List values that the networks cannot take (:mod:`pdray.models.layers.limits`)."""
    least = least_side(config.discriminator_layers)
    return [
        *width_faults(config.width_factor, narrowest=WIDTH),
        *picture_faults(height=height, width=width, least=least),
    ]


ENTRY = ModelEntry(
    settings=HRFAEConfig,
    description="HRFAE: editor of faces that a classifier guides, with a strength of the edit",
    sees=("rgb", "portraits"),
    learner="pdray.training.translators.hrfae:build",
    sections=SECTIONS,
    faults=hrfae_faults,
    loop="translate",
    is_guided=True,
    fewest_subjects=FEWEST_SUBJECTS,
    has_maps=False,
    small=SMALL,
)
