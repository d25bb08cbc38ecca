from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pdray.errors import SettingsError
from pdray.evaluation.controls import Known
from pdray.evaluation.report import (
    absent_note,
    aligned,
    control_lines,
    held_out_sentence,
    leaderboard,
)
from pdray.evaluation.statistics.intervals import Interval, without_interval


def row(number: int, state: str, value: float | None, **params: object) -> dict[str, Any]:
    chosen = None if value is None else 4
    return {
        "number": number,
        "state": state,
        "value": value,
        "chosen_epoch": chosen,
        "params": params or {"loss.gamma": 2.0},
    }


def order(text: str) -> list[int]:
    return [int(line.split()[0]) for line in text.splitlines()[2:]]


ROWS = [
    row(0, "complete", 0.1),
    row(1, "pruned", 0.9),
    row(2, "complete", 0.5),
    row(3, "failed", None),
    row(4, "complete", float("nan")),
    row(5, "running", None),
]


def test_the_best_complete_trial_is_first_and_pruned_ones_come_after_complete_ones() -> None:
    assert order(leaderboard(ROWS)) == [2, 0, 4, 1, 5, 3]


def test_columns_are_aligned_and_settings_are_shown_by_their_last_word() -> None:
    rows = [
        row(0, "complete", 0.125, **{"optim.weight_decay": 0.01, "loss.gamma": 2.0}),
        row(11, "pruned", -0.5, **{"optim.weight_decay": 0.000123, "loss.gamma": 0.5}),
    ]
    assert leaderboard(rows).splitlines() == [
        "2 trials by val/mcc (higher is better)",
        "trial  state     val/mcc  epoch  weight_decay  gamma",
        "    0  complete    0.125      5          0.01      2",
        "   11  pruned     -0.500      5      0.000123    0.5",
    ]


def test_two_settings_with_one_last_word_keep_their_whole_keys() -> None:
    text = leaderboard([row(0, "complete", 0.1, **{"a.depth": 1, "b.depth": 2})])
    assert "a.depth  b.depth" in text.splitlines()[1]


def test_an_undefined_value_is_not_shown_as_a_number_and_notes_stand_beside_the_score() -> None:
    noted = row(0, "complete", float("nan")) | {"note": absent_note([1], "fold 2")}
    last = leaderboard([noted, row(1, "complete", 0.3)]).splitlines()[-1]
    assert "undefined" in last
    assert last.endswith("no class 1 in fold 2")


def test_synthetic_data_is_marked() -> None:
    assert "SYNTHETIC" in leaderboard(ROWS, synthetic=True).splitlines()[0]
    assert "SYNTHETIC" not in leaderboard(ROWS)


def test_no_trials_and_unknown_metrics() -> None:
    assert leaderboard([]).startswith("0 trials")
    with pytest.raises(SettingsError, match="val/mc"):
        leaderboard(ROWS, metric="val/mc")


def test_the_held_out_sentence_says_everything_that_limits_the_score() -> None:
    interval = Interval(0.71, 0.4, 0.92, 8, 12, 2000, 0.95)
    assert held_out_sentence(
        "test/mcc", interval, num_recordings=64, absent=(3, 4), synthetic=True
    ) == (
        "test/mcc 0.710, 95% interval 0.400 to 0.920 (2000 resamples of 8 test subjects, 64"
        " recordings); 12 resamples without a defined score are left out; no classes 3, 4;"
        " SYNTHETIC data: a rendered cohort, not patients"
    )
    now = replace(interval, num_undefined=0, num_resamples=0)
    assert held_out_sentence("test/mcc", now, num_recordings=64) == (
        "test/mcc 0.710, 95% interval 0.400 to 0.920 of this model on new people (8 test subjects,"
        " 64 recordings)"
    )
    bound = replace(now, value=1, low=0.63, high=1, sides="lower")
    text = held_out_sentence("test/mcc", bound, num_recordings=64)
    assert text.startswith("test/mcc 1.000, 95% interval 0.630 or more (exact bound) of this model")
    few = without_interval(1.0, 8, 0.95, "too few subjects for an interval: 8, 12 are needed")
    assert held_out_sentence("test/mcc", few, num_recordings=64) == (
        "test/mcc 1.000 (8 test subjects, 64 recordings); too few subjects for an interval: 8, 12"
        " are needed"
    )
    plain = held_out_sentence("test/mcc", Interval(0.8, 0.5, 1, 8, 0, 10, 0.9), num_recordings=9)
    assert "90% interval" in plain
    assert ";" not in plain


