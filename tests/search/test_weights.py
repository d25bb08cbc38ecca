from pathlib import Path
from typing import Any

import pytest
import torch

from pdray.errors import SettingsError, StudyError
from pdray.search.plan import plan_comparison, plan_study
from pdray.search.space import trial_config
from pdray.search.weights import (
    keep_weights,
    same_people_notes,
    start_files,
    start_notes,
)
from pdray.tracking.run_log import StudyLog
from pdray.training.frozen import sound as embedding
from pdray.training.network import build_network

BASE: dict[str, Any] = {
    "data": {"manifest": "/x.csv"},
    "decode": {"height": 32, "width": 32},
    "snippet": {"num_frames": 16},
    "model": {"depth": 10, "width_factor": 0.125, "temporal_stride": "221111", "num_heads": 2},
}


def test_random_weights_need_no_note() -> None:
    assert start_notes(plan_study(BASE), num_classes=2) == []


def test_a_file_that_does_not_fit_is_refused_before_anything_starts(tmp_path: Path) -> None:
    path = tmp_path / "notes.pt"
    path.write_bytes(b"no checkpoint")
    with pytest.raises(SettingsError, match=r"settings: pretrained: \S+/notes\.pt "):
        start_notes(plan_study({**BASE, "pretrained": str(path)}), num_classes=2)


def test_every_fixed_trials_file_is_looked_at(tmp_path: Path) -> None:
    path = tmp_path / "notes.pt"
    path.write_bytes(b"no checkpoint")
    trials = {"scratch": {}, "pretrained": {"pretrained": str(path)}}
    with pytest.raises(SettingsError, match=r"pretrained with pretrained = '/\S+/notes\.pt': "):
        start_notes(plan_comparison(BASE, trials), num_classes=2)


def test_a_file_must_fit_every_network_that_a_search_may_draw(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    config = trial_config(plan_study(BASE).config.fit, {"model.attention_depth": 2})
    torch.save(build_network(config, 2).state_dict(), path)
    tree = {**BASE, "pretrained": str(path)}
    depths = {"model.attention_depth": {"choices": [1, 2]}, "loss.gamma": {"low": 0.0, "high": 1.0}}
    told = r"pretrained with model.attention_depth = 1: \S+/model.pt .* does not fit the network"
    with pytest.raises(SettingsError, match=told) as caught:
        start_notes(plan_study({**tree, "space": depths}), num_classes=2)
    assert "attention_depth = 2" not in str(caught.value)
    fits = {"space": {"model.attention_depth": {"choices": [2]}}}
    assert any("loaded" in note for note in start_notes(plan_study({**tree, **fits}), 2))


def test_each_file_that_trials_start_from_is_listed_once(tmp_path: Path) -> None:
    assert start_files(plan_study(BASE)) == []
    path = tmp_path / "b.pt"
    path.touch()
    trials = {"scratch": {}, "b": {"pretrained": str(path)}, "again": {"pretrained": str(path)}}
    assert start_files(plan_comparison(BASE, trials)) == [path]


FUSION: dict[str, Any] = {
    "data": {"manifest": "/x.csv"},
    "decode": {"height": 32, "width": 32},
    "modality": "several",
    "model": {"name": "fusion", "backbone": {"depth": 18, "layout": "torchvision"}},
    "optim": {"epochs": 1},
}


def test_a_fusion_says_what_its_frozen_network_starts_from(tmp_path: Path) -> None:
    (note,) = start_notes(plan_study(FUSION), num_classes=2)
    assert "frozen network of rgb keeps its random initialisation" in note
    path = tmp_path / "notes.pt"
    path.write_bytes(b"no checkpoint")
    with pytest.raises(SettingsError, match=r"settings: pretrained: \S+/notes\.pt "):
        start_notes(plan_study({**FUSION, "pretrained": str(path)}), num_classes=2)
    blind = {**FUSION, "model": {"name": "fusion", "branches": "landmarks+mfcc"}}
    assert start_notes(plan_study(blind), num_classes=2) == []


def test_the_network_that_hears_is_looked_for_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedding, "find_spec", lambda name: name)
    sound = {"modality": "waveform", "model": {"name": "audio_mlp"}, "optim": {"epochs": 1}}
    plan = plan_study(
        {"data": {"manifest": "/x.csv"}, **sound, "embedding": {"folder": str(tmp_path)}}
    )
    rates = {"space": {"model.learning_rate": {"low": 1e-5, "high": 1e-3}}}
    searched = plan_study({**plan.tree, **rates})
    for asked in (plan, searched):  # a fault of the folder, not of the values that a trial draws
        with pytest.raises(SettingsError, match=r"^settings: embedding\.folder: \S+ has no config"):
            start_notes(asked, num_classes=2)
    for name in ("preprocessor_config.json", "model.safetensors"):
        (tmp_path / name).write_text("{}")
    (tmp_path / "config.json").write_text('{"model_type": "wav2vec2"}')
    assert start_notes(plan, num_classes=2) == [
        f"pretrained embedding: {tmp_path / 'model.safetensors'}"
    ]
    names = ["config.json", "preprocessor_config.json", "model.safetensors"]
    assert [file.name for file in start_files(plan)] == names


def test_files_that_have_learnt_from_this_manifest_are_told(tmp_path: Path) -> None:
    before = StudyLog(tmp_path / "before")
    before.start(name="before", settings={}, tags={"manifest_digest": "abc"})
    before.winner.folder.mkdir()
    before.winner.model_path.touch()
    plan = plan_study({**BASE, "pretrained": str(before.winner.model_path)})
    (note,) = same_people_notes(plan, "abc")
    assert note.endswith("may include people whom it has already seen")
    assert same_people_notes(plan, "another") == []


def test_weights_behind_which_alone_trials_differ_are_looked_at_once(tmp_path: Path) -> None:
    (tmp_path / "w.pt").write_bytes(b"no weights")
    tree = {
        "data": {"manifest": "/x.csv"},
        "model": {"name": "linear_probe", "backbone": {"name": "i3d"}},
        "optim": {"epochs": 1},
        "pretrained": str(tmp_path / "w.pt"),
        "space": {"model.kind": {"choices": ["adam", "logistic"]}},
    }
    with pytest.raises(SettingsError) as refused:
        start_notes(plan_study(tree), 2)
    assert str(refused.value).count("w.pt") == 1


def test_a_study_does_not_go_on_with_weights_that_have_changed(tmp_path: Path) -> None:
    one, other = tmp_path / "one.pt", tmp_path / "other.pt"
    one.write_bytes(b"one")
    other.write_bytes(b"other")
    started = StudyLog(tmp_path / "study")
    keep_weights(started, [])
    assert not (started.folder / "weights.json").exists()
    keep_weights(started, [one])
    keep_weights(started, [one, other])
    keep_weights(started, [one])
    other.write_bytes(b"changed")
    with pytest.raises(StudyError, match=r"the content of \S+/other\.pt has changed since the st"):
        keep_weights(started, [one, other])
