import json
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pdray.data.cohort.folds import (
    Folds,
    absent_classes,
    folds_from_json,
    folds_to_json,
    make_fixed_folds,
    make_folds,
    make_held_out_folds,
)
from pdray.data.cohort.settings import FoldsConfig
from pdray.errors import FoldsError

A, B, C = (frozenset(name) for name in ("a", "b", "c"))


def cohort(num_subjects, recordings_each=4, seed=0):
    """Recordings of subjects whose class leans on the subject, as in a clinic."""
    draw = np.random.default_rng(seed)
    subjects = np.repeat([f"S{i:03d}" for i in range(num_subjects)], recordings_each)
    lean = np.repeat(draw.random(num_subjects), recordings_each)
    return subjects.tolist(), (draw.random(len(subjects)) < lean).astype(int).tolist()


@settings(max_examples=40)
@given(st.integers(12, 60), st.integers(2, 4), st.integers(2, 6), st.integers(0, 9))
def test_every_subject_is_on_exactly_one_side(num_subjects, num_folds, num_outer, seed):
    subjects, classes = cohort(num_subjects, seed=seed)
    config = FoldsConfig(num_folds=num_folds, num_outer=num_outer, seed=seed)
    folds = make_folds(subjects, classes, config, num_classes=2)
    sides = [folds.test, *folds.folds]
    assert sum(map(len, sides)) == len(set(subjects))
    assert frozenset().union(*sides) == set(subjects)
    for fold in range(num_folds):
        assert not folds.train(fold) & folds.validation(fold)
        assert folds.train(fold) | folds.validation(fold) == folds.development
    assert not folds.test & folds.development


def test_row_order_decides_nothing():
    subjects, classes = cohort(20)
    config = FoldsConfig(seed=3)
    order = np.random.default_rng(0).permutation(len(subjects))
    shuffled = [subjects[i] for i in order], [classes[i] for i in order]
    assert make_folds(*shuffled, config, num_classes=2) == make_folds(
        subjects, classes, config, num_classes=2
    )


def test_the_seed_decides():
    subjects, classes = cohort(30)
    made = {make_folds(subjects, classes, FoldsConfig(seed=s), num_classes=2) for s in range(4)}
    assert len(made) > 1
    again = make_folds(subjects, classes, FoldsConfig(seed=2), num_classes=2)
    assert again in made


def test_outer_folds_cover_every_subject_once_and_are_those_that_are_held_out_in_turn():
    subjects, classes = cohort(30)
    tests = [
        make_folds(subjects, classes, FoldsConfig(outer_fold=k), num_classes=2).test
        for k in range(5)
    ]
    assert sum(map(len, tests)) == 30
    assert frozenset().union(*tests) == set(subjects)
    # Inner folds that could not be made are nobody's concern here.
    asked = FoldsConfig(num_folds=99)
    assert make_held_out_folds(subjects, classes, asked, num_classes=2) == Folds(
        frozenset(), tuple(tests)
    )


def test_one_subject_may_be_held_out_at_a_time():
    subjects, classes = cohort(6)
    asked = FoldsConfig(num_outer=6)
    folds = make_held_out_folds(subjects, classes, asked, num_classes=2)
    assert sorted(folds.folds, key=min) == [frozenset({name}) for name in sorted(set(subjects))]
    message = (
        "subjects cannot be split: 6 subjects are fewer than the 7 that 7 outer folds need; "
        "lower folds.num_outer to at most 6"
    )
    with pytest.raises(FoldsError, match=f"^{message}$"):
        make_held_out_folds(subjects, classes, FoldsConfig(num_outer=7), num_classes=2)
    with pytest.raises(FoldsError, match=r"1 subject is fewer .* need; add recordings of more"):
        make_held_out_folds(["a", "a"], [0, 1], FoldsConfig(num_outer=2), num_classes=2)


