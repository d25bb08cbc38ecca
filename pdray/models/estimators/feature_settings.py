"""Settings and registry entries of the estimators on tables of features."""

from typing import Literal, get_args

from pydantic import Field, field_validator

from pdray.models.entry import ModelEntry, ModelSettings
from pdray.models.estimators.audio_mlp_settings import AudioMlpConfig

Classifier = Literal[
    "linear", "ordinal", "coral", "rater", "svm", "ridge", "svr", "boosted_grade", "tree", "bayes",
    "forest", "trees", "boosting", "mlp",
]  # fmt: skip
CLASSIFIERS: tuple[Classifier, ...] = get_args(Classifier)

_LINEAR = {"strength": "strength", "is_balanced": "balanced"}
_LEAVES = {"least_leaf": "least_leaf", "is_balanced": "balanced"}
_BOOSTING = {
    "num_steps": "boosting_trees",
    "step_size": "boosting_rate",
    "depth": "boosting_depth",
}
_FOREST = {"num_trees": "num_trees", **_LEAVES}
GIVEN: dict[str, dict[str, str]] = {
    **dict.fromkeys(("linear", "ordinal", "coral"), _LINEAR),
    "rater": {"strength": "strength", "prior": "rater_prior"},
    "svm": {"strength": "svm_strength", "width": "svm_width", "is_balanced": "balanced"},
    "ridge": {"strength": "strength"},
    "svr": {"strength": "svm_strength", "width": "svm_width"},
    "boosted_grade": {**_BOOSTING, "least_leaf": "least_leaf"},
    "tree": _LEAVES,
    "bayes": {},
    **dict.fromkeys(("forest", "trees"), _FOREST),
    "boosting": {**_BOOSTING, **_LEAVES},
    "mlp": {"config": "mlp"},
}
"""Keywords of each classifier, and the settings that give their values."""
_SCALED = frozenset(["scale", "num_components"])  # of all classifiers but trees


class FeatureHeadConfig(ModelSettings):
    """Settings of a classifier on features, and of their preparation."""

    name: Literal["feature_head"] = Field("feature_head", description="name of the model")
    classifier: str = Field(
        "linear",
        description=f"one of {', '.join(CLASSIFIERS)}; several joined by +: the mean of "
        "their probabilities",
    )
    strength: float = Field(
        0.1,
        gt=0,
        le=1000,
        description="C of linear, ordinal, coral, rater and ridge, the inverse of the L2 penalty",
    )
    svm_strength: float = Field(1.0, gt=0, le=1000, description="C of svm and svr")
    svm_width: float = Field(
        0.3,
        gt=0,
        le=100,
        description="gamma of the Gaussian kernel of svm and svr times the number of features",
    )
    num_trees: int = Field(300, ge=1, le=5000, description="number of trees of forest and trees")
    least_leaf: int = Field(
        3, ge=1, description="fewest recordings in a leaf of a tree [recordings]"
    )
    boosting_trees: int = Field(
        100, ge=1, le=5000, description="trees of boosting, per class, and of boosted_grade"
    )
    boosting_rate: float = Field(
        0.05, gt=0, le=1, description="learning rate of boosting and boosted_grade"
    )
    boosting_depth: int = Field(
        2, ge=1, le=20, description="depth of the trees of boosting and boosted_grade"
    )
    mlp: AudioMlpConfig = AudioMlpConfig()
    rater_prior: float = Field(
        10.0,
        gt=0,
        description="rater: imagined grades of each rater for each class, of which 80% agree",
    )
    balanced: bool = Field(
        False,
        description="give each class equal weight, in linear, ordinal, coral, svm, tree, forest, "
        "trees and boosting",
    )
    decision: Literal["likeliest", "median"] = Field(
        "likeliest",
        description="class that is predicted: the likeliest one, or the median, which has the "
        "smallest expected error; median changes the probabilities accordingly",
    )
    scale: Literal["standard", "power"] = Field(
        "standard",
        description="standard: mean 0 and standard deviation 1; power: more normal first "
        "(Yeo-Johnson); of all but trees",
    )
    indicate_missing: bool = Field(
        True, description="add a column for each feature that is absent in some recording"
    )
    num_selected: int | None = Field(
        None,
        ge=1,
        description="features to keep, those most correlated with the class; null: all",
    )
    num_components: int | None = Field(
        None,
        ge=1,
        description="principal components of the scaled features; trees do not use it; null: no "
        "PCA",
    )

    @field_validator("classifier")
    @classmethod
    def _are_classifiers(cls, classifier: str) -> str:
        names = classifier.split("+")
        for name in names:
            if name not in CLASSIFIERS:
                raise ValueError(
                    f"'{name}' is not a classifier; use some of {', '.join(CLASSIFIERS)}"
                )
            if names.count(name) > 1:
                raise ValueError(f"{name} is listed {names.count(name)} times; list it once")
        return classifier

    @property
    def idle(self) -> frozenset[str]:
        """Settings of other classifiers."""
        used = [frozenset(GIVEN[name].values()) for name in self.classifier.split("+")]
        every = frozenset(key for keys in GIVEN.values() for key in keys.values())
        has_scale = any("least_leaf" not in keys for keys in used)
        return every.difference(*used) | (frozenset() if has_scale else _SCALED)


HEAD = ModelEntry(
    settings=FeatureHeadConfig,
    description="classifier on a table of features: linear, ordinal, rater, svm, trees, mlp",
    sees=("features",),
    sections=("optim.epochs=1",),
    network=None,
    loop="once",
    learner="pdray.training.estimators.features:HEAD",
)

Criterion = Literal["auto", "auroc", "balanced_accuracy", "kappa", "mae", "mcc"]


class FeatureChoiceConfig(ModelSettings):
    """Grid of classifiers, one of which is chosen by cross-validation.

    The cross-validation uses the training recordings alone. The best setting is then fitted on all
    of them. So validation and test recordings take no part in the choice.
    """

    name: Literal["feature_choice"] = Field("feature_choice", description="name of the model")
    grid: tuple[FeatureHeadConfig, ...] = Field(
        (
            FeatureHeadConfig(scale="power", strength=0.03),
            FeatureHeadConfig(scale="power", strength=0.3),
            FeatureHeadConfig(
                classifier="ordinal", scale="power", strength=0.03, decision="median"
            ),
            FeatureHeadConfig(classifier="svr", scale="power", svm_strength=2.0),
            FeatureHeadConfig(classifier="svm", scale="power", balanced=True),
            FeatureHeadConfig(classifier="trees"),
            FeatureHeadConfig(classifier="linear+svm+trees", scale="power"),
            FeatureHeadConfig(classifier="ordinal+svr+boosted_grade", scale="power"),
        ),
        min_length=1,
        description="settings to choose from, each as those of feature_head; the simplest first",
    )
    criterion: Criterion = Field(
        "auto",
        description="score of the inner folds; auto: auroc for two classes, kappa minus mae for "
        "more",
    )
    num_folds: int = Field(5, ge=2, description="inner folds of the training subjects [folds]")
    num_repeats: int = Field(1, ge=1, description="how often the inner folds are drawn [count]")


CHOICE = ModelEntry(
    settings=FeatureChoiceConfig,
    description="feature_head whose settings are chosen by inner cross-validation",
    sees=("features",),
    sections=("optim.epochs=1",),
    network=None,
    loop="once",
    learner="pdray.training.estimators.features:CHOICE",
)
