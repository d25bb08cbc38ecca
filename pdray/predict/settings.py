"""Settings of ``jobs/predict.py``."""

from pathlib import Path
from typing import Annotated, ClassVar, Self

from pydantic import Field, field_validator, model_validator

from pdray.config import Settings
from pdray.data.cohort.settings import NewDataConfig
from pdray.evaluation.settings import Calibration
from pdray.training.settings import ClusterConfig

WhichModels = Annotated[
    str,
    Field(
        pattern=r"^(ensemble|refit|fold:[0-9]+)$",
        description="ensemble: mean of the models of all folds; refit: the model that learnt from "
        "all development subjects; fold:0, ...: the model that did not learn from this fold",
    ),
]


class PredictConfig(Settings):
    """Settings of ``jobs/predict.py``."""

    help_groups: ClassVar = {
        "new recordings": ("videos", "data.manifest", "item", "other_people"),
        "model": ("model", "calibration"),
        "cluster": ("resources.address",),
    }
    study: Path = Field(description="folder of a complete study, which contains study.json")
    output: Path = Field(description="new CSV file to write, outside the study's folder")
    videos: Path | None = Field(
        None, description="folder of videos to grade; it or data.manifest is required"
    )
    data: NewDataConfig = NewDataConfig()
    item: str | None = Field(
        None, description="item that the videos show; null: the only one that the model learnt"
    )
    other_people: bool = Field(
        False,
        description="the manifest's people are others than the study's, also where their ids are "
        "equal; false: an equal id is the same person",
    )
    resources: ClusterConfig = ClusterConfig()
    model: WhichModels = "ensemble"
    calibration: Calibration | None = Field(
        None,
        description="calibrated probabilities beside the others, fitted on the winning trial's "
        "validation predictions; null: as the study's decision.calibration",
    )

    @field_validator("study", "output", "videos")
    @classmethod
    def _is_whole(cls, path: Path | None) -> Path | None:
        return None if path is None else path.expanduser().absolute()

    @field_validator("output")
    @classmethod
    def _is_a_table(cls, output: Path) -> Path:
        if output.suffix.lower() != ".csv":
            raise ValueError(
                f"got '{output}'; write the name of a CSV file, such as predictions.csv"
            )
        return output

    @model_validator(mode="after")
    def _has_one_source(self) -> Self:
        if (self.videos is None) == (self.data.manifest is None):
            raise ValueError("write videos=FOLDER or data.manifest=FILE, one of them")
        for key in ("item", "other_people"):
            is_idle = self.videos is None if key == "item" else self.videos is not None
            if is_idle and getattr(self, key):
                right = "videos" if key == "item" else "data.manifest"
                raise ValueError(f"{key}: has no effect without {right}; leave it out")
        if self.output.is_relative_to(self.study):
            raise ValueError(
                f"output: got {self.output}, inside the study's folder, which may be shared; "
                "choose another folder"
            )
        return self
