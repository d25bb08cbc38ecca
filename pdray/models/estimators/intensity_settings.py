"""Settings and registry entry of the classifiers on expression intensities."""

from typing import Literal

from pydantic import Field

from pdray.models.entry import ModelEntry, ModelSettings

RECURRENT = ("gru", "lstm")
_RECURRENT = {
    "residual", "num_hidden", "num_layers", "dropout", "learning_rate", "batch_size", "num_epochs",
}  # fmt: skip
FEWEST_SUBJECTS = 3  # of each class; with two, a standard deviation says nothing of others


class IntensityHeadConfig(ModelSettings):
    """Settings of a classifier on expression intensities; Huang et al. 2025 give none of them."""

    name: Literal["intensity_head"] = Field("intensity_head", description="name of the model")
    classifier: Literal["tree", "bayes", "forest", "svm", "gru", "lstm"] = Field(
        "lstm",
        description="decision tree, naive Bayes, random forest, support vector machine, or a "
        "recurrent network whose steps are the videos",
    )
    features: Literal["original", "processed", "both"] = Field(
        "processed",
        description="original: intensities; processed: in their place, eight statistics of each "
        "video (Huang et al. 2025, Eq. 4)",
    )
    scale: Literal["log", "exp"] = Field(
        "log",
        description="log: logarithms of intensities, cosine / tau; exp: intensities (Huang et al. "
        "2025, Eq. 3), which span many powers of ten",
    )
    residual: bool = Field(
        True, description="add the projected input of each layer of gru and lstm to its output"
    )
    num_hidden: int = Field(32, ge=1, le=4096, description="units of each layer of gru and lstm")
    num_layers: int = Field(2, ge=1, le=8, description="layers of gru and lstm")
    dropout: float = Field(
        0.2, ge=0, lt=1, description="dropout probability after each layer of gru and lstm"
    )
    learning_rate: float = Field(1e-3, gt=0, description="learning rate of Adam (gru, lstm)")
    batch_size: int = Field(
        32, ge=1, description="visits per training step of gru and lstm [recordings]"
    )
    num_epochs: int = Field(
        40, ge=1, description="passes of gru and lstm over the training visits [epochs]"
    )
    strength: float = Field(
        1.0, gt=0, le=1000, description="C of svm: larger fits the training data more closely"
    )
    num_trees: int = Field(200, ge=1, le=5000, description="number of trees of forest")
    least_leaf: int = Field(
        3, ge=1, description="fewest visits in a leaf of tree and forest [recordings]"
    )

    @property
    def is_recurrent(self) -> bool:
        """Whether the classifier is a recurrent network."""
        return self.classifier in RECURRENT

    @property
    def idle(self) -> frozenset[str]:
        """Settings of other classifiers."""
        trees = {"tree": {"least_leaf"}, "forest": {"least_leaf", "num_trees"}}
        used = {**trees, "svm": {"strength"}, **dict.fromkeys(RECURRENT, _RECURRENT)}
        every = frozenset[str]().union(*used.values())
        return every - frozenset(used.get(self.classifier, ()))

    @property
    def hierarchy_lambda(self) -> float:
        """Always 0: the loss is cross-entropy over all classes."""
        return 0.0


ENTRY = ModelEntry(
    settings=IntensityHeadConfig,
    description="classifier on the expression intensities of a visit (Huang et al. 2025)",
    sees=("intensities",),
    sections=("optim.epochs=1",),
    network=None,
    loop="once",
    learner="pdray.training.estimators.intensities:PARTS",
    fewest_subjects=FEWEST_SUBJECTS,
    has_maps=False,
)
