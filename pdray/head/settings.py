"""Settings of the jobs that start, use and stop a head."""

from pathlib import Path

from pydantic import Field

from pdray.config import Settings
from pdray.search.settings import default_output


class HeadConfig(Settings):
    """Where the head keeps what it writes."""

    output: Path = Field(
        default_factory=lambda: Path(default_output()),
        description="output folder; token, logs and MLflow's database go to its folder 'head'",
    )

    @property
    def folder(self) -> Path:
        """Folder of the head, as an absolute path."""
        return self.output.expanduser().absolute() / "head"
