import math

import numpy as np
import pytest

from pdray.evaluation.statistics.frechet import frechet_distance, kernel_distance
from pdray.evaluation.translation_scores import (
    Changed,
    Scale,
    Seen,
    distance_of,
    floor_of,
    mean_of,
    score_row,
)

PEOPLE, EACH = 12, 2
SUBJECTS = tuple(f"S{k:02d}" for k in range(PEOPLE) for _ in range(EACH))
NUMBER = len(SUBJECTS)


def seen(rng, centres, *, shift=0.0, ill=0.1):
    features = rng.normal(size=(NUMBER, 6)) + shift
    identity = centres + 0.1 * rng.normal(size=centres.shape) + shift
    return Seen(SUBJECTS, features, identity, np.full(NUMBER, ill))


@pytest.fixture
def rng():
    return np.random.default_rng(3)


@pytest.fixture
def centres(rng):
    return np.repeat(rng.normal(size=(PEOPLE, 32)), EACH, axis=0)


@pytest.fixture
def scale(rng, centres):
    ill = seen(rng, centres, shift=0.3, ill=0.9)
    healthy = seen(rng, centres)
    return Scale(seen(rng, centres), ill.identity, healthy.identity, ill, healthy)


def changed(pictures, errors=None):
    nothing = np.full(len(pictures), np.nan) if errors is None else errors
    return Changed(pictures, np.arange(len(pictures)), np.full(len(pictures), -1), nothing)


def test_sources_themselves_have_no_distance_and_no_direction(scale):
    scores = score_row(changed(scale.sources), scale)
    assert scores.frechet_source.value == 0.0
    assert (scores.frechet_source.low, scores.frechet_source.high) == (0.0, 0.0)
    assert scores.called_ill.value == 0.0
    for measure in (scores.direction, scores.control, scores.excess, scores.error):
        assert measure.value is None
        assert measure.low is None
        assert (measure.count, measure.absent) == (0, NUMBER)
    assert scores.likeness.value == pytest.approx(1.0)
    assert scores.right_person.value == 1.0


def test_true_pictures_have_an_excess_and_another_healthy_one_has_none(rng, centres, scale):
    true = score_row(changed(seen(rng, centres, shift=0.3, ill=0.9), np.zeros(NUMBER)), scale)
    healthy = score_row(changed(seen(rng, centres)), scale)
    assert true.called_ill.value == 1.0
    assert true.excess.low > 0.2
    assert healthy.direction.value > 0.1  # without any illness: N' - N and P - N share -N
    assert healthy.excess.value < 0
    assert true.kernel_ill.value < healthy.kernel_ill.value
    assert true.error.value == 0.0
    assert true.error.count == NUMBER


def test_scores_are_those_of_slow_formulas(rng, centres, scale):
    row = changed(seen(rng, centres, shift=0.2, ill=0.6), rng.uniform(0, 9, NUMBER))
    scores = score_row(row, scale)

    def cosine(x, y):
        dot = sum(float(a) * float(b) for a, b in zip(x, y, strict=True))
        return dot / math.sqrt(sum(float(a) ** 2 for a in x) * sum(float(b) ** 2 for b in y))

    kept, new = scale.sources.identity, row.seen.identity
    towards = [cosine(new[k] - kept[k], scale.towards_ill[k] - kept[k]) for k in range(NUMBER)]
    control = [cosine(new[k] - kept[k], scale.towards_healthy[k] - kept[k]) for k in range(NUMBER)]
    assert scores.direction.value == pytest.approx(sum(towards) / NUMBER, rel=1e-12)
    assert scores.control.value == pytest.approx(sum(control) / NUMBER, rel=1e-12)
    expected = sum(a - b for a, b in zip(towards, control, strict=True)) / NUMBER
    assert scores.excess.value == pytest.approx(expected, rel=1e-12)
    alike = [cosine(new[k], kept[k]) for k in range(NUMBER)]
    assert scores.likeness.value == pytest.approx(sum(alike) / NUMBER, rel=1e-12)
    right = 0
    for k in range(NUMBER):
        near = [cosine(new[k], one) for one in scale.people.identity]
        right += SUBJECTS[near.index(max(near))] == SUBJECTS[k]
    assert scores.right_person.value == right / NUMBER
    assert scores.error.value == pytest.approx(sum(row.errors) / NUMBER, rel=1e-12)
    assert scores.frechet_ill.value == frechet_distance(row.seen.features, scale.ill.features)
    assert scores.kernel_ill.value == kernel_distance(row.seen.features, scale.ill.features)


