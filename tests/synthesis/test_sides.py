"""Training sides are those of the studies that learn from what is made."""

import pytest

from pdray.config import build
from pdray.data.cohort.manifest import load_manifest
from pdray.search.plan import load_study
from pdray.search.protocol import settle
from pdray.synthesis.settings import SynthesizeConfig
from pdray.synthesis.sides import training_sides


@pytest.fixture
def manifest(tmp_path, write_manifest):
    """Return a function that writes as many people as it is told, tracks by name alone."""

    def write(num_people, **cells):
        rows = [
            {
                "recording_id": f"R{number}", "subject_id": f"S{number:02d}",
                "item": "face_interview", "grade": 4 * (number % 2), "landmarks": f"{number}.npz",
                **{key: give(number) for key, give in cells.items()},
            }
            for number in range(num_people)
        ]  # fmt: skip
        return write_manifest(rows)

    return write


def sides_of(path, **synthesis):
    tree = {"method": "damp", "output": "new.csv", "data": {"manifest": str(path)}}
    config = build(SynthesizeConfig, {**tree, **synthesis})
    return training_sides(load_manifest(path, check_files=False), config, ("landmarks",))


def searched(path, *words):
    plan = load_study(
        [f"data.manifest={path}", "modality=landmarks", "model.name=landmark_head",
         "optim.epochs=1", *words]
    )  # fmt: skip
    settled = settle(plan, load_manifest(path, check_files=False))
    found = []
    for cohort in [*(one.cohort for one in settled.outer), settled.cohort]:
        folds = cohort.folds
        found += [folds.train(n) for n in range(len(folds.folds))]
        found += [folds.development]
    return {*found} - {frozenset()}


@pytest.mark.parametrize(("num_people", "num_sides"), [(20, 5 * 4 + 4), (60, 4)])
def test_by_default_they_are_those_of_a_search_of_an_estimator(manifest, num_people, num_sides):
    path = manifest(num_people)
    sides = sides_of(path)
    assert {*sides.values()} == searched(path)
    assert len(sides) == num_sides


def test_holdout_has_the_folds_of_one_search(manifest):
    path = manifest(20)
    folds = {"outer_fold": 2, "num_folds": 4}
    sides = sides_of(path, folds=folds, synthesis={"protocol": "holdout"})
    assert [*sides] == ["fold0", "fold1", "fold2", "fold3", "development"]
    assert {*sides.values()} == searched(path, "folds.outer_fold=2", "folds.num_folds=4")


def test_a_split_that_the_manifest_fixes_is_kept(manifest):
    path = manifest(20, split=lambda number: "test" if number < 4 else "train")
    sides = sides_of(path, folds={"from_split": True})
    assert {*sides.values()} == searched(path, "folds.from_split=true")
    assert all("S03" not in subjects for subjects in sides.values())


def test_a_comparison_has_each_outer_fold(manifest):
    path = manifest(20)
    sides = sides_of(path, synthesis={"protocol": "comparison"})
    assert [*sides] == [f"fold{number}" for number in range(5)]
    assert all(len(subjects) == 16 for subjects in sides.values())
    held = [{f"S{n:02d}" for n in range(20)} - subjects for subjects in sides.values()]
    assert sorted(name for side in held for name in side) == [f"S{n:02d}" for n in range(20)]


def test_sides_of_a_comparison_are_those_of_one_search_without_each_outer_fold(manifest):
    """So that several studies of a translator serve a comparison."""
    path = manifest(20)
    compared = sides_of(path, synthesis={"protocol": "comparison"})
    found = {
        f"fold{n}": sides_of(path, folds={"outer_fold": n}, synthesis={"protocol": "holdout"})
        for n in range(5)
    }
    assert compared == {name: sides["development"] for name, sides in found.items()}
