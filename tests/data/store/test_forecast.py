from collections import namedtuple
from dataclasses import replace

import pytest

from pdray.data.cohort.manifest import load_manifest
from pdray.data.media.settings import DecodeConfig
from pdray.data.store import forecast as forecast_module
from pdray.data.store.forecast import Forecast, check_room, forecast
from pdray.data.store.frame_store import FrameStore
from pdray.data.store.settings import Recipe, StoreConfig
from pdray.errors import StoreError

SIZE = DecodeConfig(height=24, width=24)
FRAME_BYTES = 24 * 24 * 3


@pytest.fixture
def recordings(tiny_manifest):
    """Ten recordings of 12 frames at 25 Hz."""
    return load_manifest(tiny_manifest(5)).recordings


def expect(recordings, folder, recipe=None, modalities=("rgb",)):
    return forecast(
        recordings, FrameStore(folder / "store", recipe or Recipe(decode=SIZE)), modalities
    )


def test_raw_frames_are_foreseen_to_the_byte(recordings, tmp_path):
    expected = expect(recordings, tmp_path)
    assert (expected.num_recordings, expected.num_missing) == (10, 10)
    assert expected.seconds == pytest.approx(10 * 12 / 25)
    assert expected.num_bytes == 10 * 12 * FRAME_BYTES
    assert expected.cpu_seconds > 0


def test_a_codec_and_a_frame_rate_are_foreseen_roughly(recordings, tmp_path):
    jpeg = expect(recordings, tmp_path, Recipe(decode=SIZE, store=StoreConfig(codec="jpeg")))
    store = FrameStore(tmp_path / "store", Recipe(decode=SIZE, store=StoreConfig(codec="jpeg")))
    real = sum(store.add(one).paths["rgb"].stat().st_size for one in recordings)
    # Files have headers besides pictures; these pictures are tiny.
    assert 0.3 * real < jpeg.num_bytes < real
    slow = Recipe(decode=DecodeConfig(height=24, width=24, frame_rate=5.0))
    assert expect(recordings, tmp_path, slow).num_bytes == pytest.approx(
        10 * 12 / 5 * FRAME_BYTES, rel=0.05
    )


def test_every_picture_modality_counts(recordings, tmp_path):
    pytest.importorskip("cv2")
    recipe = Recipe(decode=SIZE, flow={"method": "dis"})
    both = expect(recordings, tmp_path, recipe, ("rgb", "flow", "landmarks"))
    assert both.num_bytes == pytest.approx(10 * 12 * FRAME_BYTES * (1 + 2 / 3), rel=0.2)


def test_what_is_in_the_store_needs_nothing(recordings, tmp_path):
    store = FrameStore(tmp_path / "store", Recipe(decode=SIZE))
    for one in recordings[:7]:
        store.add(one)
    expected = forecast(recordings, store, ("rgb",))
    assert expected.num_missing == 3
    assert expected.num_bytes == 3 * 12 * FRAME_BYTES
    for one in recordings[7:]:
        store.add(one)
    done = forecast(recordings, store, ("rgb",))
    assert (done.num_missing, done.num_bytes, done.cpu_seconds) == (0, 0, 0.0)


def test_unreadable_recordings_do_not_stop_a_forecast(recordings, tmp_path):
    for one in recordings:
        one.video.write_bytes(b"no video")
    expected = expect(recordings, tmp_path)
    assert (expected.num_missing, expected.seconds, expected.num_bytes) == (10, 0.0, 0)


def test_a_disk_that_is_too_small_is_refused_with_what_helps(tmp_path, monkeypatch):
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(forecast_module.shutil, "disk_usage", lambda folder: usage(int(2e9)))
    large = Forecast(10, 10, 100.0, int(8e9), 60.0)
    with pytest.raises(StoreError) as caught:
        check_room(large, tmp_path / "not" / "there" / "yet")
    told = str(caught.value)
    assert "needs about 8.0 GB, but only 2.0 GB are free" in told
    assert "store.codec=jpeg" in told
    check_room(Forecast(10, 10, 100.0, int(2e9), 60.0), tmp_path)


def test_free_space_is_that_of_the_folder(tmp_path, monkeypatch):
    asked = []
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(
        forecast_module.shutil, "disk_usage", lambda folder: asked.append(folder) or usage(9)
    )
    check_room(Forecast(1, 1, 1.0, 0, 0.0), tmp_path / "not" / "there")
    assert asked == [tmp_path]


def test_a_span_counts_for_its_part(recordings, tmp_path):
    spans = [replace(one, start_seconds=0.12, end_seconds=0.36) for one in recordings]
    expected = expect(spans, tmp_path)
    assert expected.seconds == pytest.approx(10 * 0.24)
    assert expected.num_bytes == 10 * 6 * FRAME_BYTES
