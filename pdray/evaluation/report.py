"""Results of a study as text: the leaderboard, the winner's score on the test set, baselines."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from pdray.data.cohort.settings import SYNTHETIC_MARK
from pdray.evaluation.controls import (
    Known,
    constant_control,
    group_control,
    mixed_groups,
    within_group,
)
from pdray.evaluation.metrics import greater_is_better
from pdray.evaluation.score_intervals import Rows
from pdray.evaluation.statistics.intervals import TRUTHS, Interval

_STATES = ("complete", "pruned", "running", "failed")


def leaderboard(
    rows: Sequence[Mapping[str, Any]], *, metric: str = "val/mcc", synthetic: bool = False
) -> str:
    """Return a table of the trials of a study, best first.

    Args:
        rows: One mapping per trial, such as the content of ``trial.json``: ``number``, ``state``,
            ``value`` (float or None), ``chosen_epoch`` (int from 0, shown from 1, or None),
            ``params`` (dotted key to value) and perhaps ``note`` (a remark on the score, such as
            absent classes).
        metric: Metric of ``value``.
        synthetic: Whether the cohort is synthetic; the headline then says so.

    Returns:
        Lines of text; complete trials first, then pruned, running and failed ones.

    Raises:
        SettingsError: If there is no such metric.
    """
    sign = -1 if greater_is_better(metric) else 1
    keys = list(dict.fromkeys(key for row in rows for key in row["params"]))
    labels = _short(keys)
    header = ["trial", "state", metric, "epoch", *labels]
    has_notes = any(row.get("note") for row in rows)
    body = [
        [
            str(row["number"]),
            row["state"],
            _number(row["value"]),
            "-" if row["chosen_epoch"] is None else str(row["chosen_epoch"] + 1),
            *(_setting(row["params"].get(key)) for key in keys),
            *([str(row.get("note") or "")] if has_notes else []),
        ]
        for row in sorted(rows, key=lambda row: _rank(row, sign))
    ]
    better = "higher" if sign < 0 else "lower"
    trials = "trial" if len(rows) == 1 else "trials"
    title = f"{len(rows)} {trials} by {metric} ({better} is better)"
    lines = aligned([header + ["note"] * has_notes, *body], numbers_right=True)
    return "\n".join([headline(title, synthetic), *lines])


def held_out_sentence(
    metric: str,
    interval: Interval,
    *,
    num_recordings: int,
    absent: Sequence[int] = (),
    synthetic: bool = False,
    unnamed: bool = False,
) -> str:
    """Return a sentence with the winner's score on the held-out test set and its interval.

    Args:
        metric: "test/mcc".
        interval: The score and its interval over the test subjects.
        num_recordings: Recordings that were scored.
        absent: Classes without a test recording.
        synthetic: Whether the cohort is synthetic.
        unnamed: Whether the recordings have no subject, so that each counts as a subject.

    Returns:
        One line.
    """
    people = f"{interval.num_subjects} test subjects, {num_recordings} recordings"
    if unnamed:
        people = f"{num_recordings} test recordings without a subject_id"
    if interval.num_resamples:  # of a study of an earlier version
        people = f"{interval.num_resamples} resamples of {people}"
    covered = "" if interval.reason else f", {interval_words(interval)}"
    parts = [f"{metric} {_number(interval.value)}{covered} ({people})"]
    if interval.reason:
        parts.append(interval.reason)
    if interval.low == interval.high:
        parts.append(
            "the interval has no width, because nearly all resamples give the same score; the true "
            "uncertainty is larger"
        )
    if interval.num_undefined:
        parts.append(f"{interval.num_undefined} resamples without a defined score are left out")
    if absent:
        parts.append(absent_note(absent))
    if synthetic:
        parts.append(SYNTHETIC_MARK)
    return "; ".join(parts)


def interval_words(interval: Interval) -> str:
    """Return the ends of an interval and what it covers, such as "95% interval 0.4 to 0.9 ..."."""
    percent = f"{100 * interval.level:g}%"
    ends = f"{_number(interval.low)} to {_number(interval.high)}"
    if interval.sides == "lower":
        ends = f"{_number(interval.low)} or more (exact bound)"
    if interval.sides == "upper":
        ends = f"{_number(interval.high)} or less (exact bound)"
    truth = "" if interval.num_resamples else f" {TRUTHS[interval.truth]}"
    return f"{percent} interval {ends}{truth}"


def control_lines(
    metric: str,
    table: pd.DataFrame,
    learnt: Sequence[Known],
    sites: Mapping[str, str | None],
    *,
    small_cells: int = 1,
) -> list[str]:
    """Return baselines on the test recordings, and the winner's score inside each site.

    If classes differ between sites, guessing by site may score as well as a model. Only the
    model's score inside one site shows what it learnt about the disease.

    Args:
        metric: "test/mcc".
        table: The winner's predictions, one row per recording.
        learnt: The recordings that it was trained on.
        sites: Site of each recording by id; None if the manifest names none.
        small_cells: Sites of fewer subjects are not told.

    Returns:
        Lines of text: one for each site with healthy and ill recordings, then the baselines.
    """

    def scored(rows: pd.DataFrame) -> str:
        # As the score above: ranks of different networks are not compared.
        return _number(Rows.of(rows, mean_of_runs=True).value(metric.rpartition("/")[2]))

    lines = []
    for name in mixed_groups(table, sites):
        alone = within_group(table, sites, name)
        num = alone["recording_id"].nunique()
        if alone["subject_id"].nunique() >= small_cells:
            lines.append(f"only site {name} ({num} recordings): {metric} {scored(alone)}")
    control = constant_control(table, learnt)
    lines.append(f"baseline (guessing by class frequency): {metric} {scored(control)}")
    found = {sites[name] for name in table["recording_id"]}
    if len(found) > 1 and None not in found:
        control = group_control(table, learnt, sites)
        lines.append(f"baseline (guessing by site): {metric} {scored(control)}")
    return lines


def aligned(lines: Sequence[Sequence[str]], *, numbers_right: bool = False) -> list[str]:
    """Pad the cells of each column to the same width; spaces at line ends are removed.

    Args:
        lines: Rows of cells; the first row is the header.
        numbers_right: Whether columns of numbers are aligned to the right.
    """
    padded = []
    for column in zip(*lines, strict=True):
        is_right = numbers_right and not any(map(_is_word, column[1:]))
        width = max(map(len, column))
        padded.append([cell.rjust(width) if is_right else cell.ljust(width) for cell in column])
    return ["  ".join(cells).rstrip() for cells in zip(*padded, strict=True)]


def headline(title: str, synthetic: bool) -> str:
    """Return a title, marked if its numbers come from a synthetic cohort."""
    return f"{title} ({SYNTHETIC_MARK})" if synthetic else title


def absent_note(absent: Sequence[int], where: str = "") -> str:
    """Return a note on classes without a row; empty if every class has one."""
    if not absent:
        return ""
    noun = "class" if len(absent) == 1 else "classes"
    return f"no {noun} {', '.join(map(str, absent))}{f' in {where}' if where else ''}"


def _rank(row: Mapping[str, Any], sign: int) -> tuple[int, bool, float, int]:
    state, value = row["state"], row["value"]
    missing = value is None or value != value
    place = _STATES.index(state) if state in _STATES else len(_STATES)
    return place, missing, 0.0 if missing else sign * value, row["number"]


def _short(keys: Sequence[str]) -> list[str]:
    """Return the last word of each dotted key, or the whole key if two would be equal."""
    last = [key.rpartition(".")[2] for key in keys]
    return [word if last.count(word) == 1 else key for key, word in zip(keys, last, strict=True)]


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return "undefined" if value != value else f"{value:.3f}"


def _setting(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _is_word(cell: str) -> bool:
    return cell[:1].isalpha() and cell != "undefined"
