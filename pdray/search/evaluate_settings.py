"""Settings of ``jobs/evaluate.py``: of a table, of a study, or of a study on other recordings."""

from pathlib import Path
from typing import ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from pdray.data.cohort.settings import NewDataConfig
from pdray.evaluation.settings import EvaluationSettings
from pdray.predict.settings import WhichModels
from pdray.rights import OutputMode
from pdray.search.settings import OutputFolder
from pdray.training.settings import ClusterConfig

_OF_NEW = ("model", "other_people", "resources")
_OF_OLD = ("trial", "split")


class EvaluateConfig(EvaluationSettings):
    """Settings of ``jobs/evaluate.py``."""

    help_groups: ClassVar = {
        "table or study": ("table", "study", "trial", "split"),
        "a study on other recordings": (
            "data.manifest",
            "model",
            "other_people",
            "resources.address",
        ),
        "numbers": ("evaluation.interval", "report.levels", "report.over", "report.prevalence"),
        "decision on other subjects": (
            "decision.rule",
            "decision.calibration",
            "decision.threshold",
            "decision.specificity",
        ),
        "output": ("output",),
    }
    table: Path | None = Field(
        None,
        description="predictions table of any program, CSV or Parquet; it or study is required",
    )
    study: Path | None = Field(
        None, description="folder of a study, which contains study.json; it or table is required"
    )
    trial: int | None = Field(
        None, ge=0, description="trial to evaluate; null: the only one, or a study's winner"
    )
    split: Literal["val", "test"] | None = Field(
        None,
        description="rows to evaluate; null: the only kind, or a study's test set; val: subjects "
        "that the folds of a search held out",
    )
    data: NewDataConfig = NewDataConfig()
    model: WhichModels = Field(
        "ensemble",
        description="what grades the recordings of data.manifest; ensemble: mean of the models of "
        "all folds; refit: the model that learnt from all development subjects; fold:0, ...: the "
        "model that did not learn from this fold",
    )
    resources: ClusterConfig = ClusterConfig()
    other_people: bool = Field(
        False,
        description="the people of data.manifest are others than the study's, also where their "
        "ids are equal; false: an equal id is the same person, who is not scored",
    )
    output: OutputFolder | None = Field(
        None,
        description="the report, its numbers and pictures go to <output>/evaluation/<name of the "
        "table or study>; null: the study's output folder, or ~/pdray_output for a table",
    )
    output_mode: OutputMode = "owner"

    @field_validator("study")
    @classmethod
    def _is_whole(cls, study: Path | None) -> Path | None:
        return None if study is None else study.expanduser()

    @model_validator(mode="after")
    def _has_one_source(self) -> Self:
        if (self.table is None) == (self.study is None):
            raise ValueError("write table=FILE or study=FOLDER, one of them")
        is_new = self.data.manifest is not None
        if is_new and self.study is None:
            raise ValueError(
                "data.manifest: needs study=FOLDER, whose models grade its recordings; a table has "
                "predictions already, so leave data.manifest out"
            )
        for key in _OF_OLD if is_new else _OF_NEW:
            if getattr(self, key) != type(self).model_fields[key].default:
                right = (
                    "data.manifest; write model=refit or model=fold:0 to choose what grades"
                    if is_new
                    else "study=FOLDER data.manifest=FILE"
                )
                kind = "has no effect with" if is_new else "needs"
                raise ValueError(f"{key}: {kind} {right}")
        if not is_new and self.data != NewDataConfig():
            raise ValueError("data: needs data.manifest=FILE, the recordings to grade and score")
        return self
