"""Settings of patient-level assembling, and how its command line is read."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from pdray.config import Settings, build, dump, read_tree
from pdray.data.cohort.settings import DataConfig
from pdray.data.media.flow import FlowConfig
from pdray.data.store.settings import StoreConfig
from pdray.earlier import as_begun
from pdray.errors import SettingsError, refuse
from pdray.losses.settings import LossConfig
from pdray.search.settings import OutputFolder, ResourcesConfig, StudyConfig, default_output
from pdray.search.space import fit_faults
from pdray.tracking.run_log import StudyLog
from pdray.training.settings import FitConfig


class LevelsConfig(Settings):
    """What the severity of a visit is."""

    score: Literal["visit_score", "grades"] = Field(
        "visit_score", description="the manifest's column, or the sum of the visit's grades"
    )
    max_missing: int = Field(
        0,
        ge=0,
        description="grades that a visit may lack of those the cohort has; its sum is then scaled "
        "up by proportion (score grades only) [count]",
    )

    @model_validator(mode="after")
    def _no_idle_setting(self) -> Self:
        """Refuse a setting that would have no effect."""
        if self.score == "visit_score" and self.max_missing:
            raise ValueError(
                f"max_missing {self.max_missing} needs score grades; with score visit_score leave "
                "it at 0"
            )
        return self


class AssemblingConfig(Settings):
    """Shape of what combines the items and of the shallow network behind it."""

    hidden_layers: Literal[0, 1, 2] = Field(
        1, description="hidden layers behind a combined vector [layers]"
    )
    hidden_units: int = Field(128, ge=1, description="units of each hidden layer [count]")
    reduction: float = Field(
        2.0, ge=1, description="r of squeeze-and-excitation: items to reduced items"
    )
    num_heads: int = Field(
        8, ge=1, description="heads of the attention over items; must divide the map's channels"
    )
    key_dim: int | None = Field(
        None, ge=1, description="size of a head's keys; null: channels / heads"
    )


class HeadsConfig(Settings):
    """How the shallow networks on frozen features learn; rates and sizes are those of TSA."""

    repeats: int = Field(20, ge=1, description="trainings of each head on each fold [count]")
    optimizer: Literal["sgd", "adamw"] = Field("adamw", description="sgd has momentum 0.9")
    learning_rate: float = Field(1e-3, gt=0, description="constant learning rate")
    weight_decay: float = Field(0.01, ge=0, description="lambda of TSA eq. 1")
    batch_size: int = Field(
        15, ge=2, description="visits of a step, at least; a rest is shared out [count]"
    )
    epochs: int = Field(100, ge=1, description="epochs of each training [count]")
    loss: LossConfig = LossConfig()

    @model_validator(mode="after")
    def _visits_have_one_level(self) -> Self:
        if self.loss.soft_targets:
            raise ValueError("soft_targets true needs raters; the level of a visit has none")
        return self


class VisitFoldsConfig(Settings):
    """How subjects are split: once, for all items."""

    num_outer: int = Field(5, description="folds of all subjects, at least 3 [folds]")
    seed: int = Field(0, ge=0, description="seed of the shuffle before the split")

    @field_validator("num_outer")
    @classmethod
    def _networks_have_a_fold(cls, num_outer: int) -> int:
        if num_outer < 3:
            raise ValueError(
                f"got {num_outer}; a network is held out from two folds and needs a third to learn "
                "from"
            )
        return num_outer


class VisitSearchConfig(Settings):
    """What a run is called and starts from; nothing is searched."""

    name: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$",
        description="name of the run and of its folder; null: assembling-<date>-<time>",
    )
    seed: int = Field(0, ge=0, description="seed of every network and of the heads")


class AssembleConfig(FitConfig):
    """The root of ``jobs/assemble_patients.py``; the settings of a fit are the items' networks'."""

    help_groups: ClassVar = {
        "visits, and heads on their features": (
            "data.items", "levels.score", "levels.max_missing", "folds.num_outer",
            "heads.repeats", "heads.epochs",
        ),
        "networks of the items": ("model.*", "pretrained", "optim.epochs", "optim.learning_rate"),
        "output": ("search.name", "output"),
    }  # fmt: skip
    data: DataConfig
    folds: VisitFoldsConfig = VisitFoldsConfig()
    search: VisitSearchConfig = VisitSearchConfig()
    resources: ResourcesConfig = ResourcesConfig()
    store: StoreConfig = StoreConfig()
    flow: FlowConfig = FlowConfig()
    output: OutputFolder = Field(
        default_factory=default_output,
        validate_default=True,
        description="folder of everything a run leaves behind",
    )
    levels: LevelsConfig = LevelsConfig()
    assembling: AssemblingConfig = AssemblingConfig()
    heads: HeadsConfig = HeadsConfig()

    @model_validator(mode="after")
    def _networks_train_alone(self) -> Self:
        if self.stream.reader == "ray":
            raise ValueError(
                "stream.reader ray: each network reads the frame store in its own process; leave "
                "it at auto"
            )
        if self.data.subjects == "none":
            raise ValueError("data.subjects none: a visit is that of a person; name the subjects")
        if self.resources.num_workers != 1:
            raise ValueError(
                f"resources.num_workers {self.resources.num_workers}: a network is trained by one "
                "worker, and many networks at once; leave it at 1"
            )
        return self

    @property
    def folder(self) -> Path:
        """The folder of the visits' networks and scores."""
        name = self.search.name or time.strftime("assembling-%Y%m%d-%H%M%S")
        return self.output / "assembling" / name

    @property
    def study(self) -> StudyConfig:
        """The settings that the networks depend on, beside the folds, as those of a study."""
        tree = dump(self)
        known = {name: tree[name] for name in StudyConfig.model_fields if name in tree}
        return build(StudyConfig, known)


def load_assembly(argv: Sequence[str]) -> AssembleConfig:
    """Read and check a command line.

    Raises:
        SettingsError: With every fault at once.
    """
    tree = read_tree(AssembleConfig, argv)
    config = build(AssembleConfig, tree)
    study = StudyLog(config.folder)
    if config.search.name and study.exists():
        config = build(AssembleConfig, as_begun(AssembleConfig, tree, study.read()["settings"]))
    refuse(fit_faults(config.study.fit, {}), SettingsError, "settings")
    return config
