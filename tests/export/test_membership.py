"""The attack on membership ranks people by their loss, inside each model."""

from collections.abc import Callable

import numpy as np
import pytest

from pdray.export.membership import attack
from pdray.predict.learning import training_recordings
from pdray.predict.models import find_models
from pdray.predict.studied import open_study
from pdray.tracking.run_log import StudyLog


def test_a_model_that_knows_its_people_tells_them_apart(
    study_of: Callable[[str], StudyLog],
) -> None:
    studied = open_study(study_of("motion").folder)
    models = find_models(studied, "ensemble")

    def knowing(sure: float, unsure: float):
        def shares(model, recordings):
            right = np.array([sure if one.subject_id in model.learnt else unsure
                              for one in recordings])  # fmt: skip
            found = np.empty((len(recordings), 2))
            at, targets = np.arange(len(recordings)), [one.target for one in recordings]
            found[at, targets], found[at, [1 - k for k in targets]] = right, 1 - right
            return found

        return shares

    assert attack(studied, models, knowing(0.9, 0.6), print).interval.value == 1
    assert attack(studied, models, knowing(0.6, 0.9), print).interval.value == 0
    same = attack(studied, models, knowing(0.7, 0.7), print)
    assert same.interval.value == pytest.approx(0.5)
    # Each fold learnt from 2 or 3 of the 5 development subjects; S001 was tested.
    assert (same.members, same.others) == (5, 6)
    assert "<6 people that a model learnt from against 6" in same.words(6)
    everybody = {one.subject_id for one in training_recordings(studied)}
    (refit,) = find_models(studied, "refit")
    told = attack(studied, [type(refit)(-1, frozenset(everybody))], knowing(0.9, 0.6), print)
    assert told.words(1) == "not measured: the study has nobody that the model did not learn from"
