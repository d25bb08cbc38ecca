import json
import lzma

import numpy as np
import pytest

from benchmarks.search import (
    KEPT,
    Between,
    Never,
    Recorded,
    ReplayConfig,
    replay,
    rules,
)
from benchmarks.search import main as search

# Four trials of two folds and two epochs; the last epoch of trial 2 is the best, mean 0.8.
SCORES = np.array(
    [
        [[0.1, 0.2], [0.1, 0.4]],
        [[0.2, 0.7], [0.1, 0.7]],
        [[0.3, 0.9], [0.1, 0.7]],
        [[0.2, 0.6], [0.2, 0.2]],
    ]
)


def test_without_pruning_everything_is_trained_and_nothing_lost() -> None:
    assert replay(Recorded(SCORES), [3, 1, 0, 2], Never()) == (1.0, 0.0)


def test_forgiving_ends_what_is_not_above_the_worst_fold_of_the_best() -> None:
    recorded = Recorded(SCORES)
    # After trial 1 (0.7, 0.7), 0.2 and 0.6 of the first folds end, 0.9 goes on.
    outcome = replay(recorded, [1, 0, 3, 2], Between(2, np.min))
    assert outcome == ((4 + 2 + 2 + 4) / 16, 0.0)
    # After trial 2 (0.9, 0.7), aggressive ends 0.7, forgiving too: it is not above 0.7.
    assert replay(recorded, [2, 1, 0, 3], Between(2, np.min)).cost == 10 / 16


def test_aggressive_compares_with_the_mean_and_loses_a_late_winner() -> None:
    scores = SCORES.copy()
    scores[2] = [[0.3, 0.6], [0.3, 1.0]]  # the winner, but only in its second fold
    outcome = replay(Recorded(scores), [1, 2, 0, 3], Between(2, np.mean))
    # Differences by fold: -0.1 and 0.3, mean 0.1, standard error 0.2.
    assert outcome == ((4 + 2 + 2 + 2) / 16, pytest.approx(0.5))


def test_a_search_that_completes_no_trial_keeps_nothing() -> None:
    assert Recorded(SCORES).regret([]) == np.inf


def test_rivals_end_bad_trials_and_no_rule_ends_the_first() -> None:
    draw = np.random.default_rng(0)
    levels = np.linspace(0.8, 0.0, 12)[:, None, None]  # the best one first
    recorded = Recorded(levels + draw.normal(0, 0.01, (12, 5, 8)))
    found = {name: replay(recorded, range(12), make()) for name, make in rules(5, 8).items()}
    assert found.pop("no pruning").cost == 1
    assert {name for name, one in found.items() if one.cost == 1} == set()
    assert {name for name, one in found.items() if one.regret > 0} == set()


def test_the_recorded_curves_are_small_whole_and_replayed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert KEPT.stat().st_size < 300_000
    recorded = json.loads(lzma.decompress(KEPT.read_bytes()))
    for name, trials in recorded.items():
        scores = np.array([trial["mcc"] for trial in trials])
        assert scores.shape[1] == 5, name
        assert np.abs(scores).max() <= 1
        assert trials[0]["settings"] == {}  # the default
    assert ReplayConfig().replays >= 200
    assert search(["replays=1"]) == 0
    told = capsys.readouterr().out
    assert told.count("between folds (pdray)") == len(recorded)
    assert told.count("no pruning                 1.000  100.0%   0.000") == len(recorded)
