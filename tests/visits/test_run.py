"""Assembling on a cluster: what decides it here, and a small run under Ray where it is marked."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from pdray.config import build, dump
from pdray.data.cohort.folds import Folds, folds_from_json, folds_to_json
from pdray.demo.cohort import make_cohort
from pdray.demo.illness.severity import DemoConfig
from pdray.errors import StudyError
from pdray.evaluation.predictions import read_predictions
from pdray.search.opening import start_log
from pdray.search.plan import StudyPlan
from pdray.search.settings import StudyConfig
from pdray.tracking.run_log import StudyLog
from pdray.visits import run as assembling
from pdray.visits.out_of_fold import fold_pairs
from pdray.visits.plan import plan_visits
from pdray.visits.run import Assembly, run_assembly
from pdray.visits.settings import AssembleConfig

SETTINGS: dict[str, Any] = {
    "decode": {"height": 17, "width": 17},
    "snippet": {"num_frames": 6},
    "model": {
        "depth": 10,
        "width_factor": 0.0625,
        "temporal_stride": "111111",
        "stem_time_kernel": 3,
        "num_heads": 2,
        "attention_depth": 1,
    },
    "optim": {"batch_size": 8, "epochs": 1},
    "folds": {"num_outer": 3},
    "heads": {"repeats": 2, "epochs": 2},
    "search": {"name": "visits"},
}


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Render twelve synthetic subjects with two items."""
    drawn = {"num_subjects": 12, "size": 32, "min_seconds": 1.0, "max_seconds": 1.2}
    config = build(DemoConfig, {**drawn, "items": ["finger_tapping", "gait"], "fps": 10})
    return make_cohort(tmp_path_factory.mktemp("cohort"), config, num_processes=1)


@pytest.fixture
def make_config(manifest: Path, tmp_path: Path) -> Callable[..., AssembleConfig]:
    def make(**sections: dict[str, Any]) -> AssembleConfig:
        tree: dict[str, Any] = {
            **SETTINGS,
            "data": {"manifest": str(manifest)},
            "output": str(tmp_path),
        }
        for name, section in sections.items():
            tree[name] = {**tree.get(name, {}), **section}
        return build(AssembleConfig, tree)

    return make


def begun(config: AssembleConfig) -> tuple[StudyLog, StudyPlan]:
    """Return a study that has its log, and what its networks depend on."""
    plan = plan_visits(config)
    study = StudyLog(config.output / "assembling" / "visits")
    settings = StudyPlan(config.study, {}, {})
    start_log(settings, plan.cohort, study, pytest.fail)
    return study, settings


def test_heads_and_levels_are_no_part_of_what_the_networks_depend_on(
    make_config: Callable[..., AssembleConfig],
) -> None:
    config = make_config()
    study, _ = begun(config)
    logged = study.read()["settings"]
    assert logged.keys() - {"space"} == set(StudyConfig.model_fields)
    assert study.read()["tags"]["synthetic"] == "true"
    other = make_config(heads={"epochs": 7}, assembling={"hidden_layers": 2})
    settings = StudyPlan(other.study, {}, {})
    assembling._check_same(plan_visits(other), study, settings, print)


def test_networks_of_other_settings_or_folds_are_not_used(
    make_config: Callable[..., AssembleConfig],
) -> None:
    study, settings = begun(make_config())
    other = make_config(optim={"epochs": 2})
    changed = StudyPlan(other.study, {}, {})
    with pytest.raises(StudyError, match=r"optim\.epochs was 1, is 2"):
        assembling._check_same(plan_visits(other), study, changed, print)
    plan = plan_visits(make_config())
    first, second, third = plan.visits.folds
    swapped = replace(plan, cohort=replace(plan.cohort, folds=Folds(second, (first, third))))
    with pytest.raises(StudyError, match=r"networks of other folds.*search\.name"):
        assembling._check_same(swapped, study, settings, print)


def test_a_new_study_has_nothing_to_compare_with(
    make_config: Callable[..., AssembleConfig], tmp_path: Path
) -> None:
    config = make_config()
    settings = StudyPlan(config.study, {}, {})
    assembling._check_same(plan_visits(config), StudyLog(tmp_path / "new"), settings, print)


def written(folder: Path, pattern: str) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in folder.glob(pattern)}


@pytest.mark.integration
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Ray warns about itself
def test_a_run_leaves_networks_heads_and_tables_and_goes_on_with_them(
    make_config: Callable[..., AssembleConfig],
) -> None:
    told: list[str] = []
    done = run_assembly(make_config(), told.append)
    assert any("note       SYNTHETIC" in line for line in told)
    _check_folder(done)

    networks = written(done.folder, "networks/**/*.*")
    heads = written(done.folder, "heads/*/*.parquet")
    again = run_assembly(make_config(), told.append)
    assert again.report == done.report
    assert written(done.folder, "networks/**/*.*") == networks
    assert written(done.folder, "heads/*/*.parquet") == heads

    other = run_assembly(make_config(heads={"repeats": 1}), told.append)
    assert written(done.folder, "networks/**/*.*") == networks
    assert len(written(other.folder, "heads/*/*.parquet")) == 2 * len(heads)

    with pytest.raises(StudyError, match=r"optim\.epochs was 1, is 2"):
        run_assembly(make_config(optim={"epochs": 2}), told.append)


def _check_folder(done: Assembly) -> None:
    for table in ("Table VII", "Table VIII", "Table IX"):
        assert f"({table} of TSA)" in done.report
    assert done.report.count("SYNTHETIC") == 3
    assert (done.folder / "report.txt").read_text(encoding="utf-8") == done.report + "\n"
    assert done.picture is not None
    assert done.picture.is_file()
    weights = pd.read_parquet(done.folder / "task_weights.parquet")
    assert set(weights["item"]) == {"finger_tapping", "gait"}
    folds = folds_from_json((done.folder / "folds.json").read_text(encoding="utf-8"))
    parts = folds.folds
    for item in ("finger_tapping", "gait"):
        for low, high in fold_pairs(3):
            table = read_predictions(done.folder / "networks" / item / f"{low}_{high}.parquet")
            assert set(table["subject_id"]) <= parts[low] | parts[high]
            assert set(table["item"]) == {item}
    (heads,) = [path for path in (done.folder / "heads").iterdir() if path.is_dir()]
    settings = json.loads((heads / "settings.json").read_text(encoding="utf-8"))
    assert settings["heads"]["repeats"] == 2
    for number in (2, 3):
        table = read_predictions(heads / f"{number}-pixel_attention.parquet")
        assert set(table["repeat"]) == {0, 1}
        for fold, rows in table.groupby("outer_fold"):
            assert set(rows["subject_id"]) <= parts[int(str(fold))]


def test_folds_travel_through_their_file(make_config: Callable[..., AssembleConfig]) -> None:
    study, _ = begun(make_config())
    plan = plan_visits(make_config())
    assert study.folds_path.read_text(encoding="utf-8") == folds_to_json(plan.cohort.folds)
    assert dump(make_config())["search"]["name"] == study.folder.name
