from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from pdray.data.cohort.manifest import load_manifest
from pdray.data.cohort.marks import MarksTable
from pdray.data.cohort.members import make_cohort
from pdray.data.cohort.rated import StoredRecording
from pdray.data.store.prepare import Prepared
from pdray.nodes import Node
from pdray.search import opening
from pdray.search.cluster import Capacity
from pdray.search.opening import CheckedTrials, check_study, check_trials, prepare_trials, unjudged
from pdray.search.plan import plan_study
from pdray.tracking.run_log import StudyLog

FUSION: dict[str, Any] = {
    "data": {"manifest": "/x.csv"},
    "decode": {"height": 32, "width": 32},
    "modality": "several",
    "model": {"name": "fusion", "backbone": {"depth": 18, "layout": "torchvision"}},
    "optim": {"epochs": 1},
}


BRANCHES = {"model.branches": {"choices": ["rgb+landmarks", "landmarks+mfcc", "rgb+mfcc"]}}


def having(*modalities: Any) -> Prepared:
    stored = StoredRecording("r", {one: Path("x") for one in modalities})
    return Prepared(stored, num_bytes=1, seconds=1.0, rate=1.0, is_varying=False)


def test_a_recording_that_some_trial_could_not_judge_is_listed() -> None:
    plan = plan_study({**FUSION, "space": BRANCHES})
    prepared = {"two": having("rgb", "mfcc"), "face": having("landmarks"), "voice": having("mfcc")}
    assert unjudged(plan, prepared) == {
        "face": "recording face: has no rgb or mfcc, and some trials use nothing else",
        "voice": "recording voice: has no rgb or landmarks, and some trials use nothing else",
    }
    assert unjudged(plan_study(FUSION), prepared) == {}


@pytest.fixture
def checked(
    tiny_manifest: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> CheckedTrials:
    """Check a study of a network on pictures, on a cluster of two CPUs that is not there."""
    monkeypatch.setattr(opening, "measure", lambda _: Capacity(2.0, 0.0, 1, (Node(2.0),)))
    monkeypatch.setattr(opening, "check_shared", lambda _: None)
    data = {"manifest": str(tiny_manifest())}
    plan = plan_study({"data": data, "frames": "video", "output": str(tmp_path / "output")})
    config = plan.config
    manifest = load_manifest(config.data.manifest)
    cohort = make_cohort(manifest, config.data, config.folds, needs=plan.needs)
    return check_trials(check_study(plan, cohort, StudyLog(config.output / "studies" / "s")))


def test_a_check_writes_nothing(checked: CheckedTrials) -> None:
    assert checked.within.capacity.num_nodes == 1
    assert checked.uri.startswith("sqlite:")
    assert not checked.within.plan.config.output.exists()


def test_marks_are_for_networks_on_regions_alone(
    checked: CheckedTrials, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Marks of a recording that is not in the manifest would be refused where they are read.
    marks = MarksTable({"nobody": (5,) * 14}, num_vague=0)
    said: list[str] = []
    names = [one.recording_id for one in checked.within.cohort.recordings]
    checked_once = {name: StoredRecording(name, {"rgb": Path(f"{name}.arrow")}) for name in names}
    monkeypatch.setattr(opening, "prepare_frames", lambda *_: checked_once)
    prepared = prepare_trials(replace(checked, marks=marks), said.append)
    assert said == []
    assert all(one.marks is None for one in prepared.recordings)


def test_who_lacks_what_a_trial_reads_is_no_damaged_file(
    checked: CheckedTrials, monkeypatch: pytest.MonkeyPatch
) -> None:
    within = checked.within
    data = {"manifest": "/x.csv", "max_decode_failures": 2}
    plan = plan_study({**FUSION, "space": BRANCHES, "data": data})
    silent, broken, *others = [one.recording_id for one in within.cohort.recordings]
    prepared = dict.fromkeys(others, having("rgb", "mfcc")) | {silent: having("landmarks")}
    monkeypatch.setattr(opening, "prepare_store", lambda *_, **__: (prepared, {broken: "no frame"}))
    monkeypatch.setattr(opening, "_notes", lambda *_: [])
    opening.prepare_frames(replace(within, plan=plan), print)
    table = pd.read_parquet(within.study.folder / "private" / "recordings.parquet")
    assert dict(table.dropna(subset="reason")[["recording_id", "reason"]].values) == {
        silent: "lacks what some trials read",
        broken: "damaged file",
    }
