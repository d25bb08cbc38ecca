"""Settings of the import of YouTubePD."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from pdray.config import Settings


class ImportConfig(Settings):
    """Settings of ``jobs/import_youtubepd.py``."""

    layout: Literal["pack", "release"] = Field(
        description="pack: tables and archives without pickles; release: checkouts of the authors' "
        "two repositories"
    )
    folder: Path = Field(
        description="pack: folder of the pack; release: checkout of samwli/YouTubePD-data"
    )
    output: Path = Field(
        description="manifest to write, .csv; tracks and tables are written next to it"
    )
    landmarks: Path | None = Field(
        None,
        description="release: checkout of anshgs/YoutubePD_Additional_Modalities; null: no clip "
        "has landmarks",
    )
    videos: Path | None = Field(
        None, description="folder with videoN.mp4 or videoN_final.mp4; null: no video"
    )
    audio: Path | None = Field(
        None,
        description="folder with videoN.wav, .flac, .mp3, .m4a, .aac, .ogg or .opus; null: sound "
        "of the videos",
    )
    subjects: Path | None = Field(
        None, description="CSV file with clip_id and subject_id; null: subjects are unknown"
    )
    split: Literal["benchmark", "none"] = Field(
        "benchmark",
        description="benchmark: use the benchmark's split; none: leave it empty, for example if a "
        "subject is in training and test",
    )

    @model_validator(mode="after")
    def _no_idle_setting(self) -> Self:
        """Refuse a setting that would have no effect."""
        if self.layout == "pack" and self.landmarks is not None:
            raise ValueError(
                "landmarks has no effect with layout pack, which has its own; remove it"
            )
        if self.output.suffix != ".csv":
            raise ValueError(f"output {self.output} is not a .csv file; give a name with .csv")
        return self
