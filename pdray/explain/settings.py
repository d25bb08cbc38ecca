"""Settings of ``jobs/explain.py``."""

from pathlib import Path

from pydantic import Field, field_validator

from pdray.config import Settings


class ExplainConfig(Settings):
    """The root of ``jobs/explain.py``."""

    study: Path = Field(description="the study's folder, the one that holds study.json")
    output: Path = Field(description="folder of what is made, outside the study's; absolute")
    recordings: tuple[str, ...] | None = Field(
        None, description="ids of test recordings to map; null: all of them"
    )
    layers: tuple[str, ...] | None = Field(
        None, description="layers of the network to map; null: all that give a map"
    )
    shown_class: int | None = Field(
        None, ge=0, description="class that the maps are of; null: the one predicted"
    )
    videos: bool = Field(
        True, description="whether videos of the people are written; tables are in any case"
    )

    @field_validator("output")
    @classmethod
    def _is_absolute(cls, output: Path) -> Path:
        output = output.expanduser()
        if not output.is_absolute():
            raise ValueError(f"got '{output}'; expected an absolute path such as {Path.cwd()}/maps")
        return output
