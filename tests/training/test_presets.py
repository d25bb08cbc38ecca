from typing import Any

import pytest

from pdray.config import build, dump, read_tree
from pdray.errors import SettingsError
from pdray.models import MODELS
from pdray.training.presets import presets
from pdray.training.settings import FitConfig

TRANSLATORS = [name for name, entry in MODELS.items() if entry.loop == "translate"]


def fit(model: str, **synthesis: Any) -> dict[str, Any]:
    return {"modality": "portraits", "model": {"name": model}, "synthesis": synthesis}


def test_each_preset_has_each_translator_and_nothing_else() -> None:
    assert len(TRANSLATORS) >= 3
    assert {name: sorted(models) for name, models in presets().items()} == {
        "paper": sorted(TRANSLATORS),
        "demo": sorted(TRANSLATORS),
    }


@pytest.mark.parametrize(
    ("model", "epochs", "batch_size"), [("cyclegan", 200, 1), ("cut", 400, 1), ("hrfae", 20, 2)]
)
def test_the_paper_s_preset_has_the_paper_s_numbers(
    model: str, epochs: int, batch_size: int
) -> None:
    config = build(FitConfig, fit(model, preset="paper"))
    assert (config.optim.epochs, config.optim.batch_size) == (epochs, batch_size)
    assert config.portraits.size == 256
    assert config.model == MODELS[model].settings()


@pytest.mark.parametrize("model", TRANSLATORS)
def test_keys_that_are_given_win_over_the_preset(model: str) -> None:
    whole = build(FitConfig, fit(model, preset="demo"))
    assert whole.portraits.size == 64
    words = [
        "modality=portraits", f"model.name={model}", "optim.epochs=7", "synthesis.preset=demo",
        "model.num_blocks=2",
    ]  # fmt: skip
    own = build(FitConfig, read_tree(FitConfig, words))
    assert own.optim.epochs == 7 != whole.optim.epochs
    assert own.model.num_blocks == 2 != whole.model.num_blocks  # type: ignore[union-attr]
    assert own.optim.batch_size == whole.optim.batch_size
    assert own.synthesis.frames == whole.synthesis.frames
    # Saved settings have every key, so a later change of the preset does not reach them.
    assert build(FitConfig, dump(own)) == own


def test_a_preset_of_another_model_and_an_unknown_one_are_refused() -> None:
    with pytest.raises(SettingsError, match="synthesis: tsa does not use it; leave it out"):
        build(FitConfig, {**fit("tsa", preset="demo"), "modality": "rgb"})
    with pytest.raises(SettingsError, match=r"synthesis.preset: got 'demos'"):
        build(FitConfig, fit("cut", preset="demos"))
