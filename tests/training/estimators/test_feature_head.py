import numpy as np
import pytest
from pydantic import ValidationError

from pdray.data.tables.features import Features
from pdray.errors import DecodeError, FoldsError
from pdray.models.estimators.classifiers import Preparation, build_pipeline
from pdray.models.estimators.feature_settings import CLASSIFIERS, FeatureHeadConfig
from pdray.training.estimators.feature_head import FeatureHead, Rated, stack_features

NAMES = ("speed", "rhythm", "pause", "halt")
MLP = {"num_hidden": 8, "num_epochs": 30, "learning_rate": 0.02, "batch_size": 16}
FAST = {"num_trees": 30, "mlp": MLP}


def config(**changes: object) -> FeatureHeadConfig:
    return FeatureHeadConfig.model_validate({**FAST, **changes})


def rated(x: np.ndarray, votes: np.ndarray | None = None) -> list[Rated]:
    given = np.zeros((len(x), 0), int) if votes is None else votes
    return [Rated(NAMES, row, tuple(map(int, of))) for row, of in zip(x, given, strict=True)]


@pytest.fixture(scope="module")
def made() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features with gaps, grades 0 to 2 that two of them tell, and the votes of three raters."""
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(3), 30)
    x = rng.normal(size=(90, 4))
    x[:, :2] += 4 * y[:, None]
    x[::9, 0] = np.nan
    votes = np.stack([y, np.where(rng.random(90) < 0.2, (y + 1) % 3, y), np.minimum(y + 1, 2)], 1)
    votes[::4, 1] = -1
    return x, y, votes


@pytest.mark.parametrize("kind", [*CLASSIFIERS, "linear+trees"])
def test_every_kind_learns_and_repeats_itself(kind: str, made) -> None:
    x, y, votes = made
    given = rated(x, votes)
    one, other = (
        FeatureHead(config(classifier=kind), num_classes=4, seed=3).fit(given[::2], y[::2])
        for _ in "ab"
    )
    p = one.predict_proba(given)
    np.testing.assert_array_equal(p, other.predict_proba(given))
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-6)
    assert (p[:, 3] == 0).all() or kind == "mlp"
    assert (p.argmax(axis=1) == y)[1::2].mean() > 0.8
    assert one.told["fit/features"] == 4


def test_settings_reach_the_classifier_and_several_are_averaged(made) -> None:
    x, y, _ = made
    settings = config(classifier="linear+svm", strength=0.3, svm_strength=2.0, svm_width=0.5,
                      balanced=True, num_selected=3, num_components=2)  # fmt: skip
    given = Preparation(True, 3, 2)
    linear = build_pipeline("linear", preparation=given, strength=0.3, is_balanced=True).fit(x, y)
    svm = build_pipeline("svm", preparation=given, strength=2.0, width=0.5, is_balanced=True)
    margins = svm.fit(x, y).decision_function(x)
    shares = np.exp(margins) / np.exp(margins).sum(axis=1, keepdims=True)
    got = FeatureHead(settings, num_classes=3, seed=0).fit(rated(x), y).predict_proba(rated(x))
    np.testing.assert_allclose(got, (linear.predict_proba(x) + shares) / 2, atol=1e-12)


def test_confusions_of_the_raters_are_logged(made) -> None:
    x, y, votes = made
    head = FeatureHead(config(classifier="rater"), num_classes=3, seed=0).fit(rated(x, votes), y)
    told = [head.told[f"fit/rater_{n}_agreement"] for n in (1, 2, 3)]
    assert told[0] > told[1] > told[2]
    with pytest.raises(FoldsError, match="no training recording has one; add columns rater_1"):
        FeatureHead(config(classifier="rater"), num_classes=3, seed=0).fit(rated(x), y)


def test_features_are_found_by_name_and_others_are_refused(made) -> None:
    x = made[0]
    turned = [Features(NAMES[::-1], row[::-1]) for row in x]
    np.testing.assert_array_equal(stack_features(turned, NAMES), x)
    with pytest.raises(
        DecodeError,
        match="differ from those of training: it lacks halt, pause and has tremor "
        r"\(3 instead of 4\); give it the columns of training",
    ):
        stack_features([Features(("speed", "rhythm", "tremor"), x[0, :3])], NAMES)


def test_what_cannot_be_learnt_from_is_refused(made) -> None:
    x, y, _ = made
    with pytest.raises(FoldsError, match="all 90 training recordings are of class 1"):
        FeatureHead(config(), num_classes=3, seed=0).fit(rated(x), np.ones(90, np.int64))
    with pytest.raises(FoldsError, match=r"num_components: 4 is too many .* use at most 3"):
        FeatureHead(config(num_components=4, num_selected=3), num_classes=3, seed=0).fit(
            rated(x), y
        )
    for wrong in ({"classifier": "linear+deep"}, {"classifier": "svm+svm"}, {"strength": 0}):
        with pytest.raises(ValidationError, match=next(iter(wrong))):
            config(**wrong)
