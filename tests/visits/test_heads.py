"""Heads on invented features: a network of folds i and j shows a visit's score, and who it is."""

from pathlib import Path

import numpy as np
import pytest
import torch

from pdray.config import build
from pdray.errors import DivergedError, SettingsError
from pdray.evaluation.metrics import score
from pdray.evaluation.predictions import Origin, check_predictions, probabilities, targets
from pdray.visits import heads as module
from pdray.visits.heads import (
    Approach,
    HeadTask,
    VisitBatch,
    VisitFolds,
    approaches,
    assemble,
    head_faults,
    train_head,
)
from pdray.visits.networks import METHODS
from pdray.visits.out_of_fold import FeatureBank, fold_pairs
from pdray.visits.settings import AssemblingConfig, HeadsConfig
from pdray.visits.visits import Visit, level_cuts

ITEMS = ("gait", "pronation", "toe_tapping")
NUM_FOLDS, NUM_SUBJECTS, SIZE = 3, 18, 4
JOINT = [name for name in METHODS if not name.startswith("single_")]


def cohort_of(lacking=()):
    """Two visits a subject; subject s is in fold s % 3; ``lacking`` (visit, item) are absent."""
    draw = np.random.default_rng(3)
    visits = []
    for subject in range(NUM_SUBJECTS):
        for visit in range(2):
            name = f"S{subject:02d}/V{visit}"
            recordings = {
                item: (f"{name}/{item}",) for item in ITEMS if (name, item) not in lacking
            }
            score, facts = float(draw.uniform(0, 30)), {"sex": "female"} if visit else {}
            visits.append(Visit(f"S{subject:02d}", f"V{visit}", score, recordings, facts))
    folds = tuple(
        frozenset(f"S{subject:02d}" for subject in range(NUM_SUBJECTS) if subject % NUM_FOLDS == n)
        for n in range(NUM_FOLDS)
    )
    return VisitFolds(tuple(visits), folds)


@pytest.fixture
def make_bank(tmp_path: Path):
    def make(cohort, *, telling=("gait",), shift=0.0):
        """Write features of which those of ``telling`` items show the score; others are noise."""
        draw = np.random.default_rng(5)
        files, held = {}, {}
        for item in ITEMS:
            for low, high in fold_pairs(NUM_FOLDS):
                asked = [
                    (visit, names[0])
                    for fold in (low, high)
                    for visit in cohort.inside(fold)
                    if (names := visit.recordings.get(item))
                ]
                values = draw.normal(0.0, 0.2, (len(asked), SIZE)).astype(np.float32)
                if item in telling:
                    values[:, 0] = [visit.score / 5 - 3 for visit, _ in asked]
                path = tmp_path / f"{item}-{low}{high}.npz"
                maps = np.broadcast_to(values[:, :, None, None, None], (*values.shape, 2, 1, 1))
                np.savez(path, vectors=values + shift, maps=maps)
                files[item, (low, high)] = path
                held[item, (low, high)] = tuple(name for _, name in asked)
        return FeatureBank(files, held)

    return make


def task_of(method="vector_averaging", items=ITEMS, *, num_classes=3, cohort=None, **heads):
    settings = {"repeats": 1, "epochs": 25, "learning_rate": 0.05, "batch_size": 8, **heads}
    return HeadTask(
        origin=Origin(study="visits", trial=0, fold=-1, epoch=0, seed=1, split="test"),
        approach=Approach(method, tuple(items)),
        num_classes=num_classes,
        cohort=cohort or cohort_of(),
        assembling=build(AssemblingConfig, {"hidden_units": 8, "num_heads": 2}),
        heads=build(HeadsConfig, settings),
    )


def mcc(table):
    return score("mcc", targets(table), probabilities(table))


def test_the_tables_have_a_row_for_each_method_and_two_for_each_item():
    rows = approaches(ITEMS)
    assert [row.name for row in rows if len(row.items) > 1] == JOINT
    single = [(row.method, row.items[0]) for row in rows if len(row.items) == 1]
    assert sorted(single) == sorted(
        (method, item) for method in ("single_vector", "single_map") for item in ITEMS
    )
    assert len({row.name for row in rows}) == len(rows)
    assert [len(row.items) for row in approaches(("gait",))] == [1, 1]


@pytest.mark.parametrize("method", JOINT)
def test_every_method_finds_what_one_item_shows(make_bank, method):
    task = task_of(method)
    found = assemble(task, make_bank(task.cohort))
    assert mcc(found.predictions) > 0.5


@pytest.mark.parametrize("method", ["single_vector", "single_map"])
def test_a_baseline_sees_its_item_only(make_bank, method):
    bank = make_bank(cohort_of())
    telling = assemble(task_of(method, ("gait",)), bank).predictions
    silent = assemble(task_of(method, ("pronation",)), bank).predictions
    assert mcc(telling) > 0.5
    assert mcc(silent) < 0.3


