"""Settings of the jobs that print tables of the papers."""

from pathlib import Path
from typing import ClassVar

from pydantic import Field

from pdray.config import Settings
from pdray.data.cohort.settings import DataConfig, FoldsConfig
from pdray.search.settings import StudyConfig


class MarksConfig(Settings):
    """The root of ``jobs/correlate_marks.py``."""

    data: DataConfig
    folds: FoldsConfig = FoldsConfig()
    repeats: int = Field(5, ge=1, description="times that folds and controls are drawn [count]")


class ReproduceConfig(StudyConfig):
    """The root of ``jobs/reproduce.py``: a study's settings, and files of published weights."""

    help_groups: ClassVar = {
        "recordings and weights": ("data.items", "data.grade_cuts", "folds.num_outer", "weights"),
        "training": ("optim.epochs", "optim.batch_size"),
        "trials and output": (
            "search.max_concurrent_trials", "resources.gpus_per_worker", "output",
        ),
    }  # fmt: skip
    weights: dict[str, Path] = Field(
        default_factory=dict, description="files to start from, by the names a table gives them"
    )
