import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pdray.config import build, merge
from pdray.data.cohort.members import rated
from pdray.data.cohort.rated import RatedRecording, StoredRecording
from pdray.errors import FoldsError, ManifestError, SettingsError, StudyError
from pdray.visits.plan import (
    VisitPlan,
    item_tasks,
    plan_visits,
    with_store,
)
from pdray.visits.settings import AssembleConfig, load_assembly
from tests.conftest import number_frame

ITEMS = ("gait", "pronation")
NUM_SUBJECTS = 12
SMALL: Mapping[str, Any] = {
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
    "folds": {"num_outer": 3},
}

Rows = list[dict[str, object]]
MakePlan = Callable[..., VisitPlan]


@pytest.fixture
def rows(write_video: Callable[..., Path]) -> Rows:
    """Two visits of each subject: gait once, pronation on both sides; one film a subject."""
    found: Rows = []
    for subject in range(NUM_SUBJECTS):
        name = f"S{subject:02d}"
        write_video(f"{name}.mp4", [number_frame(subject, 32)] * 3)
        for visit in range(2):
            for item, side in (("gait", ""), ("pronation", "left"), ("pronation", "right")):
                found.append(
                    {
                        "recording_id": f"{name}_V{visit}_{item}{side}",
                        "subject_id": name,
                        "visit_id": f"V{visit}",
                        "item": item,
                        "side": side,
                        "grade": (subject + visit) % 5,
                        "video": f"{name}.mp4",
                        "visit_score": 3 * ((subject + visit) % 5) + subject % 2,
                        "site": "synthetic",
                    }
                )
    return found


def config_of(manifest: Path, settings: Mapping[str, Any] | None = None) -> AssembleConfig:
    tree = merge(merge({}, SMALL), settings or {})
    return build(AssembleConfig, merge(tree, {"data": {"manifest": str(manifest)}}))


@pytest.fixture
def make_plan(rows: Rows, write_manifest: Callable[..., Path]) -> MakePlan:
    def make(
        settings: Mapping[str, Any] | None = None,
        change: Callable[[Rows], Rows] = lambda found: found,
    ) -> VisitPlan:
        return plan_visits(config_of(write_manifest(change(rows)), settings))

    return make


def stored_of(plan: VisitPlan, without: set[str] = frozenset()) -> dict[str, StoredRecording]:  # type: ignore[assignment]
    return {
        one.recording_id: StoredRecording(one.recording_id, {"rgb": Path(one.subject_id)})
        for one in plan.cohort.recordings
        if one.recording_id not in without
    }


def rated_of(plan: VisitPlan) -> tuple[RatedRecording, ...]:
    return rated(plan.cohort, plan.config.data, stored_of(plan))


def test_every_subject_is_in_one_fold_for_all_items(make_plan: MakePlan) -> None:
    plan = make_plan()
    assert plan.items == ITEMS
    assert len(plan.visits.folds) == 3
    everyone = sorted(name for fold in plan.visits.folds for name in fold)
    assert everyone == [f"S{subject:02d}" for subject in range(NUM_SUBJECTS)]
    assert len(plan.visits.visits) == 2 * NUM_SUBJECTS
    assert sum(plan.level_counts().values()) == 2 * NUM_SUBJECTS
    assert plan.cohort.is_synthetic
    assert plan.notes == ()


def test_the_networks_are_those_of_each_item_without_each_pair(make_plan: MakePlan) -> None:
    plan = make_plan()
    tasks = item_tasks(plan, rated_of(plan), "visits")
    assert list(tasks) == [(item, pair) for item in ITEMS for pair in [(0, 1), (0, 2), (1, 2)]]
    for (item, pair), task in tasks.items():
        unseen = plan.visits.folds[pair[0]] | plan.visits.folds[pair[1]]
        assert {one.item for one in task.recordings} == {item}
        (side,) = task.sides
        taught = {task.recordings[at].subject_id for at in side.training}
        assert not taught & unseen
        assert {task.recordings[at].subject_id for at in side.evaluation} == unseen
        assert (task.origin.outer_fold, task.origin.fold) == pair
        assert (task.evaluate, task.epochs) == ("last_epoch", plan.config.optim.epochs)
    assert len({task.origin.seed for task in tasks.values()}) == 1  # one start for all


def test_the_asked_items_are_taken_in_their_order(make_plan: MakePlan) -> None:
    assert make_plan({"data": {"items": ["pronation"]}}).items == ("pronation",)
    plan = make_plan({"data": {"items": ["pronation", "gait"]}})
    assert plan.items == ("pronation", "gait")


def test_an_action_of_a_class_beyond_the_cuts_is_refused(make_plan: MakePlan) -> None:
    def change(found: Rows) -> Rows:
        return [{**row, "item": "action"} for row in found]

    settings = {"data": {"items": ["action"], "grade_cuts": [1]}}
    with pytest.raises(ManifestError, match=r"action: 39 of 72 .* 0\.\.1, the first .* with 2"):
        make_plan(settings, change)


def test_every_network_that_cannot_learn_a_class_is_listed(make_plan: MakePlan) -> None:
    plan = make_plan()
    mild = [replace(one, target=0) if one.item == "gait" else one for one in rated_of(plan)]
    with pytest.raises(FoldsError, match="the items' networks, 3 faults") as told:
        item_tasks(plan, mild, "visits")
    assert "gait without folds 1 and 2: the classes have [8, 0] training recordings" in str(
        told.value
    )
    only = [one for one in rated_of(plan) if one.item == "gait"]
    with pytest.raises(FoldsError, match="pronation: no recording has a video and a grade"):
        item_tasks(plan, only, "visits")


