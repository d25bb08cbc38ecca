from pathlib import Path

import pytest

from jobs.tune_motion_boundary import SETTINGS, main
from pdray.search.plan import load_study


def test_the_search_of_the_paper_is_what_it_starts_from() -> None:
    plan = load_study(["--config", str(SETTINGS), "data.manifest=/x.csv"])
    assert plan.config.model.name == "i3d"
    assert plan.config.segments.consensus == "attention"
    assert plan.modalities == ("rgb", "flow", "boundaries")
    searched = {"loss.gamma", "loss.alpha", "snippet.num_segments", "snippet.num_frames"}
    assert searched | {"model.dropout", "modality"} == set(plan.space)


def test_a_user_mistake_is_exit_code_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["data.manifest=/x.csv", f"output={tmp_path}", "segments.consensus=vote"]
    assert main(words) == 2
    assert "segments.consensus: got 'vote'" in capsys.readouterr().err
