"""Settings of a study and of the preparation of its frames."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field, field_validator

from pdray.config import (
    Settings,
    build,
    part,
    read_tree,
)
from pdray.data.cohort.settings import DataConfig, FoldsConfig
from pdray.data.media.flow import FlowConfig
from pdray.data.media.settings import AudioConfig
from pdray.data.modalities import Modality
from pdray.data.store.settings import Recipe, StoreConfig
from pdray.evaluation.metrics import METRICS
from pdray.tracking.address import TrackingConfig
from pdray.training.settings import FitConfig


def default_output() -> Path:
    """Return the folder of everything that jobs leave behind."""
    return Path("~/pdray_output").expanduser()


def _absolute(output: Path) -> Path:
    # A submitted job runs in a temporary copy, so a relative folder would be lost with it.
    absolute = output.expanduser()
    if not absolute.is_absolute():
        raise ValueError(
            f"got '{output}'; a submitted job runs in a temporary folder, so the output needs "
            f"an absolute path, such as {Path.cwd() / output}"
        )
    return absolute


OutputFolder = Annotated[Path, AfterValidator(_absolute)]


class SearchConfig(Settings):
    """How trials are proposed, compared and ended."""

    name: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$",
        description="name of the study and of its folder; null: <model>-<date>-<time>",
    )
    trials: int = Field(50, ge=1, description="trials of the study, finished ones included [count]")
    metric: str = Field("mcc", description="score that decides, of the validation subjects")
    seed: int = Field(0, ge=0, description="seed of the sampler and of every fit")
    startup_trials: int = Field(10, ge=1, description="random trials before TPE proposes [count]")
    prune_quantile: float = Field(
        0.25, ge=0, le=1, description="share of trials at a (fold, epoch) that ends; 0: none"
    )
    prune_after_trials: int = Field(
        4, ge=1, description="other trials that must have reached a (fold, epoch) [count]"
    )
    prune_after_epochs: int = Field(
        5, ge=0, description="epochs of each fold before any trial ends [epochs]"
    )
    max_concurrent_trials: int | None = Field(
        None, ge=1, description="trials at once [count]; null: as many as fit the cluster"
    )

    @field_validator("metric")
    @classmethod
    def _is_a_metric(cls, metric: str) -> str:
        if metric not in METRICS:
            raise ValueError(f"got {metric!r}; expected one of {', '.join(METRICS)}")
        return metric


class ResourcesConfig(Settings):
    """What one trial reserves and what the cluster may grow to."""

    num_workers: int = Field(
        1, ge=1, description="workers of a trial; 2 and more train with DDP [count]"
    )
    cpus_per_worker: float = Field(1.0, gt=0, description="CPUs of a worker [count]")
    gpus_per_worker: float | None = Field(
        None, ge=0, description="GPUs of a worker [count]; null: 1 where there are any, else 0"
    )
    cluster_cpus: float | None = Field(
        None, gt=0, description="CPUs an autoscaling cluster may grow to [count]; null: has now"
    )
    cluster_gpus: float | None = Field(
        None, ge=0, description="GPUs an autoscaling cluster may grow to [count]; null: has now"
    )
    address: str | None = Field(
        None, description="Ray cluster; null: that of a submitted job, else a private local one"
    )


class StudyConfig(FitConfig):
    """The root of ``jobs/tune_tsa.py``: a fit's settings and those of the search around it."""

    help_groups: ClassVar = {
        "recordings and classes": ("data.items", "data.grade_cuts"),
        "model": ("modality", "model.*", "pretrained"),
        "training": (
            "snippet.num_frames", "optim.epochs", "optim.learning_rate", "optim.batch_size",
            "loss.kind",
        ),
        "search and output": ("search.name", "search.trials", "output"),
    }  # fmt: skip
    entry_sections: ClassVar = ("space",)
    data: DataConfig
    folds: FoldsConfig = FoldsConfig()
    search: SearchConfig = SearchConfig()
    resources: ResourcesConfig = ResourcesConfig()
    tracking: TrackingConfig = TrackingConfig()
    store: StoreConfig = StoreConfig()
    flow: FlowConfig = FlowConfig()
    audio: AudioConfig = AudioConfig()
    frames: Literal["store", "video"] = Field(
        "store",
        description="store: decode once into the output folder; video: decode at every read",
    )
    output: OutputFolder = Field(
        default_factory=default_output, description="folder of everything a study leaves behind"
    )

    @property
    def fit(self) -> FitConfig:
        """The part that a fit depends on."""
        return part(self, FitConfig)

    @property
    def recipe(self) -> Recipe:
        """The part that decides what the frame store holds."""
        return part(self, Recipe)


class PrepareConfig(Recipe):
    """The root of ``jobs/prepare.py``: what a study sets under the same names, and what for."""

    help_groups: ClassVar = {
        "recordings": ("data.items", "data.max_decode_failures", "modalities"),
        "frames": ("decode.height", "decode.width", "decode.frame_rate"),
        "store and cluster": ("store.codec", "store.quality", "flow.method", "output", "address"),
    }
    data: DataConfig
    modalities: tuple[Modality, ...] = Field(
        ("rgb",), min_length=1, description="what to make of each recording"
    )
    output: OutputFolder = Field(
        default_factory=default_output,
        description="as the studies': the store is <output>/store",
    )
    address: str | None = Field(
        None, description="Ray cluster; null: that of a submitted job, else a private local one"
    )


class DescribeConfig(Recipe):
    """The root of ``jobs/describe.py``: which recordings, and how their frames were prepared."""

    help_groups: ClassVar = {
        "recordings and classes": ("data.items", "data.subjects", "data.grade_cuts"),
        "frames and output": ("decode.height", "decode.width", "decode.frame_rate", "output"),
    }
    data: DataConfig
    output: OutputFolder = Field(
        default_factory=default_output,
        description="tables and pictures go to <output>/describe/<name of the manifest>; frames "
        "that are in <output>/store are counted there",
    )


def load_preparation(argv: Sequence[str]) -> PrepareConfig:
    """Read a command line, with a study's YAML file or one of its own.

    What a study sets beyond its frames is passed over, and its ``modality`` is what is made, so
    that the file of a study prepares what that study will read.

    Raises:
        SettingsError: With every fault at once.
    """
    tree = read_tree(PrepareConfig, argv)
    modality = tree.get("modality", StudyConfig.model_fields["modality"].default)
    tree.setdefault("modalities", [modality])
    return build(PrepareConfig, _without_others(tree, PrepareConfig))


def load_description(argv: Sequence[str]) -> DescribeConfig:
    """Read a command line of ``jobs/describe.py``, with a study's YAML file or one of its own.

    What a study sets beyond its recordings and frames is passed over.

    Raises:
        SettingsError: With every fault at once.
    """
    return build(DescribeConfig, _without_others(read_tree(DescribeConfig, argv), DescribeConfig))


def _without_others(tree: Mapping[str, Any], root: type[Settings]) -> dict[str, Any]:
    """Leave out what only a study sets."""
    others = {*StudyConfig.model_fields, "space"} - set(root.model_fields)
    return {key: value for key, value in tree.items() if key not in others}


def default_name(config: StudyConfig) -> str:
    """Return a study name made of the model and the local date and time."""
    return time.strftime(f"{config.model.name}-%Y%m%d-%H%M%S")
