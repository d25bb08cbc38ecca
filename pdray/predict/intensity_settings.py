"""Settings of ``jobs/extract_intensities.py``."""

from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field, field_validator

from pdray.config import Settings
from pdray.data.cohort.settings import EXPRESSIONS, POSED


class ExtractIntensitiesConfig(Settings):
    """Settings of ``jobs/extract_intensities.py``."""

    help_groups: ClassVar = {
        "recordings": ("items", "repeats", "other_people"),
        "network": ("model", "expressions"),
    }
    study: Path = Field(description="folder of a complete study of model.name=expression_clip")
    manifest: Path = Field(description="CSV or Parquet file, one row per recording")
    output: Path = Field(
        description="manifest to write, .csv, one row per visit; files of intensities are written "
        "into a folder next to it"
    )
    items: tuple[str, ...] | None = Field(
        None,
        description="two or more posed expressions to measure, in the order of videos and of "
        "phrases; null: one for each class of the network",
    )
    repeats: Literal["refuse", "mean"] = Field(
        "refuse",
        description="several recordings of one expression in one visit; mean: average their "
        "cosines",
    )
    other_people: bool = Field(
        False,
        description="the manifest's people are others than the study's, also where their ids are "
        "equal; false: an equal id is the same person",
    )
    model: str = Field(
        "refit",
        pattern=r"^(refit|fold:[0-9]+)$",
        description="refit: the network that learnt from all development subjects; fold:0, ...: "
        "the one that did not learn from this fold",
    )
    expressions: tuple[str, ...] = Field(
        (),
        description="expression of each class of the network, where its phrases are your own; []: "
        "by its phrases, or by the names of classes beside the study's manifest",
    )

    @field_validator("study", "manifest", "output")
    @classmethod
    def _is_whole(cls, path: Path) -> Path:
        return path.expanduser().absolute()

    @field_validator("output")
    @classmethod
    def _is_new(cls, output: Path) -> Path:
        if output.suffix != ".csv" or output.exists():
            raise ValueError(f"got {output}; give the name of a new .csv file")
        return output

    @field_validator("items")
    @classmethod
    def _are_several(cls, items: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if items is not None and len(items) < 2:
            raise ValueError(
                f"got {list(items)}; give two or more, since only differences of phrases count"
            )
        return items

    @field_validator("items", "expressions")
    @classmethod
    def _are_known(cls, names: tuple[str, ...] | None) -> tuple[str, ...] | None:
        known = (*EXPRESSIONS, *POSED)
        faults = [f"'{one}' is none of {', '.join(known)}" for one in names or ()
                  if one not in known]  # fmt: skip
        if len(set(names or ())) < len(names or ()):
            faults.append("a name is there twice")
        if faults:
            raise ValueError("; ".join(faults))
        # happiness and expression_happiness mean the same
        return names and tuple(one.removeprefix("expression_") for one in names)
