from typing import get_args

import pytest

from pdray.config import build, leaves
from pdray.errors import SettingsError
from pdray.models import NETWORKS
from pdray.models.estimators.linear_probe import BackboneConfig, LinearProbeConfig
from pdray.models.networks.frame_resnet_settings import FrameResNetConfig
from pdray.models.networks.i3d_settings import I3DConfig


def test_every_network_on_pictures_alone_can_be_under_a_probe() -> None:
    alone = {name: one for name, one in NETWORKS.items() if not one.beside}
    assert alone
    members = get_args(get_args(BackboneConfig)[0])
    assert {get_args(one)[1].tag for one in members} == alone.keys()
    for name, architecture in alone.items():
        config = build(LinearProbeConfig, {"backbone": {"name": name}})
        assert isinstance(config.backbone, architecture.settings)


def test_the_defaults_are_those_of_000() -> None:
    config = LinearProbeConfig()
    assert config.backbone == FrameResNetConfig()
    assert (config.kind, config.hierarchy_lambda) == ("adam", 0.9)
    assert (config.learning_rate, config.batch_size) == (1e-3, 32)


def test_a_backbone_without_a_name_is_the_papers() -> None:
    config = build(LinearProbeConfig, {"backbone": {"depth": 18}})
    assert config.backbone == FrameResNetConfig(depth=18)
    other = build(LinearProbeConfig, {"backbone": {"name": "i3d", "width_factor": 0.5}})
    assert other.backbone == I3DConfig(width_factor=0.5)


@pytest.mark.parametrize(
    ("backbone", "message"),
    [
        ({"name": "i4d"}, r"backbone.name: got 'i4d'; expected one of tsa, .*frame_resnet"),
        ({"name": "landmark_head"}, "backbone.name: got 'landmark_head'; expected one of"),
        ({"name": "i3d", "depth": 3}, r"unknown key 'backbone.depth': .*backbone.width_factor"),
        ({"depth": 17}, "backbone.depth: got 17; input should be 18, 34, 50 or 101"),
    ],
)
def test_another_backbone_is_refused_with_its_key(
    backbone: dict[str, object], message: str
) -> None:
    with pytest.raises(SettingsError, match=message):
        build(LinearProbeConfig, {"backbone": backbone})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("kind", "svm"), ("learning_rate", 0.0), ("batch_size", 0), ("num_epochs", 0),
        ("hierarchy_lambda", 1.1), ("strength", 0.0),
    ],
)  # fmt: skip
def test_a_setting_out_of_range_is_refused_with_its_value(name: str, value: object) -> None:
    with pytest.raises(SettingsError, match=f"{name}: got {value!r}; input should be"):
        build(LinearProbeConfig, {name: value})


def test_the_settings_of_a_backbone_are_listed() -> None:
    assert "backbone.layout" in dict(leaves(LinearProbeConfig))
