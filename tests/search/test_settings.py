import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from pdray.config import build, dump
from pdray.errors import SettingsError, StudyError
from pdray.help import help_text
from pdray.search.plan import load_study, plan_comparison, plan_study, saved_settings
from pdray.search.settings import SearchConfig, StudyConfig, default_name
from pdray.tracking.run_log import StudyLog
from pdray.training.settings import FitConfig

DATA = {"data": {"manifest": "cohort.csv"}}


@pytest.fixture
def write_yaml(tmp_path):
    """Return a function that writes a tree as a YAML file and gives its path as text."""

    def write(tree):
        path = tmp_path / "study.yaml"
        path.write_text(yaml.safe_dump(tree))
        return str(path)

    return write


@pytest.fixture
def start_study(tmp_path):
    """Return a function that leaves a study in the output folder, begun at a given second."""

    def start(name, *, started, state="running", **settings):
        study = StudyLog(tmp_path / "studies" / name)
        tree = {**DATA, **settings, "output": str(tmp_path), "space": {}}
        study.start(name=name, settings=tree, tags={})
        if state != "running":
            study.finish(state=state)
        path = study.folder / "study.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "started": started}))

    return start


def refused(tree):
    with pytest.raises(SettingsError) as error:
        plan_study(tree)
    return str(error.value)


def test_a_manifest_alone_is_a_whole_study():
    plan = load_study(["data.manifest=cohort.csv"])
    assert plan.config.data.manifest == Path("cohort.csv")
    assert plan.space == {}
    assert plan.config.output == Path("~/pdray_output").expanduser()


def test_a_study_without_a_manifest_is_refused():
    assert "'data.manifest' is missing and has no default" in refused({})


def test_file_and_words_meet_and_the_later_wins(write_yaml):
    path = write_yaml({**DATA, "search": {"trials": 7, "seed": 3}})
    plan = load_study(["--config", path, "search.trials=9"])
    assert (plan.config.search.trials, plan.config.search.seed) == (9, 3)


def test_a_space_in_a_file_is_checked_with_the_settings_all_faults_at_once(write_yaml):
    tree = {
        **DATA,
        "optim": {"learning_rat": 0.1, "batch_size": 0},
        "search": {"metric": "mmc", "name": "a study"},
        "output": "results",
        "space": {
            "loss.gama": {"low": 0.0, "high": 1.0},
            "optim.learning_rate": {"low": 1.0, "high": 0.1},
        },
    }
    with pytest.raises(SettingsError) as error:
        load_study(["--config", write_yaml(tree)])
    told = str(error.value)
    for part in (
        "7 faults",
        "unknown key 'optim.learning_rat': did you mean 'optim.learning_rate'?",
        "optim.batch_size: got 0",
        "search.metric: got 'mmc'; expected one of accuracy",
        "search.name: got 'a study'",
        "output: got 'results'",
        "unknown key 'space.loss.gama': did you mean 'loss.gamma'?",
        "space.optim.learning_rate: low 1.0 is not below high 0.1",
    ):
        assert part in told, part


def test_a_metric_of_another_number_of_classes_is_refused_before_the_study_starts():
    told = refused({**DATA, "search": {"metric": "within_one"}})
    assert "search.metric: got 'within_one', which is no score of 2 classes" in told
    assert "sensitivity" in told


def test_a_relative_output_is_refused_with_an_absolute_one_to_take():
    told = refused({**DATA, "output": "results"})
    assert "got 'results', a relative path, which a submitted job would write into a temp" in told
    assert str(Path.cwd() / "results") in told


def test_home_is_absolute():
    config = plan_study({**DATA, "output": "~/results"}).config
    assert config.output == Path("~/results").expanduser()


def test_what_no_model_can_take_is_refused_without_a_space():
    tree = {**DATA, "snippet": {"num_frames": 16}, "model": {"attention_depth": 1}}
    told = refused(tree)
    assert "'121222' shrinks 16 frames to 1 time step in layer4" in told
    assert "(with" not in told


def test_what_no_model_can_take_is_refused_with_the_searched_values():
    tree = {
        **DATA,
        "model": {"attention_depth": 1},
        "space": {"snippet.num_frames": {"choices": [16, 32]}},
    }
    assert "(with snippet.num_frames = 16)" in refused(tree)
    tree["space"]["snippet.num_frames"]["choices"] = [32, 64]
    assert plan_study(tree).space["snippet.num_frames"].values == (32, 64)


