import hashlib
import subprocess
import sys

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdray.data.media import flow as flow_module
from pdray.data.media.flow import motion, motion_boundaries, quantise
from pdray.data.media.settings import FlowConfig
from pdray.errors import DecodeError, SettingsError
from tests.places import ROOT, YOUTUBEPD

cv2 = pytest.importorskip("cv2", reason="needs the extra '.[flow]'")

MEDIA = YOUTUBEPD / "media"
METHODS = ("tvl1", "dis")
DIS = FlowConfig(method="dis")


def dequantise(codes, bound):
    return (codes.astype(np.float32) - 128) * np.float32(bound / 127)


def texture(height=96, width=96, seed=0):
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    smooth = cv2.GaussianBlur(noise, (0, 0), 1.5).astype(float)
    return ((smooth - smooth.min()) / np.ptp(smooth) * 255).astype(np.uint8)


def pan(num_frames, step=(2, -1), size=48, seed=0):
    """Frames in which everything moves by ``step`` (right, down) px a frame."""
    big = texture(seed=seed)
    right, down = step
    corners = [(24 - down * i, 24 - right * i) for i in range(num_frames)]
    return [(i / 25, big[y : y + size, x : x + size]) for i, (y, x) in enumerate(corners)]


def fields(frames, config=DIS):
    return list(motion(frames, config))


def digest(pairs):
    return hashlib.sha256(b"".join(field.tobytes() for _, field in pairs)).hexdigest()


@pytest.mark.parametrize("method", METHODS)
def test_a_translation_is_found_where_it_happens(method):
    pairs = fields(pan(3), FlowConfig(method=method))
    assert [seconds for seconds, _ in pairs] == [0.0, 1 / 25]
    for _, field in pairs:
        assert field.shape == (48, 48, 2)
        assert field.dtype == np.float32
        error = np.abs(field[8:-8, 8:-8] - [2, -1])
        assert error.mean() < 0.02  # 0.003 (tvl1) and 0.010 (dis) were measured
        assert error.max() < 0.2
        # Everything moves alike: no boundary away from where the picture leaves its frame.
        assert np.abs(motion_boundaries(field)[8:-8, 8:-8]).max() < 0.1


@pytest.mark.parametrize("method", METHODS)
def test_a_still_picture_has_the_code_of_zero_everywhere(method):
    still = texture(40, 56)
    ((_, field),) = fields([(0.0, still), (0.04, still)], FlowConfig(method=method))
    assert (quantise(field, 20.0) == 128).all()
    assert (quantise(motion_boundaries(field), 5.0) == 128).all()


@pytest.mark.parametrize("method", METHODS)
def test_a_field_does_not_depend_on_the_fields_before_it(method):
    frames = pan(2, step=(5, 3), seed=1) + pan(2, step=(-2, 1))
    config = FlowConfig(method=method)
    along = fields(frames, config)
    alone = fields(frames[2:], config)
    np.testing.assert_array_equal(along[2][1], alone[0][1])


@pytest.mark.parametrize("method", METHODS)
def test_the_same_frames_give_the_same_bits_whatever_the_threads(method):
    frames, config = pan(2, seed=2), FlowConfig(method=method)
    before = cv2.getNumThreads()
    try:
        found = set()
        for num_threads in (1, 2):
            cv2.setNumThreads(num_threads)
            found.add(digest(fields(frames, config)))
            assert cv2.getNumThreads() == num_threads  # a process-wide setting, given back
    finally:
        cv2.setNumThreads(before)
    assert len(found) == 1


