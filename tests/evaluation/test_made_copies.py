import numpy as np
import pytest

from pdray.evaluation.made_copies import CopyError, Faces, find_copies, refuse_copies
from pdray.evaluation.settings import CopySettings

DEFAULT = CopySettings().max_copies


def people(rng, count, frames, *, first=0, spread=0.3):
    """Return frames of people, each around a direction of its own."""
    centres = np.repeat(rng.normal(size=(count, 64)), frames, axis=0)
    names = [f"S{first + k:03d}" for k in range(count) for _ in range(frames)]
    features = centres + spread * rng.normal(size=centres.shape)
    return Faces(tuple(f"{n}-{k}" for k, n in enumerate(names)), tuple(names), features)


def joined(one, other):
    return Faces(
        one.ids + other.ids,
        one.subjects + other.subjects,
        np.vstack([one.features, other.features]),
    )


@pytest.fixture
def learnt(rng):
    return people(rng, 40, 8)


@pytest.fixture
def held_out(rng):
    return people(rng, 20, 8, first=100)


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def slow_copies(made, sources, learnt, held_out):
    """Return the ids of copies, frame by frame in plain Python."""

    def apart(x, y):
        dot = sum(a * b for a, b in zip(x, y, strict=True))
        return 1 - dot / (sum(a * a for a in x) ** 0.5 * sum(b * b for b in y) ** 0.5)

    def nearest(features, subject):
        others = zip(learnt.features, learnt.subjects, strict=True)
        return min(apart(features, one) for one, name in others if name != subject)

    real = sorted(nearest(*one) for one in zip(held_out.features, held_out.subjects, strict=True))
    limit = real[int(0.01 * (len(real) - 1))]
    found = []
    for name, x, subject, source in zip(
        made.ids, made.features, made.subjects, sources, strict=True
    ):
        d = nearest(x, subject)
        if d < limit or d < apart(x, source):
            found.append(name)
    return tuple(found), limit


def test_real_frames_of_unseen_people_pass(rng, learnt, held_out):
    unseen = people(rng, 20, 4, first=200)
    sources = unseen.features + 0.3 * rng.normal(size=unseen.features.shape)
    copies = find_copies(unseen, sources, learnt, held_out)
    assert copies.share <= DEFAULT
    refuse_copies(copies, DEFAULT)


def test_ten_pasted_training_faces_are_refused_by_id(rng, learnt, held_out):
    made = people(rng, 20, 4, first=200)
    sources = made.features.copy()
    pasted = made.features.copy()
    pasted[:10] = learnt.features[:80:8] + 0.05 * rng.normal(size=(10, 64))
    copies = find_copies(Faces(made.ids, made.subjects, pasted), sources, learnt, held_out)
    assert {*copies.ids} >= {*made.ids[:10]}
    assert copies.share > DEFAULT
    assert copies.nearest[0] == learnt.ids[0]
    with pytest.raises(CopyError, match=rf"of 80 made faces .*max_copies.*{made.ids[0]}"):
        refuse_copies(copies, DEFAULT)
    refuse_copies(copies, 1.0)


def test_copies_are_those_of_a_slow_check(rng, learnt, held_out):
    made = people(rng, 10, 3, first=200, spread=1.0)
    sources = made.features + rng.normal(size=made.features.shape)
    mixed = made.features + np.linspace(0, 3, 30)[:, None] * learnt.features[::8][:30]
    made = Faces(made.ids, made.subjects, mixed)
    copies = find_copies(made, sources, learnt, held_out)
    expected, limit = slow_copies(made, sources, learnt, held_out)
    assert copies.ids == expected
    assert 5 < len(expected) < 30
    assert copies.limit == pytest.approx(limit, rel=1e-9)


def test_an_edit_of_a_training_person_is_not_its_own_copy(rng, learnt, held_out):
    edited = Faces(learnt.ids, learnt.subjects, learnt.features + 0.1)
    assert find_copies(edited, learnt.features, learnt, held_out).share <= DEFAULT


def test_a_face_that_is_nearer_to_another_person_than_to_its_source_counts(rng, learnt, held_out):
    """Also where it is farther from all of them than the limit."""
    made = Faces(("M",), ("S900",), rng.normal(size=(1, 64)))
    copies = find_copies(made, -made.features, learnt, held_out)
    assert copies.ids == ("M",)
    near = find_copies(made, made.features, learnt, held_out)
    assert near.ids == ()


def test_bad_input_is_refused_with_its_values(rng, learnt, held_out):
    made = people(rng, 2, 2, first=200)
    few = people(rng, 9, 11, first=100)
    with pytest.raises(CopyError, match="got 99 real frames"):
        find_copies(made, made.features, learnt, few)
    with pytest.raises(CopyError, match="learnt from 40 of the held-out people, the first S000"):
        find_copies(made, made.features, learnt, joined(held_out, learnt))
    nothing = Faces((), (), np.zeros((0, 64)))
    with pytest.raises(CopyError, match="got 0 made frames and 320 training frames"):
        find_copies(nothing, nothing.features, learnt, held_out)
    with pytest.raises(ValueError, match="0 or not finite"):
        Faces(("A",), ("S1",), np.zeros((1, 64)))
    with pytest.raises(ValueError, match="2 ids, 1 subjects"):
        Faces(("A", "B"), ("S1",), np.ones((1, 64)))