@pytest.mark.parametrize("make", [make_folds, make_held_out_folds])
def test_a_class_that_is_rarer_than_the_folds_says_how_many_there_can_be(make):
    classes = [0, 1, 2, 3, 0, 1, 2, 3]
    message = (
        "5 outer folds need at least 5 subjects and as many recordings of the most frequent class; "
        "there are 8 subjects and 2 recordings: lower folds.num_outer to at most 2"
    )
    with pytest.raises(FoldsError, match=f"^{message}$"):
        make(list("abcdefgh"), classes, FoldsConfig(), num_classes=4)
    folds = make_held_out_folds(list("abcdefgh"), classes, FoldsConfig(num_outer=2), num_classes=4)
    assert len(folds.folds) == 2
    with pytest.raises(FoldsError, match=r"4 subjects and 1 recordings: too few for any folds$"):
        make_held_out_folds(list("abcd"), range(4), FoldsConfig(num_outer=2), num_classes=4)


@pytest.mark.parametrize("held", ["test", "val"])
def test_a_fixed_split_is_taken_as_it_is(held):
    sides = ["train", "train", held, "train"]
    made = make_fixed_folds(list("aabc"), [0, 1, 0, 1], sides, num_classes=2)
    assert made == Folds(B, (A | C,))
    assert absent_classes(made, list("aabc"), [0, 1, 0, 1], num_classes=2) == [
        "test set: class 1 has 0 of 1 recordings"
    ]


def test_a_search_cross_validates_inside_the_training_side_of_a_fixed_split():
    subjects, classes = cohort(20)
    sides = ["test" if subject > "S014" else "train" for subject in subjects]
    config = FoldsConfig(num_folds=3, seed=2, from_split=True)
    made = make_fixed_folds(subjects, classes, sides, num_classes=2, inner=config)
    assert made == make_fixed_folds(subjects, classes, sides, num_classes=2, inner=config)
    assert made.test == {f"S{number:03d}" for number in range(15, 20)}
    assert made.development == {f"S{number:03d}" for number in range(15)}
    assert len(made.folds) == 3
    many = FoldsConfig(num_folds=99)
    with pytest.raises(FoldsError, match=r"99 inner folds need at least 99 subjects.* at most 15$"):
        make_fixed_folds(subjects, classes, sides, num_classes=2, inner=many)
    mixed = ["test", *sides[1:]]
    with pytest.raises(FoldsError, match="subject S000 is in the test set and in fold 0"):
        make_fixed_folds(subjects, classes, mixed, num_classes=2, inner=config)


@pytest.mark.parametrize(
    ("sides", "message"),
    [
        (["train", "val", "test", "train"], "column split holds test, train, val; expected train"),
        (["train", None, "test", "train"], "column split holds nothing, test, train; expected"),
        (
            ["train"] * 4,
            "column split holds train; expected train and test, or train and val, in the rows that"
            " are used$",
        ),
        (["train", "test", "test", "train"], "subject a is in the test set and in fold 0"),
        (["test", "test", "train", "test"], "outside the test set: class 1 has 0 of 1 record"),
    ],
)
def test_a_fixed_split_that_cannot_be_used_is_refused(sides, message):
    with pytest.raises(FoldsError, match=message):
        make_fixed_folds(list("aabc"), [0, 1, 0, 1], sides, num_classes=2)


@pytest.mark.parametrize(("num_ill", "named"), [(5, "0, 1, 2, 3, 4"), (6, "0, 1, 2, 3, 4, ...")])
def test_at_most_five_subjects_of_a_class_that_cannot_be_learnt_are_named(num_ill, named):
    sides = ["train", *["test"] * num_ill]
    message = (
        "a class cannot be learnt: outside the test set: class 1 has 0 of 1 recordings "
        f"({num_ill} recordings of {num_ill} subjects in all: {named}); "
        "choose other data.grade_cuts, folds.outer_fold or folds.seed"
    )
    with pytest.raises(FoldsError, match=f"^{re.escape(message)}$"):
        make_fixed_folds(["x", *map(str, range(num_ill))], [0] + [1] * num_ill, sides,
                         num_classes=2)  # fmt: skip


