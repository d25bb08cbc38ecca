"""What every model of the registry promises, whatever it computes."""

from collections.abc import Callable
from pkgutil import resolve_name
from typing import Any, get_args

import pytest

from pdray.models import MODELS, NETWORKS, BackboneConfig, ModelConfig
from pdray.testing.networks import NETWORK_CHECKS, NetworkContract
from pdray.training.estimators.fit import Parts

# The first layer of one, and the positions of the other, are made for a number of frames.
PUBLISHED_FRAMES = {"two_stream": {"stacked_frames": 32}, "expression_clip": {"max_frames": 32}}
TIME_BLIND = {"frame_resnet", "c2d"}  # a mean over frames, in any order


def tags(union: Any) -> set[str]:
    return {get_args(member)[1].tag for member in get_args(get_args(union)[0])}


def test_there_are_models_and_every_section_of_one_may_name_them() -> None:
    assert NETWORKS
    assert MODELS.keys() > NETWORKS.keys()
    assert {key: one.name for key, one in MODELS.items()} == {key: key for key in MODELS}
    assert tags(ModelConfig) == MODELS.keys()
    assert tags(BackboneConfig) == NETWORKS.keys() - {"region_attention"}
    assert all(one.description for one in MODELS.values())


def test_networks_have_builders_and_estimators_have_parts() -> None:
    assert all(one.builder for one in NETWORKS.values())
    estimators = [one for one in MODELS.values() if one.loop == "once"]
    assert estimators
    for one in estimators:
        assert isinstance(resolve_name(one.learner), Parts), one.name


@pytest.mark.parametrize("check", NETWORK_CHECKS)
@pytest.mark.parametrize("key", NETWORKS)
def test_every_network(key: str, check: Callable[[NetworkContract], None]) -> None:
    check(NetworkContract(NETWORKS[key], key not in TIME_BLIND, PUBLISHED_FRAMES.get(key, {})))
