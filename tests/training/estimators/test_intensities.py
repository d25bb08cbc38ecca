from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from pdray.config import build
from pdray.data.cohort.manifest import Recording
from pdray.data.cohort.rated import RatedRecording
from pdray.data.face.intensities import write_intensities
from pdray.data.store.frame_store import FrameStore
from pdray.data.store.settings import Recipe
from pdray.errors import DecodeError, FoldsError
from pdray.models.estimators.intensity_settings import IntensityHeadConfig
from pdray.training.estimators.intensities import PARTS, IntensityHead, describe_intensities
from pdray.training.settings import FitConfig
from tests.fixtures.intensities_made import made_intensities

NUM = 60
QUICK = {
    "num_trees": 20,
    "num_epochs": 12,
    "num_hidden": 8,
    "batch_size": 20,
    "learning_rate": 0.02,
}
CLASSIFIERS = ("tree", "bayes", "forest", "svm", "gru", "lstm")
PEOPLE = [f"S{number}" for number in range(NUM)]


def learner(*, num_classes: int = 2, **model: Any) -> IntensityHead:
    config = IntensityHeadConfig(**{**QUICK, **model})
    return IntensityHead(config, num_classes=num_classes, seed=0)


def config_of(**model: object) -> FitConfig:
    tree = {"model": {"name": "intensity_head", **model}, "optim": {"epochs": 1}}
    return build(FitConfig, {"modality": "intensities", **tree})


def visits(seed: int = 0, *, signal: float = 0.35) -> tuple[list[np.ndarray], np.ndarray]:
    """SYNTHETIC cosines over tau 0.01: the ill (1) show less of each expression but neutral."""
    rng = np.random.default_rng(seed)
    y = np.arange(NUM) % 2
    own = np.eye(4) * (0.5 - signal * y[:, None, None] * np.array([0, 1, 1, 1]))
    return list((own + rng.normal(0, 0.15, (NUM, 4, 4))) / 0.01), y


@pytest.mark.parametrize("classifier", CLASSIFIERS)
def test_every_row_learns_from_logarithms_and_is_finite_on_intensities(classifier: str) -> None:
    (x, y), (new, truth) = visits(0), visits(1)
    for scale in ("log", "exp"):
        made = learner(classifier=classifier, features="both", scale=scale).fit(x, y, PEOPLE)
        shares = made.predict_proba(new)
        assert np.isfinite(shares).all()
        np.testing.assert_allclose(shares.sum(axis=1), 1)
        if scale == "log":
            assert roc_auc_score(truth, shares[:, 1]) > (0.7 if classifier == "tree" else 0.9)


@pytest.mark.parametrize("classifier", ["tree", "forest"])
@pytest.mark.parametrize("features", ["original", "processed"])
def test_logarithms_are_not_worse_than_intensities(classifier: str, features: str) -> None:
    """Trees see ranks, which an intensity loses to float32 and the scale of the largest ones."""
    areas: dict[str, list[float]] = {"log": [], "exp": []}
    for seed in range(5):
        (x, y), (new, truth) = visits(2 * seed), visits(2 * seed + 1)
        for scale, found in areas.items():
            made = learner(classifier=classifier, features=features, scale=scale).fit(x, y, PEOPLE)
            found.append(float(roc_auc_score(truth, made.predict_proba(new)[:, 1])))
    assert np.mean(areas["log"]) > np.mean(areas["exp"]) - 0.02


@pytest.mark.parametrize("classifier", CLASSIFIERS)
def test_absent_videos_are_no_numbers(classifier: str) -> None:
    """A pattern of absent videos that tells nothing must not: nobody's class hangs on it."""
    (x, y), (new, truth) = visits(0), visits(1)
    for number in range(0, NUM, 3):
        x[number][0] = np.nan
    x[1][3] = new[0][2] = np.nan  # one of one class; one that training never lacked
    made = learner(classifier=classifier).fit(x, y, PEOPLE)
    assert made.told == {"fit/absent_videos": NUM / 3 + 1, "fit/absent_z": 0}
    shares = made.predict_proba(new)
    assert np.isfinite(shares).all()
    assert roc_auc_score(truth, shares[:, 1]) > (0.7 if classifier == "tree" else 0.9)


