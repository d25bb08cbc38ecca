"""Settings of evaluation: intervals, levels, decisions, reports and comparisons."""

from typing import Annotated, Literal

from pydantic import Field

from pdray.config import Settings

Level = Literal["snippet", "recording", "visit", "subject"]
Rule = Literal["mean", "median", "logit", "vote", "max"]
Calibration = Literal["none", "temperature", "platt", "isotonic"]
Cut = Literal["highest", "mcc", "balanced_accuracy", "specificity"]
Method = Literal["transformed", "percentile"]
Over = Literal["side", "visit_id", "medication_state", "stimulation_state"]


class EvaluationConfig(Settings):
    """How scores get their intervals."""

    interval: Method = Field(
        "transformed",
        description="interval of a score over subjects; transformed: jackknife and t on a scale on "
        "which the score is nearly normal, for 12 subjects or more, 5 of each class; percentile: "
        "percentiles of resampled scores, as earlier versions did, too narrow for few subjects",
        json_schema_extra={"earlier": "percentile"},
    )


class ReportConfig(Settings):
    """What a report adds to the scores."""

    prevalence: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = Field(
        (0.01, 0.1, 0.5),
        description="shares of ill people, such as in a clinic, for which predictive values are "
        "printed; half ill in a study is not half ill in a clinic [0..1]",
    )
    levels: tuple[Level, ...] = Field(
        ("snippet", "visit"),
        description="units that are scored beside recordings; visit: repeats of one subject, item, "
        "side, visit and state are averaged; subject: all recordings of a subject and item",
    )
    over: tuple[Over, ...] = Field(
        (),
        description="average over these, too, such as [side], in further scores of level visit",
    )
    reference_raters: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        (),
        description="raters with whose mean each rater and the model are compared, without the "
        "rater's own grade, such as [1,2,3] of rater_1 to rater_3; (): all raters",
    )


class SmallCells(Settings):
    """Groups that are too small to be told."""

    small_cells: int = Field(
        5,
        ge=1,
        description="groups of fewer people are shown as <5 in what may leave the room: reports, "
        "tables of a cohort, MLflow; 1 shows every group [subjects]",
    )


class StudyReportConfig(SmallCells, ReportConfig):
    """What the reports of a study add to its scores, and what they do not tell."""


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


class CopySettings(Settings):
    """How many made faces may look like somebody whom their generator learnt from."""

    max_copies: float = Field(
        0.05,
        ge=0,
        le=1,
        description="share of made faces that may be nearer to another training person than real "
        "faces are in 1% of cases, or than to their source; above it nothing is written [0..1]",
    )


SecondaryTest = Literal["obuchowski", "clustered_mcnemar", "mcnemar", "corrected_t"]


class CompareConfig(Settings):
    """How models are compared. The primary test of a metric is fixed: exchange of subjects."""

    metrics: tuple[str, ...] | None = Field(
        None,
        min_length=1,
        description="scores to compare, such as [mcc,auroc]; null: that by which the studies chose "
        "their winners, mcc of tables; fix them before you look",
    )
    margin: float | None = Field(
        None,
        gt=0,
        description="test also that a model is no worse than another by more than this, in units "
        "of the score; null: no such test",
    )
    level: float = Field(
        0.95, ge=0.5, lt=1, description="level of the intervals; a p up to 1 - level is shown"
    )
    secondary: tuple[SecondaryTest, ...] = Field(
        (),
        description="further tests, reported as secondary; obuchowski: AUROC of subjects with "
        "several rows (1997), DeLong's for one row each; clustered_mcnemar: share of right classes "
        "of subjects with several rows (Obuchowski 1998); mcnemar: of one row each; corrected_t: "
        "repeated folds (Nadeau and Bengio 2003)",
    )
    models: tuple[str, ...] | None = Field(
        None,
        min_length=2,
        description="names of the models to compare, as the report has them; null: all",
    )
    common_rows: bool = Field(
        False,
        description="cut models that were scored on other recordings, folds or manifests to the "
        "rows that all of them have; false: refuse them",
    )
    seed: int = Field(0, ge=0, description="seed of resamples and random exchanges")


class EvaluationSettings(Settings):
    """Sections of settings on which the numbers of an evaluation depend."""

    evaluation: EvaluationConfig = EvaluationConfig()
    report: ReportConfig = ReportConfig()
    decision: DecisionConfig = DecisionConfig()