def test_a_real_picture_is_not_compared_with_itself(scale):
    lonely = Scale(
        scale.sources, scale.towards_ill, scale.towards_healthy, scale.ill, scale.ill.of([0, 2, 4])
    )
    row = Changed(scale.ill.of([0]), np.array([0]), np.array([0]), np.array([np.nan]))
    assert score_row(row, lonely).right_person.value == 0.0
    row = Changed(scale.ill.of([0]), np.array([0]), np.array([-1]), np.array([np.nan]))
    assert score_row(row, lonely).right_person.value == 1.0


def test_frames_without_the_other_state_are_counted_and_left_out(scale, rng, centres):
    towards = scale.towards_ill.copy()
    towards[:3] = np.nan
    partly = Scale(scale.sources, towards, scale.towards_healthy, scale.ill, scale.people)
    scores = score_row(changed(seen(rng, centres, shift=0.3)), partly)
    assert (scores.direction.count, scores.direction.absent) == (NUMBER - 3, 3)
    assert (scores.control.count, scores.control.absent) == (NUMBER, 0)
    assert (scores.excess.count, scores.excess.absent) == (NUMBER - 3, 3)


def test_intervals_of_few_people_are_absent():
    values = np.arange(8.0)
    assert mean_of(values, ["A", "B", "C", "D"] * 2).low is None
    five = mean_of(values, ["A", "B", "C", "D", "E", "A", "B", "C"])
    assert five.low < five.value == 3.5 < five.high
    assert mean_of(np.full(3, np.nan), "ABC").value is None


def test_the_error_of_a_distance_is_a_jackknife_over_people(rng, centres, scale):
    one = seen(rng, centres, shift=0.2)
    measure = distance_of(kernel_distance, one, scale.ill)
    left = []
    for name in sorted(set(SUBJECTS)):
        rest = [k for k in range(NUMBER) if SUBJECTS[k] != name]
        left.append(kernel_distance(one.features[rest], scale.ill.features[rest]))
    middle = sum(left) / PEOPLE
    variance = (PEOPLE - 1) / PEOPLE * sum((x - middle) ** 2 for x in left)
    assert measure.error == pytest.approx(math.sqrt(variance), rel=1e-9)
    assert measure.high - measure.value == pytest.approx(1.96 * measure.error)
    few = distance_of(kernel_distance, one.of(range(8)), scale.ill)
    assert few.value is not None
    assert few.error is None
    assert distance_of(frechet_distance, one.of([0]), scale.ill).value is None


def test_an_interval_of_a_distance_covers_what_other_cohorts_have():
    def cohort(rng):
        people = np.repeat(rng.normal(size=(20, 16)), 2, axis=0)
        names = tuple(f"S{k:02d}" for k in range(20) for _ in range(2))
        made = [people + shift + 0.5 * rng.normal(size=people.shape) for shift in (0.0, 0.2)]
        return [Seen(names, x, x, np.zeros(40)) for x in made]

    rng = np.random.default_rng(5)
    mean = np.mean([distance_of(frechet_distance, *cohort(rng)).value for _ in range(60)])
    found = [distance_of(frechet_distance, *cohort(rng)) for _ in range(40)]
    inside = sum(one.low <= mean <= one.high for one in found)
    assert inside >= 36


def test_the_floor_is_of_disjoint_people_and_equal_sizes(rng, centres):
    healthy, ill = seen(rng, centres), seen(rng, centres, shift=0.3)
    floor = floor_of(healthy, ill, 8)
    assert floor.pictures == 8
    assert floor.frechet_source.value > 0
    assert floor.kernel_ill.count == 8
    assert floor.called_ill.value is None
    assert floor_of(healthy, ill, 100).pictures == NUMBER // 2
