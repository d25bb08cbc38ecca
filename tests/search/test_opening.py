from pathlib import Path
from typing import Any

from pdray.data.cohort.rated import StoredRecording
from pdray.data.store.prepare import Prepared
from pdray.search.opening import unjudged
from pdray.search.plan import plan_study

FUSION: dict[str, Any] = {
    "data": {"manifest": "/x.csv"},
    "decode": {"height": 32, "width": 32},
    "modality": "several",
    "model": {"name": "fusion", "backbone": {"depth": 18, "layout": "torchvision"}},
    "optim": {"epochs": 1},
}


def test_a_recording_that_some_trial_could_not_judge_is_listed() -> None:
    branches = {"model.branches": {"choices": ["rgb+landmarks", "landmarks+mfcc", "rgb+mfcc"]}}
    plan = plan_study({**FUSION, "space": branches})

    def having(*modalities: Any) -> Prepared:
        stored = StoredRecording("r", {one: Path("x") for one in modalities})
        return Prepared(stored, num_bytes=1, seconds=1.0, rate=1.0, is_varying=False)

    prepared = {"two": having("rgb", "mfcc"), "face": having("landmarks"), "voice": having("mfcc")}
    assert unjudged(plan, prepared) == {
        "face": "recording face: has none of rgb, mfcc, which is all that a trial may see",
        "voice": "recording voice: has none of rgb, landmarks, which is all that a trial may see",
    }
    assert unjudged(plan_study(FUSION), prepared) == {}
