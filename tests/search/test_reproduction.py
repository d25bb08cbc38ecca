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
from pdray.search.reproduction import (
    plan_reproduction,
    read_table,
    run_reproduction,
    table_titles,
)
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


@pytest.fixture
def rendered(words: list[str], tmp_path: Path) -> list[str]:
    manifest = tmp_path / "manifest.csv"
    lines = manifest.read_text(encoding="utf-8").splitlines()
    marked = [lines[0] + ",site", *(line + ",synthetic" for line in lines[1:])]
    manifest.write_text("\n".join(marked) + "\n", encoding="utf-8")
    return words


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
    write_table: Callable[..., Path], words: list[str], tmp_path: Path
) -> None:
    file = tmp_path / "model.pt"
    file.touch()
    ready = plan_reproduction(write_table(), [*words, f"weights.actions={file}"])
    (plan,) = ready.plans.values()
    assert plan.fixed["two"]["pretrained"] == str(file)
    assert ready.notes == ()


def test_weights_of_rendered_recordings_are_called_so(
    write_table: Callable[..., Path], words: list[str], tmp_path: Path
) -> None:
    study = StudyLog(tmp_path / "pre")
    study.start(name="pre", settings={}, tags={"synthetic": "true"})
    study.winner.folder.mkdir()
    study.winner.model_path.touch()
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
    assert ready.path.name == "mine.txt"


def test_what_is_given_over_the_papers_settings_is_told(
    write_table: Callable[..., Path], words: list[str]
) -> None:
    more = ["optim.epochs=1", "optim.gradient_clip=2", "decode.height=32", "search.seed=4"]
    ready = plan_reproduction(write_table(), [*words, *more])
    # The height is the paper's; the clip is the default's, on which the table is silent.
    assert ready.notes[0] == (
        "settings given over the paper's: optim.epochs 1 (7), optim.gradient_clip 2.0 (null), "
        "search.seed 4 (0)"
    )


def test_settings_that_change_no_score_are_not_told(
    write_table: Callable[..., Path], words: list[str]
) -> None:
    more = [
        "search.name=mine", "search.startup_trials=3", "search.prune_quantile=0.5",
        "search.metric=f1_macro", "resources.num_workers=2", "tracking.experiment=mine",
        "data.max_decode_failures=2", "store.codec=lz4", "frames=video",
    ]  # fmt: skip
    ready = plan_reproduction(write_table(), [*words, *more])
    assert ready.notes == ("two is left out: it needs weights.actions=FILE",)
    (lossy,) = plan_reproduction(write_table(), [*words, "store.codec=jpeg"]).notes[:-1]
    assert lossy == "settings given over the paper's: store.codec jpeg (raw)"


def test_a_setting_that_a_run_has_of_its_own_is_told_of_the_others(
    write_table: Callable[..., Path], words: list[str]
) -> None:
    words = [*words, "model.attention_depth=3", "optim.epochs=1"]
    runs = {"own": {"model.attention_depth": 1}, "a": {}, "b": {"model.dropout": 0.25}}
    changes: dict[str, Any] = {"runs": runs, "rows": {"Own": {"": ["own"]}}, "synthetic_runs": {}}
    ready = plan_reproduction(write_table(**changes), words)
    assert ready.notes == (
        "settings given over the paper's: optim.epochs 1 (7)",
        "settings given over the paper's, of a, b: model.attention_depth 3 (2)",
    )


def test_another_network_is_told_by_its_name_and_what_is_given_for_it(
    write_table: Callable[..., Path], words: list[str]
) -> None:
    changes: dict[str, Any] = {
        "settings": {"model": {"depth": 10}},
        "runs": {"one": {}},
        "rows": {"One": {"": ["one"]}},
        "synthetic_runs": {},
    }
    given = ["model.name=slowfast", "model.depth=14", "model.width_ratio=4"]
    ready = plan_reproduction(write_table(**changes), [*words, *given])
    (note,) = ready.notes
    told = note.removeprefix("settings given over the paper's: ").split(", ")
    assert {"model.name slowfast (tsa)", "model.depth 14 (10)", "model.width_ratio 4"} <= set(told)
    assert "fast_kernel" not in note


