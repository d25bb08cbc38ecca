"""Settings, limits and registry entries of translators without a guide: CycleGAN and CUT."""

from dataclasses import replace
from typing import ClassVar, Literal

from pydantic import Field

from pdray.models.entry import ModelEntry, ModelSettings
from pdray.models.layers.limits import width_faults

WIDTH = 64  # channels of the first layer of generator and discriminator, as published
MAX_WIDENING = 8  # the discriminator's channels double in each layer up to this multiple
LEAST_SIDE, MOST_SIDE = 64, 512  # of a picture [px]
FEWEST_SUBJECTS = 5  # of each class
SECTIONS = ("synthesis", "optim.batch_size", "optim.epochs", "optim.precision")
SMALL = {"width_factor": 0.125, "num_blocks": 2, "discriminator_layers": 2}
_LAST_SIDE = 3  # smallest picture that the last two layers of the discriminator take [px]


class TranslatorShape(ModelSettings):
    """Shape of generator and discriminator, and the learning rate; the defaults are published.

    Attributes:
        first_width: Channels of the narrowest layer at ``width_factor`` 1.
    """

    first_width: ClassVar[int] = WIDTH

    width_factor: float = Field(
        1.0,
        gt=0,
        le=4,
        description="channels of generator and discriminator relative to the published ones",
    )
    num_blocks: int = Field(
        9, ge=1, le=16, description="residual blocks of the generator; published: 9 [count]"
    )
    discriminator_layers: int = Field(
        3,
        ge=1,
        le=5,
        description="layers of the discriminator that halve the picture; 1, 2, 3 see patches of "
        "16, 34, 70 px [count]",
    )
    residual: bool = Field(
        False,
        description="add the generator's output to the source, so that training starts at the "
        "source and learns the change; not published",
    )
    change_weight: float = Field(
        0.0,
        ge=0,
        description="weight of the mean absolute change of translated pictures (of -1..1), which "
        "keeps edits small; not published for these methods",
    )
    learning_rate: float = Field(
        2e-4,
        gt=0,
        description="learning rate of Adam in the first half of the epochs; then it falls linearly "
        "to zero",
    )
    discriminator_rate: float = Field(
        1.0,
        gt=0,
        description="learning rate of the discriminator relative to the generator's; not published",
    )


class UnguidedShape(TranslatorShape):
    """Shape and losses that CycleGAN and CUT have in common."""

    other_weight: float = Field(
        0.0,
        ge=0,
        description="weight of the loss by which a discriminator rejects real pictures of the "
        "other class, beside translated ones; not published for these methods",
    )


class CycleGANConfig(UnguidedShape):
    """Settings of CycleGAN; the defaults are those of Zhu et al. 2017."""

    name: Literal["cyclegan"] = Field("cyclegan", description="name of the model")
    cycle_weight: float = Field(
        10.0, gt=0, description="weight of the cycle loss beside the adversarial losses"
    )
    identity_weight: float = Field(
        0.5, ge=0, description="weight of the identity loss relative to cycle_weight"
    )
    pool_size: int = Field(
        50, ge=0, description="earlier translated pictures for each discriminator [count]"
    )


class CUTConfig(UnguidedShape):
    """Settings of CUT; the defaults are those of Park et al. 2020."""

    name: Literal["cut"] = Field("cut", description="name of the model")
    patch_weight: float = Field(
        1.0, gt=0, description="weight of PatchNCE on sources beside the adversarial loss"
    )
    identity_weight: float = Field(
        1.0, ge=0, description="weight of PatchNCE on real pictures of the target class"
    )
    num_patches: int = Field(
        256, ge=2, description="places per picture and layer that PatchNCE compares [count]"
    )
    temperature: float = Field(0.07, gt=0, description="temperature tau of PatchNCE")


def translator_faults(
    config: TranslatorShape, *, num_frames: int, height: int, width: int
) -> list[str]:
    """List values that the networks cannot take (:mod:`pdray.models.layers.limits`)."""
    least = least_side(config.discriminator_layers)
    return [
        *width_faults(config.width_factor, narrowest=config.first_width),
        *picture_faults(height=height, width=width, least=least),
    ]


def least_side(discriminator_layers: int) -> int:
    """Return the smallest side of a picture that a discriminator takes [px]."""
    return max(LEAST_SIDE, _LAST_SIDE << discriminator_layers)


def picture_faults(*, height: int, width: int, least: int) -> list[str]:
    """Refuse pictures that the generator would return in another size, or that are too small.

    Args:
        height: Rows of a picture [px].
        width: Columns of a picture [px].
        least: Smallest side [px].
    """
    faults = []
    if height != width:
        faults.append(f"height: {height} px differ from the width of {width} px; use squares")
    if not least <= height <= MOST_SIDE:
        faults.append(f"height: {height} px are outside {least} to {MOST_SIDE} px; use {least}")
    elif height % 4:
        faults.append(f"height: {height} px are no multiple of 4; use {height - height % 4}")
    return faults


def two_class_faults(config: TranslatorShape, num_classes: int) -> list[str]:
    """Refuse more than two classes: one generator leads from class 0 to one other class."""
    if num_classes == 2:
        return []
    return [
        f"model.name: {config.name} translates to one class, but there are {num_classes} classes; "
        "join them (data.grade_cuts=[1]), or set model.name=hrfae"
    ]


CYCLEGAN = ModelEntry(
    settings=CycleGANConfig,
    description="CycleGAN: two translators of pictures, each of which undoes the other",
    sees=("rgb", "portraits"),
    learner="pdray.training.translators.cyclegan:build",
    sections=SECTIONS,
    faults=translator_faults,
    class_faults=two_class_faults,
    loop="translate",
    fewest_subjects=FEWEST_SUBJECTS,
    has_maps=False,
    small=SMALL,
)
CUT = replace(
    CYCLEGAN,
    settings=CUTConfig,
    description="CUT: translator of pictures whose patches must resemble those of the source",
    learner="pdray.training.translators.cut:build",
)
