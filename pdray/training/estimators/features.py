"""Estimators on tables of features: the description of a recording, and how each is built."""

from typing import cast

from pdray.data.cohort.rated import RatedRecording
from pdray.models.estimators.feature_settings import FeatureChoiceConfig, FeatureHeadConfig
from pdray.training.estimators.feature_choice import FeatureChoice
from pdray.training.estimators.feature_head import FeatureHead, Rated
from pdray.training.estimators.fit import Parts
from pdray.training.frozen.keep import read_features
from pdray.training.settings import FitConfig


def describe_features(recording: RatedRecording, config: FitConfig) -> Rated:
    """Return the features of a recording, and the classes that its raters gave.

    Raises:
        PdrayError: If its entry cannot be read.
    """
    assert recording.stored is not None, "checked before"
    features = read_features(recording.stored[config.modality])
    return Rated(*features, recording.votes)


def build_head(config: FitConfig, *, num_classes: int, seed: int) -> FeatureHead:
    """Build the head that learns from the features of :func:`describe_features`."""
    model = cast(FeatureHeadConfig, config.model)
    return FeatureHead(model, num_classes=num_classes, seed=seed)


def build_choice(config: FitConfig, *, num_classes: int, seed: int) -> FeatureChoice:
    """Build the estimator that chooses a head for the features of :func:`describe_features`."""
    model = cast(FeatureChoiceConfig, config.model)
    return FeatureChoice(model, num_classes=num_classes, seed=seed)


HEAD = Parts(describe_features, build_head)
CHOICE = Parts(describe_features, build_choice)
