"""Settings of the import of public action recordings."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from pdray.config import Settings

LISTS = {"ucf101": "ucfTrainTestlist", "hmdb51": "testTrainMulti_7030_splits"}
"""Layout to the folder of its official split lists."""


class ImportConfig(Settings):
    """Where public action recordings lie and where their manifest goes."""

    layout: Literal["ucf101", "hmdb51", "kinetics", "demo"] = Field(
        description="whose folders they are; demo: our SYNTHETIC cohort, its items are the classes"
    )
    folder: Path = Field(
        description="folder of the class folders; kinetics: of train and val, which hold them; "
        "demo: of manifest.csv"
    )
    output: Path = Field(description="the manifest to write, .csv")
    lists: Path | None = Field(
        None,
        description="folder of the official split lists (ucf101: with classInd.txt); null: "
        "ucfTrainTestlist or testTrainMulti_7030_splits, inside folder or beside it",
    )
    split: int = Field(1, ge=1, le=3, description="official split of ucf101 and hmdb51, 1 to 3")
    annotations: tuple[Path, ...] = Field(
        (),
        description="kinetics: CSV files with label, youtube_id, time_start, time_end, split; "
        "empty: the folders say class and split",
    )
    max_absent: int = Field(
        0, ge=0, description="listed recordings without a file that are left out [recordings]"
    )

    @model_validator(mode="after")
    def _no_idle_setting(self) -> Self:
        """Refuse a setting that would have no effect."""
        if self.layout not in LISTS and (self.lists is not None or self.split != 1):
            raise ValueError(f"lists and split are of ucf101 and hmdb51; {self.layout} has none")
        if self.layout != "kinetics" and self.annotations:
            raise ValueError(f"annotations are of kinetics; {self.layout} has none")
        if self.max_absent and self.layout not in LISTS and not self.annotations:
            raise ValueError(
                f"max_absent {self.max_absent} needs annotations: folders list what is there"
            )
        if self.output.suffix != ".csv":
            raise ValueError(f"output {self.output} is not a .csv file")
        return self
