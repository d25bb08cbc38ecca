from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from pdray.errors import SettingsError
from pdray.evaluation.predictions import Origin, predictions_table
from pdray.search import reproduction
from pdray.search.comparison import Comparison
from pdray.search.reproduction import plan_reproduction, read_table, run_reproduction
from pdray.tracking.run_log import StudyLog

SMALL: dict[str, Any] = {
    "title": "a table",
    "metrics": ["accuracy", "f1_macro"],
    "items": ["finger_tapping"],
    "settings": {
        "decode": {"height": 32, "width": 32},
        "snippet": {"num_frames": 16},
        "model": {"depth": 10, "temporal_stride": "221111"},
        "optim": {"epochs": 7},
    },
    "synthetic": {"optim": {"epochs": 2}},
    "runs": {
        "one": {"model.attention_depth": 1},
        "two": {"model.attention_depth": 0, "pretrained": "weights.actions"},
    },
    "synthetic_runs": {"one": {"model.dropout": 0.5}},
    "rows": {"One": {"": ["one"]}, "Both": {"": ["one", "two"]}},
}


@pytest.fixture
def write_table(tmp_path: Path) -> Callable[..., Path]:
    def write(**changes: Any) -> Path:
        path = tmp_path / "tables" / "9.9.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(yaml.safe_dump({**SMALL, **changes}), encoding="utf-8")
        return path

    return write


@pytest.fixture
def words(tiny_manifest: Callable[..., Path], tmp_path: Path) -> list[str]:
    return [f"data.manifest={tiny_manifest()}", f"output={tmp_path / 'out'}"]


def test_a_run_whose_weights_are_missing_is_left_out_and_noted(
    write_table: Callable[..., Path], words: list[str]
) -> None:
    ready = plan_reproduction(write_table(), words)
    ((name, item),) = ready.plans
    assert (name, item) == ("9.9-finger_tapping", "finger_tapping")
    plan = ready.plans[name, item]
    assert dict(plan.fixed) == {"one": {"model.attention_depth": 1}}
    assert plan.config.data.items == ("finger_tapping",)
    assert plan.config.optim.epochs == 7
    assert ready.notes == ("two is left out: it needs weights.actions=FILE",)


def test_a_run_may_start_from_scratch_where_the_table_says_so(
    write_table: Callable[..., Path], words: list[str]
) -> None:
    ready = plan_reproduction(write_table(from_scratch=True), words)
    (plan,) = ready.plans.values()
    assert dict(plan.fixed)["two"] == {"model.attention_depth": 0}
    assert ready.notes == ("two starts from random weights: no weights.actions=FILE",)


def test_given_weights_stand_in_their_runs(
    write_table: Callable[..., Path], words: list[str]
) -> None:
    ready = plan_reproduction(write_table(), [*words, "weights.actions=/w/model.pt"])
    (plan,) = ready.plans.values()
    assert plan.fixed["two"]["pretrained"] == "/w/model.pt"
    assert ready.notes == ()


def test_weights_of_rendered_recordings_are_called_so(
    write_table: Callable[..., Path], words: list[str], tmp_path: Path
) -> None:
    study = StudyLog(tmp_path / "pre")
    study.start(name="pre", settings={}, tags={"synthetic": "true"})
    words = [*words, f"weights.actions={study.winner.model_path}"]
    ready = plan_reproduction(write_table(), words)
    assert ready.notes == ("weights.actions was learnt from SYNTHETIC recordings",)


def test_the_command_line_goes_over_the_table(
    write_table: Callable[..., Path], words: list[str]
) -> None:
    ready = plan_reproduction(write_table(), [*words, "optim.epochs=3", "search.name=mine"])
    ((name, _),) = ready.plans
    assert name == "mine-finger_tapping"
    assert ready.plans[name, "finger_tapping"].config.optim.epochs == 3


def test_a_rendered_cohort_gets_the_small_settings_and_says_so(
    write_table: Callable[..., Path], words: list[str], tmp_path: Path
) -> None:
    manifest = tmp_path / "manifest.csv"
    lines = manifest.read_text(encoding="utf-8").splitlines()
    marked = [lines[0] + ",site", *(line + ",synthetic" for line in lines[1:])]
    manifest.write_text("\n".join(marked) + "\n", encoding="utf-8")
    ready = plan_reproduction(write_table(), words)
    (plan,) = ready.plans.values()
    assert plan.config.optim.epochs == 2
    assert plan.fixed["one"] == {"model.attention_depth": 1, "model.dropout": 0.5}
    assert ready.notes[0] == "the cohort is rendered: small settings, not the paper's"


@pytest.mark.parametrize(
    ("changes", "more", "told"),
    [
        ({"metrics": ["f1"]}, [], r"metrics: got 'f1'; expected some of accuracy"),
        (
            {"rows": {"A": {"x": ["three"]}}},
            [],
            r"rows.A.x: there is no run 'three'; there are: one, two",
        ),
        (
            {"synthetic_runs": {"three": {}}},
            [],
            r"synthetic_runs.three: there is no such run; there are: one, two",
        ),
        ({}, ["weights.wrong=/w.pt"], r"weights.wrong: the table has no such weights; it has: act"),
        (
            {"runs": {"one": {"model.num_heads": 3}}, "rows": {}, "synthetic_runs": {}},
            [],
            r"trial 'one': model.num_heads: 3 does not divide",
        ),
    ],
)
def test_faults_are_told(
    write_table: Callable[..., Path], words: list[str], changes: Any, more: list[str], told: str
) -> None:
    with pytest.raises(SettingsError, match=told):
        plan_reproduction(write_table(**changes), [*words, *more])


def test_a_table_that_does_not_exist_is_answered_with_those_that_do(
    write_table: Callable[..., Path],
) -> None:
    path = write_table()
    with pytest.raises(SettingsError, match=r"there is no table 8\.8; there are: 9\.9"):
        read_table(path.with_name("8.8.yaml"))


def test_the_table_is_laid_out_from_the_saved_predictions_and_kept(
    write_table: Callable[..., Path],
    words: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    facts = {
        "recording_id": ["r0", "r1"],
        "snippet": [0, 0],
        "subject_id": ["s0", "s1"],
        "item": ["finger_tapping"] * 2,
        "grade": [0, 3],
        "target": [0, 1],
    }
    origin = Origin(study="9.9", trial=0, fold=0, epoch=1, split="test")
    right = predictions_table(origin, facts, pd.DataFrame([[2.0, 0], [0, 2.0]]).to_numpy())
    wrong = predictions_table(origin, facts, pd.DataFrame([[0, 9.0], [9.0, 0]]).to_numpy())
    names = []

    def compare(plan: Any, name: str, say: Any) -> Comparison:
        names.append(name)
        return Comparison(tmp_path / "study", {"one": right, "two": wrong}, synthetic=False)

    monkeypatch.setattr(reproduction, "run_comparison", compare)
    ready = plan_reproduction(write_table(from_scratch=True), words)
    text, path = run_reproduction(ready, say=pytest.fail)
    assert names == ["9.9-finger_tapping"]
    rows = {line.split()[0]: line.split()[1] for line in text.splitlines() if "0.0" in line}
    assert rows == {"One": "100.0", "Both": "0.0"}
    assert "note: two starts from random weights" in text
    assert path.read_text(encoding="utf-8") == f"{text}\n"