@pytest.mark.parametrize("classifier", CLASSIFIERS)
def test_which_video_is_absent_can_be_learnt(classifier: str) -> None:
    """Noise, but each ill person could not show surprise."""
    x, y = visits(0, signal=0.0)
    for number in np.flatnonzero(y):
        x[number][2] = np.nan
    made = learner(classifier=classifier, features="original", num_epochs=30)
    shares = made.fit(x, y, PEOPLE).predict_proba(x)
    assert (shares.argmax(axis=1) == y).mean() > 0.95


@pytest.mark.parametrize("classifier", CLASSIFIERS)
def test_one_video_alone_is_enough(classifier: str) -> None:
    x, y = visits(0)
    for one in x:
        one[[0, 2, 3]] = np.nan
    made = learner(classifier=classifier).fit(x, y, PEOPLE)
    new, truth = visits(1)
    shares = made.predict_proba(new)  # three videos that training never had
    assert roc_auc_score(truth, shares[:, 1]) > 0.7


def stored_visit(folder: Path, **changes: Any) -> RatedRecording:
    path = folder / "v.npz"
    write_intensities(path, made_intensities(**changes))
    row = Recording("v", "S", "expressions", intensities=path)
    stored = FrameStore(folder / "store", Recipe()).add(row, ("intensities",)).paths
    return RatedRecording("v", "S", "expressions", 0, 0, None, stored=stored)


def test_a_visit_is_described_by_its_file(tmp_path: Path) -> None:
    visit = stored_visit(tmp_path)
    for scale in ("log", "exp"):
        found = describe_intensities(visit, config_of(scale=scale))
        np.testing.assert_array_equal(found, made_intensities().log)
    assert isinstance(PARTS.build(config_of(), num_classes=2, seed=0), IntensityHead)


def test_intensities_that_float64_cannot_hold_are_refused(tmp_path: Path) -> None:
    visit = stored_visit(tmp_path, tau=0.0005)
    with pytest.raises(DecodeError, match=r"intensity is exp\(600\).*set model.scale=log"):
        describe_intensities(visit, config_of(scale="exp"))


def test_equal_intensities_are_counted_and_have_no_z() -> None:
    x, y = visits(0)
    x[0][1] = x[7][3] = 12.0
    made = learner(classifier="lstm").fit(x, y, PEOPLE)
    assert made.told == {"fit/absent_videos": 0, "fit/absent_z": 2}
    assert np.isfinite(made.predict_proba(x)).all()


@pytest.mark.parametrize("classifier", CLASSIFIERS)
def test_a_fold_with_too_few_subjects_of_a_class_is_refused(classifier: str) -> None:
    x, y = visits(0)
    people = [f"S{number}" for number in range(NUM)]
    for number in np.flatnonzero(y):
        people[number] = f"ill{number % 4}"  # two people
    with pytest.raises(FoldsError, match=r"2 of class 1, but intensity_head needs 3 subjects"):
        learner(classifier=classifier).fit(x, y, people)
    with pytest.raises(FoldsError, match=r"0 of class 2, but"):
        learner(classifier=classifier, num_classes=3).fit(x, y, PEOPLE)


@pytest.mark.parametrize("classifier", CLASSIFIERS)
def test_grades_are_learnt_and_the_seed_decides_everything(classifier: str) -> None:
    x, y = visits(0)
    for number in range(0, NUM, 3):
        x[number] = x[number] - 40 * np.eye(4)
    grades = np.where(np.arange(NUM) % 3 == 0, 2, y)
    first, again = (
        learner(classifier=classifier, num_classes=3).fit(x, grades, PEOPLE).predict_proba(x)
        for _ in range(2)
    )
    np.testing.assert_array_equal(first, again)
    assert (first.argmax(axis=1) == grades).mean() > 0.85
