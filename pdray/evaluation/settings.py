"""Settings of the evaluation of predictions: intervals, and what a report adds to scores."""

from typing import Annotated, Literal

from pydantic import Field

from pdray.config import Settings


class EvaluationConfig(Settings):
    """How scores get their intervals."""

    interval: Literal["transformed", "percentile"] = Field(
        "transformed",
        description="interval of a score by resampling subjects; transformed: t interval on a "
        "scale on which the score is nearly normal, only for enough subjects; percentile: "
        "percentiles of the resampled scores, as earlier versions did",
        json_schema_extra={"earlier": "percentile"},
    )


class ReportConfig(Settings):
    """What a report adds to the scores."""

    prevalence: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = Field(
        (0.01, 0.1, 0.5),
        description="shares of ill people, such as in a clinic, for which predictive values are "
        "printed; half ill in a study is not half ill in a clinic [0..1]",
    )
