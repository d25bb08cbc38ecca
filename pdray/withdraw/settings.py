"""Settings of ``jobs/withdraw.py``."""

from pathlib import Path

from pydantic import Field, field_validator

from pdray.config import Settings


class WithdrawConfig(Settings):
    """Settings of ``jobs/withdraw.py``."""

    output: Path = Field(description="output folder that the jobs wrote into")
    subject: str = Field(description="subject_id of the person who withdraws", min_length=1)
    manifests: tuple[Path, ...] = Field(
        (),
        description="manifests of recordings that were predicted or validated; those of studies "
        "are known",
    )
    delete: bool = Field(
        False, description="delete what holds data of the person and mark what learnt from them"
    )

    @field_validator("output")
    @classmethod
    def _is_whole(cls, path: Path) -> Path:
        return path.expanduser().absolute()

    @field_validator("manifests")
    @classmethod
    def _are_whole(cls, paths: tuple[Path, ...]) -> tuple[Path, ...]:
        return tuple(path.expanduser().absolute() for path in paths)
