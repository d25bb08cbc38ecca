from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from pdray.errors import FoldsError, StudyError
from pdray.evaluation.predictions import read_predictions
from pdray.training.frozen.features import extract_features, load_network, read_features
from pdray.visits import out_of_fold
from pdray.visits.out_of_fold import FeatureBank, fit_item, fold_pairs, item_sides
from pdray.visits.visits import Visit

FOLDS = (frozenset({"S0"}), frozenset({"S1"}), frozenset({"S2", "S3"}))


def held_task(make_task, pair=(0, 1), **changes):
    task = make_task(**changes)
    sides = item_sides(task.recordings, FOLDS, pair, num_classes=2)
    return replace(task, sides=(sides,), epochs=1, evaluate="last_epoch")


def subjects(task, positions):
    return {task.recordings[position].subject_id for position in positions}


def test_every_two_folds_are_a_pair_once():
    assert fold_pairs(4) == [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]
    assert len(fold_pairs(5)) == 5 * 4 // 2


@pytest.mark.parametrize("pair", fold_pairs(3))
def test_a_network_learns_from_nobody_of_its_two_folds(make_task, pair):
    task = held_task(make_task, pair)
    held = FOLDS[pair[0]] | FOLDS[pair[1]]
    (side,) = task.sides
    # S4 is in no fold: it is never scored and may teach every network.
    assert subjects(task, side.training) == {"S0", "S1", "S2", "S3", "S4"} - held
    assert subjects(task, side.evaluation) == held


def test_a_class_nobody_can_teach_is_refused_with_the_counts(make_task):
    task = make_task()
    mild = [replace(one, target=0) for one in task.recordings]
    expected = (
        r"finger_tapping without folds 0 and 2: the classes have \[4, 0\] training recordings"
    )
    with pytest.raises(FoldsError, match=expected):
        item_sides(mild, FOLDS, (0, 2), num_classes=2)


def test_folds_without_a_recording_of_the_item_are_refused(make_task):
    others = [one for one in make_task().recordings if one.subject_id in {"S3", "S4"}]
    expected = "finger_tapping without folds 0 and 1: these folds have no recording"
    with pytest.raises(FoldsError, match=expected):
        item_sides(others, FOLDS, (0, 1), num_classes=2)


def test_a_network_its_predictions_and_its_features_are_of_the_held_recordings(
    make_task, tmp_path: Path
):
    task = held_task(make_task)
    path = tmp_path / "networks" / "0_1.pt"
    features = fit_item(task, path)
    held = [task.recordings[position] for position in task.sides[0].evaluation]
    names = [one.recording_id for one in held]
    assert names == ["R0", "R1", "R2", "R3"]
    assert set(read_predictions(path.with_suffix(".parquet"))["recording_id"]) == set(names)
    weights = torch.load(path, weights_only=True)
    network = load_network(task.config, 2, weights)
    expected = extract_features(network, held, task.config)
    assert np.array_equal(read_features(features, "vectors"), expected.vectors)
    assert np.array_equal(read_features(features, "maps"), expected.maps)


def test_what_is_on_disk_is_not_trained_again(make_task, tmp_path: Path, monkeypatch):
    task, path = held_task(make_task), tmp_path / "0_1.pt"
    features = fit_item(task, path)

    def never(*_args, **_options):
        raise AssertionError("trained again")

    monkeypatch.setattr(out_of_fold, "fit", never)
    assert fit_item(task, path) == features
    path.with_suffix(".parquet").unlink()  # killed between the two files
    with pytest.raises(AssertionError, match="trained again"):
        fit_item(task, path)


def test_all_networks_start_from_the_same_weights(make_task, tmp_path: Path):
    # With a learning rate of nearly nothing a trained network is where it started.
    settings = {"optim": {"learning_rate": 1e-12, "weight_decay": 0.0}}
    first, second = (held_task(make_task, pair, settings=settings) for pair in ((0, 1), (1, 2)))
    states = []
    for number, task in enumerate((first, second)):
        fit_item(task, tmp_path / f"{number}.pt")
        states.append(torch.load(tmp_path / f"{number}.pt", weights_only=True))
    for name in ("conv1.weight", "layer4.0.bn1.weight", "fc.weight"):
        assert torch.allclose(states[0][name], states[1][name], atol=1e-6), name


@pytest.fixture
def bank(tmp_path: Path) -> FeatureBank:
    """Features of two items and one pair; the first number says whose they are."""
    files, recordings = {}, {}
    for column, item in enumerate(("gait", "pronation")):
        path = tmp_path / f"{item}.npz"
        values = np.arange(3, dtype=np.float32)[:, None] + 10 * column + np.zeros((3, 4), "f4")
        np.savez(path, vectors=values, maps=values[:, :, None, None, None])
        files[item, (0, 1)] = path
        recordings[item, (0, 1)] = tuple(f"{item}{number}" for number in range(3))
    return FeatureBank(files, recordings)


def test_recordings_of_an_item_are_averaged_and_absent_items_are_not_numbers(bank):
    visits = [
        Visit("S0", "V1", 1.0, {"gait": ("gait0", "gait2"), "pronation": ("pronation1",)}),
        Visit("S1", "V1", 2.0, {"pronation": ("pronation2",)}),
    ]
    items = ("pronation", "gait")
    for kind, shape in (("vectors", (4,)), ("maps", (4, 1, 1, 1))):
        x, present = bank.of_visits(visits, items, (0, 1), bank.read(items, kind))
        assert x.shape == (2, 2, *shape)
        assert present.tolist() == [[True, True], [True, False]]
        assert x[0].reshape(2, -1)[:, 0].tolist() == [11.0, 1.0]
        assert (x[1, 0] == 12).all()
        assert np.isnan(x[1, 1]).all()


def test_only_the_asked_items_are_read(bank):
    assert set(bank.read(("gait",), "vectors")) == {("gait", (0, 1))}


def test_a_recording_that_was_not_held_out_has_no_features(bank):
    visit = Visit("S5", "V1", 1.0, {"gait": ("gait9",)})
    expected = "recording gait9 of gait has no features from the network of folds 0 and 1"
    with pytest.raises(StudyError, match=expected):
        bank.of_visits([visit], ("gait",), (0, 1), bank.read(("gait",), "vectors"))


def test_the_predictions_say_which_folds_were_held_out(make_task, tmp_path: Path):
    task = held_task(make_task, (1, 2))
    task = replace(task, origin=replace(task.origin, outer_fold=1, fold=2))
    fit_item(task, tmp_path / "1_2.pt")
    table = pd.read_parquet(tmp_path / "1_2.parquet")
    assert set(zip(table["outer_fold"], table["fold"], strict=True)) == {(1, 2)}
