from dataclasses import replace

import numpy as np
import pytest

from pdray.evaluation.translation_rows import (
    CONTROLS,
    HEALTHY,
    ILL,
    OTHERS,
    SOURCE,
    TRUE,
    Real,
    choose,
)
from pdray.evaluation.translation_scores import Seen


def real(table, rng):
    """Return pictures of a list of (subject, recording, is_ill, number of pictures, fold)."""
    rows = [(*row[:3], row[4]) for row in table for _ in range(row[3])]
    subjects, recordings, is_ill, folds = zip(*rows, strict=True)
    identity = rng.normal(size=(len(rows), 8))
    seen = Seen(subjects, identity, identity, np.zeros(len(rows)))
    return Real(seen, recordings, np.array(is_ill), np.array(folds))


@pytest.fixture
def rng():
    return np.random.default_rng(2)


@pytest.fixture
def pictures(rng):
    return real(
        [
            ("A", "a1", False, 4, 0),
            ("A", "a2", True, 4, 0),
            ("B", "b1", False, 4, 1),
            ("B", "b2", False, 4, 1),
            ("B", "b3", True, 3, 1),
            ("C", "c1", False, 2, 0),
            ("D", "d1", True, 2, 0),
            ("E", "e1", False, 3, -1),
            ("E", "e2", True, 3, -1),
        ],
        rng,
    )


def row_of(choice, name):
    return next(row for row in choice.rows if row.name == name)


def test_every_second_picture_is_scored_and_no_role_is_shared(pictures):
    choice = choose(pictures)
    names = [pictures.recordings[k] for k in choice.sources]
    assert names == ["a1", "a1", "b1", "b1", "b2", "b2", "c1"]
    assert [pictures.recordings[k] for k in choice.ill] == ["a2", "a2", "b3", "b3", "d1"]
    assert not {*choice.people} & {*choice.sources}
    used = {*row_of(choice, ILL).places, *row_of(choice, HEALTHY).places, *choice.towards_ill}
    assert not used & {*choice.ill, *choice.sources}


def test_p_and_h_are_the_most_alike_pictures_of_the_person(pictures):
    choice = choose(pictures)
    identity = pictures.seen.identity
    for source, ill, healthy in zip(
        choice.sources, choice.towards_ill, choice.towards_healthy, strict=True
    ):
        name, recording = pictures.seen.subjects[source], pictures.recordings[source]
        for found, is_ill in ((ill, True), (healthy, False)):
            own = [
                k
                for k in range(len(pictures.seen))
                if pictures.seen.subjects[k] == name
                and pictures.is_ill[k] == is_ill
                and pictures.recordings[: k + 1].count(pictures.recordings[k]) % 2 == 0
            ]
            elsewhere = [k for k in own if pictures.recordings[k] != recording]
            own = elsewhere or own
            if not own:
                assert found == -1
                continue

            def alike(k, source=source):
                x, y = identity[k], identity[source]
                return float(x @ y) / float(np.linalg.norm(x) * np.linalg.norm(y))

            assert found == max(own, key=alike)
    b1 = [k for k, place in enumerate(choice.sources) if pictures.recordings[place] == "b1"]
    assert {pictures.recordings[choice.towards_healthy[k]] for k in b1} == {"b2"}


def test_rows_of_real_pictures_are_neither_the_source_nor_what_it_is_compared_with(pictures):
    choice = choose(pictures)
    for name, chosen in ((HEALTHY, choice.towards_healthy), (ILL, choice.towards_ill)):
        row = row_of(choice, name)
        for place, source in zip(row.places, row.source, strict=True):
            assert place not in (choice.sources[source], chosen[source])
            whose = [pictures.seen.subjects[k] for k in (place, choice.sources[source])]
            assert whose[0] == whose[1]
    # C has no ill picture and no third healthy one; B has a single ill one beside the set.
    assert {pictures.seen.subjects[k] for k in row_of(choice, HEALTHY).places} == {"A", "B"}
    assert {pictures.seen.subjects[k] for k in row_of(choice, ILL).places} == {"A"}
    np.testing.assert_array_equal(row_of(choice, SOURCE).places, choice.sources)


def test_training_faces_are_of_people_whom_the_fold_learns_from_and_repeat_late(pictures):
    choice = choose(pictures, seed=1)
    row = row_of(choice, OTHERS)
    assert len(row.places) == len(choice.sources)
    folds = pictures.held_in
    for place, source in zip(row.places, row.source, strict=True):
        assert folds[place] != folds[choice.sources[source]]
    assert pictures.is_ill[row.places].all()
    assert len({*row.places}) == len(row.places)  # 12 ill pictures for 7 sources


def test_one_split_scores_some_people_and_learns_from_the_others(pictures):
    split = replace(pictures, held_in=np.where(pictures.held_in == 0, 0, -1))
    choice = choose(split)
    whose = [split.seen.subjects[k] for k in choice.sources]
    assert {*whose} == {"A", "C"}
    assert {split.seen.subjects[k] for k in choice.people} == {"A", "C", "D"}
    assert {split.seen.subjects[k] for k in row_of(choice, OTHERS).places} <= {"B", "E"}
    nobody = replace(pictures, held_in=np.zeros(len(pictures.seen), int))
    assert [row.name for row in choose(nobody).rows] == [SOURCE, HEALTHY, ILL]


def test_true_pictures_are_those_of_their_sources(pictures):
    there = np.array([True, False, True, True, False, False, True])
    choice = choose(pictures, there)
    row = row_of(choice, TRUE)
    np.testing.assert_array_equal(row.places, [0, 2, 3, 6])
    np.testing.assert_array_equal(row.source, row.places)
    assert [row.name for row in choice.rows] == [
        name for name in CONTROLS if name in {row.name for row in choice.rows}
    ]


def test_the_same_seed_chooses_the_same_pictures(pictures):
    for one, other in zip(
        choose(pictures, seed=4).rows,
        choose(pictures, seed=4).rows,
        strict=True,
    ):
        np.testing.assert_array_equal(one.places, other.places)
