from pathlib import Path

import pytest

from jobs.tune_fusion import SETTINGS, main
from pdray.models.fusion import FusionConfig
from pdray.search.settings import load_study
from pdray.training.task import FitConfig

AUDIO = SETTINGS.with_name("audio.yaml")


def test_the_fusion_of_the_paper_is_what_it_starts_from() -> None:
    plan = load_study(["--config", str(SETTINGS), "data.manifest=/x.csv"])
    model = plan.config.model
    assert isinstance(model, FusionConfig)
    assert (model.rule, model.frames, model.learning_rate) == ("l1", "fv", 0.02)
    assert plan.modalities == ("rgb", "mfcc", "landmarks")
    assert plan.needs == ()
    assert {"model.branches", "model.rule", "model.learning_rate"} < set(plan.space)


def test_the_search_on_sound_reads_both_spectra_and_needs_one() -> None:
    plan = load_study(["--config", str(AUDIO), "data.manifest=/x.csv"])
    assert plan.modalities == plan.needs == ("log_mel", "mfcc")
    assert isinstance(plan.config, FitConfig)
    assert plan.config.model.name == "audio_mlp"


def test_help_names_the_job(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    assert capsys.readouterr().out.startswith("usage: python jobs/tune_fusion.py")


def test_a_user_mistake_is_exit_code_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["data.manifest=/x.csv", f"output={tmp_path}", "model.branches=rgb+voice"]
    assert main(words) == 2
    assert "'voice' is no branch" in capsys.readouterr().err
