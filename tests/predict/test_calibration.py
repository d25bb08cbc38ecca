from pathlib import Path

import numpy as np
import pytest

from pdray.config import merge
from pdray.evaluation.statistics.scaled import scaled
from pdray.evaluation.statistics.scaling import temperature
from pdray.predict import calibration as module
from pdray.predict.calibration import fit_calibration
from pdray.predict.learning import out_of_fold_means, training_recordings
from pdray.predict.models import find_models
from pdray.predict.studied import open_study
from pdray.tracking.run_log import StudyLog
from pdray.training.estimators.probe import build_probe, describe_probe
from tests.fixtures.tiny_study import PROBE
from tests.predict.conftest import THREE, train


@pytest.fixture(scope="module")
def probes(tmp_path_factory: pytest.TempPathFactory, faces: Path) -> StudyLog:
    settings = merge(merge({}, PROBE), {"model": {"kind": "logistic", "strength": 0.01}})
    return train(tmp_path_factory.mktemp("probes"), faces, settings, THREE)


def test_the_mean_is_calibrated_on_means_of_models_that_did_not_see_the_subject(
    probes: StudyLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    studied = open_study(probes.folder)
    known, config = training_recordings(studied), studied.config
    x = np.stack([describe_probe(one, config) for one in known])
    y = np.array([one.target for one in known])
    fold_of = np.array([
        next(k for k, side in enumerate(THREE.folds) if one.subject_id in side) for one in known
    ])  # fmt: skip
    wanted = np.zeros((len(known), 2))
    for at in range(len(known)):
        for other in {0, 1, 2} - {fold_of[at]}:
            inside = (fold_of != fold_of[at]) & (fold_of != other)
            learner = build_probe(config, num_classes=2, seed=0).fit(x[inside], y[inside], [])
            wanted[at] += learner.predict_proba(x[at : at + 1])[0] / 2
    means = out_of_fold_means(studied).set_index("recording_id")
    found = means.loc[[one.recording_id for one in known]]
    np.testing.assert_allclose(found[["probability_0", "probability_1"]], wanted, atol=1e-12)
    assert found["target"].tolist() == y.tolist()

    models = find_models(studied, "ensemble")
    scaling = fit_calibration(studied, models, "temperature")
    assert scaling.numbers == pytest.approx([temperature(y, wanted)])
    shares = np.array([[0.3, 0.7]])
    np.testing.assert_array_equal(
        scaling.apply(shares), scaled("temperature", scaling.numbers, shares)
    )
    assert "means of models that did not learn from the subject" in scaling.words
    kept = probes.folder / "private" / module.KEPT
    assert kept.stat().st_mode & 0o777 == 0o600
    assert not any(one.subject_id in kept.read_text(encoding="utf-8") for one in known)
    monkeypatch.setattr(module, "out_of_fold_means", lambda _: pytest.fail("learnt again"))
    assert fit_calibration(studied, models, "temperature") == scaling
    single = fit_calibration(studied, models[:1], "temperature")
    assert single.numbers != scaling.numbers
    assert "single models" in single.words


def test_a_mean_that_cannot_be_computed_is_calibrated_as_single_models_and_says_so(
    study: StudyLog,
) -> None:
    studied = open_study(study.folder)  # of two folds
    scaling = fit_calibration(studied, find_models(studied, "ensemble"), "temperature")
    assert "single models, not on means of models" in scaling.words
    assert (
        scaling.numbers
        == fit_calibration(studied, find_models(studied, "fold:0"), "temperature").numbers
    )
    assert fit_calibration(studied, find_models(studied, "refit"), None).kind == "none"
