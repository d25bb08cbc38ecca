"""Counts a study again from its raw files alone; imports nothing of the report."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

HIDDEN = "hidden"


@dataclass(frozen=True)
class Raw:
    """The files of a study, read without pdray."""

    folder: Path

    @property
    def facts(self) -> dict[str, Any]:
        return json.loads((self.folder / "study.json").read_text())

    @property
    def recordings(self) -> pd.DataFrame:
        return pd.read_parquet(self.folder / "private" / "recordings.parquet")

    @property
    def num_classes(self) -> int:
        return len(self.facts["settings"]["data"]["grade_cuts"]) + 1

    def part(self, name: str) -> pd.DataFrame:
        """Return the recordings of a column of table 1."""
        table = self.recordings
        if name == "analysed":
            return table[table["part"] != "left out"]
        if name.startswith("class "):
            return table[(table["part"] != "left out") & (table["class"] == int(name[6:]))]
        return table[table["part"] == {"training only": "training"}.get(name, name)]

    def values(self, rows: pd.DataFrame, fact: str) -> pd.Series:
        """Return the value of a fact of some recordings, "not given" where it is missing."""
        if fact == "age [years]":
            first = self.recordings.groupby("subject_id")["age"].min()
            ages = rows["subject_id"].map(first).astype(float)
            names = np.select(
                [ages < 60, ages < 70, ages < 80, ages >= 80],
                ["under 60", "60 to 69", "70 to 79", "80 and older"],
                default="not given",
            )
            return pd.Series(names, index=rows.index)
        if fact == "visits of the person":
            visits = self.recordings.groupby("subject_id")["visit_id"].nunique()
            words = {0: "not given", 1: "1", 2: "2"}
            return rows["subject_id"].map(visits).map(lambda number: words.get(number, "3 or more"))
        if fact.startswith("rater_"):
            return rows[fact].notna().map({True: "graded", False: "not given"})
        column = {"medication": "medication_state", "stimulation": "stimulation_state"}
        return rows[column.get(fact, fact)].astype("str").where(
            rows[column.get(fact, fact)].notna(), "not given"
        )  # fmt: skip

    def quartiles(self, rows: pd.DataFrame, fact: str) -> str:
        """Return median and quartiles as they are printed."""
        column = {"age [years]": "age", "disease years": "disease_years"}.get(fact, "seconds")
        numbers = rows[[column, "subject_id"]].dropna()
        values = numbers[column].astype(float)
        if column != "seconds":
            values = values.groupby(numbers["subject_id"]).min()
        if not len(values):
            return "not given"
        if numbers["subject_id"].nunique() < 5:
            return "<5 people"
        values = np.minimum(values, 90) if column == "age" else values
        low, middle, high = (
            "90+" if one > 89 and column == "age" else f"{one:.1f}".removesuffix(".0")
            for one in np.quantile(values, [0.25, 0.5, 0.75])
        )
        return f"{middle} ({low} to {high})"


def expected(raw: Raw, table: pd.DataFrame) -> list[dict[str, str]]:
    """Return the cells of table 1 as the raw files say, nothing hidden."""
    parts = {name: raw.part(name) for name in {one.rpartition(" ")[0] for one in table.columns[2:]}}
    values: dict[tuple[str, str], pd.Series] = {}
    found = []
    for row in table.to_dict("records"):
        fact, cells = row["fact"], {}
        for name, rows in parts.items():
            if row["value"] == "median (quartiles)":
                cells |= {f"{name} people": raw.quartiles(rows, fact), f"{name} recordings": ""}
            elif fact != "data":
                some = rows
                if fact != "all":
                    if (name, fact) not in values:
                        values[name, fact] = raw.values(rows, fact)
                    some = rows[values[name, fact] == row["value"]]
                cells[f"{name} people"] = str(some["subject_id"].nunique())
                cells[f"{name} recordings"] = str(len(some))
        found.append(cells)
    return found


def fault(table: pd.DataFrame, right: list[dict[str, str]]) -> str:
    """Return the first cell of table 1 that is not what it should be; empty if all are."""
    for row, cells in zip(table.to_dict("records"), right, strict=True):
        for column in [name for name in cells if name.endswith(" people")]:
            other = f"{column.removesuffix('people')}recordings"
            shown, true = (row[column], row[other]), (cells[column], cells[other])
            is_small = true[0] in ("1", "2", "3", "4")
            hidden = [(HIDDEN, HIDDEN), *[("<5", HIDDEN)] * is_small]
            if shown not in [*hidden, *[true] * (not is_small)]:
                return f"{row['fact']} {row['value']}, {column}: {shown}, not {true}"
    return ""