def test_an_unreadable_recording_leaves_its_visit_the_others(make_plan: MakePlan) -> None:
    plan = make_plan()
    lost = {"S03_V1_gait", "S04_V0_gait", "S04_V0_pronationleft", "S04_V0_pronationright"}
    left = with_store(plan, stored_of(plan, lost))
    visits = {visit.name: visit for visit in left.visits.visits}
    assert "S04/V0" not in visits
    assert left.notes == ("1 scored visits without a usable recording are left out: S04/V0",)
    assert set(visits["S03/V1"].recordings) == {"pronation"}
    assert left.visits.folds == plan.visits.folds
    assert len(left.cohort.recordings) == len(plan.cohort.recordings) - len(lost)


def test_two_names_of_one_film_are_refused(make_plan: MakePlan, tmp_path: Path) -> None:
    def change(found: Rows) -> Rows:
        shutil.copy(tmp_path / "S03.mp4", tmp_path / "S07.mp4")
        return found

    with pytest.raises(ManifestError, match=r"video S07\.mp4 is of subject S07, and of S03 in row"):
        make_plan(change=change)


def test_people_of_one_film_are_in_one_fold(make_plan: MakePlan) -> None:
    def change(found: Rows) -> Rows:
        for row in found:
            if row["subject_id"] in ("S03", "S07"):
                start = 0 if row["subject_id"] == "S03" else 0.06
                row |= {"video": "S03.mp4", "start_seconds": start, "end_seconds": start + 0.05}
        return found

    plan = make_plan({"data": {"shared_files": ["S03.mp4"]}}, change=change)
    assert [len({"S03", "S07"} & fold) for fold in plan.visits.folds].count(2) == 1
    assert frozenset().union(*plan.visits.folds) >= {"S03", "S07", "S11"}


def test_visits_without_a_score_or_a_name_are_told(make_plan: MakePlan) -> None:
    def change(found: Rows) -> Rows:
        for row in found:
            if row["subject_id"] == "S03":
                row["visit_score"] = ""
            if row["recording_id"] == "S05_V1_gait":
                row["visit_id"] = ""
        return found

    plan = make_plan(change=change)
    assert plan.notes == (
        "1 recordings without a visit_id are left out: S05_V1_gait",
        "2 visits without a visit_score are left out: S03/V0, S03/V1",
    )
    # Its recordings are of no fold and teach every network.
    assert not any("S03" in fold for fold in plan.visits.folds)
    tasks = item_tasks(plan, rated_of(plan), "visits")
    for task in tasks.values():
        assert "S03" in {task.recordings[at].subject_id for at in task.sides[0].training}


def test_an_item_too_rare_for_every_fold_is_refused_before_anything_is_trained(
    make_plan: MakePlan,
) -> None:
    def change(found: Rows) -> Rows:
        return [row for row in found if row["item"] != "gait" or row["subject_id"] == "S01"]

    with pytest.raises(
        StudyError, match="visits with gait: there is no test visit; use fewer folds"
    ):
        make_plan(change=change)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"folds": {"num_outer": 2}},
            r"folds\.num_outer: got 2, but a network leaves out two folds and needs a third",
        ),
        (
            {"stream": {"reader": "ray"}},
            "stream.reader ray cannot be used, since each network reads",
        ),
        (
            {"data": {"items": ["face_interview"], "subjects": "none"}},
            "data.subjects none cannot be used, since a visit belongs to a person",
        ),
        (
            {"data": {"target": "diagnosis"}},
            "data.target diagnosis cannot be used, since levels of visits are cut from scores",
        ),
        (
            {"resources": {"num_workers": 2}},
            "resources.num_workers 2 cannot be used, since each network is trained by",
        ),
        ({"search": {"trials": 7}}, r"'search\.trials': .*valid keys: search\.name, search\.seed$"),
        ({"search": {"metric": "mcc"}}, r"unknown key 'search\.metric'"),
        (
            {"folds": {"num_folds": 4}},
            r"'folds\.num_folds': .*valid keys: folds\.num_outer, folds.seed",
        ),
        ({"folds": {"from_split": True}}, r"unknown key 'folds\.from_split'"),
        ({"tracking": {"uri": "http://host"}}, "unknown key 'tracking': "),
        ({"frames": "video"}, "unknown key 'frames': "),
    ],
)
def test_settings_without_a_meaning_here_are_refused(
    settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(SettingsError, match=message):
        config_of(Path("manifest.csv"), settings)


def test_a_method_that_does_not_fit_the_maps_is_refused_before_training(
    make_plan: MakePlan,
) -> None:
    settings = {"assembling": {"num_heads": 5, "reduction": 3.0}}
    with pytest.raises(SettingsError, match=r"assembling.num_heads: 5 does not divide the 32") as e:
        make_plan(settings)
    assert "assembling.reduction: 3 is more than the 2 items" in str(e.value)


def test_a_command_line_is_read_and_the_networks_limits_checked() -> None:
    words = ["data.manifest=m.csv", "folds.num_outer=4", "levels.score=grades"]
    config = load_assembly(words)
    assert (config.folds.num_outer, config.levels.score) == (4, "grades")
    with pytest.raises(SettingsError, match=r"model\.num_heads: 7 does not divide"):
        load_assembly([*words, "model.num_heads=7"])
    with pytest.raises(SettingsError, match=r"did you mean 'heads\.repeats'"):
        load_assembly([*words, "heads.repeat=3"])
