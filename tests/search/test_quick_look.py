"""A quick look tests everybody, in as many folds as there are subjects for."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from pdray.config import build, dump, merge, read_tree
from pdray.data.cohort.manifest import load_manifest
from pdray.errors import FoldsError, StudyError
from pdray.search.plan import StudyPlan
from pdray.search.protocol import num_searches, settle
from pdray.search.quick_look import (
    choose_network,
    common_table,
    features_plan,
    motion_plan,
    say_paper,
)
from pdray.search.quick_settings import MINUTES, QuickLookConfig, load_quick_look
from pdray.search.settings import StudyConfig
from pdray.tracking.run_log import StudyLog
from tests.places import ROOT

SPACES = ROOT / "search_spaces"


@pytest.fixture
def asked(write_manifest: Callable[..., Path], tmp_path: Path) -> Callable[[int], QuickLookConfig]:
    """Return settings for subjects of two recordings, with grades 0 and 3 in turn."""

    def make(num_subjects: int, **settings: object) -> QuickLookConfig:
        rows = [
            {"recording_id": f"{subject}{side}", "subject_id": f"S{subject:02d}",
             "item": "finger_tapping", "grade": 3 * (subject % 2), "side": side,
             "video": f"{subject}{side}.mp4"}
            for subject in range(num_subjects) for side in ("left", "right")
        ]  # fmt: skip
        given = {"data": {"manifest": str(write_manifest(rows))}, "output": str(tmp_path / "out")}
        return build(QuickLookConfig, given | settings)

    return make


@pytest.mark.parametrize(
    ("num_subjects", "folds"), [(60, (5, 5)), (20, (5, 5)), (10, (5, 3)), (8, (5, 3)), (6, (5, 2))]
)
def test_all_subjects_are_tested_in_the_most_folds_that_they_fill(
    num_subjects: int, folds: tuple[int, int], asked: Callable[..., QuickLookConfig]
) -> None:
    config = asked(num_subjects)
    manifest = load_manifest(config.data.manifest, check_files=False)
    plan = motion_plan(config, SPACES, manifest)
    assert (plan.config.folds.num_outer, plan.config.folds.num_folds) == folds
    assert (plan.config.model.name, plan.config.search.name) == (
        "motion_linear",
        "quick-look-motion",
    )
    tested = [name for one in settle(plan, manifest).outer for name in one.cohort.folds.test]
    assert len(tested) == len(set(tested)) == num_subjects


def test_without_videos_the_commonest_table_is_looked_at(
    write_manifest: Callable[..., Path], tmp_path: Path
) -> None:
    rows = [
        {"recording_id": f"r{number}", "subject_id": f"S{number:02d}", "item": "finger_tapping",
         "grade": 3 * (number % 2), "features.smile": "smile.csv" * (number < 9),
         "features.speech": "speech.csv"}
        for number in range(20)
    ]  # fmt: skip
    given = {"data": {"manifest": str(write_manifest(rows))}, "output": str(tmp_path / "out")}
    config = build(QuickLookConfig, given)
    manifest = load_manifest(config.data.manifest, check_files=False)
    table = common_table(manifest, None)
    assert table == "features.speech"
    plan = features_plan(config, manifest, table)
    assert (plan.config.modality, plan.config.search.name) == (table, "quick-look-features")
    assert plan.config.search.protocol == "nested"
    with_video = [{**row, "video": f"{row['recording_id']}.mp4"} for row in rows]
    path = write_manifest(with_video, name="with_video.csv")
    assert common_table(load_manifest(path, check_files=False), None) == ""


def test_too_few_subjects_are_refused_with_their_number(
    asked: Callable[..., QuickLookConfig],
) -> None:
    config = asked(4)
    manifest = load_manifest(config.data.manifest, check_files=False)
    with pytest.raises(FoldsError, match="class 1"):
        motion_plan(config, SPACES, manifest)


def test_a_name_belongs_to_one_manifest(asked: Callable[..., QuickLookConfig]) -> None:
    config = asked(6)
    manifest = load_manifest(config.data.manifest, check_files=False)
    plan = motion_plan(config, SPACES, manifest)
    study = StudyLog(config.output / "studies" / "quick-look-motion")
    study.start(
        name="quick-look-motion", settings=plan.tree, tags={"manifest_digest": manifest.digest}
    )
    assert motion_plan(config, SPACES, manifest).tree == plan.tree
    other = load_manifest(asked(8).data.manifest, check_files=False)
    with pytest.raises(StudyError, match="give this one another name, such as name=quick-look-2"):
        motion_plan(config, SPACES, other)


def test_a_folder_that_was_copied_is_continued_where_it_is(
    asked: Callable[..., QuickLookConfig], tmp_path: Path
) -> None:
    config = asked(6)
    manifest = load_manifest(config.data.manifest, check_files=False)
    plan = motion_plan(config, SPACES, manifest)
    study = StudyLog(config.output / "studies" / "quick-look-motion")
    study.start(name="a", settings=plan.tree, tags={"manifest_digest": manifest.digest})
    copied = config.output.rename(tmp_path / "copied")
    tracking = {"uri": "http://there:5000"}
    again = motion_plan(asked(6, output=str(copied), tracking=tracking), SPACES, manifest)
    assert again.config.output == copied
    assert again.config.tracking.uri == "http://there:5000"


def test_resume_keeps_recordings_and_minutes_until_there_is_a_network(
    asked: Callable[..., QuickLookConfig],
) -> None:
    config = asked(6, minutes=0)
    manifest = load_manifest(config.data.manifest, check_files=False)
    plan = replace(motion_plan(config, SPACES, manifest), tags={MINUTES: "0"})
    for title in ("motion", "network"):
        words = ["--resume", f"output={config.output}"]
        study = StudyLog(config.output / "studies" / f"quick-look-{title}")
        study.start(name=study.name, settings=plan.tree, tags={"manifest_digest": "x", **plan.tags})
        resumed = load_quick_look(words)
        assert resumed.data == config.data
        assert resumed.minutes == (0 if title == "motion" else 60)
        assert load_quick_look([*words, "minutes=5"]).minutes == 5


def test_why_the_papers_settings_cannot_be_run_is_said(
    asked: Callable[..., QuickLookConfig],
) -> None:
    config, lines = asked(4), []
    manifest = load_manifest(config.data.manifest, check_files=False)
    tree = read_tree(StudyConfig, ["--config", str(SPACES / "tsa.yaml")])
    say_paper(merge(tree, {"data": dump(config.data)}), manifest, lines.append)
    assert "they cannot be run: " in lines[0]
    assert "subjects" in lines[0]
    assert "60 s" not in lines[0]


@pytest.mark.parametrize(
    ("seconds", "chosen", "forecast"),
    [
        (400.0, ("nested", 6), 360.0),
        (200.0, ("nested", 3), 180.0),
        (60.0, ("nested", 1), 60.0),
        (59.0, ("holdout", 3), 30.0),
        (29.0, ("holdout", 1), 10.0),
        (9.0, None, 10.0),
    ],
)
def test_the_network_is_tested_on_everybody_where_the_time_allows_it(
    seconds: float,
    chosen: tuple[str, int] | None,
    forecast: float,
    asked: Callable[..., QuickLookConfig],
) -> None:
    config = asked(20)
    manifest = load_manifest(config.data.manifest, check_files=False)

    def ten_seconds_each(plan: StudyPlan) -> float:
        cohort = settle(plan, manifest).cohort
        return 10.0 * num_searches(plan, cohort) * plan.config.search.trials

    given = {"data": {"manifest": str(manifest.path)}, "output": str(config.output)}
    tree = merge(read_tree(StudyConfig, ["--config", str(SPACES / "laptop.yaml")]), given)
    plan, found = choose_network(tree, manifest, ten_seconds_each, seconds)
    search = None if plan is None else plan.config.search
    assert (search and (search.protocol, search.trials), found) == (chosen, forecast)
