"""Settings of a study, and of the jobs that prepare frames and describe a cohort."""

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import AfterValidator, Field, field_validator

from pdray.address import ClusterAddress
from pdray.checks import CHECKS
from pdray.config import (
    Settings,
    build,
    nearest,
    part,
    read_tree,
)
from pdray.data.cohort.settings import DataConfig, FoldsConfig
from pdray.data.media.settings import AudioConfig, FlowConfig
from pdray.data.modalities import Modality
from pdray.data.store.settings import Recipe, StoreConfig
from pdray.evaluation.metrics import KERNEL_DISTANCE, METRICS
from pdray.evaluation.settings import (
    DecisionConfig,
    EvaluationConfig,
    SmallCells,
    StudyReportConfig,
)
from pdray.rights import OutputMode
from pdray.tracking.address import TrackingConfig
from pdray.training.settings import FitConfig


def default_output() -> str:
    """Return the folder for everything that jobs write, as text, to be checked like any other.

    A user of a container may have no home folder; ``~`` stays then, and is refused.
    """
    return os.path.expanduser("~/pdray_output")  # noqa: PTH111 - pathlib's raises there


def _absolute(output: Path) -> Path:
    # A submitted job runs in a temporary folder, so a relative output would be deleted with it.
    try:
        absolute = output.expanduser()
    except RuntimeError as error:
        raise ValueError(
            f"got '{output}', but there is no such home folder; give an absolute path"
        ) from error
    if not absolute.is_absolute():
        raise ValueError(
            f"got '{output}', a relative path, which a submitted job would write into a temporary "
            f"folder; write an absolute path, such as {Path.cwd() / output}"
        )
    return absolute


OutputFolder = Annotated[Path, AfterValidator(_absolute)]


Protocol = Literal["nested", "repeated", "holdout", "leave_one_subject_out", "split"]
NESTED = ("nested", "repeated", "leave_one_subject_out")  # they search in each outer fold


class SearchConfig(Settings):
    """Settings of the search: how trials are proposed, compared and pruned."""

    name: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$",
        description="name of the study and of its folder; null: <model>-<date>-<time>",
    )
    trials: int = Field(
        50, ge=1, description="number of trials, including those that have ended [count]"
    )
    hours: float | None = Field(
        None,
        description="longest time of all trials, the refit and the folds that are kept together, "
        "also over several sessions; the winner is the best trial that is complete by then; frames "
        "are prepared before; null: no limit [hours]",
    )
    patience: int | None = Field(
        None,
        ge=1,
        description="complete trials without an improvement beyond noise after which the search "
        "ends; null: it runs all trials [count]",
    )
    metric: str = Field(
        "mcc",
        description="validation score to optimise; of a translator it is kernel_distance, of "
        "pictures that it changes to held-out real ones",
    )
    seed: int | None = Field(
        None,
        ge=0,
        description="seed of the sampler and of every fit; null: one that follows from the name",
    )
    start: str | tuple[dict[str, Any], ...] = Field(
        "default",
        min_length=1,
        description="first trials: default (the study's own settings, without the space), sampler "
        "(none of their own), a list of settings with dotted keys, or the folder of a complete "
        "study of the same space, whose five best settings come first",
        json_schema_extra={"earlier": "sampler"},
    )
    protocol: Protocol | None = Field(
        None,
        description="who is tested. nested: everybody once, by a search in each outer fold and one "
        "on all subjects for the winner; repeated: that with search.repeats assignments to outer "
        "folds; leave_one_subject_out: each outer fold is one subject; holdout: one outer fold; "
        "split: as folds.from_split; null: nested where it is short enough, else holdout",
        json_schema_extra={"earlier": "holdout"},
    )
    repeats: int = Field(
        3, ge=2, description="assignments to outer folds of search.protocol=repeated [count]"
    )
    nested_hours: float = Field(
        2.0,
        gt=0,
        description="longest forecast of the whole study under which a network is searched by "
        "search.protocol=nested where it is null [hours]",
    )
    reshuffle: bool = Field(
        False,
        description="draw the inner folds anew for each trial, so that the choice among trials "
        "follows chance in one assignment less (arXiv 2405.15393)",
    )
    keep_folds: bool = Field(
        True,
        description="train the winner's folds again to its epoch and keep their weights, with "
        "which jobs/predict.py grades other recordings; false: the refit alone is kept",
        json_schema_extra={"earlier": False},
    )
    startup_trials: int = Field(
        10, ge=1, description="random trials before TPE proposes values [count]"
    )
    prune_rule: Literal["folds", "quantile"] = Field(
        "folds",
        description="trials that end early; folds: those clearly worse than the best one, after a "
        "fold or in the first; quantile: the worst at any fold and epoch",
        json_schema_extra={"earlier": "quantile"},
    )
    prune_quantile: float = Field(
        0.25,
        ge=0,
        le=1,
        description="share of the worst trials that rule quantile prunes at a fold and epoch; 0: "
        "no pruning by either rule",
    )
    prune_after_trials: int = Field(
        4,
        ge=1,
        description="other trials that must be complete (folds; at least 2), or have reached a "
        "fold and epoch (quantile), before one is pruned [count]",
    )
    prune_after_epochs: int = Field(
        5,
        ge=0,
        description="epochs of the first fold (folds; at least a quarter of them) or of each fold "
        "(quantile) in which no trial is pruned [epochs]",
    )
    max_concurrent_trials: int | None = Field(
        None, ge=1, description="trials that run at once [count]; null: as many as fit the cluster"
    )
    parallel_folds: Literal["off", "auto"] = Field(
        "off",
        description="auto: if more workers fit the cluster than trials run at once, they train "
        "folds of one trial at once; scores stay the same, but a lost process repeats whole folds",
    )

    @field_validator("hours")
    @classmethod
    def _is_a_time(cls, hours: float | None) -> float | None:
        if hours is not None and hours <= 0:
            raise ValueError(
                f"got {hours:g}; write the hours that trials and refit may take together, such as "
                "8 or 0.5, or null for no limit"
            )
        return hours

    @field_validator("metric")
    @classmethod
    def _is_a_metric(cls, metric: str) -> str:
        if metric not in METRICS and metric != KERNEL_DISTANCE:
            known = ", ".join([*METRICS, f"for a translator {KERNEL_DISTANCE}"])
            raise ValueError(f"got {metric!r}; expected one of {known}")
        return metric