def test_every_visit_is_scored_once_a_repeat_in_the_fold_of_its_subject(make_bank):
    task = task_of(epochs=1, repeats=2)
    table = assemble(task, make_bank(task.cohort)).predictions
    check_predictions(table)
    assert set(table["repeat"]) == {0, 1}
    for (_, fold), rows in table.groupby(["repeat", "outer_fold"]):
        assert set(rows["subject_id"]) == task.cohort.folds[fold]
        assert rows["recording_id"].is_unique
    assert len(table) == 2 * len(task.cohort.visits)
    assert set(table["split"]) == {"test"}
    assert (table["subject_id"] + "/" + table["visit_id"] == table["recording_id"]).all()
    assert (table["sex"].notna() == (table["visit_id"] == "V1")).all()


def test_levels_are_cut_by_the_visits_of_the_other_folds(make_bank):
    task = task_of(epochs=1)
    table = assemble(task, make_bank(task.cohort)).predictions
    for fold, rows in table.groupby("outer_fold"):
        others = [
            visit.score
            for visit in task.cohort.visits
            if visit.subject_id not in task.cohort.folds[fold]
        ]
        low, high = level_cuts(others)
        expected = [int(value > low) + int(value > high) for value in rows["visit_score"]]
        assert rows["target"].tolist() == rows["grade"].tolist() == expected


def test_two_classes_leave_the_moderate_visits_out(make_bank):
    task = task_of(num_classes=2, epochs=1)
    table = assemble(task, make_bank(task.cohort)).predictions
    assert set(zip(table["grade"], table["target"], strict=True)) == {(0, 0), (2, 1)}
    assert 0.5 < len(table) / len(task.cohort.visits) < 0.8


def test_a_visit_meets_only_networks_that_saw_neither_it_nor_a_teacher(make_bank, monkeypatch):
    task = task_of(epochs=1)
    bank = make_bank(task.cohort)
    asked = []
    of_visits = FeatureBank.of_visits

    def watch(self, visits, items, pair, arrays):
        asked.append(({visit.subject_id for visit in visits}, pair))
        return of_visits(self, visits, items, pair, arrays)

    monkeypatch.setattr(FeatureBank, "of_visits", watch)
    assemble(task, bank)
    per_fold = 2 * (NUM_FOLDS - 1)
    assert len(asked) == NUM_FOLDS * per_fold
    for number, (subjects, pair) in enumerate(asked):
        # Who taught the networks of a pair is in neither of its folds; one is the scored fold.
        assert number // per_fold in pair
        assert subjects <= task.cohort.folds[pair[0]] | task.cohort.folds[pair[1]]


def test_networks_that_saw_a_fold_have_no_part_in_its_scores(make_bank):
    task = task_of(epochs=2)
    bank = make_bank(task.cohort)
    before = assemble(task, bank).predictions
    for item in ITEMS:
        file = bank.files[item, (1, 2)]
        with np.load(file) as arrays:
            values = {name: arrays[name] + 7 for name in arrays}
        np.savez(file, **values)
    after = assemble(task, bank).predictions
    for fold in range(NUM_FOLDS):
        rows = before["outer_fold"] == fold
        same = np.array_equal(probabilities(before[rows]), probabilities(after[rows]))
        assert same == (fold == 0)


def test_no_feature_of_a_fold_reaches_the_head_that_scores_it(make_bank):
    """Features of fold 0 under {0, 1} teach the head of fold 1, never that of fold 0."""
    task = task_of("single_vector", ("gait",), epochs=2)
    bank = make_bank(task.cohort)
    before = assemble(task, bank).predictions
    changed = [("gait", pair) for pair in fold_pairs(NUM_FOLDS) if 0 in pair]
    held = {visit.recordings["gait"][0] for visit in task.cohort.inside(0)}
    for key in changed:
        with np.load(bank.files[key]) as arrays:
            values = {name: arrays[name].copy() for name in arrays}
        rows = [number for number, name in enumerate(bank.recordings[key]) if name in held]
        for array in values.values():
            array[rows] += 100
        np.savez(bank.files[key], **values)
    data = module.fold_data(task, (bank, bank.read(("gait",), "vectors")), 0)
    assert data.learnt.x.abs().max() < 50
    assert all((one.x.abs().amax(dim=2) > 50).all() for one in data.scored)
    after = assemble(task, bank).predictions
    same = before["outer_fold"] == 0
    assert not np.allclose(probabilities(before[~same]), probabilities(after[~same]))


