"""Results of a study as text: its leaderboard, the held-out score of the winner, the baselines."""

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
from pdray.evaluation.metrics import metric_named, score
from pdray.evaluation.predictions import probabilities, targets
from pdray.evaluation.uncertainty import Interval

_STATES = ("complete", "pruned", "running", "failed")


def leaderboard(
    rows: Sequence[Mapping[str, Any]], *, metric: str = "val/mcc", synthetic: bool = False
) -> str:
    """Lay out the trials of a study, best first.

    Args:
        rows: One mapping a trial with ``number``, ``state``, ``value`` (float or None),
            ``chosen_epoch`` (int from 0, shown from 1, or None), ``params`` (dotted key to value)
            and, where there is one, ``note``: what a reader must know of the score, such as absent
            classes. The content of a ``trial.json`` is such a mapping.
        metric: What ``value`` is; says which way is better.
        synthetic: Whether the cohort is rendered; says so in the headline.

    Returns:
        Lines of text; complete trials first, then pruned, running and failed ones.

    Raises:
        SettingsError: If there is no such metric.
    """
    sign = -1 if metric_named(metric).greater_is_better else 1
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
    better = "more" if sign < 0 else "less"
    title = f"{len(rows)} trials by {metric}, {better} is better"
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
    """Say what the winner scores on subjects that the search never saw.

    Args:
        metric: "test/mcc".
        interval: The score by resampling the test subjects.
        num_recordings: Recordings that were scored.
        absent: Classes that no test recording has.
        synthetic: Whether the cohort is rendered.
        unnamed: Whether the recordings name no subject, so that each counts as one.

    Returns:
        One line.
    """
    percent = f"{100 * interval.level:g}%"
    people = f"{interval.num_subjects} held-out subjects, {num_recordings} recordings"
    if unnamed:
        people = f"{num_recordings} held-out recordings, which name no subject"
    parts = [
        f"{metric} {_number(interval.value)}, {percent} interval {_number(interval.low)} to"
        f" {_number(interval.high)} ({interval.num_resamples} resamples of {people})"
    ]
    if interval.low == interval.high:
        parts.append("all resamples agree: too few subjects or errors to show the uncertainty")
    if interval.num_undefined:
        parts.append(f"undefined in {interval.num_undefined} resamples, which are left out")
    if absent:
        parts.append(absent_note(absent))
    if synthetic:
        parts.append(SYNTHETIC_MARK)
    return "; ".join(parts)


def control_lines(
    metric: str,
    table: pd.DataFrame,
    learnt: Sequence[Known],
    sites: Mapping[str, str | None],
) -> list[str]:
    """Say what the same recordings score without a look at them, and what the winner in one site.

    Where classes are unevenly spread over sites, to know the site alone may score as well as a
    model: it has learnt about the disease only what it scores inside one.

    Args:
        metric: "test/mcc".
        table: The winner's predictions, a row a recording.
        learnt: The recordings that it was trained on.
        sites: Of each recording by id; None where the manifest names none.

    Returns:
        Lines of text: of the sites that have both healthy and ill recordings, and of the controls.
    """

    def told(rows: pd.DataFrame) -> str:
        return _number(score(metric.rpartition("/")[2], targets(rows), probabilities(rows)))

    lines = []
    for name in mixed_groups(table, sites):
        alone = within_group(table, sites, name)
        lines.append(f"{metric} {told(alone)} in site {name} alone, {len(alone)} recordings")
    controls = [f"class frequencies {told(constant_control(table, learnt))}"]
    found = {sites[name] for name in table["recording_id"]}
    if len(found) > 1 and None not in found:
        controls.append(f"the site and nothing else {told(group_control(table, learnt, sites))}")
    return [*lines, f"{metric} without a look at any recording: {', '.join(controls)}"]


def aligned(lines: Sequence[Sequence[str]], *, numbers_right: bool = False) -> list[str]:
    """Pad the cells of each column to one width; ends are stripped.

    Args:
        lines: The first one names the columns.
        numbers_right: Whether columns without a word stand to the right.
    """
    padded = []
    for column in zip(*lines, strict=True):
        is_right = numbers_right and not any(map(_is_word, column[1:]))
        width = max(map(len, column))
        padded.append([cell.rjust(width) if is_right else cell.ljust(width) for cell in column])
    return ["  ".join(cells).rstrip() for cells in zip(*padded, strict=True)]


def headline(title: str, synthetic: bool) -> str:
    """Return a title that says whether its numbers come from a rendered cohort."""
    return f"{title} ({SYNTHETIC_MARK})" if synthetic else title


def absent_note(absent: Sequence[int], where: str = "") -> str:
    """Name the classes that no row has, or return an empty text when all are there."""
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
    """Keep the last word of each dotted key, the whole key where two would read the same."""
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
