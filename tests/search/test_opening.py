from pathlib import Path
from typing import Any

import pytest

from pdray.errors import PdrayError
from pdray.search.opening import learnt_from_rendered, start_files, start_notes
from pdray.search.settings import plan_comparison, plan_study
from pdray.tracking.run_log import StudyLog

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
    with pytest.raises(PdrayError, match=r"notes\.pt"):
        start_notes(plan_study({**BASE, "pretrained": str(path)}), num_classes=2)


def test_every_fixed_trials_file_is_looked_at(tmp_path: Path) -> None:
    trials = {"scratch": {}, "pretrained": {"pretrained": str(tmp_path / "absent.pt")}}
    with pytest.raises(PdrayError, match=r"absent\.pt"):
        start_notes(plan_comparison(BASE, trials), num_classes=2)


def test_each_file_that_trials_start_from_is_listed_once() -> None:
    assert start_files(plan_study(BASE)) == []
    trials = {"scratch": {}, "b": {"pretrained": "/b.pt"}, "again": {"pretrained": "/b.pt"}}
    assert start_files(plan_comparison(BASE, trials)) == [Path("/b.pt")]


def test_weights_of_a_study_on_rendered_recordings_are_known(tmp_path: Path) -> None:
    for name, tags in (("rendered", {"synthetic": "true"}), ("real", {})):
        study = StudyLog(tmp_path / "studies" / name)
        study.start(name=name, settings={}, tags=tags)
        assert learnt_from_rendered(study.winner.model_path) == (name == "rendered")
    assert not learnt_from_rendered(tmp_path / "studies" / "rendered" / "winner" / "other.pt")
    assert not learnt_from_rendered(Path("/model.pt"))