def test_sides_have_similar_shares_of_the_rare_class():
    subjects, classes = cohort(60)
    folds = make_folds(subjects, classes, FoldsConfig(), num_classes=2)
    rated = list(zip(subjects, classes, strict=True))
    overall = np.mean(classes)
    for side in (folds.test, *folds.folds):
        assert abs(np.mean([label for subject, label in rated if subject in side]) - overall) < 0.1


def test_a_subject_on_both_sides_cannot_be_built():
    message = (
        "folds must keep every subject on one side: subject b is in the test set and in fold 1"
    )
    with pytest.raises(FoldsError, match=f"^{message}$"):
        Folds(B, (A, B, C))
    with pytest.raises(FoldsError, match="subject a is in fold 0 and in fold 2"):
        Folds(B, (A, C, A))


def test_an_empty_side_cannot_be_built():
    with pytest.raises(FoldsError, match="fold 1 has no subject"):
        Folds(C, (A, frozenset()))
    with pytest.raises(FoldsError, match="the test set has no subject"):
        Folds(frozenset(), (A,))
    with pytest.raises(FoldsError, match=r"there is no fold$"):
        Folds(A, ())


def test_every_subject_may_be_held_out_alone_however_rare_the_classes():
    subjects = [f"S{number}" for number in (3, 0, 1, 2, 2, 4, 5)]
    classes = [0, 1, 2, 0, 1, 2, 1]  # no class has as many recordings as there are subjects
    folds = make_held_out_folds(subjects, classes, FoldsConfig(num_outer=6), num_classes=3)
    assert folds.folds == tuple(frozenset([f"S{number}"]) for number in range(6))
    assert folds.test == frozenset()
    assert folds.train(2) == {"S0", "S1", "S3", "S4", "S5"}


def test_splits_say_who_is_learnt_from_and_who_is_held_out():
    assert Folds(A, (B, C)).splits == {
        "validation side of fold 0": (C, B),
        "validation side of fold 1": (B, C),
        "test set": (B | C, A),
    }
    assert Folds(frozenset(), (B, C)).splits == {
        "held-out side of fold 0": (C, B),
        "held-out side of fold 1": (B, C),
    }
    assert Folds(A, (B | C,)).splits == {"test set": (B | C, A)}


def test_fold_numbers_are_checked():
    folds = Folds(A, (B, C))
    with pytest.raises(IndexError, match=r"fold -1 is outside 0\.\.1"):
        folds.validation(-1)
    with pytest.raises(IndexError, match=r"fold 2 is outside 0\.\.1"):
        folds.train(2)


@pytest.mark.parametrize(("num_outer", "needed"), [(5, 5), (2, 4)])
def test_fewer_subjects_than_folds_are_refused_with_the_counts(num_outer, needed):
    message = (
        f"subjects cannot be split: 3 subjects are fewer than the {needed} that {num_outer} outer "
        "and 3 inner folds need; lower folds.num_outer or folds.num_folds"
    )
    with pytest.raises(FoldsError, match=f"^{message}$"):
        make_folds(list("aabbcc"), [0, 1] * 3, FoldsConfig(num_outer=num_outer), num_classes=2)


def test_a_test_group_of_one_subject_is_refused_and_one_of_two_is_not():
    asked = FoldsConfig(num_outer=2, num_folds=2)
    folds = make_folds(list("aabbccdd"), [0, 1] * 4, asked, num_classes=2)
    assert [len(side) for side in (folds.test, *folds.folds)] == [2, 1, 1]
    message = (
        "the test set has 1 subject, so its scores could have no interval; lower folds.num_outer "
        "= 4 for 4 subjects"
    )
    with pytest.raises(FoldsError, match=f"^{message}$"):
        make_folds(list("aabbccdd"), [0, 1] * 4, FoldsConfig(num_outer=4), num_classes=2)


def test_too_few_development_subjects_are_refused_with_the_counts():
    # Two outer folds take half of six subjects; four inner folds cannot be made of three.
    message = r"4 inner folds need .* 3 subjects and .*: lower folds\.num_folds to at most 3$"
    with pytest.raises(FoldsError, match=message):
        make_folds(list("aabbccddeeff"), [0, 1] * 6, FoldsConfig(num_outer=2, num_folds=4),
                   num_classes=2)  # fmt: skip


