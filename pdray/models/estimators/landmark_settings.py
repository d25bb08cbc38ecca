"""Settings and registry entries of the estimators on landmarks."""

from typing import Any, Literal

from pydantic import Field

from pdray.models.entry import ModelEntry, ModelSettings

Kind = Literal["logistic", "svm", "trees", "boosting", "vote"]


class LandmarkHeadConfig(ModelSettings):
    """Settings of a head on features."""

    name: Literal["landmark_head"] = Field("landmark_head", description="architecture")
    kind: Kind = Field(
        "logistic", description="tells disease; vote is the mean of logistic, svm and trees"
    )
    strength: float = Field(
        0.3, gt=0, le=1000, description="C of logistic: how freely it fits; more fits more freely"
    )
    svm_strength: float = Field(3.0, gt=0, le=1000, description="C of svm")
    svm_width: float = Field(
        0.3, gt=0, le=100, description="gamma of svm's Gaussian kernel times the columns it sees"
    )
    num_trees: int = Field(200, ge=1, le=5000, description="of trees")
    least_leaf: int = Field(3, ge=1, description="recordings in a leaf of trees and boosting")
    num_components: int | None = Field(
        None, ge=1, description="principal components that logistic and svm see; null: no PCA"
    )
    indicate_missing: bool = Field(
        False, description="add a column for each feature that training lacks somewhere"
    )
    severity_penalty: float = Field(30.0, gt=0, description="alpha of the ridge on the grade")
    severity_spread: float = Field(
        1.0, gt=0, le=10, description="s, how far from the regressed grade others stay likely"
    )


HEAD = ModelEntry(
    settings=LandmarkHeadConfig,
    description="scikit-learn classifier and regression on how the landmarks of a face move",
    sees=("landmarks",),
    sections=("landmarks", "optim.epochs=1"),
    network=None,
    loop="once",
    learner="pdray.training.estimators.landmarks:HEAD",
)


class LandmarkChoiceConfig(ModelSettings):
    """Grid of heads, one of which is chosen inside the recordings that the model learns from.

    Which features and which classifier: each is cross-validated within the training side, several
    times over, and the best is fitted on all of it. So a fold of an outer cross-validation, or a
    test side, has no part in the choice.
    """

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


CHOICE = ModelEntry(
    settings=LandmarkChoiceConfig,
    description="landmark_head, its features and classifier chosen inside each training side",
    sees=("landmarks",),
    sections=("optim.epochs=1",),
    network=None,
    loop="once",
    learner="pdray.training.estimators.landmarks:CHOICE",
)


class LandmarkMlpConfig(ModelSettings):
    """Settings of the network on landmarks."""

    name: Literal["landmark_mlp"] = Field("landmark_mlp", description="architecture")
    frames: Literal["fc", "fv"] = Field(
        "fc", description="fc: frames concatenated; fv: each frame votes, the votes are summed"
    )
    num_frames: int = Field(
        8, ge=1, le=1024, description="frames of a recording; YouTubePD: 8 or 10"
    )
    num_points: int = Field(106, ge=1, description="landmarks of a frame")
    num_hidden: int = Field(256, ge=1, le=65536, description="hidden units of a frame")
    dropout: float = Field(0.0, ge=0, lt=1, description="probability before the output layer")
    unit: Literal["pixels", "eyes"] = Field(
        "pixels",
        description="what coordinates are measured in: 256 pixels, or the distance between the "
        "eyes",
    )
    learning_rate: float = Field(3e-4, gt=0, description="of Adam; YouTubePD: 3e-4")
    batch_size: int = Field(
        64, ge=2, description="recordings of a step; YouTubePD: 64 [recordings]"
    )
    num_steps: int = Field(400, ge=1, description="steps of Adam")
    hierarchy_lambda: float = Field(
        0.5, ge=0, le=1, description="weight of ill or not in the loss; YouTubePD: 0.5"
    )


NETWORK = ModelEntry(
    settings=LandmarkMlpConfig,
    description="YouTubePD's network on nose-centred landmarks of some frames",
    sees=("landmarks",),
    sections=("optim.epochs=1",),
    network=None,
    loop="once",
    learner="pdray.training.estimators.landmarks:NETWORK",
)
