"""Settings of the landmark features of a face."""

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from pdray.config import Settings

FEATURE_GROUPS = ("head", "eyes", "gaze", "brows", "mouth", "parts", "regions", "blink", "rhythm",
                  "asymmetry", "shape")  # fmt: skip

SMALLEST, LARGEST = 64, 512  # height and width of a portrait [px]


class PortraitConfig(Settings):
    """Settings of portraits: the face of each frame, cut out by its landmarks."""

    size: int = Field(
        96,
        ge=SMALLEST,
        le=LARGEST,
        description="height and width of a portrait [px]; a frame whose face fills a square of "
        f"less than {SMALLEST} px is left out and counted",
    )


class LandmarkFeatureConfig(Settings):
    """Settings of the landmark features that an estimator gets."""

    groups: str = Field(
        "head+eyes+brows",
        description=f"feature groups joined by +, from {', '.join(FEATURE_GROUPS)}; shape can "
        "identify the person",
    )

    @field_validator("groups")
    @classmethod
    def _are_groups(cls, groups: str) -> str:
        names = groups.split("+")
        for name in names:
            if name not in FEATURE_GROUPS:
                raise ValueError(
                    f"'{name}' is not a feature group; use some of {', '.join(FEATURE_GROUPS)}"
                )
            if names.count(name) > 1:
                raise ValueError(f"{name} is listed {names.count(name)} times; list it once")
        return groups


class DampConfig(Settings):
    """Settings of making a face move less."""

    factor: float | None = Field(
        None,
        ge=0,
        lt=1,
        description="what movement is multiplied by, in every part of the face; null: the median "
        "movement of the target class over that of class 0, in each part, of the training side",
    )
    head: bool = Field(
        True,
        description="whether the movement of the head in the plane of the picture is scaled too",
    )


class LandmarkAugmentConfig(DampConfig):
    """Settings of augmentation: recordings that a fold learns from beside its own.

    They are numbers in the memory of the training process, drawn anew in each epoch of a model
    that has epochs, and are never written.
    """

    kind: Literal["none", "oversample", "damp"] = Field(
        "none",
        description="what the rarer classes are filled up with: oversample: their own recordings "
        "again; damp: recordings of class 0 whose faces move less, as much less as the class does",
    )
    share: float = Field(
        1.0,
        gt=0,
        le=1,
        description="up to what share of the recordings of the largest class they are filled up",
    )
    least_strength: float = Field(
        0.5,
        ge=0,
        le=1,
        description="with damp: the strength of the edit is drawn from this to 1",
    )

    @model_validator(mode="after")
    def _damp_is_used(self) -> Self:
        fields = {
            name: type(self).model_fields[name] for name in ("factor", "head", "least_strength")
        }
        given = [name for name, one in fields.items() if getattr(self, name) != one.default]
        if self.kind != "damp" and given:
            raise ValueError(f"{', '.join(given)}: only kind=damp uses it; leave it out")
        return self
