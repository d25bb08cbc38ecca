import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdray.data.media.timeline import Span, Timed, check_seconds, shown
from pdray.errors import DecodeError

WHOLE = Span.between(None, None)


def timed(seconds, last=0.04):
    ends = [*seconds[1:], seconds[-1] + last]
    return [Timed(*times, i) for i, times in enumerate(zip(seconds, ends, strict=True))]


def pick(frames, span=WHOLE, rate=None, max_seconds=1000.0):
    return list(shown(frames, span, rate=rate, max_seconds=max_seconds))


def on_display(frames, span, rate):
    """The definition, one tick after another, over all frames at once."""
    times = np.array([frame.seconds for frame in frames])
    picked, tick = [], 0
    while tick / rate < min(frames[-1].ends - 0.001, span.end):
        if tick / rate >= span.start:
            picked.append((tick / rate, int(np.flatnonzero(times <= tick / rate + 0.001)[-1])))
        tick += 1
    return picked


def test_recorded_frames_keep_their_times():
    frames = timed([0.0, 0.1, 0.35, 0.4])
    assert pick(frames) == [(0.0, 0), (0.1, 1), (0.35, 2), (0.4, 3)]
    assert pick(frames, Span(0.1, 0.4)) == [(0.1, 1), (0.35, 2)]


def test_a_rate_shows_what_is_on_display():
    frames = timed([0.0, 0.1, 0.35, 0.4], last=0.2)
    shown_at_ten = [(0 / 10, 0), (1 / 10, 1), (2 / 10, 1), (3 / 10, 1), (4 / 10, 3), (5 / 10, 3)]
    assert pick(frames, rate=10.0) == shown_at_ten
    assert pick(frames, Span(0.15, 0.4), rate=10.0) == shown_at_ten[2:4]


@given(
    gaps=st.lists(st.integers(3, 400), min_size=1, max_size=30),
    rate=st.sampled_from([0.5, 7.0, 24.0, 25.0, 29.97, 30.0, 60.0]),
    cut=st.tuples(st.floats(0, 1), st.floats(0, 1)),
)
def test_any_rate_equals_its_definition(gaps, rate, cut):
    frames = timed([0.0, *(np.cumsum(gaps) / 1000).tolist()])
    start, end = sorted(part * frames[-1].ends for part in cut)
    for span in (WHOLE, Span(start, end)):
        expected = on_display(frames, span, rate)
        if expected:
            assert pick(frames, span, rate) == expected
        else:
            with pytest.raises(DecodeError, match=r"has no frame from|before start_seconds"):
                pick(frames, span, rate)


@pytest.mark.parametrize("rate", [23.976, 25.0, 29.97, 30.0, 59.94])
def test_times_rounded_to_milliseconds_keep_each_frame_once_at_its_own_rate(rate):
    frames = timed(np.round(np.arange(500) / rate, 3).tolist(), last=round(1 / rate, 3))
    assert [number for _, number in pick(frames, rate=rate)] == list(range(500))


def test_no_frame_is_read_past_the_one_that_ends_the_span():
    def frames():
        yield from timed([0.0, 0.1, 0.2])[:3]
        raise AssertionError("read past the span")

    assert pick(frames(), Span(0.0, 0.2)) == [(0.0, 0), (0.1, 1)]
    assert len(pick(frames(), Span(0.0, 0.15), rate=30.0)) == 5


def test_a_gap_at_the_end_of_a_span_is_filled_by_the_frame_before_it():
    # Its own duration says 0.04 s; the next frame comes after one second.
    frames = [Timed(0.0, 0.04, 0), Timed(1.0, 1.04, 1)]
    assert pick(frames, Span(0.0, 0.8)) == [(0.0, 0)]
    assert [number for _, number in pick(frames, Span(0.0, 0.8), rate=5.0)] == [0, 0, 0, 0]


def test_a_single_frame_of_no_duration_is_shown_once():
    assert pick([Timed(0.0, 0.0, 7)], rate=30.0) == [(0.0, 7)]
    assert pick([Timed(0.0, 0.0, 7)]) == [(0.0, 7)]


@pytest.mark.parametrize("rate", [None, 50.0])
def test_a_span_that_is_not_there_is_refused(rate):
    frames = timed([0.0, 0.04])
    with pytest.raises(DecodeError, match=r"ends at 0\.080 s, before end_seconds 0\.5"):
        pick(frames, Span(0.0, 0.5), rate)
    with pytest.raises(DecodeError, match=r"ends at 0\.080 s, before start_seconds 3"):
        pick(frames, Span(3.0, math.inf), rate)
    with pytest.raises(DecodeError, match=r"has no frame from 0\.041 s to 0\.05 s"):
        pick(frames, Span(0.041, 0.05), rate)


@pytest.mark.parametrize("rate", [None, 50.0])
def test_a_span_that_is_too_long_is_refused_and_a_short_one_inside_is_not(rate):
    frames = timed([0.0, 5.0, 10.0, 7200.0])
    with pytest.raises(DecodeError, match=r"lasts 10\.000 s, more than limits\.max_seconds 8"):
        pick(frames, rate=rate, max_seconds=8.0)
    assert pick(frames, Span(5.0, 10.0), rate, max_seconds=8.0)


def test_the_length_itself_is_still_allowed():
    check_seconds(3600.0, 3600.0)
    with pytest.raises(DecodeError, match=r"lasts 3600\.100 s, more than limits\.max_seconds 3600"):
        check_seconds(3600.1, 3600.0)
