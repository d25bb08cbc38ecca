"""Every protocol tests whom it says it tests, and nobody is tested by a search that saw him."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from pdray.config import nest
from pdray.data.cohort.manifest import Manifest, load_manifest
from pdray.errors import FoldsError, PdrayError
from pdray.search.plan import plan_study
from pdray.search.protocol import Settled, check_metric, check_training, settle, settle_by_time

PROBE = {
    "model.name": "linear_probe",
    "model.backbone.name": "frame_resnet",
    "optim.epochs": 1,
}


@pytest.fixture
def manifest(write_manifest: Callable[..., Path]) -> Callable[..., Manifest]:
    """Return a function that makes subjects of two recordings without files."""

    def make(
        num_subjects: int, grades: tuple[int, ...] = (0, 3), splits: Sequence[str] = ()
    ) -> Manifest:
        rows = [
            {"recording_id": f"{subject}{side}", "subject_id": f"S{subject:02d}",
             "item": "finger_tapping", "grade": grades[subject % len(grades)], "side": side,
             "video": f"{subject}{side}.mp4", "intensities": f"{subject}{side}.npz",
             **({"split": splits[subject]} if splits else {})}
            for subject in range(num_subjects) for side in ("left", "right")
        ]  # fmt: skip
        return load_manifest(write_manifest(rows), check_files=False)

    return make


def settled(manifest: Manifest, **settings: Any) -> Settled:
    tree = {"data.manifest": str(manifest.path), "output": str(manifest.path.parent)}
    given = {**tree, "search.name": "study", "folds.num_folds": 2, **settings}
    found = settle(plan_study(nest(given)), manifest)
    check_metric(found)
    return found


def test_nested_tests_each_subject_once_by_a_search_that_never_saw_it(
    manifest: Callable[..., Manifest],
) -> None:
    found = settled(manifest(10), **PROBE)
    everybody = {f"S{number:02d}" for number in range(10)}
    assert found.plan.config.search.protocol == "nested"
    assert "nested: 6 searches" in found.told
    assert not found.cohort.folds.test
    assert found.cohort.folds.development == everybody
    assert [one.key for one in found.outer] == ["00", "01", "02", "03", "04"]
    assert found.outer[1].title == "outer fold 2 of 5"
    tested = [name for one in found.outer for name in one.cohort.folds.test]
    assert sorted(tested) == sorted(everybody)
    for number, one in enumerate(found.outer):
        folds, config = one.cohort.folds, one.plan.config
        assert folds.development == everybody - folds.test
        assert (config.search.protocol, config.folds.outer_fold) == ("holdout", number)
        assert config.search.name == f"study-outer-{one.key}"
    seeds = {one.plan.seed for one in found.outer} | {found.plan.seed}
    assert len(seeds) == 6


def test_an_outer_fold_is_the_test_set_of_a_holdout_study_with_its_settings(
    manifest: Callable[..., Manifest],
) -> None:
    cohort = manifest(12)
    outer = settled(cohort, **{"search.protocol": "nested"}).outer[3]
    alone = settled(cohort, **{"search.protocol": "holdout", "folds.outer_fold": 3})
    assert alone.cohort.folds == outer.cohort.folds


def test_repeats_draw_other_outer_folds(manifest: Callable[..., Manifest]) -> None:
    asked = {"search.protocol": "repeated", "search.repeats": 2, "folds.num_outer": 3}
    found = settled(manifest(12), **asked)
    assert [one.key for one in found.outer] == ["0-00", "0-01", "0-02", "1-00", "1-01", "1-02"]
    assert found.outer[4].title == "repeat 2 of 2, outer fold 2 of 3"
    first, second = ([one.cohort.folds.test for one in found.outer[i : i + 3]] for i in (0, 3))
    assert set(first) != set(second)
    assert frozenset().union(*first) == frozenset().union(*second)


def test_leave_one_subject_out_tests_each_subject_alone(manifest: Callable[..., Manifest]) -> None:
    found = settled(manifest(7), **{"search.protocol": "leave_one_subject_out"})
    assert [sorted(one.cohort.folds.test) for one in found.outer] == [
        [f"S{number:02d}"] for number in range(7)
    ]


@pytest.mark.parametrize(
    ("num_subjects", "settings", "protocol"),
    [
        (10, {}, None),  # a network: the forecast decides
        (60, PROBE, "holdout"),
        (10, {**PROBE, "folds.outer_fold": 1}, "holdout"),
        (10, {"search.protocol": "split"}, "split"),
        (10, {**PROBE, "folds.from_split": True}, "split"),
    ],
)
def test_the_default_follows_from_the_model_the_subjects_and_the_test_set(
    manifest: Callable[..., Manifest],
    num_subjects: int,
    settings: dict[str, Any],
    protocol: str | None,
) -> None:
    splits = ["test" if number % 5 < 2 else "train" for number in range(num_subjects)]
    found = settled(manifest(num_subjects, splits=splits), **settings)
    assert found.plan.config.search.protocol == protocol
    assert found.plan.config.folds.from_split == (protocol == "split")


def test_a_class_of_two_subjects_leaves_the_default_at_one_test_set(
    manifest: Callable[..., Manifest],
) -> None:
    found = settled(manifest(10, (0, 0, 0, 0, 3)), **PROBE)
    assert found.plan.config.search.protocol == "holdout"
    assert re.search(r"6 searches .*not possible here: .*class 1 has 0 of", found.told, re.DOTALL)


@pytest.mark.parametrize(
    ("hours", "protocol", "told"),
    [
        (1.9, "nested", "nested: 6 searches"),
        (2.1, "holdout", "by 6 searches in place of one (about 2.1 hours, and search.nested_hours"),
        (None, "holdout", "their time is not known before the first trial"),
    ],
)
def test_the_protocol_of_a_network_follows_from_the_forecast(
    manifest: Callable[..., Manifest], hours: float | None, protocol: str, told: str
) -> None:
    cohort = manifest(10)
    found = settle_by_time(settled(cohort), cohort, hours)
    assert found.plan.config.search.protocol == protocol
    assert told in found.told


ONE_OF_FIVE = (0, 0, 0, 0, 0, 0, 0, 0, 0, 3)


@pytest.mark.parametrize(
    ("num_subjects", "grades", "settings", "words"),
    [
        (4, (0, 3), {}, "4 subjects are fewer than the 5 that 5 outer folds need"),
        (10, ONE_OF_FIVE, {}, r"class 1 has 0 of 16 recordings \(2 recordings of 1 subjects"),
        (10, (0, 3), {"folds.outer_fold": 2}, "folds.outer_fold: names one test set"),
        (10, (0, 3), {"folds.from_split": True}, "folds.from_split: names one test set"),
        (10, (0, 3), {"search.repeats": 2}, "search.repeats: got 2, but search.protocol is nested"),
        (6, (0, 3), {"folds.num_folds": 4, "search.metric": "auroc", "folds.num_outer": 3},
         "outer fold 1 of 3: 4 of 4 inner folds hold one of 4 subjects and one class"),
    ],
)  # fmt: skip
def test_what_nested_cannot_do_is_refused_with_counts_and_the_way_out(
    manifest: Callable[..., Manifest],
    num_subjects: int,
    grades: tuple[int, ...],
    settings: dict[str, Any],
    words: str,
) -> None:
    with pytest.raises(PdrayError, match=words):
        settled(manifest(num_subjects, grades), **{"search.protocol": "nested", **settings})


def test_inner_folds_of_one_subject_are_refused_under_holdout_too(
    manifest: Callable[..., Manifest],
) -> None:
    asked = {"search.protocol": "holdout", "folds.num_folds": 4, "folds.num_outer": 3}
    with pytest.raises(FoldsError, match=r"4 of 4 inner folds .*at most 2, or set search\.metric"):
        settled(manifest(6), **asked, **{"search.metric": "auroc"})
    settled(manifest(6), **asked, **{"search.metric": "brier"})


@pytest.mark.parametrize(
    ("protocol", "num_folds", "sides"),
    [
        ("holdout", 2, ["validation side of fold 0", "validation side of fold 1"]),
        ("nested", 2, ["outer fold 1 of 5, validation side of fold 0", "all subjects, held-out"]),
    ],
)
def test_training_sides_with_too_few_subjects_of_a_class_are_named(
    manifest: Callable[..., Manifest], protocol: str, num_folds: int, sides: list[str]
) -> None:
    model = {"model.name": "intensity_head", "modality": "intensities", "optim.epochs": 1}
    given = {**model, "search.protocol": protocol, "folds.num_folds": num_folds}
    check_training(settled(manifest(40), **given))
    few = settled(manifest(20, (0, 0, 0, 3)), **given)  # five people have grade 3
    with pytest.raises(FoldsError, match="intensity_head needs 3 training subjects") as caught:
        check_training(few)
    for side in sides:
        assert side in str(caught.value)
    assert "training side has 2 subjects of class 1" in str(caught.value)
    check_training(settled(manifest(20, (0, 0, 0, 3)), **{**given, **PROBE, "modality": "rgb"}))
