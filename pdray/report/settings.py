"""Settings of the job that makes a report again."""

from pathlib import Path
from typing import ClassVar

from pydantic import Field

from pdray.config import Settings


class ReportStudyConfig(Settings):
    """Settings of ``jobs/report.py``."""

    help_groups: ClassVar = {"study": ("study",)}
    study: Path = Field(
        description="folder of a finished study, which contains study.json; the report is written "
        "to its folder report"
    )