def test_a_class_nobody_has_is_refused():
    subjects, _ = cohort(10)
    message = "class 1 has 0 of 40 recordings; choose other data.grade_cuts or data.items$"
    with pytest.raises(FoldsError, match=message):
        make_folds(subjects, [0] * 40, FoldsConfig(), num_classes=2)


@pytest.mark.parametrize("seed", range(8))
def test_a_class_of_one_subject_is_refused_or_lies_in_the_test_group_never_ignored(seed):
    subjects, _ = cohort(12)
    classes = [int(subject == "S004") for subject in subjects]
    # Wherever the split puts S004, some training side lacks class 1.
    with pytest.raises(FoldsError, match=r"class 1 has 0 of \d+ recordings \(4 recordings of 1 "
                       r"subjects in all: S004\)"):  # fmt: skip
        make_folds(subjects, classes, FoldsConfig(seed=seed), num_classes=2)


def test_a_class_absent_from_a_validation_side_is_reported_not_refused():
    subjects, _ = cohort(15)
    classes = [2 if s in ("S001", "S005") else i % 2 for i, s in enumerate(subjects)]
    reports = []
    for seed in range(5):
        try:
            # scikit-learn deals out the rarest subjects first: fold 4 meets none of them.
            config = FoldsConfig(seed=seed, outer_fold=4)
            folds = make_folds(subjects, classes, config, num_classes=3)
        except FoldsError:
            continue
        found = absent_classes(folds, subjects, classes, num_classes=3)
        lacking = [s for s in (*folds.folds, folds.test) if not s & {"S001", "S005"}]
        assert len(found) == len(lacking)
        reports += found
    assert any(text.startswith("validation side of fold") for text in reports)
    assert "test set: class 2 has 0 of 12 recordings" in reports


def test_nothing_absent_reports_nothing():
    folds = Folds(A, (B, C))
    assert absent_classes(folds, list("aabbcc"), [0, 1] * 3, num_classes=2) == []


def test_caller_mistakes_are_named():
    with pytest.raises(ValueError, match="2 subjects but 1 classes"):
        make_folds(["a", "b"], [0], FoldsConfig(), num_classes=2)
    with pytest.raises(ValueError, match=r"classes \[5\] are outside 0\.\.1"):
        make_folds(["a"], [5], FoldsConfig(), num_classes=2)
    with pytest.raises(ValueError, match=r"classes \[-1, 2\] are outside 0\.\.1"):
        make_folds(list("abcd"), [2, 0, -1, 1], FoldsConfig(), num_classes=2)
    with pytest.raises(ValueError, match="shorter"):
        make_fixed_folds(list("abc"), [0, 1, 0], ["train", "test"], num_classes=2)


def test_outer_fold_must_exist():
    with pytest.raises(ValueError, match="outer_fold 5 must be less than num_outer 5"):
        FoldsConfig(outer_fold=5)


def test_the_file_has_sorted_subjects_one_a_line_and_is_read_back():
    folds = Folds(A | C, (B,))
    text = '{\n "test": [\n  "a",\n  "c"\n ],\n "folds": [\n  [\n   "b"\n  ]\n ]\n}'
    assert folds_to_json(folds) == text
    assert folds_from_json(text) == folds


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "^folds: not JSON: Expecting property name"),
        ("[]", '^folds: expected an object with "test" and "folds"$'),
        (json.dumps({"test": ["a"]}), '^folds: expected an object with "test" and "folds"$'),
        (json.dumps({"test": ["a"], "folds": [["b"], ["a"]]}), "subject a is in the test set"),
        (json.dumps({"test": ["a"], "folds": [["b", "b"], ["c"]]}), "^folds: subject b stands"),
        (json.dumps({"test": ["a"], "folds": "bc"}), "got 'bc'"),
        (json.dumps({"test": [1], "folds": [["b"], ["c"]]}), r"got \[1\]"),
    ],
)
def test_a_damaged_file_is_refused(text, message):
    with pytest.raises(FoldsError, match=message):
        folds_from_json(text)
