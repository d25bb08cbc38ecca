from pathlib import Path

import pytest

from jobs.tune_region_attention import SETTINGS, main
from pdray.search.plan import load_study
from pdray.search.space import Choices, Range


def test_the_search_of_the_paper_is_what_it_starts_from() -> None:
    plan = load_study(["--config", str(SETTINGS), "data.manifest=/x.csv"])
    config = plan.config
    assert config.model.name == "region_attention"
    assert (config.model.depth, config.model.layout) == (50, "vggface2")
    assert (config.loss.kind, config.loss.hierarchy_lambda) == ("hierarchy", 0.9)
    assert (config.optim.optimizer, config.optim.learning_rate) == ("adam", 0.001)
    assert plan.modalities == plan.needs == ("rgb", "regions")
    searched = {"loss.hierarchy_lambda", "loss.region_weight", "snippet.num_frames"}
    searched |= {"model.attention_depth", "model.attention_kind", "optim.learning_rate"}
    assert searched == set(plan.space)
    assert isinstance(plan.space["model.attention_kind"], Choices)
    assert isinstance(plan.space["loss.region_weight"], Range)


def test_every_trial_reads_the_same_maps() -> None:
    plan = load_study(["--config", str(SETTINGS), "data.manifest=/x.csv"])
    assert len(plan.fits) > 1
    assert len({fit.views for fit in plan.fits}) == 1
    assert plan.fits[0].views is not None


def test_settings_without_effect_are_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["data.manifest=/x.csv", f"output={tmp_path}", "augment.brightness=0.4"]
    assert main(words) == 2
    told = capsys.readouterr().err
    assert (
        "augment.brightness: no effect, because the outputs of frozen layers are "
        "cached for 2 plain views" in told
    )
    assert "features.views=4" in told
