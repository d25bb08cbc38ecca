import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdray.config import build, dump
from pdray.data.batches.settings import SnippetConfig
from pdray.data.batches.snippet import (
    Draw,
    frame_indices,
    snippet_shape,
    span_frames,
)
from pdray.errors import SettingsError

LENGTHS = st.integers(1, 400)
FRAMES = st.integers(1, 70)
DRAWS = st.one_of(
    st.none(),
    st.builds(Draw, st.integers(0, 5), st.integers(0, 5), st.integers(0, 99), st.text(max_size=8)),
)
ORDERS = st.sampled_from(["time", "shuffled", "one_frame"])
SEGMENTS = st.builds(
    SnippetConfig,
    mode=st.just("segments"),
    num_frames=FRAMES,
    num_segments=st.integers(1, 6),
    stride=st.integers(1, 4),
    order=ORDERS,
)
UNIFORM = st.builds(SnippetConfig, num_frames=FRAMES, order=ORDERS)
DENSE = st.builds(
    SnippetConfig,
    mode=st.sampled_from(["uniform", "segments"]),
    num_frames=FRAMES,
    stride=st.integers(1, 4),
    views=st.just("dense"),
    num_views=st.integers(1, 80),
    view_frames=st.none() | FRAMES,
    order=ORDERS,
)
DRAW = Draw(seed=1, fold=2, epoch=3, recording_id="S01_left")


@given(LENGTHS, st.one_of(UNIFORM, SEGMENTS, DENSE), DRAWS)
def test_indices_have_the_promised_shape_and_range(num_available, config, draw):
    indices = frame_indices(num_available, config, draw)
    assert indices.dtype == np.int64
    assert indices.shape == snippet_shape(config, training=draw is not None)
    assert indices.min() >= 0
    assert indices.max() < num_available


@given(LENGTHS, st.one_of(UNIFORM, SEGMENTS, DENSE), DRAWS)
def test_same_draw_gives_same_indices(num_available, config, draw):
    first = frame_indices(num_available, config, draw)
    np.testing.assert_array_equal(first, frame_indices(num_available, config, draw))


@given(LENGTHS, FRAMES, DRAWS)
def test_uniform_never_goes_back_and_covers_the_recording(num_available, num_frames, draw):
    (indices,) = frame_indices(num_available, SnippetConfig(num_frames=num_frames), draw)
    step = num_available / num_frames
    assert (np.diff(indices) >= 0).all()
    # One frame from each T-th part of the recording.
    parts = np.arange(num_frames) * step
    assert (indices >= np.floor(parts)).all()
    assert (indices <= parts + step).all()


@given(LENGTHS, SEGMENTS, DRAWS)
def test_runs_advance_by_stride_inside_the_recording_or_loop_in_time_order(
    num_available, config, draw
):
    config = config.model_copy(update={"order": "time"})
    indices = frame_indices(num_available, config, draw)
    if num_available >= span_frames(config):
        assert (np.diff(indices) == config.stride).all()
    else:
        np.testing.assert_array_equal(
            np.diff(indices) % num_available, config.stride % num_available
        )


@given(st.integers(1, 8), st.integers(1, 20), st.integers(0, 30), DRAWS)
def test_a_run_stays_inside_its_segment_where_the_segment_is_long_enough(
    num_segments, num_frames, extra, draw
):
    config = SnippetConfig(mode="segments", num_segments=num_segments, num_frames=num_frames)
    length = num_frames + extra
    indices = frame_indices(length * num_segments, config, draw)
    first = np.arange(num_segments) * length
    assert (indices[:, 0] >= first).all()
    assert (indices[:, -1] < first + length).all()


@given(st.integers(2, 8), st.integers(1, 20), st.integers(0, 40), DRAWS)
def test_a_run_longer_than_its_segment_covers_it(num_segments, num_frames, extra, draw):
    config = SnippetConfig(mode="segments", num_segments=num_segments, num_frames=num_frames)
    num_available = min(num_frames + extra, num_frames * num_segments)
    indices = frame_indices(num_available, config, draw)
    bounds = np.arange(num_segments + 1) * num_available // num_segments
    for run, first, last in zip(indices, bounds[:-1], bounds[1:], strict=True):
        if last - first <= num_frames:
            assert run[0] <= first
            assert run[-1] >= last - 1


