from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pdray.data.cohort.manifest import load_manifest
from pdray.data.cohort.members import compared_sides, make_cohort, rated
from pdray.errors import FoldsError, StudyError
from pdray.evaluation.predictions import Origin, predictions_table
from pdray.search.comparison import run_comparison
from pdray.search.plan import StudyPlan, plan_comparison
from pdray.tracking.run_log import StudyLog

TRIALS = {"deep": {"model.attention_depth": 1}, "plain": {"model.attention_depth": 0}}


@pytest.fixture
def plan(tmp_path: Path, tiny_manifest: Callable[..., Path]) -> StudyPlan:
    tree = {
        "data": {"manifest": str(tiny_manifest())},
        "decode": {"height": 32, "width": 32},
        "snippet": {"num_frames": 16},
        "model": {"depth": 10, "temporal_stride": "221111"},
        "folds": {"num_outer": 3, "num_folds": 2},
        "output": str(tmp_path / "out"),
    }
    return plan_comparison(tree, TRIALS)


@pytest.fixture
def complete(plan: StudyPlan) -> StudyLog:
    """Write the log of a comparison that has ended."""
    study = StudyLog(plan.config.output / "studies" / "pair")
    digest = load_manifest(plan.config.data.manifest).digest
    study.start(name="pair", settings=plan.tree, tags={"manifest_digest": digest})
    facts = {name: ["x", "y"] for name in ("recording_id", "subject_id", "item")}
    numbers: dict[str, Any] = {name: [0, 1] for name in ("snippet", "grade", "target")}
    for number in range(2):
        log = study.trial(number)
        log.start(number=number, num_epochs=1, params={}, settings={}, role="fixed")
        origin = Origin(study="pair", trial=number, fold=0, epoch=0, split="test")
        table = predictions_table(origin, {**facts, **numbers}, np.eye(2))
        log.write_epoch(fold=0, epoch=0, metrics={}, predictions=table)
        log.finish(state="complete", chosen_epoch=0)
    study.finish(state="complete")
    return study


def test_a_complete_comparison_is_read_and_not_run(plan: StudyPlan, complete: StudyLog) -> None:
    said: list[str] = []
    found = run_comparison(plan, "pair", said.append)
    assert said == ["study pair: complete, nothing to do"]
    assert found.folder == complete.folder
    assert list(found.tables) == ["deep", "plain"]
    assert [set(table["trial"]) for table in found.tables.values()] == [{0}, {1}]
    assert not found.synthetic


def test_a_comparison_of_other_trials_is_refused(plan: StudyPlan, complete: StudyLog) -> None:
    tree = {key: value for key, value in plan.tree.items() if key not in ("fixed", "space")}
    other = plan_comparison(tree, {**TRIALS, "plain": {"model.attention_depth": 2}})
    with pytest.raises(StudyError, match=r"fixed.plain.model.attention_depth was 0, is 2"):
        run_comparison(other, "pair", say=print)
    assert complete.exists()


def test_every_subject_is_held_out_once(plan: StudyPlan) -> None:
    config = plan.config
    cohort = make_cohort(
        load_manifest(config.data.manifest),
        config.data,
        config.folds,
        needs=("rgb",),
        searches=False,
    )
    recordings = rated(cohort, config.data, None)
    sides = compared_sides(cohort.folds, recordings)
    assert len(sides) == 3
    held = [index for side in sides for index in side.evaluation]
    assert sorted(held) == list(range(len(recordings)))
    for side in sides:
        assert sorted(side.training + side.evaluation) == list(range(len(recordings)))
        learnt = {recordings[index].subject_id for index in side.training}
        assert not learnt & {recordings[index].subject_id for index in side.evaluation}


def test_a_fixed_split_is_taken_from_the_manifest(
    plan: StudyPlan, write_manifest: Callable[..., Path], tmp_path: Path
) -> None:
    source = plan.config.data.manifest
    header, *lines = source.read_text(encoding="utf-8").splitlines()
    sides = ["test" if number < 6 else "train" for number in range(len(lines))]
    marked = [f"{header},split", *(f"{a},{b}" for a, b in zip(lines, sides, strict=True))]
    source.write_text("\n".join(marked) + "\n", encoding="utf-8")
    config = plan.config.model_copy(
        update={"folds": plan.config.folds.model_copy(update={"from_split": True})}
    )
    cohort = make_cohort(
        load_manifest(source), config.data, config.folds, needs=("rgb",), searches=False
    )
    recordings = rated(cohort, config.data, None)
    (side,) = compared_sides(cohort.folds, recordings)
    assert {recordings[i].recording_id for i in side.evaluation} == {
        line.split(",")[0] for line in lines[:6]
    }
    assert len(side.training) == len(lines) - 6

    source.write_text("\n".join(marked).replace(",test", ",dev") + "\n", encoding="utf-8")
    with pytest.raises(FoldsError, match=r"holds dev, train; expected train and test"):
        make_cohort(
            load_manifest(source), config.data, config.folds, needs=("rgb",), searches=False
        )
