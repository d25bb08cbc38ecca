from pathlib import Path

import numpy as np
import pytest
from scipy.special import softmax

from pdray.data.cohort.rated import FoldSides, RatedRecording
from pdray.data.tables.features import Features
from pdray.errors import DecodeError, FoldsError
from pdray.evaluation.metrics import score
from pdray.evaluation.predictions import Origin, probabilities, targets
from pdray.training.estimators.fit import fit_estimator
from pdray.training.estimators.fusion import FusionEstimator, weights
from pdray.training.estimators.fusion_branch import BranchNetwork
from pdray.training.task import FitTask
from tests.fixtures.sound_made import NUM, stored_recordings
from tests.training.estimators.test_fusion_branch import config_of

LACKS = {0: ("mfcc",), 4: ("mfcc",), 8: ("mfcc",), 13: ("rgb", "landmarks"), 14: ("landmarks",)}


@pytest.fixture
def recordings(tmp_path: Path, write_entry) -> tuple[RatedRecording, ...]:
    return stored_recordings(tmp_path, write_entry, lacks=LACKS, num_classes=2)


def task_of(recordings: tuple[RatedRecording, ...], **model: object) -> FitTask:
    half = NUM // 2
    first, second = tuple(range(half)), tuple(range(half, NUM))
    return FitTask(
        origin=Origin(study="s", trial=0, fold=0, epoch=0, seed=2),
        config=config_of(**model),
        recordings=recordings,
        sides=(FoldSides(first, second), FoldSides(second, first)),
        num_classes=2,
        epochs=1,
    )


@pytest.mark.parametrize("rule", ["l1", "mean", "stacking", "attention"])
def test_recordings_that_lack_a_modality_are_learnt_from_and_judged(recordings, rule: str) -> None:
    results = list(fit_estimator(task_of(recordings, rule=rule, num_folds=2)))
    for result, held in zip(results, (range(12, 24), range(12)), strict=True):
        table = result.predictions
        assert table["recording_id"].tolist() == [f"r{number}" for number in held]
        shares = probabilities(table)
        np.testing.assert_allclose(shares.sum(axis=1), 1.0)
        assert score("accuracy", targets(table), shares) > 0.9
    told = results[0].metrics
    assert (told["fit/lacks_mfcc"], told["fit/lacks_rgb"], told["fit/lacks_landmarks"]) == (3, 0, 0)
    assert results[1].metrics["fit/lacks_landmarks"] == 2
    named = [told[f"fit/weight_{name}"] for name in ("rgb", "landmarks", "mfcc")]
    assert sum(named) == pytest.approx(1.0)
    assert min(named) > 0.01


def noise(num: int, seed: int = 0) -> tuple[list[dict[str, np.ndarray]], np.ndarray, list[str]]:
    rng = np.random.default_rng(seed)
    y = np.arange(num) % 2
    x = [
        {"mfcc": rng.normal(k, 1, 3), "log_mel": rng.normal(k, 3, 2)} if number % 5 else
        {"mfcc": rng.normal(k, 1, 3)}
        for number, k in enumerate(y)
    ]  # fmt: skip
    return x, y, [f"S{number // 2}" for number in range(num)]


def test_l1_is_the_sum_of_the_papers_normalised_logits() -> None:
    config = config_of(branches="mfcc+log_mel", rule="l1")
    x, y, subjects = noise(20)
    found = FusionEstimator(config, num_classes=2, seed=3).fit(x, y, subjects).predict_proba(x)
    branches = [
        BranchNetwork(name, config.model, num_classes=2, seed=3).fit(x, y).logits(x)
        for name in ("mfcc", "log_mel")
    ]
    for number, one in enumerate(x):
        fused = np.zeros(2)
        for name, logits in zip(("mfcc", "log_mel"), branches, strict=True):
            if name in one:
                fused += logits[number] / np.abs(logits[number]).sum()
        np.testing.assert_allclose(found[number], softmax(fused), rtol=1e-9)


