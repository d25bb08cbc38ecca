import numpy as np
import pytest

from pdray.data.face.blink import BLINK_NAMES, RHYTHM_NAMES, blink_dynamics, rhythm

RATE = 10.0


def eyes(num_frames: int, *blinks: tuple[int, int], low: float = 0.05) -> np.ndarray:
    """Return an openness of 0.3 that is low in frames start to start + length."""
    openness = np.full(num_frames, 0.3)
    for start, length in blinks:
        openness[start : start + length] = low
    return openness


def told(openness: np.ndarray, run: np.ndarray | None = None) -> dict[str, float]:
    run = np.zeros(len(openness), np.int64) if run is None else run
    return blink_dynamics(openness, np.arange(len(openness)) / RATE, run)


def test_blinks_are_counted_and_measured() -> None:
    got = told(eyes(100, (10, 1), (30, 3), (70, 2)))
    assert tuple(got) == BLINK_NAMES
    assert got["rate_per_minute"] == pytest.approx(3 / 10 * 60)
    assert got["depth"] == pytest.approx(1 - 0.05 / 0.3)
    durations, intervals = np.array([0.1, 0.3, 0.2]), np.array([2.0, 4.0])
    assert got["duration_seconds"] == pytest.approx(durations.mean())
    assert got["duration_variation"] == pytest.approx(durations.std() / durations.mean())
    assert got["interval_variation"] == pytest.approx(intervals.std() / intervals.mean())
    assert got["closed_share"] == pytest.approx(0.06)


def test_no_blink_has_a_rate_of_zero_and_no_duration() -> None:
    got = told(eyes(100))
    assert got["rate_per_minute"] == 0
    assert got["closed_share"] == 0
    assert np.isnan([got["duration_seconds"], got["interval_variation"]]).all()


def test_a_long_closure_is_closed_time_and_no_blink() -> None:
    got = told(eyes(100, (10, 12), (50, 8)))
    assert got["rate_per_minute"] == pytest.approx(6)
    assert got["duration_seconds"] == pytest.approx(0.8)
    assert got["closed_share"] == pytest.approx(0.2)


def test_a_narrowing_of_a_fifth_is_no_blink() -> None:
    assert told(eyes(100, (10, 2), low=0.3 * 0.8))["rate_per_minute"] == 0


def test_runs_part_blinks_and_intervals() -> None:
    run = (np.arange(100) >= 51).astype(np.int64)
    got = told(eyes(100, (50, 2), (70, 1), (90, 1)), run)
    assert got["rate_per_minute"] == pytest.approx(24)
    # 5.1 to 7.0 and 7.0 to 9.0 s; 5.0 to 5.1 s is over the cut.
    assert got["interval_variation"] == pytest.approx(np.std([1.9, 2.0]) / 1.95)


def test_absent_eyes_are_not_seen_time() -> None:
    openness = eyes(100, (10, 1))
    openness[40:] = np.nan
    assert told(openness)["rate_per_minute"] == pytest.approx(1 / 4 * 60)
    openness[19:] = np.nan
    assert np.isnan(list(told(openness).values())).all()
    assert np.isnan(list(told(np.full(50, np.nan)).values())).all()
    assert np.isnan(list(told(eyes(1)).values())).all()


def test_a_sine_has_its_own_frequency() -> None:
    seconds = np.arange(100) / RATE
    run = np.zeros(100, np.int64)
    for hertz, fast in ((1.0, 0.0), (3.0, 1.0)):
        got = rhythm(np.sin(2 * np.pi * hertz * seconds) + 5 + seconds, seconds, run)
        assert tuple(got) == RHYTHM_NAMES
        assert got["centroid_hz"] == pytest.approx(hertz, abs=0.05)
        assert got["share_above_2hz"] == pytest.approx(fast, abs=0.01)


def test_rhythm_is_a_periodogram() -> None:
    values = np.random.default_rng(0).normal(size=64)
    seconds = np.arange(64) / RATE
    a, b = np.polyfit(seconds, values, 1)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(64) / 63)
    rest = (values - a * seconds - b) * window
    power, hertz = np.zeros(33), np.arange(33) * RATE / 64
    for k in range(33):
        turns = np.exp(-2j * np.pi * k * np.arange(64) / 64)
        power[k] = abs((rest * turns).sum()) ** 2
    power[(hertz < 0.4) | (hertz > 4.5)] = 0
    got = rhythm(values, seconds, np.zeros(64, np.int64))
    assert got["centroid_hz"] == pytest.approx((hertz * power).sum() / power.sum(), rel=1e-9)
    fast = power[hertz > 2].sum() / power.sum()
    assert got["share_above_2hz"] == pytest.approx(fast, rel=1e-9)


def test_rhythm_is_of_the_longest_stretch_and_nothing_without_three_seconds() -> None:
    seconds = np.arange(100) / RATE
    values = np.sin(2 * np.pi * seconds)
    values[60:] = np.sin(2 * np.pi * 3 * seconds[60:])
    run = (np.arange(100) >= 60).astype(np.int64)
    assert rhythm(values, seconds, run)["centroid_hz"] == pytest.approx(1, abs=0.1)
    values[30] = np.nan
    assert rhythm(values, seconds, run)["centroid_hz"] == pytest.approx(3, abs=0.1)
    for short in (0, 1, 2, 29):
        got = rhythm(values[:short], seconds[:short], run[:short])
        assert np.isnan(list(got.values())).all()


def test_rhythm_of_a_still_face_or_of_five_frames_a_second_cannot_be_told() -> None:
    run = np.zeros(100, np.int64)
    still = rhythm(np.full(100, 7.3), np.arange(100) / RATE, run)
    slow = rhythm(np.random.default_rng(0).normal(size=100), np.arange(100) / 5.0, run)
    assert np.isnan([*still.values(), *slow.values()]).all()
