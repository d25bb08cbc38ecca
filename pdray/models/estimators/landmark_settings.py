"""Settings and registry entries of the estimators on landmarks."""

from typing import Any, Literal

from pydantic import Field

from pdray.models.entry import ModelEntry, ModelSettings

Kind = Literal["logistic", "svm", "trees", "boosting", "vote"]


class LandmarkHeadConfig(ModelSettings):
    """Settings of the classical estimator on landmark features."""

    name: Literal["landmark_head"] = Field("landmark_head", description="name of the model")
    kind: Kind = Field(
        "logistic",
        description="classifier of ill or healthy; vote: mean of logistic, svm and trees",
    )
    strength: float = Field(
        0.3, gt=0, le=1000, description="C of logistic: larger fits the training data more closely"
    )
    svm_strength: float = Field(3.0, gt=0, le=1000, description="C of svm")
    svm_width: float = Field(
        0.3, gt=0, le=100, description="gamma of svm's Gaussian kernel times the number of features"
    )
    num_trees: int = Field(200, ge=1, le=5000, description="number of trees of kind trees")
    least_leaf: int = Field(
        3, ge=1, description="fewest recordings in a leaf of trees and boosting [recordings]"
    )
    num_components: int | None = Field(
        None, ge=1, description="principal components given to logistic and svm; null: no PCA"
    )
    indicate_missing: bool = Field(
        False, description="add a column for each feature that is missing in some recording"
    )
    severity_penalty: float = Field(
        30.0, gt=0, description="alpha of the ridge regression on the grade"
    )
    severity_spread: float = Field(
        1.0, gt=0, le=10, description="width s of the likely grades around the regressed one"
    )


HEAD = ModelEntry(
    settings=LandmarkHeadConfig,
    description="scikit-learn classifier and regression on how the landmarks of a face move",
    sees=("landmarks",),
    sections=("landmarks", "landmark_augment", "optim.epochs=1"),
    network=None,
    loop="once",
    learner="pdray.training.estimators.landmarks:HEAD",
)


class LandmarkChoiceConfig(ModelSettings):
    """Grid of features and classifiers, one of which is chosen by cross-validation.

    The cross-validation uses the training recordings alone and is repeated several times. The best
    combination is then fitted on all of them. So validation and test recordings take no part in
    the choice.
    """

    name: Literal["landmark_choice"] = Field("landmark_choice", description="name of the model")
    groups: tuple[str, ...] = Field(
        (
            "head",
            "head+eyes",
            "head+eyes+brows",
            "head+eyes+brows+gaze",
            "head+eyes+brows+regions",
        ),
        min_length=1,
        description="sets of features to try, each as landmarks.groups",
    )
    logistic: tuple[float, ...] = Field(
        (0.3, 1.0, 3.0), description="values of C to try with logistic"
    )
    svm: tuple[float, ...] = Field((3.0, 10.0), description="values of C to try with svm")
    vote: bool = Field(
        True, description="also try the mean of logistic (C 0.3), svm (C 3) and trees"
    )
    severity_penalty: float = Field(
        100.0, gt=0, description="alpha of the ridge regression on the grade"
    )
    severity_spread: float = Field(
        1.0, gt=0, le=10, description="width s of the likely grades around the regressed one"
    )
    num_folds: int = Field(5, ge=2, description="inner folds of the training subjects [folds]")
    num_repeats: int = Field(5, ge=1, description="how often the inner folds are drawn [count]")

    @property
    def heads(self) -> tuple[LandmarkHeadConfig, ...]:
        """Settings of every estimator of the grid."""
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
    description="landmark_head with features and classifier chosen by inner cross-validation",
    sees=("landmarks",),
    sections=("optim.epochs=1",),
    network=None,
    loop="once",
    learner="pdray.training.estimators.landmarks:CHOICE",
)


class LandmarkMlpConfig(ModelSettings):
    """Settings of the network on landmarks."""

    name: Literal["landmark_mlp"] = Field("landmark_mlp", description="name of the model")
    frames: Literal["fc", "fv"] = Field(
        "fc", description="fc: frames concatenated; fv: each frame votes, the votes are summed"
    )
    num_frames: int = Field(
        8, ge=1, le=1024, description="frames per recording; YouTubePD: 8 or 10"
    )
    num_points: int = Field(106, ge=1, description="landmarks per frame")
    num_hidden: int = Field(256, ge=1, le=65536, description="hidden units per frame")
    dropout: float = Field(
        0.0, ge=0, lt=1, description="dropout probability before the output layer"
    )
    unit: Literal["pixels", "eyes"] = Field(
        "pixels",
        description="unit of the coordinates: 256 pixels, or the distance between the eyes",
    )
    learning_rate: float = Field(3e-4, gt=0, description="learning rate of Adam; YouTubePD: 3e-4")
    batch_size: int = Field(
        64, ge=2, description="recordings per training step; YouTubePD: 64 [recordings]"
    )
    num_steps: int = Field(400, ge=1, description="training steps of Adam")
    hierarchy_lambda: float = Field(
        0.5, ge=0, le=1, description="weight of ill or healthy in the loss; YouTubePD: 0.5"
    )


NETWORK = ModelEntry(
    settings=LandmarkMlpConfig,
    description="YouTubePD's network on nose-centred landmarks of some frames",
    sees=("landmarks",),
    sections=("landmark_augment", "optim.epochs=1"),
    network=None,
    loop="once",
    learner="pdray.training.estimators.landmarks:NETWORK",
)
