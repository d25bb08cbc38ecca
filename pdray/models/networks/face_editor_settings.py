"""Settings and registry entry of the face editor HRFAE, which a classifier guides."""

from typing import ClassVar, Literal

from pydantic import Field

from pdray.models.entry import ModelEntry
from pdray.models.networks.translator_settings import (
    FEWEST_SUBJECTS,
    SECTIONS,
    SMALL,
    TranslatorShape,
    translator_faults,
)


class HRFAEConfig(TranslatorShape):
    """Settings of HRFAE; the defaults are those of Yao et al. 2020."""

    first_width: ClassVar[int] = 32  # of the editor; the discriminator's is that of PatchGAN

    name: Literal["hrfae"] = Field("hrfae", description="name of the model")
    num_blocks: int = Field(4, ge=1, le=16, description="residual blocks of the encoder [count]")
    learning_rate: float = Field(1e-4, gt=0, description="learning rate of Adam")
    beta1: float = Field(0.9, ge=0, lt=1, description="beta1 of Adam")
    learning_rate_falls: bool = Field(
        False,
        description="let the learning rate fall to zero in the second half of the epochs, as in "
        "CycleGAN; not published",
    )
    reconstruction_weight: float = Field(
        10.0, ge=0, description="weight of the loss of pictures that keep their class"
    )
    class_weight: float = Field(
        0.1, ge=0, description="weight of the guide's cross-entropy of the target class"
    )
    adversarial_weight: float = Field(1.0, ge=0, description="weight of the adversarial loss")
    class_discriminator: bool = Field(
        False,
        description="give the discriminator a score for each class, so that it tells real "
        "pictures of a class from edited ones and from real ones of another class; not published",
    )
    r1_weight: float = Field(
        10.0, ge=0, description="gamma of the discriminator's R1 penalty; 0: none"
    )


ENTRY = ModelEntry(
    settings=HRFAEConfig,
    description="HRFAE: editor of faces that a classifier guides, with a strength of the edit",
    sees=("rgb", "portraits"),
    learner="pdray.training.translators.hrfae:build",
    sections=SECTIONS,
    faults=translator_faults,
    loop="translate",
    is_guided=True,
    fewest_subjects=FEWEST_SUBJECTS,
    has_maps=False,
    small=SMALL,
)