def test_classes_of_actions_are_no_change_of_the_papers_cuts(
    write_table: Callable[..., Path], words: list[str], tmp_path: Path
) -> None:
    manifest = tmp_path / "manifest.csv"
    text = manifest.read_text(encoding="utf-8").replace("finger_tapping", "action")
    manifest.write_text(text, encoding="utf-8")
    cuts = ["data.items=[action]", "data.grade_cuts=[1,2,3]"]
    ready = plan_reproduction(write_table(items=["action"]), [*words, *cuts])
    assert ready.notes == ("two is left out: it needs weights.actions=FILE",)
    cuts = ["data.grade_cuts=[1,2,3]"]
    manifest.write_text(text.replace("action", "finger_tapping"), encoding="utf-8")
    ready = plan_reproduction(write_table(), [*words, *cuts])
    assert ready.notes[0] == "settings given over the paper's: data.grade_cuts [1, 2, 3] ([2])"


def test_titles_are_told_by_name(write_table: Callable[..., Path]) -> None:
    folder = write_table().parent
    (folder / "8.8.yaml").write_text(
        yaml.safe_dump({**SMALL, "title": "another"}), encoding="utf-8"
    )
    assert table_titles(folder) == {"8.8": "another", "9.9": "a table"}


def test_a_rendered_cohort_gets_the_small_settings_and_says_so(
    write_table: Callable[..., Path], rendered: list[str]
) -> None:
    ready = plan_reproduction(write_table(), rendered)
    (plan,) = ready.plans.values()
    assert plan.config.optim.epochs == 2
    assert plan.fixed["one"] == {"model.attention_depth": 1, "model.dropout": 0.5}
    # One run is left: what is the run's and what is the study's have become the same.
    assert ready.notes[0] == (
        "the cohort is rendered: small settings, not the paper's: model.dropout 0.5 (0.0), "
        "optim.epochs 2 (7)"
    )


def test_small_settings_of_a_run_are_told_by_its_name(
    write_table: Callable[..., Path], rendered: list[str]
) -> None:
    changes: dict[str, Any] = {"from_scratch": True}
    ready = plan_reproduction(write_table(**changes), [*rendered, "optim.batch_size=4"])
    assert ready.notes == (
        "the cohort is rendered: small settings, not the paper's: optim.batch_size 4 (15), "
        "optim.epochs 2 (7)",
        "small settings, not the paper's, of one: model.dropout 0.5 (0.0)",
        "two starts from random weights: no weights.actions=FILE",
    )


def test_a_rendered_cohort_under_the_papers_settings_is_called_rendered(
    write_table: Callable[..., Path], rendered: list[str]
) -> None:
    ready = plan_reproduction(write_table(synthetic={}, synthetic_runs={}), rendered)
    assert ready.notes[0] == "the cohort is rendered"


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
    facts: dict[str, Any] = {
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
    assert "2 recordings of 2 subjects in one split" in text
    assert path == tmp_path / "out" / "tables" / "9.9.txt"
    assert path.read_text(encoding="utf-8") == f"{text}\n"


def test_fewer_items_than_the_tables_may_be_asked_for_and_no_others(
    write_table: Callable[..., Path], words: list[str]
) -> None:
    path = write_table(items=["finger_tapping", "gait"])
    ready = plan_reproduction(path, [*words, "data.items=[finger_tapping]"])
    assert [item for _, item in ready.plans] == ["finger_tapping"]
    with pytest.raises(SettingsError, match=r"data\.items: the table has no toe_tapping; it"):
        plan_reproduction(path, [*words, "data.items=[finger_tapping,toe_tapping]"])
