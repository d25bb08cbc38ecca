from pdray.config import build, dump
from pdray.models.estimators.landmark_settings import LandmarkChoiceConfig


def test_the_grid_is_the_frozen_one() -> None:
    config = LandmarkChoiceConfig()
    heads = [(head.kind, head.strength, head.svm_strength) for head in config.heads]
    assert heads == [
        ("logistic", 0.3, 3.0),
        ("logistic", 1.0, 3.0),
        ("logistic", 3.0, 3.0),
        ("svm", 0.3, 3.0),
        ("svm", 0.3, 10.0),
        ("vote", 0.3, 3.0),
    ]
    assert {(head.severity_penalty, head.severity_spread) for head in config.heads} == {(100, 1)}
    assert len(config.groups) == 5
    assert (config.num_folds, config.num_repeats) == (5, 5)
    assert build(LandmarkChoiceConfig, dump(config)) == config


def test_a_smaller_grid_can_be_asked_for() -> None:
    config = LandmarkChoiceConfig(logistic=(2.0,), svm=(), vote=False, severity_penalty=7.0)
    (head,) = config.heads
    assert (head.kind, head.strength, head.severity_penalty) == ("logistic", 2.0, 7.0)
