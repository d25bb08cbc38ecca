"""Who takes part in which part of a study, in people and recordings, as it may be printed."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pandas as pd

from pdray.evaluation.printed_table import Count
from pdray.report.case import Reported
from pdray.report.small_cells import Shown, Sum, protect

LISTED, ANALYSED, SCORED, TRAINING, LEFT_OUT = (
    "listed", "analysed", "scored", "training only", "left out",
)  # fmt: skip
NOBODY_LEFT = "without any analysed recording"
PARTS = {"scored": SCORED, "training": TRAINING, "left out": LEFT_OUT}
"""Word of the table of recordings to the name of a part."""


@dataclass(frozen=True)
class Parts:
    """Parts of a study.

    Attributes:
        rows: Rows of the table of recordings by name of the part: "listed" in the manifest,
            "left out", "left out: REASON", "analysed", "training only", "scored", "class 0", ...
            of those analysed and "scored, class 0", ... Parts without a recording are absent, but
            for "listed", "analysed" and "scored".
        counts: Their people and recordings, and of "without any analysed recording" the people who
            are listed and not analysed.
        shown: The same as they may be printed.
    """

    rows: Mapping[str, pd.DataFrame]
    counts: Mapping[str, Count]
    shown: Mapping[str, Shown]

    def classes(self, part: str = "") -> dict[str, str]:
        """Return the keys of classes by their words "class 0", ...

        Args:
            part: "" for all who are analysed, "scored" for those.
        """
        start = f"{part}, class " if part else "class "
        return {key[len(start) - 6 :]: key for key in self.rows if key.startswith(start)}

    def reasons(self) -> dict[str, str]:
        """Return the keys of parts that are left out, by reason."""
        start = f"{LEFT_OUT}: "
        return {key.removeprefix(start): key for key in self.rows if key.startswith(start)}


def parts_of(case: Reported) -> Parts | None:
    """Return the parts of a study; None if its log has no table of recordings."""
    if case.cohort is None:
        return None
    rows = _rows(case.cohort, case.small_cells)
    counts = {key: count(some) for key, some in rows.items()}
    gone = counts[LISTED].subjects - counts[ANALYSED].subjects
    left = counts[LISTED].recordings - counts[ANALYSED].recordings
    counts[NOBODY_LEFT] = Count(left, gone)
    found = Parts(rows, counts, {})
    sums = [
        Sum(LISTED, (ANALYSED, NOBODY_LEFT), ("subjects",)),
        *[Sum(LISTED, (ANALYSED, LEFT_OUT)), Sum(LEFT_OUT, tuple(found.reasons().values()))]
        * (LEFT_OUT in rows),
        Sum(ANALYSED, tuple(key for key in (SCORED, TRAINING) if key in rows)),
        Sum(ANALYSED, tuple(found.classes().values())),
        Sum(SCORED, tuple(found.classes(SCORED).values())),
    ]
    last = (SCORED, ANALYSED)
    first = [key for key in (LISTED, LEFT_OUT, NOBODY_LEFT) if key in counts]
    order = [*first, *(key for key in counts if key not in (*first, *last)), *last]
    tested = counts[SCORED]  # every score says how many they are
    settled = {SCORED: Shown(str(tested.subjects), str(tested.recordings))}
    shown = protect({key: counts[key] for key in order}, sums, case.small_cells, settled)
    return Parts(rows, counts, shown)


def count(rows: pd.DataFrame) -> Count:
    """Count recordings and people."""
    return Count(len(rows), int(rows["subject_id"].nunique()))


def _rows(cohort: pd.DataFrame, least: int) -> dict[str, pd.DataFrame]:
    part = cohort["part"].map(PARTS)
    analysed = cohort[part != LEFT_OUT]
    rows = {LISTED: cohort, ANALYSED: analysed, SCORED: cohort[part == SCORED]}
    for name in (TRAINING, LEFT_OUT):
        if (part == name).any():
            rows[name] = cohort[part == name]
    if LEFT_OUT in rows:
        rows |= {f"{LEFT_OUT}: {key}": some for key, some in _reasons(rows[LEFT_OUT], least)}
    for start, some in (("", analysed), (f"{SCORED}, ", rows[SCORED])):
        for number, members in some.groupby(some["class"].astype("int64"), sort=True):
            rows[f"{start}class {number}"] = members
    return rows


def _reasons(left_out: pd.DataFrame, least: int) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield the recordings by reason; reasons of few people are joined until they are not few."""
    people = left_out.groupby("reason")["subject_id"].nunique().sort_values(kind="stable")
    joined: list[str] = []
    for reason in people.index:
        some = left_out[left_out["reason"].isin(joined)]
        if people[reason] < least or (joined and count(some).subjects < least):
            joined.append(reason)
        else:
            yield reason, left_out[left_out["reason"] == reason]
    if joined:
        yield ", ".join(sorted(joined)), left_out[left_out["reason"].isin(joined)]
