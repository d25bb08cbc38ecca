"""Settings of making a manifest from a folder of videos and a sheet of ratings."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from pdray.config import Settings, nearest
from pdray.data.cohort.rows import COLUMNS, FILES, OWN, RATER, is_known
from pdray.importers.sheets.pattern import NamePattern

Consensus = Literal["first", "median", "mean_rounded", "agreed"]
HEADERS = "column"  # the key of `map` for the names of columns


class MakeManifestConfig(Settings):
    """Settings of ``jobs/make_manifest.py``."""

    folder: Path = Field(description="folder of the videos, at any depth")
    output: Path = Field(description="manifest to write, a new .csv file above the videos")
    pattern: str | None = Field(
        None,
        description="names of the videos without ending: {column} stands for a column of the "
        "manifest or x_..., * for any text, such as '{subject_id}_visit{visit_id}_{item}_{side}'; "
        "null: the column video of a table names each file",
    )
    ratings: Path | None = Field(
        None,
        description="sheet with a row per recording: .xlsx, .xls, .ods or .csv; null: recordings "
        "without grades, to predict",
    )
    times: Path | None = Field(
        None,
        description="table of the parts of long videos, with start_seconds and end_seconds (or "
        "1:30), a row per part; null: the sheet's own columns, or whole videos",
    )
    sheet: str | None = Field(
        None, description="name of the sheet inside a workbook; null: its only one"
    )
    map: dict[str, dict[str, str]] = Field(
        {},
        description="names of columns and words: map.column.Patient=subject_id, "
        "map.item.fingertap=finger_tapping, map.side.re=right; empty leaves out; a column of the "
        "grades of one item: map.column.FT_R=grade:finger_tapping:right",
    )
    constant: dict[str, str] = Field(
        {}, description="cells that are the same in all rows: constant.item=finger_tapping"
    )
    consensus: Consensus | None = Field(
        None,
        description="grade of several raters: first (who gave one), median (of two in the middle "
        "the lower), mean_rounded (halves up) or agreed (else none)",
    )
    scale: str | None = Field(
        None,
        pattern=r"^0\.\.[1-9][0-9]?$",
        description="grades of items that are not among the known ones, such as 0..4",
    )

    @field_validator("output")
    @classmethod
    def _is_new(cls, output: Path) -> Path:
        output = output.absolute()
        for path in (output, aside_path(output)):
            if path.suffix != ".csv" or path.exists():
                word = "exists and is never replaced" if path.exists() else "is no .csv file"
                raise ValueError(f"{path} {word}; give the name of a new .csv file")
        return output

    @field_validator("pattern")
    @classmethod
    def _has_columns(cls, pattern: str | None) -> str | None:
        if pattern is not None:
            fields = NamePattern(pattern).fields
            _check_columns(fields, without=FILES)
            if len(set(fields)) < len(fields) or not fields:
                raise ValueError(f"got {pattern!r}; name each column once, such as {{subject_id}}")
        return pattern

    @field_validator("map", mode="before")
    @classmethod
    def _with_dots(cls, given: Any) -> Any:
        """Join the words of a name that holds dots, which the command line takes apart."""
        if not isinstance(given, Mapping):
            return given
        return {
            key: _joined(words) if isinstance(words, Mapping) else words
            for key, words in given.items()
        }

    @field_validator("map")
    @classmethod
    def _maps_columns(cls, given: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
        _check_columns([key for key in given if key != HEADERS])
        for column in filter(None, given.get(HEADERS, {}).values()):
            name, *of_item = column.split(":")
            _check_columns([name])
            is_grade = name == "grade" or RATER.fullmatch(name)
            if of_item and (not is_grade or len(of_item) > 2 or not all(of_item)):
                raise ValueError(f"got {column!r}; write grade:ITEM or grade:ITEM:SIDE")
        return given

    @field_validator("constant")
    @classmethod
    def _are_columns(cls, given: dict[str, str]) -> dict[str, str]:
        _check_columns(given, without=(*FILES, "recording_id"))
        return given

    @model_validator(mode="after")
    def _files_are_named(self) -> Self:
        if self.pattern is None and self.ratings is None and self.times is None:
            raise ValueError(
                "pattern is missing: it says which part of a file's name is what, such as "
                "pattern='{subject_id}_visit{visit_id}_{item}_{side}'"
            )
        return self


def aside_path(manifest: Path) -> Path:
    """Return the table of what was set aside, beside a manifest."""
    return manifest.with_suffix(".set_aside.csv")


def _joined(words: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in words.items():
        if isinstance(value, Mapping):
            found |= _joined(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value
    return found


def _check_columns(names: Any, *, without: tuple[str, ...] = ()) -> None:
    """Refuse names that are no columns of a manifest."""
    for name in names:
        if name in without or not (is_known(name) or name.startswith(OWN)):
            known = ", ".join(one for one in COLUMNS if one not in without)
            raise ValueError(
                f"{name!r} is no column that can stand here: {nearest(name, COLUMNS)}columns: "
                f"{known}, rater_1, ..., {OWN}... of your own"
            )
