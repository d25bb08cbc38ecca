"""Settings of the landmark features of a face."""

from pydantic import Field, field_validator

from pdray.config import Settings

FEATURE_GROUPS = ("head", "eyes", "gaze", "brows", "mouth", "parts", "regions", "blink", "rhythm",
                  "asymmetry", "shape")  # fmt: skip


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