@given(st.integers(0, 400), DENSE)
def test_dense_views_go_evenly_from_the_first_frame_to_the_last(extra, config):
    config = config.model_copy(update={"order": "time"})
    num_available = span_frames(config, training=False) + extra
    views = frame_indices(num_available, config, None)
    assert (np.diff(views) == config.stride).all()
    if config.num_views == 1:
        # As many frames before the view as after it, or one less.
        assert (num_available - 1 - views[0, -1]) - views[0, 0] in (0, 1)
        return
    assert views[0, 0] == 0
    assert views[-1, -1] == num_available - 1
    exact = np.linspace(0, extra, config.num_views)
    assert np.abs(views[:, 0] - exact).max() <= 0.5


@given(LENGTHS, DENSE)
def test_a_recording_shorter_than_a_view_loops_in_every_view(num_available, config):
    config = config.model_copy(update={"order": "time"})
    if num_available >= span_frames(config, training=False):
        return
    views = frame_indices(num_available, config, None)
    steps = np.arange(views.shape[1]) * config.stride
    np.testing.assert_array_equal(views, np.tile(steps % num_available, (len(views), 1)))


@given(LENGTHS, st.one_of(UNIFORM, SEGMENTS), st.builds(Draw, *[st.integers(0, 9)] * 3, st.text()))
def test_dense_views_leave_training_as_it_was(num_available, config, draw):
    dense = config.model_copy(update={"views": "dense", "num_views": 3})
    np.testing.assert_array_equal(
        frame_indices(num_available, dense, draw), frame_indices(num_available, config, draw)
    )
    assert snippet_shape(dense) == snippet_shape(config) == snippet_shape(config, training=False)
    assert span_frames(dense) == span_frames(config) == span_frames(config, training=False)


def test_dense_views_of_the_paper_are_64_runs_of_16_consecutive_frames():
    config = SnippetConfig(mode="segments", num_segments=4, views="dense")
    views = frame_indices(268, config, None)
    # 252 starts after the first over 63 gaps: every fourth frame.
    by_hand = [[4 * view + frame for frame in range(16)] for view in range(64)]
    assert views.tolist() == by_hand
    assert snippet_shape(config) == (4, 32)
    assert snippet_shape(config, training=False) == (64, 16)


def test_a_view_may_be_as_long_as_a_training_snippet():
    config = SnippetConfig(num_frames=4, stride=2, views="dense", num_views=3, view_frames=None)
    assert frame_indices(12, config, None).tolist() == [[0, 2, 4, 6], [3, 5, 7, 9], [5, 7, 9, 11]]


def test_starts_between_two_frames_are_rounded_up():
    config = SnippetConfig(views="dense", num_views=3, view_frames=1)
    assert frame_indices(4, config, None).tolist() == [[0], [2], [3]]


def test_uniform_is_the_formula_written_out():
    u = DRAW.generator().random()
    by_hand = [int((i + u) * 100 / 8) for i in range(8)]
    assert frame_indices(100, SnippetConfig(num_frames=8), DRAW).tolist() == [by_hand]


def test_central_views_written_by_hand():
    assert frame_indices(8, SnippetConfig(num_frames=4), None).tolist() == [[1, 3, 5, 7]]
    config = SnippetConfig(mode="segments", num_segments=2, num_frames=4)
    assert frame_indices(16, config, None).tolist() == [[2, 3, 4, 5], [10, 11, 12, 13]]


def test_uniform_repeats_frames_in_place_when_the_recording_is_short():
    assert frame_indices(2, SnippetConfig(num_frames=6), None).tolist() == [[0, 0, 0, 1, 1, 1]]


def test_segments_loop_from_the_first_frame():
    config = SnippetConfig(mode="segments", num_frames=5)
    assert frame_indices(3, config, DRAW).tolist() == [[0, 1, 2, 0, 1]]


@pytest.mark.parametrize("mode", ["uniform", "segments"])
def test_epochs_folds_seeds_and_recordings_draw_differently(mode):
    config = SnippetConfig(mode=mode, num_frames=8)
    draws = [
        DRAW,
        Draw(1, 2, 4, "S01_left"),
        Draw(1, 3, 3, "S01_left"),
        Draw(2, 2, 3, "S01_left"),
        Draw(1, 2, 3, "S01_right"),
    ]
    drawn = {tuple(frame_indices(5000, config, draw).ravel()) for draw in draws}
    assert len(drawn) == len(draws)


def test_draws_spread_evenly():
    config = SnippetConfig(num_frames=1)
    starts = [frame_indices(1000, config, Draw(0, 0, e, "a"))[0, 0] for e in range(1000)]
    # Mean of 1000 uniform draws on 0..999: standard error 9.1, five of them.
    assert abs(np.mean(starts) - 499.5) < 46
    assert min(starts) < 20
    assert max(starts) > 980


