import numpy as np
import pytest

from benchmarks.forecast import errors, run
from pdray.search.course import Work


def test_a_replay_ends_with_the_refit_and_an_exact_forecast_has_no_error() -> None:
    # Three trials of 2 folds and 4 epochs of one second; too few are complete for pruning.
    scores = np.linspace(0.1, 0.8, 24).reshape(3, 2, 4)
    found = list(run(scores, np.ones((3, 2, 4)), [0, 1, 2], at_once=2))
    ends = [(one.time, one.trial) for one in found if one.is_last]
    # Trials 0 and 1 at once, then trial 2; its best epoch is the fourth.
    assert ends == [(8, 0), (8, 1), (16, 2), (20, -1)]
    work = Work(3, steps=8, num_whole=3, share=1.0, at_once=2, refit_steps=4.0)
    assert errors(found, work, 1.0) == pytest.approx([0.0] * 10)
    assert errors(found, work, 2.0)[0] == pytest.approx(1.0)
