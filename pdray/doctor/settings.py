"""Settings of ``jobs/doctor.py``."""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from pydantic import Field

from pdray.data.cohort.settings import DataConfig
from pdray.search.settings import PrepareConfig, load_preparation
from pdray.tracking.address import TrackingConfig


class AskedDataConfig(DataConfig):
    """The recordings of which the doctor says what they cost."""

    manifest: Path | None = Field(  # type: ignore[assignment]  # it is optional here alone
        None, description="manifest whose videos would be decoded; null: none is looked at"
    )


class DoctorConfig(PrepareConfig):
    """Settings of ``jobs/doctor.py``; their names are those of a study."""

    help_groups: ClassVar = {
        "what is looked at": ("output", "address", "tracking.uri"),
        "what it would cost": ("data.manifest", "data.items", "modalities", "decode.height",
                               "decode.width", "store.codec"),
    }  # fmt: skip
    data: AskedDataConfig = AskedDataConfig()
    tracking: TrackingConfig = TrackingConfig()


def load_doctor(argv: Sequence[str]) -> DoctorConfig:
    """Read the command line of ``jobs/doctor.py``; a study's YAML file is accepted too.

    Raises:
        SettingsError: Lists all faults.
    """
    return load_preparation(argv, DoctorConfig)