def test_probabilities_are_the_mean_over_the_networks_of_the_fold(make_bank):
    task = task_of("single_vector", ("gait",), epochs=3)
    bank = make_bank(task.cohort)
    table = assemble(task, bank).predictions
    data = module.fold_data(task, (bank, bank.read(("gait",), "vectors")), 1)
    seed = module.derive_seed(1, "head", 3, "single_vector-gait, fold 1, repeat 0")
    head = train_head(task, data.learnt, seed=seed)
    assert len(data.scored) == NUM_FOLDS - 1
    expected = sum(head.probabilities(one) for one in data.scored) / len(data.scored)
    found = probabilities(table[table["outer_fold"] == 1])
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_an_absent_item_is_masked_and_a_baseline_leaves_its_visit_out(make_bank):
    gap = ("S03/V1", "gait")
    cohort = cohort_of(lacking=[gap])
    bank = make_bank(cohort)
    joint = assemble(task_of(epochs=1, cohort=cohort), bank).predictions
    single = task_of("single_vector", ("gait",), epochs=1, cohort=cohort)
    alone = assemble(single, bank).predictions
    assert gap[0] in set(joint["recording_id"])
    assert set(joint["recording_id"]) - set(alone["recording_id"]) == {gap[0]}
    assert np.isfinite(probabilities(joint)).all()


def test_learnt_weights_are_kept_for_each_fold_and_repeat(make_bank):
    task = task_of("vector_weighting", repeats=2)
    weights = assemble(task, make_bank(task.cohort)).weights
    assert len(weights) == NUM_FOLDS * 2 * len(ITEMS)
    sums = weights.groupby(["outer_fold", "repeat"])["weight"].sum()
    np.testing.assert_allclose(sums, 1.0, atol=1e-6)
    assert weights.groupby("item")["weight"].mean().idxmax() == "gait"
    averaging = assemble(task_of(epochs=1), make_bank(task.cohort)).weights
    assert averaging.empty
    assert list(averaging.columns) == list(weights.columns)


def test_a_task_decides_its_predictions_and_repeats_differ(make_bank):
    task = task_of(epochs=2, repeats=2)
    bank = make_bank(task.cohort)
    torch.manual_seed(99)
    first = assemble(task, bank).predictions
    second = assemble(task, bank).predictions
    assert np.array_equal(probabilities(first), probabilities(second))
    shares = [probabilities(rows) for _, rows in first.groupby("repeat")]
    assert not np.allclose(*shares)


@pytest.mark.parametrize("kind", ["cross_entropy", "coral", "cumulative_link"])
def test_levels_may_be_learnt_as_classes_or_as_ordered(make_bank, kind):
    task = task_of("vector_averaging", ("gait",), loss={"kind": kind}, optimizer="sgd")
    assert mcc(assemble(task, make_bank(task.cohort)).predictions) > 0.4


def test_soft_targets_are_refused():
    with pytest.raises(SettingsError, match="soft_targets true needs several raters"):
        build(HeadsConfig, {"loss": {"soft_targets": True}})


def test_a_loss_that_is_not_finite_names_method_fold_and_repeat(make_bank):
    task = task_of()
    expected = "vector_averaging, fold 0, repeat 0: epoch 0: the loss became nan"
    with pytest.raises(DivergedError, match=expected):
        assemble(task, make_bank(task.cohort, shift=np.nan))


def test_no_step_has_a_single_visit(make_bank, monkeypatch):
    sizes = []
    forward = module.Assembler.forward

    def watch(self, x, present):
        sizes.append(len(x))
        return forward(self, x, present)

    monkeypatch.setattr(module.Assembler, "forward", watch)
    x = torch.randn(9, 1, SIZE)
    data = VisitBatch(x, torch.ones(9, 1, dtype=torch.bool), torch.arange(9) % 3)
    train_head(task_of("single_vector", ("gait",), epochs=1, batch_size=4), data, seed=0)
    assert sizes == [5, 4]


def test_folds_that_cannot_be_learnt_or_scored_are_named():
    cohort = cohort_of()
    assert head_faults(cohort, Approach("vector_averaging", ITEMS), 3) == []
    only = {visit.name for visit in cohort.inside(0)}
    gaps = [(visit.name, "gait") for visit in cohort.visits if visit.name not in only]
    faults = head_faults(cohort_of(lacking=gaps), Approach("single_vector", ("gait",)), 3)
    assert len(faults) == 3
    assert faults[0] == (
        "3 classes, fold 0: visits with gait: the classes have [0, 0, 0] training visits, but "
        "each needs one; leave the item out or use other folds"
    )
    assert faults[1:] == [
        f"3 classes, fold {fold}: visits with gait: there is no test visit; use fewer folds"
        for fold in (1, 2)
    ]
