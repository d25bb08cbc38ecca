from collections.abc import Callable
from pathlib import Path

import pytest

from pdray.errors import FoldsError, StudyError
from pdray.search.plan import plan_study
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
