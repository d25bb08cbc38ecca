"""Settings of the evaluation of predictions: intervals."""

from typing import Literal

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
