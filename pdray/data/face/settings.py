"""Settings of the features of a face."""

from pydantic import Field, field_validator

from pdray.config import Settings

FEATURE_GROUPS = ("head", "eyes", "gaze", "brows", "mouth", "parts", "regions", "blink", "rhythm",
                  "asymmetry", "shape")  # fmt: skip


class LandmarkFeatureConfig(Settings):
    """Which features of a recording a head sees."""

    groups: str = Field(
        "head+eyes+brows",
        description=f"groups joined by +, of {', '.join(FEATURE_GROUPS)}; shape tells who it is",
    )

    @field_validator("groups")
    @classmethod
    def _are_groups(cls, groups: str) -> str:
        names = groups.split("+")
        for name in names:
            if name not in FEATURE_GROUPS:
                raise ValueError(f"'{name}' is no group; groups are {', '.join(FEATURE_GROUPS)}")
            if names.count(name) > 1:
                raise ValueError(f"{name} stands there twice")
        return groups
