"""Settings and registry entry of the head on landmark features."""

from typing import Literal

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


ENTRY = ModelEntry(
    settings=LandmarkHeadConfig,
    description="classical classifier and regression on landmark features",
    sees=("landmarks",),
    sections=("landmarks", "optim.epochs=1"),
    network=None,
    loop="once",
)