def test_the_settings_of_a_fit_are_the_studys():
    config = build(StudyConfig, {**DATA, "loss": {"gamma": 1.5}, "decode": {"height": 48}})
    fit = config.fit
    assert isinstance(fit, FitConfig)
    assert (fit.loss.gamma, fit.decode.height) == (1.5, 48)
    assert set(dump(fit)) == set(FitConfig.model_fields)


def test_a_plan_survives_its_own_log():
    tree = {**DATA, "space": {"loss.gamma": {"low": 0.0, "high": 2.0, "step": 0.5}}}
    plan = plan_study(tree)
    again = plan_study(json.loads(json.dumps(plan.tree)))
    assert again == plan


def test_the_default_metric_and_pruning_are_those_of_the_design():
    config = SearchConfig()
    assert (config.metric, config.prune_quantile) == ("mcc", 0.25)


def test_a_default_name_can_be_a_name():
    config = plan_study({"data": {"manifest": "/x.csv"}, "model": {"depth": 10}}).config
    name = default_name(config)
    assert name.startswith("tsa-")
    assert build(SearchConfig, {"name": name}).name == name


@pytest.mark.parametrize("name", ["../other", ".hidden", "a/b", ""])
def test_a_name_that_would_leave_its_folder_is_refused(name):
    with pytest.raises(SettingsError, match="name: got"):
        build(SearchConfig, {"name": name})


def test_the_newest_unfinished_study_is_resumed(start_study, tmp_path):
    start_study("old", started=100, search={"trials": 3})
    start_study("newer", started=300, search={"trials": 5})
    start_study("newest", started=400, state="complete")
    saved = saved_settings([f"output={tmp_path}"])
    assert saved["search"] == {"trials": 5, "name": "newer"}
    assert plan_study(saved).config.search.name == "newer"


def test_a_failed_study_can_be_resumed(start_study, tmp_path):
    start_study("failed", started=100, state="failed")
    assert saved_settings([f"output={tmp_path}"])["search"]["name"] == "failed"


def test_a_named_study_is_resumed_even_when_complete(start_study, tmp_path):
    start_study("old", started=100, state="complete")
    start_study("newer", started=300)
    saved = saved_settings([f"output={tmp_path}", "search.name=old"])
    assert saved["search"]["name"] == "old"


def test_the_command_line_wins_over_the_saved_settings(start_study, tmp_path):
    start_study("old", started=100, search={"trials": 3, "seed": 4})
    words = [f"output={tmp_path}", "search.trials=9"]
    config = load_study(words, saved=saved_settings(words)).config
    assert (config.search.trials, config.search.seed, config.search.name) == (9, 4, "old")


def test_no_study_to_resume_is_told_with_those_there_are(start_study, tmp_path):
    with pytest.raises(StudyError, match="studies there: none"):
        saved_settings([f"output={tmp_path}"])
    start_study("done", started=100, state="complete")
    with pytest.raises(StudyError, match=r"no study to resume in .*; studies there: done"):
        saved_settings([f"output={tmp_path}"])
    with pytest.raises(StudyError, match=r"no study to resume named dome in .*: done"):
        saved_settings([f"output={tmp_path}", "search.name=dome"])


def test_an_estimator_is_fitted_by_one_worker() -> None:
    head = {"modality": "landmarks", "model": {"name": "landmark_head"}, "optim": {"epochs": 1}}
    assert plan_study({**DATA, **head}).modalities == ("landmarks",)
    with pytest.raises(
        SettingsError, match="num_workers: got 2, but landmark_head is fitted by one"
    ):
        plan_study({**DATA, **head, "resources": {"num_workers": 2}})


def test_batches_that_the_workers_cannot_share_are_refused(tmp_path: Path) -> None:
    tree = {
        "data": {"manifest": "m.csv"},
        "output": str(tmp_path),
        "resources": {"num_workers": 4},
        "space": {"optim.batch_size": {"choices": [6, 16]}},
    }
    with pytest.raises(SettingsError, match=r"optim\.batch_size: got 6; 4 workers.*at least 8"):
        plan_study(tree)
    tree["space"] = {"optim.batch_size": {"choices": [8, 16]}}
    assert plan_study(tree).space


