"""Settings of ``jobs/explain.py``."""

from pathlib import Path

from pydantic import Field, field_validator

from pdray.config import Settings


class ExplainConfig(Settings):
    """Settings of ``jobs/explain.py``."""

    study: Path = Field(description="folder of the study, which contains study.json")
    output: Path = Field(
        description="folder for maps, tables and videos, outside the study's folder; absolute"
    )
    recordings: tuple[str, ...] | None = Field(
        None, description="ids of the test recordings to map; null: all"
    )
    layers: tuple[str, ...] | None = Field(
        None, description="layers of the network to map; null: all that have a map"
    )
    shown_class: int | None = Field(
        None, ge=0, description="class to explain; null: the predicted class"
    )
    videos: bool = Field(
        True,
        description="write videos, which show people; tables and pictures that show nobody are "
        "always written",
    )
    show_people: bool = Field(
        False,
        description="write videos also of people, if consent_pictures is yes in all rows of the "
        "subject; false: of SYNTHETIC recordings alone",
    )

    @field_validator("output")
    @classmethod
    def _is_absolute(cls, output: Path) -> Path:
        output = output.expanduser()
        if not output.is_absolute():
            raise ValueError(f"got '{output}'; write an absolute path, such as {Path.cwd()}/maps")
        return output
