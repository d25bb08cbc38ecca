"""Settings of ``jobs/export.py``."""

from pathlib import Path
from typing import ClassVar, Self

from pydantic import Field, field_validator, model_validator

from pdray.config import Settings
from pdray.evaluation.settings import Calibration
from pdray.predict.settings import WhichModels


class ExtrasConfig(Settings):
    """What an export may hold beside the model."""

    rows_of_people: bool = Field(
        False,
        description="write numbers that belong to single people, such as the points of an isotonic "
        "calibration; false: a model that needs them is refused",
    )
    onnx: bool = Field(False, description="write network.onnx too; needs the extra 'onnx' of pdray")


class ExportConfig(Settings):
    """Settings of ``jobs/export.py``."""

    help_groups: ClassVar = {
        "model": ("model", "calibration"),
        "files": ("export.rows_of_people", "export.onnx"),
    }
    study: Path = Field(description="folder of a complete study, which contains study.json")
    output: Path = Field(
        description="folder to make, outside the study's folder; it must not exist yet"
    )
    model: WhichModels = "ensemble"
    calibration: Calibration | None = Field(
        None,
        description="calibrated probabilities beside the others, as in jobs/predict.py; null: as "
        "the study's decision.calibration",
    )
    export: ExtrasConfig = ExtrasConfig()

    @field_validator("study", "output")
    @classmethod
    def _is_whole(cls, path: Path) -> Path:
        return path.expanduser().absolute()

    @model_validator(mode="after")
    def _is_outside(self) -> Self:
        if self.output.is_relative_to(self.study):
            raise ValueError(
                f"output: got {self.output}, inside the study's folder; choose another folder"
            )
        return self
