"""Settings of the jobs that print the papers' tables."""

from pathlib import Path
from typing import ClassVar

from pydantic import Field

from pdray.config import Settings
from pdray.data.cohort.settings import DataConfig, FoldsConfig
from pdray.rights import OutputMode
from pdray.search.settings import OutputFolder, StudyConfig, default_output


class MarksConfig(Settings):
    """Settings of ``jobs/correlate_marks.py``."""

    help_groups: ClassVar = {
        "recordings": ("data.marks", "data.items", "data.grade_cuts", "data.subjects"),
        "settings": ("folds.num_folds", "repeats", "output"),
    }
    data: DataConfig
    folds: FoldsConfig = FoldsConfig()
    repeats: int = Field(
        5, ge=1, description="how often folds and controls are drawn, with other seeds [count]"
    )
    output: OutputFolder = Field(
        default_factory=default_output,
        validate_default=True,
        description="output folder of the studies; the list of scorings in it gets a line",
    )
    output_mode: OutputMode = "owner"


class JudgesConfig(Settings):
    """Networks that score changed pictures: layout translation."""

    judge: Path | None = Field(
        None,
        description="folder of a study with modality=portraits that tells ill from healthy, and "
        "learnt from none of the manifest's people; layout translation needs it",
    )
    identity: Path | None = Field(
        None,
        description="folder of a study with modality=portraits that tells people apart, or the "
        "file of VGGFace2's ResNet-50; layout translation needs it",
    )
    fid: Path | None = Field(
        None,
        description="file of InceptionV3's weights of 2015; null: distances of sets are of the "
        "features of identity, and not called FID",
    )
    methods: dict[str, Path] = Field(
        default_factory=dict,
        description="finished studies of translators of portraits by the label of their row, such "
        "as methods.CUT=FOLDER; their test subjects are scored",
    )
    other_people: bool = Field(
        False,
        description="the people of judge and identity are others than the manifest's, also where "
        "their ids are equal; false: an equal id is the same person",
    )


JUDGES = tuple(JudgesConfig.model_fields)


class ReproduceConfig(JudgesConfig, StudyConfig):
    """Settings of ``jobs/reproduce.py``: those of a study, and files of published weights."""

    help_groups: ClassVar = {
        "recordings and weights": ("data.items", "data.grade_cuts", "folds.num_outer", "weights"),
        "training": ("optim.epochs", "optim.batch_size"),
        "changed pictures": ("judge", "identity", "fid", "methods", "other_people"),
        "trials and output": (
            "search.max_concurrent_trials", "resources.gpus_per_worker", "output",
        ),
    }  # fmt: skip
    weights: dict[str, Path] = Field(
        default_factory=dict, description="files of pretrained weights, by their names in the table"
    )
