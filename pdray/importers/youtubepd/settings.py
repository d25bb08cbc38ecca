"""Settings of the import of YouTubePD."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from pdray.config import Settings


class ImportConfig(Settings):
    """Where YouTubePD lies and where its manifest goes."""

    layout: Literal["pack", "release"] = Field(
        description="pack: tables and archives without pickles; release: checkouts of the owners' "
        "two repositories"
    )
    folder: Path = Field(description="the pack; release: checkout of samwli/YouTubePD-data")
    output: Path = Field(description="the manifest to write, .csv; tracks and tables go beside it")
    landmarks: Path | None = Field(
        None,
        description="release: checkout of anshgs/YoutubePD_Additional_Modalities; null: no clip "
        "has landmarks",
    )
    videos: Path | None = Field(
        None, description="folder with videoN.mp4 or videoN_final.mp4; null: no videos"
    )
    audio: Path | None = Field(
        None,
        description="folder with videoN.wav, .flac, .mp3, .m4a, .aac, .ogg or .opus; null: none, "
        "and sound is that of the videos",
    )
    subjects: Path | None = Field(
        None, description="CSV with clip_id and subject_id, who is in a clip; null: nobody knows"
    )
    split: Literal["benchmark", "none"] = Field(
        "benchmark",
        description="none: leave split empty, as where a subject is on both sides of the "
        "benchmark's split",
    )

    @model_validator(mode="after")
    def _no_idle_setting(self) -> Self:
        """Refuse a setting that would have no effect."""
        if self.layout == "pack" and self.landmarks is not None:
            raise ValueError("landmarks is of layout release; a pack holds its own")
        if self.output.suffix != ".csv":
            raise ValueError(f"output {self.output} is not a .csv file")
        return self
