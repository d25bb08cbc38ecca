"""Settings of the import of public action recordings."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from pdray.config import Settings

LISTS = {
    "ucf101": "ucfTrainTestlist",
    "hmdb51": "testTrainMulti_7030_splits",
    "dfew": "EmoLabel_DataSplit",
}
"""Folder of the official split lists, by layout."""
SPLITS = {"ucf101": 3, "hmdb51": 3, "dfew": 5}
"""Number of official splits, by layout."""


class ImportConfig(Settings):
    """Settings of ``jobs/import_actions.py``."""

    layout: Literal["ucf101", "hmdb51", "kinetics", "dfew", "demo"] = Field(
        description="layout of the folder; demo: pdray's SYNTHETIC cohort, whose items are classes"
    )
    folder: Path = Field(
        description="folder that has the class folders; kinetics: that has train and val; dfew: "
        "that has Clip and EmoLabel_DataSplit; demo: that has manifest.csv"
    )
    output: Path = Field(description="manifest to write, .csv")
    lists: Path | None = Field(
        None,
        description="folder of the official split lists (ucf101: with classInd.txt); null: "
        "ucfTrainTestlist, testTrainMulti_7030_splits or EmoLabel_DataSplit, in folder or next to "
        "it",
    )
    split: int = Field(
        1, ge=1, le=5, description="official split of ucf101 and hmdb51, 1 to 3, of dfew, 1 to 5"
    )
    classes: tuple[str, ...] = Field(
        (),
        description="classes to take, in the order of their numbers from 0; empty: all",
    )
    pictures_per_second: float | None = Field(
        None,
        gt=0,
        le=240,
        description="dfew: rate of the pictures where clips are folders of pictures [1/s]",
    )
    annotations: tuple[Path, ...] = Field(
        (),
        description="kinetics: CSV files with label, youtube_id, time_start, time_end, split; "
        "empty: class and split are taken from the folders",
    )
    max_absent: int = Field(
        0,
        ge=0,
        description="how many listed recordings may lack a file; they are left out [recordings]",
    )

    @model_validator(mode="after")
    def _no_idle_setting(self) -> Self:
        """Refuse a setting that would have no effect."""
        if self.layout not in LISTS and (self.lists is not None or self.split != 1):
            raise ValueError(
                f"lists and split have no effect with layout {self.layout}; remove them"
            )
        if self.split > SPLITS.get(self.layout, 5):
            raise ValueError(
                f"split {self.split} is not one of layout {self.layout}; it has 1 to "
                f"{SPLITS[self.layout]}"
            )
        if self.layout != "dfew" and self.pictures_per_second is not None:
            raise ValueError(
                f"pictures_per_second has no effect with layout {self.layout}; remove it"
            )
        if len(set(self.classes)) < len(self.classes) or len(self.classes) == 1:
            raise ValueError(f"classes {list(self.classes)}: list at least two, each of them once")
        if self.layout != "kinetics" and self.annotations:
            raise ValueError(f"annotations has no effect with layout {self.layout}; remove it")
        if self.max_absent and self.layout not in LISTS and not self.annotations:
            raise ValueError(
                f"max_absent {self.max_absent} has no effect without annotations; remove it"
            )
        if self.output.suffix != ".csv":
            raise ValueError(f"output {self.output} is not a .csv file; give a name with .csv")
        return self
