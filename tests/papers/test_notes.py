from collections.abc import Callable
from pathlib import Path
from typing import Any

from pdray.papers.plan import plan_reproduction


def test_what_is_given_over_the_papers_settings_is_told(
    write_table: Callable[..., Path], words: list[str]
) -> None:
    more = ["optim.epochs=1", "optim.gradient_clip=2", "decode.height=32", "search.seed=4"]
    ready = plan_reproduction(write_table(), [*words, *more])
    # The height is the paper's; the clip is the default's, on which the table is silent.
    assert ready.notes[0] == (
        "changed paper settings: optim.epochs 1 (7), optim.gradient_clip 2.0 (null), "
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
    assert ready.notes == ("two is left out; to run it, set weights.actions=FILE",)
    (lossy,) = plan_reproduction(write_table(), [*words, "store.codec=jpeg"]).notes[:-1]
    assert lossy == "changed paper settings: store.codec jpeg (raw)"


def test_a_setting_that_a_run_has_of_its_own_is_told_of_the_others(
    write_table: Callable[..., Path], words: list[str]
) -> None:
    words = [*words, "model.attention_depth=3", "optim.epochs=1"]
    runs = {"own": {"model.attention_depth": 1}, "a": {}, "b": {"model.dropout": 0.25}}
    changes: dict[str, Any] = {"runs": runs, "rows": {"Own": {"": ["own"]}}, "synthetic_runs": {}}
    ready = plan_reproduction(write_table(**changes), words)
    assert ready.notes == (
        "changed paper settings: optim.epochs 1 (7)",
        "changed paper settings, for a, b: model.attention_depth 3 (2)",
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
    told = note.removeprefix("changed paper settings: ").split(", ")
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
    assert ready.notes == ("two is left out; to run it, set weights.actions=FILE",)
    cuts = ["data.grade_cuts=[1,2,3]"]
    manifest.write_text(text.replace("action", "finger_tapping"), encoding="utf-8")
    ready = plan_reproduction(write_table(), [*words, *cuts])
    assert ready.notes[0] == "changed paper settings: data.grade_cuts [1, 2, 3] ([2])"


def test_a_rendered_cohort_gets_the_small_settings_and_says_so(
    write_table: Callable[..., Path], rendered: list[str]
) -> None:
    ready = plan_reproduction(write_table(), rendered)
    (plan,) = ready.plans.values()
    assert plan.config.optim.epochs == 2
    assert plan.fixed["one"] == {"model.attention_depth": 1, "model.dropout": 0.5}
    # One run is left: what is the run's and what is the study's have become the same.
    assert ready.notes[0] == (
        "the cohort is synthetic: small settings instead of the paper's: model.dropout 0.5 (0.0), "
        "optim.epochs 2 (7)"
    )


def test_small_settings_of_a_run_are_told_by_its_name(
    write_table: Callable[..., Path], rendered: list[str]
) -> None:
    changes: dict[str, Any] = {"from_scratch": True}
    ready = plan_reproduction(write_table(**changes), [*rendered, "optim.batch_size=4"])
    assert ready.notes == (
        "the cohort is synthetic: small settings instead of the paper's: optim.batch_size 4 (15), "
        "optim.epochs 2 (7)",
        "small settings instead of the paper's, for one: model.dropout 0.5 (0.0)",
        "two starts from random weights, since weights.actions=FILE is not set",
    )


def test_a_rendered_cohort_under_the_papers_settings_is_called_rendered(
    write_table: Callable[..., Path], rendered: list[str]
) -> None:
    ready = plan_reproduction(write_table(synthetic={}, synthetic_runs={}), rendered)
    assert ready.notes[0] == "the cohort is synthetic"
