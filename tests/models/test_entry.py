import pytest
from pydantic import Field

from pdray.config import Settings, build
from pdray.errors import SettingsError
from pdray.models import MODELS, ModelConfig
from pdray.models.networks.torchvision_settings import R3DConfig
from pdray.models.networks.tsa_settings import TsaConfig


class Study(Settings):
    model: ModelConfig = Field(TsaConfig())


def test_a_section_without_a_name_is_of_the_default_model() -> None:
    assert isinstance(build(Study, {"model": {"dropout": 0.1}}).model, TsaConfig)
    assert isinstance(build(Study, {"model": {"name": "r3d"}}).model, R3DConfig)
    with pytest.raises(SettingsError, match=r"model\.name: got 'r4d'; expected one of tsa, res"):
        build(Study, {"model": {"name": "r4d"}})


def test_settings_say_what_follows_from_them() -> None:
    regions = MODELS["region_attention"].settings
    assert [regions(frozen_stages=n).keeps_maps for n in (0, 2, 3)] == [False, False, True]
    assert [regions(frozen_stages=n).has_frozen_weights for n in (0, 1)] == [False, True]
    assert MODELS["linear_probe"].settings().has_frozen_weights
    assert MODELS["fusion"].settings(branches="mfcc+rgb").modalities == ("rgb", "mfcc")