def test_another_process_draws_the_same():
    config = SnippetConfig(num_frames=16, order="shuffled")
    code = (
        "from pdray.data.batches.settings import SnippetConfig; "
        "from pdray.data.batches.snippet import *; "
        "print(frame_indices(77, SnippetConfig(num_frames=16, order='shuffled'), "
        "Draw(1, 2, 3, 'S01_left')).tolist())"
    )
    printed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert printed.strip() == str(frame_indices(77, config, DRAW).tolist())


@pytest.mark.parametrize("draw", [None, DRAW])
def test_shuffled_is_a_permutation_and_not_the_identity(draw):
    ordered = frame_indices(500, SnippetConfig(num_frames=32), draw)
    shuffled = frame_indices(500, SnippetConfig(num_frames=32, order="shuffled"), draw)
    assert sorted(shuffled[0]) == ordered[0].tolist()
    assert shuffled.tolist() != ordered.tolist()


@pytest.mark.parametrize("draw", [None, DRAW])
def test_one_frame_repeats_a_frame_of_the_snippet(draw):
    ordered = frame_indices(500, SnippetConfig(num_frames=32), draw)
    still = frame_indices(500, SnippetConfig(num_frames=32, order="one_frame"), draw)
    assert len(set(still[0].tolist())) == 1
    assert still[0, 0] in ordered
    if draw is None:
        assert still[0, 0] == ordered[0, 16]


@pytest.mark.parametrize("draw", [None, DRAW])
def test_short_recording_is_refused_with_its_id_and_counts(draw):
    config = SnippetConfig(mode="segments", num_frames=8, stride=4, short="refuse")
    with pytest.raises(SettingsError, match=r"recording S01_left: has 28 frames.*8.*needs 29"):
        frame_indices(28, config, draw, recording_id="S01_left")
    assert frame_indices(29, config, draw).tolist() == [[0, 4, 8, 12, 16, 20, 24, 28]]


def test_a_recording_shorter_than_a_view_is_refused_where_it_is_evaluated():
    config = SnippetConfig(num_frames=4, stride=2, views="dense", view_frames=9, short="refuse")
    with pytest.raises(
        SettingsError,
        match=r"recording S01_left: has 16 frames, but a snippet of 9 with stride 2 needs 17; "
        r"lower snippet.view_frames",
    ):
        frame_indices(16, config, None, recording_id="S01_left")
    assert frame_indices(16, config, DRAW).shape == (1, 4)
    assert frame_indices(17, config, None).shape == (64, 9)


def test_dense_controls_shuffle_and_repeat_inside_each_view():
    ordered = SnippetConfig(num_frames=32, views="dense", num_views=5)
    views = frame_indices(300, ordered, None)
    shuffled = frame_indices(300, ordered.model_copy(update={"order": "shuffled"}), None)
    assert (shuffled != views).any(axis=1).all()
    np.testing.assert_array_equal(np.sort(shuffled), views)
    still = frame_indices(300, ordered.model_copy(update={"order": "one_frame"}), None)
    np.testing.assert_array_equal(still, np.repeat(views[:, 8:9], 16, axis=1))


def test_an_empty_recording_is_refused():
    with pytest.raises(ValueError, match="got 0"):
        frame_indices(0, SnippetConfig(), None)


def test_segment_settings_need_segments_mode():
    with pytest.raises(ValueError, match="num_segments 4 and stride 1 need mode segments"):
        SnippetConfig(num_segments=4)


def test_dense_views_make_a_stride_useful_but_no_segments():
    assert SnippetConfig(stride=3, views="dense").stride == 3
    with pytest.raises(ValueError, match="num_segments 4 needs mode segments"):
        SnippetConfig(num_segments=4, views="dense")


def test_view_settings_need_dense_views():
    with pytest.raises(
        ValueError, match=r"num_views 8 and view_frames 16 need views dense; .* at 64 and 16"
    ):
        SnippetConfig(num_views=8)
    with pytest.raises(ValueError, match="num_views 64 and view_frames None need views dense"):
        SnippetConfig(view_frames=None)


@pytest.mark.parametrize("key", ["num_frames", "num_views", "view_frames"])
def test_counts_below_one_are_refused(key):
    with pytest.raises(SettingsError, match=f"{key}: got 0; .*greater than or equal to 1"):
        build(SnippetConfig, {"views": "dense", key: 0})


def test_settings_survive_being_written_and_read():
    config = SnippetConfig(views="dense", num_views=3, view_frames=None)
    assert build(SnippetConfig, dump(config)) == config
