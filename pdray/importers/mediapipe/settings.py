"""Settings of finding landmarks with MediaPipe."""

from pathlib import Path

from pydantic import Field, field_validator

from pdray.config import Settings
from pdray.data.cohort.settings import Subjects
from pdray.data.media.settings import DecodeLimits


class ExtractConfig(Settings):
    """Settings of ``jobs/extract_landmarks.py``."""

    manifest: Path = Field(description="CSV or Parquet file, one row per recording")
    model: Path = Field(description="file of a MediaPipe Face Landmarker, such as x.task")
    output: Path = Field(
        description="manifest to write, .csv; tracks are written into a folder next to it"
    )
    items: tuple[str, ...] = Field(
        ("face_interview",), min_length=1, description="items in which faces are tracked"
    )
    subjects: Subjects = Field(
        "required",
        description="required: each row needs a subject_id; none: rows of public videos need none",
    )
    size: int = Field(
        640, ge=64, le=2160, description="longer side of the pictures given to MediaPipe [px]"
    )
    limits: DecodeLimits = DecodeLimits()

    @field_validator("output")
    @classmethod
    def _is_new(cls, output: Path) -> Path:
        if output.suffix != ".csv" or output.exists():
            raise ValueError(f"got {output}; give the name of a new .csv file")
        return output.absolute()
