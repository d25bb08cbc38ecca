"""A study of a translator is refused what it cannot have, and people who did not agree."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from pdray.config import nest
from pdray.data.cohort.folds import Folds
from pdray.data.cohort.manifest import load_manifest
from pdray.data.cohort.rated import FoldSides, RatedRecording
from pdray.errors import FoldsError, SettingsError, StudyError
from pdray.evaluation.metrics import KERNEL_DISTANCE
from pdray.evaluation.predictions import Origin
from pdray.search.plan import StudyPlan, plan_comparison, plan_study
from pdray.search.protocol import Settled, check_metric, check_training, settle
from pdray.search.translator_checks import check_people
from pdray.search.trial_plan import TrialPlan
from pdray.training.loop.launch import Workers
from tests.training.translators.test_guide import leave_study

CUT: Mapping[str, Any] = {
    "model.name": "cut",
    "model.width_factor": 0.125,
    "decode.height": 64,
    "decode.width": 64,
    "optim.batch_size": 4,
    "data.manifest": "cohort.csv",
    "data.grade_cuts": [2],
    "search.name": "cut",
    "search.trials": 1,
}
GUIDE = {"decode": {"height": 64, "width": 64}}


def planned(tmp_path: Path, **settings: Any) -> StudyPlan:
    return plan_study(nest({**CUT, "output": str(tmp_path), **settings}))


def refusal(tmp_path: Path, **settings: Any) -> str:
    with pytest.raises(SettingsError) as caught:
        planned(tmp_path, **settings)
    return str(caught.value)


def test_a_translator_is_compared_by_its_own_distance(tmp_path: Path) -> None:
    plan = planned(tmp_path)
    assert plan.config.search.metric == KERNEL_DISTANCE
    assert plan_study(plan.tree).config.search.metric == KERNEL_DISTANCE
    told = refusal(tmp_path, **{"search.metric": "mcc"})
    assert "search.metric: got 'mcc', but cut predicts no class; leave it out, or set it to" in told
    told = refusal(tmp_path, **{"model": {"name": "tsa"}, "search.metric": KERNEL_DISTANCE})
    assert "search.metric: got 'kernel_distance', which is no score of 2 classes" in told


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"search.protocol": "nested"}, "search.protocol=nested: cut predicts no class"),
        ({"search.reshuffle": True}, "search.reshuffle=True: cut predicts no class"),
        ({"evaluation.permutations": 3}, "evaluation.permutations=3: cut predicts no class"),
        ({"data.made": "training"}, "data.made: got 'training', but cut learns from real"),
        ({"frames": "video"}, "frames: got 'video', but cut needs the frame store"),
        ({"search.trials": 2}, "search.trials: got 2, but without a guide nothing says which"),
        (
            {"space": {"model.learning_rate": {"low": 0.0001, "high": 0.001}}},
            "search.trials: got 1 and a space, but without a guide nothing says which",
        ),
        (
            {"optim.batch_size": 3, "resources.num_workers": 2},
            "optim.batch_size: got 3, which 2 workers (resources.num_workers) do not share equally",
        ),
        ({"model": {"name": "hrfae"}}, "synthesis.guide: not set, but hrfae learns from a"),
        ({"snippet.num_frames": 4}, "snippet: cut does not use it; leave it out"),
        (
            {"optim.weight_decay": 0.1},
            "optim: cut does not use it; leave it out, except optim.batch_size, optim.epochs,",
        ),
        ({"data.grade_cuts": [1, 2]}, "cut translates to one class, but there are 3 classes"),
        ({"synthesis.guide": "/nowhere/study"}, "/nowhere/study: holds no study"),
    ],
    ids=lambda one: str(one)[:40],
)
def test_what_it_cannot_have_is_refused(
    tmp_path: Path, settings: Mapping[str, Any], told: str
) -> None:
    assert told in refusal(tmp_path, **settings)


def test_a_comparison_and_another_model_have_no_translator(tmp_path: Path) -> None:
    tree = nest({**CUT, "output": str(tmp_path)})
    with pytest.raises(SettingsError, match="cut predicts no class, and a comparison compares"):
        plan_comparison(tree, {"one": {}})
    told = refusal(tmp_path, **{"model": {"name": "tsa"}, "synthesis.frames": 2})
    assert "synthesis: tsa does not use it; leave it out" in told


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"decode": {"height": 40, "width": 40}}, "has decode.height=40, and this one 64; use the"),
        ({**GUIDE, "modality": "portraits"}, "grades portraits, not rgb; use one of the same"),
        ({**GUIDE, "model": {"name": "i3d"}}, "synthesis.guide: i3d takes no single frame"),
    ],
    ids=["size", "modality", "network"],
)
def test_a_guide_of_other_pictures_is_refused(
    tmp_path: Path, settings: Mapping[str, Any], told: str
) -> None:
    study = leave_study(tmp_path / "guide", settings)
    assert told in refusal(tmp_path, **{"synthesis.guide": str(study.folder)})


def test_a_guide_of_other_classes_is_refused(tmp_path: Path) -> None:
    study = leave_study(tmp_path / "guide", GUIDE)
    told = refusal(tmp_path, **{"synthesis.guide": str(study.folder), "data.grade_cuts": [3]})
    assert "study guide has data.grade_cuts=[2], and this one [3]; use the same" in told


@pytest.fixture
def settled(tmp_path: Path, write_manifest: Callable[..., Path]) -> Callable[..., Settled]:
    """Return a function that splits 24 subjects, class 0 and 1 in turn."""

    def make(consents: Callable[[int], str], **settings: Any) -> Settled:
        rows = [
            {"recording_id": f"R{n:02d}", "subject_id": f"S{n:02d}", "item": "finger_tapping",
             "side": "left", "grade": 3 * (n % 2), "video": f"{n}.mp4",
             "consent_synthesis": consents(n)}
            for n in range(24)
        ]  # fmt: skip
        path = write_manifest(rows)
        given = {"data.manifest": str(path), "folds.num_folds": 3, "folds.num_outer": 4}
        plan = planned(tmp_path, **{**given, **settings})
        found = settle(plan, load_manifest(path, check_files=False))
        check_metric(found)
        return found

    return make


def test_it_is_searched_by_holdout_and_needs_five_subjects_of_each_class(
    settled: Callable[..., Settled],
) -> None:
    found = settled(lambda n: "learn")
    assert found.plan.config.search.protocol == "holdout"
    assert not found.outer
    check_training(found)
    check_people(found.plan, found.cohort)
    few = settled(lambda n: "learn", **{"folds.num_folds": 2})
    with pytest.raises(FoldsError, match=r"its training side has 4 subjects of class"):
        check_training(few)


def test_people_who_did_not_agree_are_counted(settled: Callable[..., Settled]) -> None:
    found = settled(lambda n: ["", "change show", "learn change"][n % 3])
    message = "16 of 24 subjects did not consent to 'learn'.*ask them, or remove their rows"
    with pytest.raises(StudyError, match=message):
        check_people(found.plan, found.cohort)


def test_a_guide_that_knows_people_whom_it_scores_is_refused(
    settled: Callable[..., Settled], tmp_path: Path
) -> None:
    plain = settled(lambda n: "learn")
    folds = plain.cohort.folds
    same = leave_study(tmp_path / "same", GUIDE, folds)
    guided = settled(lambda n: "learn", **{"synthesis.guide": str(same.folder)})
    check_people(guided.plan, guided.cohort)
    turned = Folds(folds.test, (folds.folds[0] | folds.folds[1], folds.folds[2]))
    other = leave_study(tmp_path / "other", GUIDE, turned)
    guided = settled(lambda n: "learn", **{"synthesis.guide": str(other.folder)})
    check_people(guided.plan, guided.cohort)  # each held-out side is inside one of the guide's
    swapped = (folds.folds[0] | folds.test, folds.folds[1], folds.folds[2])
    knows = leave_study(tmp_path / "knows", GUIDE, Folds(frozenset({"X"}), swapped))
    knows.kept_fold(0).model_path.unlink()
    guided = settled(lambda n: "learn", **{"synthesis.guide": str(knows.folder)})
    with pytest.raises(StudyError) as caught:
        check_people(guided.plan, guided.cohort)
    assert "of the 6 subjects of the test set, so it would know the people" in str(caught.value)
    assert "of the validation side of fold 0" in str(caught.value)
    assert "fold 1" not in str(caught.value)


def test_its_trials_are_scored_once_a_fold(tmp_path: Path) -> None:
    plan = TrialPlan(
        folder=tmp_path,
        fit=planned(tmp_path).config.fit,
        recordings=tuple(
            RatedRecording(f"R{n}", f"S{n}", "face_interview", 0, 0, None) for n in range(2)
        ),
        sides=(FoldSides((0,), (1,)),),
        num_classes=2,
        origin=Origin(study="cut", trial=0, fold=0, epoch=0),
        metric=KERNEL_DISTANCE,
        workers=Workers(1, 1.0, 0.0),
    )
    assert plan.task(0, {}).evaluate == "last_epoch"
