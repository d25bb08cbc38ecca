"""Settings of the landmark features of a face."""

from pydantic import Field, field_validator

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
        False,
        description="whether the movement of the head in the plane of the picture is scaled too",
    )
