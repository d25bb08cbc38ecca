import math

import numpy as np
import pytest

from pdray.evaluation.translation import (
    Flicker,
    cosine,
    directions,
    face_errors,
    flicker,
    is_right_person,
    nearest_frame,
    over_subjects,
)


def slow_cosine(one, other):
    """Return the cosine of two vectors in plain Python."""
    dot = sum(a * b for a, b in zip(one, other, strict=True))
    norms = math.sqrt(sum(a * a for a in one)) * math.sqrt(sum(b * b for b in other))
    return dot / norms if norms else float("nan")


def test_directions_are_those_of_equation_1():
    rng = np.random.default_rng(0)
    changed, source, ill, healthy = rng.normal(size=(4, 6, 5))
    changed[2] = source[2]
    found = directions(changed, source, ill, healthy)
    for towards, target in ((found.towards_ill, ill), (found.towards_healthy, healthy)):
        expected = [slow_cosine(changed[k] - source[k], target[k] - source[k]) for k in range(6)]
        np.testing.assert_allclose(towards, expected, rtol=1e-12)
    np.testing.assert_array_equal(np.isnan(found.excess), np.arange(6) == 2)
    assert found.num_absent == 1


def test_another_healthy_frame_has_a_direction_of_a_half_and_no_excess():
    rng = np.random.default_rng(1)
    source, ill, healthy, another = rng.normal(size=(4, 4000, 64))
    found = directions(another, source, ill, healthy)
    assert np.mean(found.towards_ill) == pytest.approx(0.5, abs=0.01)
    assert np.mean(found.excess) == pytest.approx(0.0, abs=0.01)
    assert np.mean(directions(ill, source, ill, healthy).excess) == pytest.approx(0.5, abs=0.01)


def test_the_frame_most_alike_is_one_of_the_same_person():
    frames = np.array([[1.0, 0.0], [0.0, 2.0], [3.0, 3.0], [1.0, 0.1]])
    subjects = ["A", "B", "A", "B"]
    assert nearest_frame(np.array([1.0, 0.0]), "A", frames, subjects) == 0
    assert nearest_frame(np.array([1.0, 0.0]), "B", frames, subjects) == 3
    assert nearest_frame(np.array([1.0, 0.0]), "C", frames, subjects) is None
    assert nearest_frame(np.zeros(2), "A", frames, subjects) is None


def test_the_right_person_is_the_one_of_the_nearest_real_frame():
    changed = np.array([[1.0, 0.1], [0.1, 1.0]])
    real = np.array([[10.0, 0.0], [0.0, 1.0]])
    np.testing.assert_array_equal(
        is_right_person(changed, ["A", "A"], real, ["A", "B"]), [True, False]
    )
    assert np.isnan(cosine(np.zeros((1, 2)), real[:1]))[0]


def test_intervals_resample_people_and_not_frames():
    values = np.repeat([0.0, 1.0, 2.0, 3.0], 50)
    subjects = [f"S{k}" for k in range(4) for _ in range(50)]
    low, high = over_subjects(lambda chosen: float(values[chosen].mean()), subjects)
    assert high - low > 1.5  # 200 frames by themselves would give 0.3
    assert low == over_subjects(lambda chosen: float(values[chosen].mean()), subjects)[0]
    nothing = over_subjects(lambda chosen: float("nan"), subjects, num_resamples=3)
    assert np.isnan(nothing).all()


def test_errors_are_means_inside_the_face():
    rng = np.random.default_rng(2)
    changed, truth = rng.integers(0, 256, size=(2, 3, 4, 5, 3), dtype=np.uint8)
    inside = rng.random((3, 4, 5)) < 0.5
    inside[2] = False
    found = face_errors(changed, truth, inside)
    for k in (0, 1):
        total = [
            abs(int(changed[k, y, x, c]) - int(truth[k, y, x, c]))
            for y in range(4)
            for x in range(5)
            for c in range(3)
            if inside[k, y, x]
        ]
        assert found[k] == pytest.approx(sum(total) / len(total), rel=1e-12)
    assert np.isnan(found[2])


def test_a_real_frame_is_not_its_own_neighbour():
    real = np.array([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]])
    found = is_right_person(real[:1], ["A"], real, ["A", "B", "C"], itself=np.array([0]))
    np.testing.assert_array_equal(found, [False])
    np.testing.assert_array_equal(is_right_person(real[:1], ["A"], real, ["A", "B", "C"]), [True])


def test_flicker_is_the_change_between_frames_over_that_of_the_source():
    rng = np.random.default_rng(5)
    made, source = rng.normal(size=(2, 6, 4, 2))
    made[2, 1] = np.nan
    sums = [0.0, 0.0]
    for frame, point, axis in np.ndindex(5, 4, 2):
        pair = [one[frame + 1, point, axis] - one[frame, point, axis] for one in (made, source)]
        if not np.isnan(pair).any():
            sums = [total + abs(change) for total, change in zip(sums, pair, strict=True)]
    assert flicker(made, source) == pytest.approx(sums[0] / sums[1])
    pictures = rng.integers(0, 256, (3, 8, 8, 3), dtype=np.uint8)
    assert flicker(pictures, pictures) == 1
    assert np.isnan(flicker(pictures, np.zeros_like(pictures)))


def test_flicker_of_frames_that_come_one_by_one_is_that_of_all_at_once():
    rng = np.random.default_rng(6)
    made, source = rng.integers(0, 256, (2, 7, 8, 8, 3), dtype=np.uint8)
    found = Flicker()
    for frames in zip(made, source, strict=True):
        found.add(*frames)
    assert found.value == pytest.approx(flicker(made, source))
    parts = Flicker()  # without frame 3, whose neighbours are not compared
    for number, frames in enumerate(zip(made, source, strict=True)):
        parts.skip() if number == 3 else parts.add(*frames)
    sums = [
        sum(np.abs(np.diff(part.astype(float), axis=0)).sum() for part in (one[:3], one[4:]))
        for one in (made, source)
    ]
    assert parts.value == pytest.approx(sums[0] / sums[1])
    assert np.isnan(Flicker().value)