def test_stacking_learns_from_branches_that_did_not_see_the_subject(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = config_of(branches="mfcc+log_mel", rule="stacking", num_folds=3)
    x, y, subjects = noise(24)
    owner = {id(one["mfcc"]): subject for one, subject in zip(x, subjects, strict=True)}
    met: list[tuple[set[str], set[str]]] = []
    learnt, asked = BranchNetwork.fit, BranchNetwork.logits

    def fit(self: BranchNetwork, some: list, labels: np.ndarray, _: object) -> BranchNetwork:
        self.people = {owner[id(one["mfcc"])] for one in some}  # type: ignore[attr-defined]
        return learnt(self, some, labels)

    def logits(self: BranchNetwork, some: list) -> np.ndarray:
        met.append((self.people, {owner[id(one["mfcc"])] for one in some}))  # type: ignore[attr-defined]
        return asked(self, some)

    monkeypatch.setattr(BranchNetwork, "fit", fit)
    monkeypatch.setattr(BranchNetwork, "logits", logits)
    FusionEstimator(config, num_classes=2, seed=3).fit(x, y, subjects)
    assert len(met) == 6  # of two branches and three inner folds
    assert all(not people & held for people, held in met)
    assert set().union(*(held for _, held in met)) == set(subjects)


@pytest.mark.parametrize("rule", ["mean", "stacking", "attention"])
def test_predictions_are_withheld_by_a_threshold_of_the_training_side(
    recordings, rule: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def below(shares: np.ndarray, y: np.ndarray, people: np.ndarray, risk: float) -> float:
        asked.append((shares, y, people.tolist(), risk))
        return 0.9

    monkeypatch.setattr("pdray.training.estimators.fusion.withheld_below", below)
    task = task_of(recordings, rule=rule, num_folds=2, abstain_risk=0.2)
    result = next(fit_estimator(task))
    ((shares, y, people, risk),) = asked
    assert (shares.shape, risk) == ((12, 2), 0.2)
    assert people == [f"S{number}" for number in range(12)]
    assert score("accuracy", y, shares) > 0.8  # out of fold
    given = probabilities(result.predictions).max(axis=1) >= 0.9
    assert result.metrics["val/coverage"] == given.mean()
    assert (result.predictions["withheld_below"] == 0.9).all()


@pytest.mark.parametrize("rule", ["stacking", "attention"])
def test_the_seed_decides(rule: str) -> None:
    config = config_of(branches="mfcc+log_mel", rule=rule, num_folds=2)
    x, y, subjects = noise(20)
    one, same, other = (
        FusionEstimator(config, num_classes=2, seed=seed).fit(x, y, subjects).predict_proba(x)
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, same)
    assert not np.allclose(one, other)


def test_weights_are_shares_of_what_moves() -> None:
    parts = {"a": np.array([[1.0], [3.0]]), "b": np.array([[5.0], [5.0]])}
    assert weights(parts) == {"a": 1.0, "b": 0.0}
    parts["b"] = np.array([[0.0], [6.0]])
    assert weights(parts) == {"a": 0.25, "b": 0.75}
    assert weights({"a": np.zeros((2, 1))}) == {}


def test_too_few_subjects_to_stack_are_told_with_the_setting() -> None:
    config = config_of(branches="mfcc+log_mel", rule="stacking", num_folds=9)
    x, y, subjects = noise(16)
    with pytest.raises(
        FoldsError, match=r"only 8 training subjects are ill, .* 9 folds; lower model.num_folds"
    ):
        FusionEstimator(config, num_classes=2, seed=0).fit(x, y, subjects)


def test_a_recording_with_no_modality_is_named(tmp_path: Path, write_entry) -> None:
    made = stored_recordings(tmp_path, write_entry, lacks={5: ("rgb", "landmarks", "mfcc")})
    with pytest.raises(DecodeError, match="recording r5: has none of rgb, landmarks, mfcc"):
        list(fit_estimator(task_of(made)))


def tables(num: int, *, lacks: int = 5) -> tuple[list[dict[str, Features]], np.ndarray, list[str]]:
    """Return SYNTHETIC features of two tables; every ``lacks``-th recording lacks the second."""
    rng = np.random.default_rng(0)
    y = np.arange(num) % 2
    x = []
    for number, k in enumerate(y):
        one = {"features.smile": Features(("a", "b"), rng.normal([k, 0], 1))}
        if number % lacks:
            values = rng.normal([0, k, 0], 1)
            values[0] = np.nan if number % 7 == 0 else values[0]
            one["features.speech"] = Features(("c", "d", "e"), values)
        x.append(one)
    return x, y, [f"S{number // 2}" for number in range(num)]


BOTH = "features.smile+features.speech"


@pytest.mark.parametrize("rule", ["l1", "mean", "stacking", "attention"])
def test_tables_of_features_are_fused_and_may_be_absent(rule: str) -> None:
    x, y, subjects = tables(200)
    learnt, held = slice(0, 100), slice(100, 200)
    config = config_of(branches=BOTH, rule=rule, num_folds=2)
    fitted = FusionEstimator(config, num_classes=2, seed=0).fit(
        x[learnt], y[learnt], subjects[learnt]
    )
    shares = fitted.predict_proba(x[held])
    alone = [
        score("auroc", y[held], FusionEstimator(
            config_of(branches=name, rule="mean"), num_classes=2, seed=0
        ).fit([one for one in x[learnt] if name in one],
              np.array([k for one, k in zip(x[learnt], y[learnt], strict=True) if name in one]),
              []).predict_proba([one if name in one else x[1] for one in x[held]]))
        for name in BOTH.split("+")
    ]  # fmt: skip
    assert score("auroc", y[held], shares) > max(alone)
    assert fitted.told["fit/lacks_features.speech"] == 20
    moved = [{**one, "features.smile": Features(("b", "a"), one["features.smile"].values[::-1])}
             for one in x[held]]  # fmt: skip
    np.testing.assert_allclose(fitted.predict_proba(moved), shares, rtol=1e-6)


def test_other_columns_than_in_training_name_the_branch() -> None:
    x, y, subjects = tables(20)
    fitted = FusionEstimator(config_of(branches=BOTH, rule="mean"), num_classes=2, seed=0)
    fitted.fit(x, y, subjects)
    other = {"features.smile": Features(("a", "z"), np.zeros(2))}
    with pytest.raises(DecodeError, match=r"branch features.smile, .*lacks b and has z"):
        fitted.predict_proba([other])


def test_the_head_of_a_branch_may_be_chosen_inside_its_training_side() -> None:
    x, y, subjects = tables(60)
    grid = [{"strength": 1e-3}, {"classifier": "svm"}]
    head = {"name": "feature_choice", "grid": grid, "num_folds": 2}
    config = config_of(branches=BOTH, rule="stacking", num_folds=2, head=head)
    fitted = FusionEstimator(config, num_classes=2, seed=0).fit(x, y, subjects)
    assert [0 <= one.learner.told["fit/choice"] < 2 for one in fitted.branches] == [True, True]