def test_recordings_that_name_nobody_are_not_called_subjects() -> None:
    text = held_out_sentence(
        "test/mcc", Interval(0.8, 0.5, 1, 9, 0, 10, 0.9), num_recordings=9, unnamed=True
    )
    assert "(10 resamples of 9 test recordings without a subject_id)" in text


def test_the_controls_stand_beside_the_score() -> None:
    # Ill are all from A and half of A; what is learnt of the sites says so.
    targets = [1, 1, 0, 0, 0, 0]
    ill = np.array([0.9, 0.4, 0.5, 0.1, 0.8, 0.2])
    sites = dict(zip("abcdef", "AAAABB", strict=True))
    table = pd.DataFrame(
        {
            "recording_id": list("abcdef"), "subject_id": list("abcdef"), "target": targets,
            "probability_0": 1 - ill, "probability_1": ill,
        }
    )  # fmt: skip
    learnt = [Known(1, "A"), Known(0, "A"), Known(0, "B"), Known(0, "B")]
    assert control_lines("test/auroc", table, learnt, sites) == [
        "only site A (4 recordings): test/auroc 0.750",
        "baseline (guessing by class frequency): test/auroc 0.500",
        "baseline (guessing by site): test/auroc 0.750",
    ]
    lines = control_lines("test/auroc", table, learnt, sites, small_cells=5)
    assert [line.partition(" (")[0] for line in lines] == ["baseline"] * 2
    assert control_lines("test/auroc", table, learnt, {**sites, "a": None}) == [
        "baseline (guessing by class frequency): test/auroc 0.500"
    ]
    one_site = dict.fromkeys("abcdef", "A")
    assert len(control_lines("test/auroc", table, learnt, one_site)) == 1


def test_inside_a_site_ranks_of_two_outer_folds_are_not_compared() -> None:
    # The second network is shifted; each ranks its own two recordings rightly. Two repeats.
    ill = np.array([0.4, 0.1, 0.9, 0.6])
    fold = pd.DataFrame(
        {
            "recording_id": list("abcd"), "subject_id": list("abcd"), "target": [1, 0, 1, 0],
            "outer_fold": [0, 0, 1, 1], "probability_0": 1 - ill, "probability_1": ill,
        }
    )  # fmt: skip
    both = pd.concat([fold.assign(seed=0), fold.assign(seed=1)], ignore_index=True)
    lines = control_lines(
        "test/auroc", both, [Known(1, "A"), Known(0, "A")], dict.fromkeys("abcd", "A")
    )
    assert lines == ["baseline (guessing by class frequency): test/auroc 0.500"]
    sites = dict(zip("abcd", "AABA", strict=True))
    (first, *_) = control_lines("test/auroc", both, [Known(1, "A"), Known(0, "B")], sites)
    assert first == "only site A (3 recordings): test/auroc 1.000"


def test_an_interval_without_width_is_explained() -> None:
    text = held_out_sentence("test/mcc", Interval(1, 1, 1, 8, 0, 10, 0.95), num_recordings=9)
    assert (
        "; the interval has no width, because nearly all resamples give the same score; the true"
        in text
    )


def test_an_undefined_held_out_score_says_so() -> None:
    nan = float("nan")
    text = held_out_sentence("test/mcc", Interval(nan, nan, nan, 2, 5, 5, 0.95), num_recordings=2)
    assert text.startswith("test/mcc undefined")


def test_cells_are_padded_to_the_left_or_numbers_to_the_right() -> None:
    assert aligned([["a", "bb", "c"], ["ddd", "e", ""]]) == ["a    bb  c", "ddd  e"]
    lines = [["word", "n"], ["x", "10"], ["y", "undefined"]]
    assert aligned(lines, numbers_right=True) == [
        "word          n",
        "x            10",
        "y     undefined",
    ]
