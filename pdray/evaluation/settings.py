"""Settings of the evaluation of predictions: intervals, levels, decisions and the report."""

from typing import Annotated, Literal

from pydantic import Field

from pdray.config import Settings

Level = Literal["snippet", "recording", "visit", "subject"]
Rule = Literal["mean", "median", "logit", "vote", "max"]
Calibration = Literal["none", "temperature", "platt", "isotonic"]
Cut = Literal["highest", "mcc", "balanced_accuracy", "specificity"]


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


class DecisionConfig(Settings):
    """What is chosen on inner out-of-fold predictions, never on those that are scored."""

    rule: Rule | Literal["best"] = Field(
        "mean",
        description="how the rows of a unit are joined; mean: of probabilities; median; logit: "
        "mean of their logarithms; vote: share of predicted classes; max: highest probability of "
        "class 1 of two; best: the one of highest MCC",
    )
    calibration: Calibration = Field(
        "none",
        description="temperature (Guo et al. 2017); platt (1999), for two classes; isotonic "
        "regression, for two classes, 200 subjects and 50 of the rarer class",
    )
    threshold: Cut = Field(
        "highest",
        description="how the threshold of two classes is chosen; highest: the class of highest "
        "probability; mcc or balanced_accuracy: the highest score; specificity: the lowest "
        "threshold with at least that specificity",
    )
    specificity: float = Field(
        0.9, gt=0, lt=1, description="the specificity of threshold: specificity [0..1]"
    )
