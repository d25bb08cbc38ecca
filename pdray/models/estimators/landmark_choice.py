"""Settings of a head on landmark features that is chosen inside the recordings it learns from.

Which features and which classifier, of a grid of few: each is cross-validated within the training
side, several times over, and the best is fitted on all of it. So a fold of an outer
cross-validation, or a test side, has no part in the choice.
"""

from typing import Any, Literal

from pydantic import Field

from pdray.models.entry import ModelEntry, ModelSettings
from pdray.models.estimators.landmark_head_settings import Kind, LandmarkHeadConfig


class LandmarkChoiceConfig(ModelSettings):
    """The grid, and how it is chosen from."""

    name: Literal["landmark_choice"] = Field("landmark_choice", description="architecture")
    groups: tuple[str, ...] = Field(
        (
            "head",
            "head+eyes",
            "head+eyes+brows",
            "head+eyes+brows+gaze",
            "head+eyes+brows+regions",
        ),
        min_length=1,
        description="groups of features, each joined by +, as landmarks.groups",
    )
    logistic: tuple[float, ...] = Field((0.3, 1.0, 3.0), description="C of logistic heads")
    svm: tuple[float, ...] = Field((3.0, 10.0), description="C of svm heads")
    vote: bool = Field(True, description="the mean of logistic (C 0.3), svm (C 3) and trees too")
    severity_penalty: float = Field(100.0, gt=0, description="alpha of the ridge on the grade")
    severity_spread: float = Field(1.0, gt=0, le=10, description="spread around its grade")
    num_folds: int = Field(5, ge=2, description="inner folds, of subjects [folds]")
    num_repeats: int = Field(5, ge=1, description="times that the inner folds are drawn [count]")

    @property
    def heads(self) -> tuple[LandmarkHeadConfig, ...]:
        """Every head of the grid."""
        every: list[tuple[Kind, dict[str, Any]]] = []
        every += [("logistic", {"strength": value}) for value in self.logistic]
        every += [("svm", {"svm_strength": value}) for value in self.svm]
        every += [("vote", {})] if self.vote else []
        severity: dict[str, Any] = {
            "severity_penalty": self.severity_penalty,
            "severity_spread": self.severity_spread,
        }
        return tuple(LandmarkHeadConfig(kind=kind, **given, **severity) for kind, given in every)


ENTRY = ModelEntry(
    settings=LandmarkChoiceConfig,
    description="head on landmark features, chosen inside the recordings it learns from",
    sees=("landmarks",),
    sections=("optim.epochs=1",),
    network=None,
    loop="once",
)
