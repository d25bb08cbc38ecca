"""Settings of the patient-level scores, and their command line."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from pdray.config import Settings, build, dump, merge, read_tree
from pdray.data.cohort.settings import DataConfig
from pdray.data.media.settings import FlowConfig
from pdray.data.store.settings import StoreConfig
from pdray.earlier import as_begun
from pdray.errors import SettingsError, refuse
from pdray.evaluation.settings import EvaluationConfig
from pdray.losses.settings import LossConfig
from pdray.rights import OutputMode
from pdray.search.settings import OutputFolder, ResourcesConfig, StudyConfig, default_output
from pdray.search.space import fit_faults
from pdray.tracking.run_log import StudyLog
from pdray.training.settings import FitConfig


class LevelsConfig(Settings):
    """Settings of the severity of a visit."""

    score: Literal["visit_score", "grades"] = Field(
        "visit_score",
        description="severity of a visit; visit_score: that column of the manifest; grades: the "
        "sum of its grades",
    )
    max_missing: int = Field(
        0,
        ge=0,
        description="score grades: how many grades of a visit may be missing; its sum is then "
        "scaled up by proportion [count]",
    )

    @model_validator(mode="after")
    def _no_idle_setting(self) -> Self:
        """Refuse a setting that would have no effect."""
        if self.score == "visit_score" and self.max_missing:
            raise ValueError(
                f"max_missing {self.max_missing} has no effect with score visit_score; set it to "
                "0, or set score=grades"
            )
        return self


class AssemblingConfig(Settings):
    """Shape of the visit classifier: the part that combines the items, and the layers after it."""

    hidden_layers: Literal[0, 1, 2] = Field(
        1, description="hidden layers after the combined vector [layers]"
    )
    hidden_units: int = Field(128, ge=1, description="units per hidden layer [count]")
    reduction: float = Field(
        2.0, ge=1, description="r of squeeze-and-excitation: items divided by reduced items"
    )
    num_heads: int = Field(
        8, ge=1, description="attention heads over items; must divide the channels of the map"
    )
    key_dim: int | None = Field(
        None, ge=1, description="key size per attention head; null: channels / heads"
    )


class HeadsConfig(Settings):
    """Settings of the training of the visit classifiers; rates and sizes are those of TSA."""

    repeats: int = Field(
        20,
        ge=1,
        description="trainings of each visit classifier per fold, with other seeds [count]",
    )
    optimizer: Literal["sgd", "adamw"] = Field(
        "adamw", description="optimiser of the visit classifiers; sgd has momentum 0.9"
    )
    learning_rate: float = Field(1e-3, gt=0, description="constant learning rate")
    weight_decay: float = Field(0.01, ge=0, description="weight decay, lambda of TSA, eq. 1")
    batch_size: int = Field(
        15, ge=2, description="fewest visits per training step; a rest is spread evenly [count]"
    )
    epochs: int = Field(100, ge=1, description="epochs per training [count]")
    loss: LossConfig = LossConfig()

    @model_validator(mode="after")
    def _visits_have_one_level(self) -> Self:
        if self.loss.soft_targets:
            raise ValueError(
                "loss.soft_targets true needs several raters, but a visit has one level; set it to "
                "false"
            )
        return self


class VisitFoldsConfig(Settings):
    """Settings of the split of subjects, which is the same for all items."""

    num_outer: int = Field(5, description="number of folds of all subjects, at least 3 [folds]")
    seed: int = Field(0, ge=0, description="seed of the shuffle before the split")

    @field_validator("num_outer")
    @classmethod
    def _networks_have_a_fold(cls, num_outer: int) -> int:
        if num_outer < 3:
            raise ValueError(
                f"got {num_outer}, but a network leaves out two folds and needs a third to learn "
                "from; use at least 3"
            )
        return num_outer


class VisitSearchConfig(Settings):
    """Name and seed of a run; nothing is searched."""

    name: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$",
        description="name of the run and of its folder; null: assembling-<date>-<time>",
    )
    seed: int = Field(0, ge=0, description="seed of all networks and visit classifiers")


class AssembleConfig(FitConfig):
    """Settings of ``jobs/assemble_patients.py``; those of a fit are for the items' networks."""

    help_groups: ClassVar = {
        "visits, and the classifiers of their features": (
            "data.items", "levels.score", "levels.max_missing", "folds.num_outer",
            "heads.repeats", "heads.epochs",
        ),
        "networks of the items": ("model.*", "pretrained", "optim.epochs", "optim.learning_rate"),
        "output": ("search.name", "output"),
    }  # fmt: skip
    data: DataConfig
    folds: VisitFoldsConfig = VisitFoldsConfig()
    search: VisitSearchConfig = VisitSearchConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    resources: ResourcesConfig = ResourcesConfig()
    store: StoreConfig = StoreConfig()
    flow: FlowConfig = FlowConfig()
    output: OutputFolder = Field(
        default_factory=default_output,
        validate_default=True,
        description="folder of all files of a run",
    )
    output_mode: OutputMode = "owner"
    levels: LevelsConfig = LevelsConfig()
    assembling: AssemblingConfig = AssemblingConfig()
    heads: HeadsConfig = HeadsConfig()

    @model_validator(mode="after")
    def _networks_train_alone(self) -> Self:
        if self.stream.reader == "ray":
            raise ValueError(
                "stream.reader ray cannot be used, since each network reads the frame store in its "
                "own process; set it to auto"
            )
        if self.data.subjects == "none":
            raise ValueError(
                "data.subjects none cannot be used, since a visit belongs to a person; fill "
                "subject_id in the manifest"
            )
        if self.data.target != "grade":
            raise ValueError(
                f"data.target {self.data.target} cannot be used, since levels of visits are cut "
                "from scores, and networks of items learn grades; remove it"
            )
        if not self.entry.predicts:
            raise ValueError(
                f"model.name {self.model.name} cannot be used, since it changes pictures and "
                "predicts no class; choose a network"
            )
        if self.resources.num_workers != 1:
            raise ValueError(
                f"resources.num_workers {self.resources.num_workers} cannot be used, since each "
                "network is trained by one worker (and many networks at once); set it to 1"
            )
        return self

    @property
    def folder(self) -> Path:
        """The folder of the visits' networks and scores."""
        return self.output / "assembling" / str(self.search.name)

    @property
    def study(self) -> StudyConfig:
        """Settings that the networks depend on, without the folds, as settings of a study."""
        tree = dump(self)
        known = {name: tree[name] for name in StudyConfig.model_fields if name in tree}
        return build(StudyConfig, known)


def load_assembly(argv: Sequence[str]) -> AssembleConfig:
    """Read and check a command line.

    Raises:
        SettingsError: If the settings have faults; lists all of them.
    """
    tree = read_tree(AssembleConfig, argv)
    if not build(AssembleConfig, tree).search.name:
        merge(tree, {"search": {"name": time.strftime("assembling-%Y%m%d-%H%M%S")}})
    config = build(AssembleConfig, tree)
    study = StudyLog(config.folder)
    if study.exists():
        config = build(AssembleConfig, as_begun(AssembleConfig, tree, study.read()["settings"]))
    refuse(fit_faults(config.study.fit, {}), SettingsError, "settings")
    return config
