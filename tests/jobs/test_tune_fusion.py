from pathlib import Path

import pytest

from jobs.tune_fusion import SETTINGS, main
from pdray.models.estimators.fusion_settings import FusionConfig
from pdray.search.plan import load_study
from pdray.training.settings import FitConfig

AUDIO = SETTINGS.with_name("audio.yaml")


def test_the_fusion_of_the_paper_is_what_it_starts_from() -> None:
    plan = load_study(["--config", str(SETTINGS), "data.manifest=/x.csv"])
    model = plan.config.model
    assert isinstance(model, FusionConfig)
    assert (model.rule, model.frames, model.learning_rate) == ("l1", "fv", 0.02)
    assert plan.modalities == ("rgb", "mfcc", "landmarks")
    assert plan.needs == ()
    assert {"model.branches", "model.rule", "model.learning_rate"} < set(plan.space)


def test_weights_of_the_face_may_be_given_though_some_trials_see_none(tmp_path: Path) -> None:
    weights = tmp_path / "resnet50.pkl"
    weights.touch()
    words = ["--config", str(SETTINGS), "data.manifest=/x.csv", f"pretrained={weights}"]
    assert load_study(words).config.pretrained == weights


@pytest.mark.parametrize(
    ("words", "sees"),
    [
        ([], "mfcc"),
        (["modality=log_mel"], "log_mel"),
        (["modality=waveform", "embedding.folder=/data/wav2vec2"], "waveform"),
    ],
)
def test_the_search_on_sound_reads_what_it_is_told_to(words: list[str], sees: str) -> None:
    plan = load_study(["--config", str(AUDIO), "data.manifest=/x.csv", *words])
    assert plan.modalities == plan.needs == (sees,)
    assert isinstance(plan.config, FitConfig)
    assert plan.config.model.name == "audio_mlp"


def test_a_user_mistake_is_exit_code_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["data.manifest=/x.csv", f"output={tmp_path}", "model.branches=rgb+voice"]
    assert main(words) == 2
    assert "'voice' is not a branch" in capsys.readouterr().err
