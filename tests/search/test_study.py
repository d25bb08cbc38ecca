from collections.abc import Callable
from pathlib import Path

import pytest

from pdray.data.cohort.manifest import load_manifest
from pdray.errors import FoldsError, StudyError
from pdray.search import study as running
from pdray.search.plan import StudyPlan, plan_study
from pdray.search.resume import only_driver
from pdray.search.study import run_plan
from pdray.tracking.run_log import StudyLog


def test_a_study_is_refused_before_anything_starts_or_is_written(
    tmp_path: Path, tiny_manifest: Callable[..., Path]
) -> None:
    tree = {
        "data": {"manifest": str(tiny_manifest(num_subjects=4))},
        "model": {"depth": 10},
        "output": str(tmp_path / "out"),
    }
    with pytest.raises(FoldsError, match="4 subjects"):
        run_plan(plan_study(tree), say=pytest.fail)
    assert not (tmp_path / "out").exists()


def test_a_study_that_another_job_runs_is_refused(
    tmp_path: Path, tiny_manifest: Callable[..., Path]
) -> None:
    tree = {
        "data": {"manifest": str(tiny_manifest(num_subjects=12))},
        "folds": {"num_outer": 3, "num_folds": 2},
        "model": {"depth": 10},
        "search": {"name": "taken"},
        "output": str(tmp_path),
    }
    study = StudyLog(tmp_path / "studies" / "taken")
    taken = pytest.raises(StudyError, match="taken is already run by another job")
    with only_driver(study, print), taken:
        run_plan(plan_study(tree), say=pytest.fail)
    assert not study.exists()


def make_plan(tmp_path: Path, manifest: Path, name: str) -> StudyPlan:
    return plan_study(
        {
            "data": {"manifest": str(manifest)},
            "folds": {"num_outer": 3, "num_folds": 2},
            "model": {"depth": 10},
            "search": {"name": name},
            "output": str(tmp_path / "out of Jos\u00e9"),
        }
    )


def test_a_complete_study_shows_its_report_and_starts_nothing(
    tmp_path: Path, tiny_manifest: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = make_plan(tmp_path, tiny_manifest(num_subjects=12), "done")
    log = StudyLog(plan.config.output / "studies" / "done")
    digest = load_manifest(plan.config.data.manifest).digest
    log.start(name="done", settings=plan.tree, tags={"manifest_digest": digest})
    log.finish(state="complete", best=0)
    (log.folder / "report.txt").write_text("a board\n\nof two parts\n\nand scores\n")
    monkeypatch.setattr(running, "joined_cluster", lambda _: pytest.fail("it starts"))
    said: list[str] = []
    outcome = run_plan(plan, said.append)
    assert outcome.leaderboard == "a board\n\nof two parts"
    assert (outcome.held_out, outcome.is_mirrored) == ("and scores", True)
    assert (outcome.checks, said) == ("", ["study done: complete, nothing to do"])
    (log.folder / "report.txt").write_text("a board\n\nand scores\n\nChecks: 1 passed\nPDR001\n")
    outcome = run_plan(plan, said.append)
    assert (outcome.held_out, outcome.checks) == ("and scores", "Checks: 1 passed\nPDR001")
    begun = {**plan.tree, "search": {**plan.tree["search"], "keep_folds": False}}
    log.start(name="done", settings=begun, tags={})
    log.finish(state="complete", best=0)
    with pytest.raises(pytest.fail.Exception, match="it starts"):  # folds were not kept
        run_plan(plan, said.append)
    log.start(name="done", settings=plan.tree, tags={})
    log.finish(state="complete", best=0)
    (log.folder / "report.txt").unlink()
    with pytest.raises(StudyError, match=r"done is complete, but its report\.txt cannot be read"):
        run_plan(plan, said.append)