def test_another_process_gives_the_same_bits():
    program = (
        "from tests.data.media.test_flow import METHODS, FlowConfig, digest, fields, pan\n"
        "print(*(digest(fields(pan(2), FlowConfig(method=m))) for m in METHODS))"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    here = [digest(fields(pan(2), FlowConfig(method=method))) for method in METHODS]
    assert result.stdout.split() == here


def test_two_frames_are_held_and_the_first_field_comes_after_the_second_frame():
    taken = []

    def count():
        for frame in pan(6):
            taken.append(frame[0])
            yield frame

    stream = motion(count(), DIS)
    assert taken == []
    next(stream)
    assert len(taken) == 2


@pytest.mark.parametrize(("num_frames", "held"), [(1, "one frame"), (0, "no frame")])
def test_fewer_than_two_frames_are_refused(num_frames, held):
    with pytest.raises(DecodeError, match=rf"^has {held}: optical flow needs two or more$"):
        fields(pan(num_frames))


def test_pictures_that_dis_cannot_take_are_refused_before_it_crashes():
    small = [(0.0, texture(15, 200)), (0.04, texture(15, 200))]
    with pytest.raises(SettingsError, match=r"at least 16 px a side, got 200x15: use larger"):
        fields(small)
    assert np.isfinite(fields(small, FlowConfig(method="tvl1"))[0][1]).all()
    enough = [(0.0, texture(16, 200)), (0.04, texture(16, 200))]
    assert np.isfinite(fields(enough)[0][1]).all()


def test_a_flow_that_is_not_finite_is_refused(monkeypatch):
    monkeypatch.setattr(
        flow_module, "_calculator", lambda method: lambda *_: np.full((48, 48, 2), np.nan)
    )
    with pytest.raises(DecodeError, match=r"no finite optical flow at 0\.000 s \(dis\)"):
        fields(pan(2))


def test_a_missing_opencv_names_the_extra_at_once(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(SettingsError, match=r"OpenCV; in the checkout: pip .* -e '\.\[flow\]'$"):
        motion([], FlowConfig())
    monkeypatch.setitem(sys.modules, "cv2", object())  # OpenCV without its contrib modules
    with pytest.raises(SettingsError, match=r"lacks; in the checkout: pip .* -e '\.\[flow\]'$"):
        motion([], FlowConfig())


def test_codes_run_from_1_to_255_around_an_exact_zero():
    values = np.array([-99, -20, -10, -1e-9, 0, 1e-9, 10, 20, 99])
    codes = quantise(values, 20.0)
    assert codes.dtype == np.uint8
    assert codes.tolist() == [1, 1, 64, 128, 128, 128, 192, 255, 255]
    back = dequantise(codes, 20.0)
    assert back.dtype == np.float32
    assert back[4] == 0.0
    np.testing.assert_allclose(back[[1, 7]], [-20, 20], rtol=1e-6)


@given(
    st.lists(st.floats(-50, 50, width=32), min_size=1, max_size=50),
    st.floats(0.5, 40),
)
def test_a_flipped_sign_is_256_minus_the_code_and_half_a_step_is_lost_at_most(values, bound):
    array = np.array(values, np.float32)
    codes = quantise(array, bound)
    np.testing.assert_array_equal(quantise(-array, bound), 256 - codes.astype(int))
    np.testing.assert_array_equal(
        dequantise((256 - codes.astype(int)).astype(np.uint8), bound), -dequantise(codes, bound)
    )
    lost = np.abs(dequantise(codes, bound).astype(float) - np.clip(array, -bound, bound))
    assert lost.max() <= bound / 127 / 2 * 1.0001
    # Codes survive a way through floats: what is stored twice is stored once.
    np.testing.assert_array_equal(quantise(dequantise(codes, bound), bound), codes)


def test_absent_values_have_no_code():
    with pytest.raises(ValueError, match="NaN or infinity"):
        quantise(np.array([0.0, np.nan]), 20.0)


def slow_boundaries(flow):
    """Eq. 3 pixel by pixel in float64."""

    def slope(line, i):
        if i == 0:
            return line[1] - line[0]
        if i == len(line) - 1:
            return line[-1] - line[-2]
        return (line[i + 1] - line[i - 1]) / 2

    flow = flow.astype(float)
    height, width, _ = flow.shape
    result = np.empty_like(flow)
    for y in range(height):
        for x in range(width):
            for c in range(2):
                result[y, x, c] = slope(flow[y, :, c], x) + slope(flow[:, x, c], y)
    return result


@pytest.mark.parametrize("shape", [(2, 2), (5, 9), (16, 11)])
def test_boundaries_are_equation_3(shape):
    field = np.random.default_rng(3).normal(0, 5, (*shape, 2)).astype(np.float32)
    found = motion_boundaries(field)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, slow_boundaries(field), atol=1e-5)


def test_boundaries_of_a_mirrored_field_are_not_mirrored_boundaries():
    field = np.random.default_rng(4).normal(0, 5, (6, 7, 2)).astype(np.float32)
    mirrored = motion_boundaries(field[:, ::-1] * np.array([-1, 1], np.float32))
    for signs in ([1, 1], [-1, 1], [1, -1], [-1, -1]):
        assert not np.allclose(mirrored, motion_boundaries(field)[:, ::-1] * signs, atol=0.5)


@pytest.mark.skipif(not MEDIA.is_dir(), reason="the two real clips are not here")
@pytest.mark.parametrize("name", ["video74", "video91"])
def test_both_methods_tell_the_same_of_a_real_clip(name):
    frames = []
    with av.open(str(MEDIA / f"{name}.mp4")) as file:
        for number, frame in enumerate(file.decode(video=0)):
            if number in (40, 41, 42):
                frames.append((number / 20, frame.reformat(96, 96).to_ndarray(format="rgb24")))
    paper, fast = (
        np.stack([field for _, field in fields(frames, FlowConfig(method=method))])
        for method in METHODS
    )
    length = np.linalg.norm(paper, axis=-1).mean()
    apart = np.linalg.norm(paper - fast, axis=-1).mean()
    assert length > 0.1
    assert apart < 0.5  # px a frame; 0.147 and 0.146 were measured, of 0.87 and 0.69
    # The default bounds leave nearly everything as it is.
    assert (np.abs(paper) > FlowConfig().bound).mean() < 0.01
    assert (np.abs(motion_boundaries(paper[0])) > FlowConfig().boundary_bound).mean() < 0.01
