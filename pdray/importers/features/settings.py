"""Settings of the import of published tables of features."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from pdray.config import Settings


class ImportConfig(Settings):
    """Settings of ``jobs/import_features.py``."""

    layout: Literal[
        "rochci", "ufnet", "ufnet_smile", "ufnet_speech", "youtubepd", "telemonitoring"
    ] = Field(
        description="whose tables: rochci: finger tapping of Rochester; ufnet: smile and speech of "
        "UFNet, joined by person, or one of them; youtubepd: sound and facial actions of its "
        "clips; telemonitoring: vowels of UCI"
    )
    folder: Path = Field(
        description="folder of the tables, or the table itself; ufnet: that has smile.csv and "
        "speech.csv, or UFNet's data folder; ufnet_smile: also PARK's data folder"
    )
    output: Path = Field(description="manifest to write, .csv; tables are written beside it")
    manifest: Path | None = Field(
        None, description="youtubepd: manifest of jobs/import_youtubepd.py, which is extended"
    )
    uncertain: Literal["ill", "left_out"] = Field(
        "ill",
        description="ufnet: people whose disease is possible or probable: ill, or without a "
        "diagnosis, so that they take no part",
    )

    @model_validator(mode="after")
    def _no_idle_setting(self) -> Self:
        """Refuse a setting that would have no effect, and lacking ones."""
        if (self.manifest is None) == (self.layout == "youtubepd"):
            told = "is needed" if self.manifest is None else "has no effect"
            raise ValueError(f"manifest {told} with layout {self.layout}")
        if self.uncertain != "ill" and not self.layout.startswith("ufnet"):
            raise ValueError(f"uncertain has no effect with layout {self.layout}; remove it")
        if self.output.suffix != ".csv":
            raise ValueError(f"output {self.output} is not a .csv file; give a name with .csv")
        return self
