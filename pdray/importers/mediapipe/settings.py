"""Settings of finding faces by MediaPipe."""

from pathlib import Path

from pydantic import Field, field_validator

from pdray.config import Settings
from pdray.data.cohort.settings import Subjects
from pdray.data.media.settings import DecodeLimits


class ExtractConfig(Settings):
    """The root of ``jobs/extract_landmarks.py``."""

    manifest: Path = Field(description="CSV or Parquet file, one row per recording")
    model: Path = Field(description="file of a MediaPipe Face Landmarker, such as x.task")
    output: Path = Field(description="the manifest to write, .csv; tracks go beside it")
    items: tuple[str, ...] = Field(
        ("face_interview",), min_length=1, description="items whose faces are followed"
    )
    subjects: Subjects = Field(
        "required",
        description="required: each row names its subject; none: rows of public videos need not",
    )
    size: int = Field(
        640, ge=64, le=2160, description="longer side of the picture that is looked at [px]"
    )
    limits: DecodeLimits = DecodeLimits()

    @field_validator("output")
    @classmethod
    def _is_new(cls, output: Path) -> Path:
        if output.suffix != ".csv" or output.exists():
            raise ValueError(f"got {output}; expected a .csv file that is not there yet")
        return output.absolute()