def test_weights_that_are_not_there_are_refused_with_the_settings(tmp_path: Path) -> None:
    file = tmp_path / "model.pt"
    with pytest.raises(SettingsError, match=r"settings: pretrained: no such file: \S+/model\.pt"):
        plan_study({**DATA, "pretrained": str(file)})
    with pytest.raises(SettingsError, match=r"trial 'b': pretrained: no such file: \S+/model\.pt"):
        plan_comparison(DATA, {"a": {}, "b": {"pretrained": str(file)}})
    space = {"pretrained": {"choices": [None, str(file)]}}
    with pytest.raises(SettingsError, match=r"space\.pretrained: \S+: no such file"):
        plan_study({**DATA, "space": space})
    pixels = {"pretrained_pixels": "hara_2018"}
    with pytest.raises(
        SettingsError, match=r"got 'hara_2018', but no weights file is given; set p"
    ):
        plan_study({**DATA, **pixels})
    file.touch()
    assert plan_study({**DATA, "space": space}).config.pretrained is None
    assert plan_study({**DATA, **pixels, "space": space}).config.pretrained_pixels == "hara_2018"
    assert plan_study({**DATA, "pretrained_pixels": "earlier"}).config.pretrained is None


@pytest.mark.parametrize("make", [plan_study, lambda tree: plan_comparison(tree, {"one": {}})])
def test_people_whom_nobody_has_named_are_not_split_at_random_unawares(make: Any) -> None:
    data = {"manifest": "/m.csv", "items": ["face_interview"], "subjects": "none"}
    with pytest.raises(SettingsError, match=r"data.subjects: got 'none' with a random split, so"):
        make({"data": data})
    make({"data": data, "folds": {"from_split": True}})
    make({"data": data, "folds": {"of_recordings": True}})
    make({"data": {**data, "items": ["action"]}})
    with pytest.raises(
        SettingsError, match=r"of_recordings: is only for data without subject ids; leave it out"
    ):
        make({"data": {"manifest": "/m.csv"}, "folds": {"of_recordings": True}})
    with pytest.raises(SettingsError, match="from_split and of_recordings are two ways to split"):
        make({"data": data, "folds": {"from_split": True, "of_recordings": True}})


FUSION = {"modality": "several", "model": {"name": "fusion"}, "optim": {"epochs": 1}}


def test_a_fusion_makes_what_any_of_its_trials_sees_and_needs_none():
    space = {
        "model.branches": {"choices": ["landmarks+mfcc", "rgb+log_mel"]},
        # More combinations than networks are looked at.
        "model.num_hidden": {"choices": [8, 16, 24, 32, 40, 48, 56, 64]},
        "model.num_hidden_sound": {"choices": [8, 16, 24, 32, 40, 48, 56, 64, 72]},
    }
    plan = plan_study({**DATA, **FUSION, "space": space})
    assert plan.modalities == ("rgb", "log_mel", "mfcc", "landmarks")
    assert plan.needs == ()


def test_an_estimator_reads_what_is_kept():
    with pytest.raises(
        SettingsError, match=r"frames: got 'video', but fusion needs .*; set frames=store"
    ):
        plan_study({**DATA, **FUSION, "frames": "video"})


def test_spectra_are_taken_as_the_study_says():
    plan = plan_study({**DATA, **FUSION, "audio": {"num_mfcc": 13}})
    assert plan.config.recipe.audio.num_mfcc == 13


def test_without_a_home_folder_help_works_and_the_output_must_be_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def homeless(path: str) -> str:
        return path

    monkeypatch.setattr(os.path, "expanduser", homeless)
    data = {"data": {"manifest": "/x.csv"}}
    assert help_text(StudyConfig, ["--help"], about="").count("~/pdray_output")
    with pytest.raises(
        SettingsError, match="got '~/pdray_output', but there is no such home folder"
    ):
        build(StudyConfig, data)
    with pytest.raises(SettingsError, match="got '~nobodyhere/out', but there is no such home"):
        build(StudyConfig, {**data, "output": "~nobodyhere/out"})
    assert build(StudyConfig, {**data, "output": "/out"}).output == Path("/out")


def test_a_network_that_cannot_have_the_classes_of_the_grades_is_refused():
    words = ["data.manifest=cohort.csv", "model.name=expression_clip", "loss.kind=cross_entropy"]
    words += ["snippet.num_frames=16", "decode.height=64", "decode.width=64"]
    three = "model.phrases=[anger, neutral, a bored face]"
    assert load_study([*words, three, "data.grade_cuts=[1, 2]"]).config.model.num_prompts == 4
    with pytest.raises(SettingsError, match=r"model\.phrases: got 3 for 2 classes; write one"):
        load_study([*words, three, "data.grade_cuts=[2]"])