class ResourcesConfig(Settings):
    """Settings of computing resources: those of one trial, and the size of the cluster."""

    num_workers: int = Field(
        1, ge=1, description="workers per trial; 2 or more train together with DDP [count]"
    )
    cpus_per_worker: float = Field(1.0, gt=0, description="CPUs per worker [count]")
    gpus_per_worker: float | None = Field(
        None,
        ge=0,
        description="GPUs per worker [count]; null: 1 if the cluster has GPUs, or a part of one if "
        "more trials fit so by their measured memory; else 0",
    )
    cluster_cpus: float | None = Field(
        None,
        gt=0,
        description="most CPUs of an autoscaling cluster [count]; null: those that it has now",
    )
    cluster_gpus: float | None = Field(
        None,
        ge=0,
        description="most GPUs of an autoscaling cluster [count]; null: those that it has now",
    )
    node_types: dict[str, dict[str, float]] = Field(
        {},
        description="nodes that an autoscaling cluster may start, in the words of cluster.yaml: "
        "{train: {CPU: 8, GPU: 1, max_workers: 4}}; empty: those that the cluster reports",
    )
    address: ClusterAddress = Field(
        None,
        description="address of the Ray cluster; null: that of a submitted job, else a private "
        "local one",
    )

    @field_validator("node_types")
    @classmethod
    def _types_have_a_size(cls, types: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
        faults = [
            f"{name}: {word} is missing or less than 1; write {name}: {{CPU: 8, max_workers: 4}}"
            for name, one in types.items()
            for word in ("CPU", "max_workers")
            if one.get(word, 0) < 1
        ]
        faults += [  # Ray would take other words for resources of your own
            f"{name}: got {word} {number:g}; write GPU, and 0 or more"
            for name, one in types.items()
            for word, number in one.items()
            if word.upper() == "GPU" and (word != "GPU" or number < 0)
        ]
        if faults:
            raise ValueError("; ".join(faults))
        return types


class StudyEvaluationConfig(EvaluationConfig):
    """How the scores of a study get their intervals, and a p against chance."""

    permutations: int = Field(
        0,
        ge=0,
        description="how often the whole study runs again with grades exchanged between subjects, "
        "for a p against chance; 19 can show p = 0.05; 0: no p is printed [count]",
    )


class ChecksConfig(Settings):
    """Which checks of a finished search are muted."""

    mute: dict[str, str] = Field(
        {},
        description="checks that are not run, each with your reason, which the report prints: "
        'checks.mute.PDR009="pilot study"',
    )

    @field_validator("mute")
    @classmethod
    def _checks_are_known(cls, mute: dict[str, str]) -> dict[str, str]:
        faults = [
            f"there is no check {code!r}; {nearest(code, list(CHECKS))}the checks are "
            f"{', '.join(CHECKS)}"
            for code in mute
            if code not in CHECKS
        ]
        faults += [
            f"{code} has no reason; write why it is muted, or leave it out"
            for code, reason in mute.items()
            if not reason.strip()
        ]
        if faults:
            raise ValueError("; ".join(faults))
        return mute


class StudyConfig(FitConfig):
    """Settings of ``jobs/tune_tsa.py``: those of a fit, and those of the search."""

    help_groups: ClassVar = {
        "recordings and classes": ("data.items", "data.grade_cuts", "data.target"),
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
    evaluation: StudyEvaluationConfig = StudyEvaluationConfig()
    report: StudyReportConfig = StudyReportConfig()
    decision: DecisionConfig = DecisionConfig()
    checks: ChecksConfig = ChecksConfig()
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
        default_factory=default_output,
        validate_default=True,
        description="folder for everything that a study writes",
    )
    output_mode: OutputMode = "owner"

    @property
    def fit(self) -> FitConfig:
        """Settings that a fit depends on."""
        return part(self, FitConfig)

    @property
    def recipe(self) -> Recipe:
        """Settings that decide what the frame store contains."""
        return part(self, Recipe)


class PrepareConfig(Recipe):
    """Settings of ``jobs/prepare.py``; their names are those of a study."""

    help_groups: ClassVar = {
        "recordings": ("data.items", "data.max_decode_failures", "modalities"),
        "frames": ("decode.height", "decode.width", "decode.frame_rate"),
        "store and cluster": ("store.codec", "store.quality", "flow.method", "output", "address"),
    }
    data: DataConfig
    modalities: tuple[Modality, ...] = Field(
        ("rgb",), min_length=1, description="modalities to prepare for each recording"
    )
    output: OutputFolder = Field(
        default_factory=default_output,
        validate_default=True,
        description="output folder of the studies; the frame store is <output>/store",
    )
    output_mode: OutputMode = "owner"
    address: ClusterAddress = Field(
        None,
        description="address of the Ray cluster; null: that of a submitted job, else a private "
        "local one",
    )


PreparationT = TypeVar("PreparationT", bound=PrepareConfig)


class DescribeConfig(Recipe):
    """Settings of ``jobs/describe.py``: which recordings, and how their frames were prepared."""

    help_groups: ClassVar = {
        "recordings and classes": ("data.items", "data.subjects", "data.grade_cuts", "data.target"),
        "frames and output": ("decode.height", "decode.width", "decode.frame_rate", "output"),
        "privacy": ("report.small_cells",),
    }
    data: DataConfig
    report: SmallCells = SmallCells()
    output: OutputFolder = Field(
        default_factory=default_output,
        validate_default=True,
        description="tables and pictures go to <output>/describe/<name of the manifest>; frames "
        "that are in <output>/store are counted there",
    )
    output_mode: OutputMode = "owner"


def load_preparation(argv: Sequence[str], root: type[PreparationT]) -> PreparationT:
    """Read the command line of a job with these settings; a study's YAML file is accepted too.

    Settings that only a study has are ignored. Its ``modality`` becomes ``modalities``, so that
    the file of a study prepares what the study will read.

    Raises:
        SettingsError: Lists all faults.
    """
    tree = read_tree(root, argv)
    modality = tree.get("modality", StudyConfig.model_fields["modality"].default)
    tree.setdefault("modalities", [modality])
    return build(root, _without_others(tree, root))


def load_description(argv: Sequence[str]) -> DescribeConfig:
    """Read the command line of ``jobs/describe.py``; a study's YAML file is accepted too.

    Settings that only a study has are ignored.

    Raises:
        SettingsError: Lists all faults.
    """
    return build(DescribeConfig, _without_others(read_tree(DescribeConfig, argv), DescribeConfig))


def _without_others(tree: Mapping[str, Any], root: type[Settings]) -> dict[str, Any]:
    """Leave out the settings that only a study has."""
    others = {*StudyConfig.model_fields, "space"} - set(root.model_fields)
    return {key: value for key, value in tree.items() if key not in others}


def default_name(config: StudyConfig) -> str:
    """Return a study name from the model and the local date and time."""
    return time.strftime(f"{config.model.name}-%Y%m%d-%H%M%S")
