import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from pdray.config import nest
from pdray.data.cohort.manifest import Manifest, load_manifest
from pdray.errors import FoldsError, SettingsError
from pdray.search import permutations
from pdray.search.permutations import (
    Chance,
    check_permutations,
    exchanged,
    num_permuted,
    report_chance,
)
from pdray.search.plan import StudyPlan, plan_comparison, plan_study
from pdray.search.protocol import num_searches, num_with_permutations, settle
from pdray.search.resume import decides
from pdray.tracking.run_log import REPORT, StudyLog

MODEL = {"model.name": "motion_linear", "optim.epochs": 1}


@pytest.fixture
def manifest(write_manifest: Callable[..., Path]) -> Manifest:
    """Two recordings each of twelve subjects, without files."""
    rows = [
        {"recording_id": f"{subject}{side}", "subject_id": f"S{subject:02d}",
         "item": "finger_tapping", "grade": subject % 5, "side": side,
         "video": f"{subject}{side}.mp4"}
        for subject in range(12) for side in ("left", "right")
    ]  # fmt: skip
    return load_manifest(write_manifest(rows), check_files=False)


def plan_of(manifest: Manifest, **settings: Any) -> StudyPlan:
    given = {"data.manifest": str(manifest.path), "output": str(manifest.path.parent), **MODEL}
    given |= {"search.name": "study", "folds.num_outer": 3, "folds.num_folds": 2}
    return plan_study(nest({**given, **settings}))


@pytest.mark.parametrize(
    ("metric", "value", "permuted", "p"),
    [
        ("mcc", 0.5, (0.4, 0.1, -0.2), 1 / 4),
        ("mcc", 0.5, (0.5, 0.1, -0.2), 2 / 4),  # an equal score is as good
        ("mcc", 0.5, (0.4, math.nan, -0.2), 2 / 4),  # no score counts as one that is as good
        ("mae", 0.5, (0.4, 0.6, 0.7), 2 / 4),  # lower is better
        ("mcc", 0.9, (0.0,) * 19, 1 / 20),
    ],
)
def test_p_counts_the_exchanges_that_score_as_well(
    metric: str, value: float, permuted: tuple[float, ...], p: float
) -> None:
    assert Chance(metric, value, permuted).p == pytest.approx(p)


def test_the_report_says_how_small_p_can_be() -> None:
    assert Chance("mcc", 0.5, (0.125, -0.25, 0.5)).line == (
        "p against chance (test/mcc): 0.5, from 3 repetitions of the whole study with grades "
        "exchanged between subjects, which scored -0.250 to 0.500; the smallest p of 3 is 0.25"
    )
    assert "none, since the score is undefined" in Chance("mcc", math.nan, (0.1,)).line


@pytest.mark.parametrize("protocol", ["holdout", "nested"])
def test_folds_are_made_again_from_the_exchanged_grades(manifest: Manifest, protocol: str) -> None:
    plan = plan_of(manifest, **{"search.protocol": protocol})
    cohort = settle(plan, manifest).cohort
    grades = {one.recording_id: one.grade for one in cohort.recordings}
    found = set()
    for number in range(4):
        again, rated = exchanged(plan, manifest, cohort, number)
        moved = {one.recording_id: one.grade for one in rated.recordings}
        assert moved == {one.recording_id: one.grade for one in again.cohort.recordings}
        assert sorted(moved.values()) == sorted(grades.values())
        assert again.plan.seed == plan.seed
        assert again.plan.config.search.name == f"study-permuted-{number:03d}"
        assert len(again.outer) == (3 if protocol == "nested" else 0)
        for fold in again.outer:
            assert {r.recording_id: r.grade for r in fold.cohort.recordings} == moved
        found.add(tuple(moved.values()))
    assert len(found) == 4


def test_where_nobody_can_change_places_it_is_refused_before_anything_starts(
    write_manifest: Callable[..., Path],
) -> None:
    rows = [
        {"recording_id": f"{subject}_{number}", "subject_id": f"S{subject}", "grade": subject % 5,
         "item": "finger_tapping", "video": f"{subject}_{number}.mp4"}
        for subject in range(8) for number in range(subject + 1)
    ]  # fmt: skip
    manifest = load_manifest(write_manifest(rows), check_files=False)
    plan = plan_of(manifest, **{"search.protocol": "holdout"})
    cohort = settle(plan, manifest).cohort
    check_permutations(plan, cohort)  # nobody asked for a p
    plan = plan_of(manifest, **{"search.protocol": "holdout", "evaluation.permutations": 19})
    with pytest.raises(FoldsError, match="none of the 8 subjects has as many recordings"):
        check_permutations(plan, cohort)


def test_a_comparison_has_no_search_to_run_again(manifest: Manifest) -> None:
    tree = {"data": {"manifest": str(manifest.path)}, "evaluation": {"permutations": 19}}
    with pytest.raises(SettingsError, match=r"evaluation\.permutations: got 19, but a"):
        plan_comparison(tree, {"first": {}})


def test_only_missing_exchanges_run_and_p_is_added_to_the_report(
    manifest: Manifest, monkeypatch: pytest.MonkeyPatch, make_table: Callable[..., pd.DataFrame]
) -> None:
    plan = plan_of(manifest, **{"search.protocol": "holdout", "evaluation.permutations": 3})
    study = StudyLog(plan.config.output / "studies" / "study")
    ran: list[int] = []

    def score(log: StudyLog, lean: float) -> None:
        log.start(name=log.name, settings={}, tags={})
        log.winner.folder.mkdir(parents=True)
        make_table(lean=lean).to_parquet(log.winner.predictions_path)
        log.finish(state="complete", best=0)

    def run(plan: StudyPlan, manifest: Manifest, ready: Any, log: StudyLog, number: int) -> None:
        ran.append(number)
        score(log, 0.0)

    score(study, 9.0)
    score(study.permuted(1), 0.0)  # of an earlier session
    (study.folder / REPORT).write_text("board\n\nscores\n", encoding="utf-8")
    monkeypatch.setattr(permutations, "_run_one", run)
    said: list[str] = []
    ready: Any = None
    line = report_chance(plan, manifest, ready, study, said.append)
    assert ran == [0, 2]
    assert len(said) == 3
    assert "p against chance (test/mcc): 0.25, from 3 repetitions" in line
    assert (study.folder / REPORT).read_text(encoding="utf-8") == f"board\n\nscores\n{line}\n"
    kept = json.loads((study.folder / permutations.CHANCE).read_text(encoding="utf-8"))
    assert (kept["metric"], kept["p"], len(kept["permuted"])) == ("mcc", 0.25, 3)
    assert num_permuted(study) == 3
    assert study.permuted(1).name == "study-permuted-001"
    assert study.permuted(1).outer("00").name == "study-permuted-001-outer-00"


def test_without_permutations_no_p_is_printed(manifest: Manifest) -> None:
    plan = plan_of(manifest, **{"search.protocol": "holdout"})
    nothing: Any = None
    assert report_chance(plan, manifest, nothing, StudyLog(manifest.path.parent), print) == ""


@pytest.mark.parametrize(("protocol", "searches"), [("holdout", 1 + 19), ("nested", 4 + 19 * 3)])
def test_the_searches_of_exchanges_are_counted(
    manifest: Manifest, protocol: str, searches: int
) -> None:
    plan = plan_of(manifest, **{"search.protocol": protocol, "evaluation.permutations": 19})
    num = num_searches(plan, settle(plan, manifest).cohort)
    assert num_with_permutations(plan, num) == searches
    assert not decides("evaluation.permutations")  # a study can be given a p later
