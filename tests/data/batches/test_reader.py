import pickle
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from pdray.data.batches.plan import PlannedBatch, Schedule, plan_batches
from pdray.data.batches.reader import SnippetReader, read_locally
from pdray.data.batches.settings import AugmentConfig, SnippetConfig, StreamConfig, Views
from pdray.data.batches.snippet import Draw, frame_indices
from pdray.data.cohort.rated import FoldSides
from pdray.data.media.decode import decode
from pdray.data.media.part import Box, Part
from pdray.data.media.settings import DecodeConfig
from pdray.errors import DecodeError, StoreError, StreamError
from tests.conftest import number_frame

SIDES = (FoldSides(training=tuple(range(7)), evaluation=(7, 8, 9)),)
PLAN = plan_batches(SIDES, Schedule(seed=1, batch_size=3, epochs=2))
PATIENT = {"threads": 1, "stall_seconds": 30.0}


class CountingReader(SnippetReader):
    """Remembers what it read, and can be made to fail or to hang."""

    def __init__(self, reader, broken=None, hangs=None):
        super().__init__(reader.recordings, reader.snippet, reader.decode, reader.seed)
        for name, value in {"met": [], "broken": broken, "hangs": hangs}.items():
            object.__setattr__(self, name, value)

    def read(self, batch, position, out):
        index = batch.recordings[position]
        self.met.append(index)
        if index == self.broken:
            raise DecodeError(f"recording {index}: is broken")
        if self.hangs is not None and index == 2:
            self.hangs.wait()
        super().read(batch, position, out)


def read_one(reader, batch, position=0):
    """Return the snippets (S, T, ...) by modality of one recording of a batch."""
    inputs = reader.allocate(batch)
    views = {modality: values.numpy()[position] for modality, values in inputs.items()}
    for view in views.values():
        view[...] = 77  # memory is not cleared
    reader.read(batch, position, views)
    return views


def test_frames_are_those_the_draw_names(make_reader, read_entry):
    reader = make_reader()
    batch = PlannedBatch(fold=2, epoch=5, training=True, recordings=(4, 1), global_size=2)
    frames = read_entry(reader.recordings[1].stored["rgb"])
    draw = Draw(seed=3, fold=2, epoch=5, recording_id="S001")
    expected = frames[frame_indices(len(frames), reader.snippet, draw)]
    assert expected.shape == (1, 6, 17, 17, 3)
    np.testing.assert_array_equal(read_one(reader, batch, 1)["rgb"], expected)


def test_evaluation_reads_the_central_view_in_every_epoch(make_reader, read_entry):
    reader = make_reader()
    frames = read_entry(reader.recordings[4].stored["rgb"])
    central = frames[frame_indices(len(frames), reader.snippet, None)]
    for epoch in range(3):
        batch = PlannedBatch(0, epoch, training=False, recordings=(4,), global_size=1)
        np.testing.assert_array_equal(read_one(reader, batch)["rgb"], central)


def test_segments_give_as_many_snippets(make_reader):
    reader = make_reader(mode="segments", num_segments=2, num_frames=3)
    batch = PlannedBatch(0, 0, training=True, recordings=(0, 1), global_size=2)
    snippets = read_one(reader, batch)["rgb"]
    assert snippets.shape == (2, 3, 17, 17, 3)
    assert reader.snippet_bytes() == snippets.nbytes


def test_a_recording_outside_the_store_is_decoded(make_reader, unstored, numbered_video):
    config = DecodeConfig(height=24, width=24)
    recording = unstored(make_reader(1).recordings[0], numbered_video)
    reader = SnippetReader((recording,), SnippetConfig(num_frames=5), config, seed=3)
    batch = PlannedBatch(0, 1, training=True, recordings=(0,), global_size=1)
    indices = frame_indices(40, reader.snippet, Draw(3, 0, 1, recording.recording_id))
    expected = decode(numbered_video, config).frames[indices]
    np.testing.assert_array_equal(read_one(reader, batch)["rgb"], expected)


def test_only_the_span_of_a_recording_is_read(
    make_reader, unstored, numbered_video, read_frame_number
):
    recording = unstored(make_reader(1).recordings[0], numbered_video)
    recording = replace(recording, part=Part(0.4, 0.8))  # frames 10 to 19 of 25 a second
    config = DecodeConfig(height=64, width=64)
    reader = SnippetReader((recording,), SnippetConfig(num_frames=10), config, seed=0)
    frames = read_one(reader, PlannedBatch(0, 0, False, (0,), 1))["rgb"][0]
    assert [read_frame_number(frame) for frame in frames] == list(range(10, 20))


def test_only_the_rectangle_of_a_recording_is_read(
    make_reader, unstored, write_video, read_frame_number
):
    frames = [np.pad(number_frame(i), ((0, 32), (0, 0), (0, 0))) for i in range(8)]
    video = write_video("marked.mp4", frames)
    config = DecodeConfig(height=64, width=64)
    recording = replace(
        unstored(make_reader(1).recordings[0], video), part=Part(crop=Box(0, 0, 64, 64))
    )
    reader = SnippetReader((recording,), SnippetConfig(num_frames=8), config, seed=0)
    read = read_one(reader, PlannedBatch(0, 0, False, (0,), 1))["rgb"][0]
    assert [read_frame_number(frame) for frame in read] == list(range(8))


def test_a_recording_that_cannot_be_decoded_is_named(make_reader, unstored, tmp_path):
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    recording = unstored(make_reader(1).recordings[0], broken)
    reader = SnippetReader((recording,), SnippetConfig(), DecodeConfig(), seed=0)
    with pytest.raises(DecodeError, match=r"^recording S000: "):
        read_one(reader, PlannedBatch(0, 0, True, (0,), 1))


@pytest.fixture
def timed(tmp_path, write_entry, make_reader):
    """A recording whose items hold their own time: 20 frames at 10 Hz from second 1 on."""

    def make(beside, *, rate, start, count, dtype=np.float32, **snippet):
        seconds = 1 + np.arange(20) / 10
        rgb = np.zeros((20, 4, 4, 3), np.uint8)
        rgb[:, 0, 0, 0] = np.round(seconds * 50)
        other = np.zeros((count, 2), dtype)
        other[:] = np.round((start + np.arange(count) / rate) * 50)[:, None]
        recording = replace(
            make_reader(1).recordings[0],
            stored={
                "rgb": write_entry(tmp_path / "rgb.arrow", rgb, rate=10, start=1.0),
                beside: write_entry(tmp_path / "other.arrow", other, rate=rate, start=start),
            },
        )
        settings = SnippetConfig(**{"num_frames": 20, **snippet})
        size = DecodeConfig(height=8, width=8)
        return SnippetReader((recording,), settings, size, seed=0, beside=(beside,))

    return make


CENTRAL = PlannedBatch(0, 0, False, (0,), 1)


def test_modalities_meet_by_time_whatever_their_rates(timed):
    reader = timed("log_mel", rate=100, start=0.0, count=400)
    read = read_one(reader, CENTRAL)
    frame_times = read["rgb"][0, :, 0, 0, 0]
    assert frame_times.tolist() == [50 + 5 * i for i in range(20)]
    np.testing.assert_array_equal(read["log_mel"][0, :, 0], frame_times)


def test_a_flow_field_stands_beside_the_last_frame_too(timed):
    reader = timed("flow", rate=10, start=1.0, count=19, dtype=np.uint8)
    read = read_one(reader, CENTRAL)
    expected = [*read["rgb"][0, :19, 0, 0, 0], read["rgb"][0, 18, 0, 0, 0]]
    assert read["flow"][0, :, 0].tolist() == expected


def test_what_is_absent_is_not_a_number_and_never_zero(timed):
    reader = timed("landmarks", rate=10, start=1.5, count=5)
    points = read_one(reader, CENTRAL)["landmarks"][0, :, 0]
    frame_times = 50 + 5 * np.arange(20)
    # Within one interval of the track, 0.1 s, the nearest row stands in.
    there = (frame_times >= 70) & (frame_times <= 100)
    assert np.isnan(points[~there]).all()
    assert not np.isnan(points[there]).any()
    np.testing.assert_array_equal(
        points[(frame_times >= 75) & (frame_times <= 95)], range(75, 96, 5)
    )


def test_pictures_that_are_absent_stop_with_the_recording_and_the_time(timed):
    reader = timed("flow", rate=10, start=1.5, count=5, dtype=np.uint8)
    with pytest.raises(
        StoreError,
        match=r"recording S000: .*other\.arrow: has no item within 0\.100 s of .* at 1\.000 s",
    ):
        read_one(reader, CENTRAL)


def test_a_reader_survives_the_journey_to_a_task(make_reader):
    reader = make_reader()
    there = pickle.loads(pickle.dumps(reader))
    expected = read_one(reader, PLAN[0], 1)["rgb"]
    np.testing.assert_array_equal(read_one(there, PLAN[0], 1)["rgb"], expected)


@pytest.mark.parametrize("threads", [1, 3])
def test_the_local_stream_is_the_plan_read_in_order(make_reader, threads):
    reader = make_reader()
    batches = list(read_locally(PLAN, reader, threads=threads, stall_seconds=30.0))
    assert [batch.planned for batch in batches] == PLAN
    for batch in batches:
        positions = range(len(batch.planned.recordings))
        expected = [read_one(reader, batch.planned, at)["rgb"] for at in positions]
        np.testing.assert_array_equal(batch.frames.numpy(), np.stack(expected))
        recordings = [reader.recordings[index] for index in batch.planned.recordings]
        assert batch.target.tolist() == [recording.target for recording in recordings]


def test_an_empty_plan_gives_no_batch(make_reader):
    assert list(read_locally([], make_reader(), **PATIENT)) == []


def test_one_batch_is_read_in_advance_and_no_more(make_reader):
    reader = CountingReader(make_reader())
    stream = read_locally(PLAN, reader, **PATIENT)
    next(stream)
    ahead = [index for batch in PLAN[:2] for index in batch.recordings]
    deadline = time.monotonic() + 5
    while len(reader.met) < len(ahead) and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.1)
    assert reader.met == ahead
    stream.close()


def test_closing_stops_the_reading_and_its_thread(make_reader):
    reader = CountingReader(make_reader())
    stream = read_locally(PLAN, reader, **PATIENT)
    next(stream)
    stream.close()
    met = len(reader.met)
    assert not [thread for thread in threading.enumerate() if "snippets" in thread.name]
    time.sleep(0.1)
    assert len(reader.met) == met < sum(len(batch.recordings) for batch in PLAN)


def test_an_unreadable_recording_ends_the_stream_where_it_is_due(make_reader):
    broken = PLAN[1].recordings[0]
    stream = read_locally(PLAN, CountingReader(make_reader(), broken), **PATIENT)
    assert next(stream).planned == PLAN[0]
    with pytest.raises(DecodeError, match=f"recording {broken}"):
        next(stream)
    assert not [thread for thread in threading.enumerate() if "snippets" in thread.name]


def test_a_reading_that_hangs_ends_with_what_it_waits_for(make_reader):
    hangs = threading.Event()
    reader = CountingReader(make_reader(), hangs=hangs)
    try:
        with pytest.raises(StreamError) as caught:
            list(read_locally(PLAN, reader, threads=3, stall_seconds=0.2))
    finally:
        hangs.set()
    assert str(caught.value).startswith("no data for 0.2 s: waiting for recording S002; ")
    assert "stream.stall_seconds" in str(caught.value)


@pytest.mark.parametrize(
    ("asked", "num_workers", "stored", "chosen"),
    [
        ("auto", 1, True, "local"),
        ("auto", 1, False, "ray"),
        ("auto", 2, True, "ray"),
        ("local", 2, False, "local"),
        ("ray", 1, True, "ray"),
    ],
)
def test_auto_reads_locally_only_for_one_worker_on_a_store(asked, num_workers, stored, chosen):
    config = StreamConfig(reader=asked)
    assert config.chosen(num_workers=num_workers, stored=stored) == chosen


def test_a_kept_view_is_read_in_the_place_of_the_pictures(tmp_path, write_entry, make_reader):
    reader = make_reader(2)
    recordings = []
    for number, one in enumerate(reader.recordings):
        maps = np.repeat(np.arange(12, dtype=np.float16), 24).reshape(12, 2, 3, 4)
        files = [tmp_path / f"{number}{view}.arrow" for view in range(2)]
        paths = [write_entry(path, maps + 100 * view) for view, path in enumerate(files)]
        recordings.append(replace(one, stored={"rgb": tmp_path / "no"}, views=tuple(paths)))
    views = Views(AugmentConfig(), 2, (8, 6))
    reader = replace(reader, recordings=tuple(recordings), views=views)
    plain = read_batch(reader, PlannedBatch(0, 0, False, (0, 1), 2))
    assert plain.frames.shape[3:] == (2, 3, 4)
    assert plain.frames.dtype == torch.float16
    assert plain.frames.max() < 100
    assert plain.moved is not None
    assert plain.moved.size == (8, 6)
    assert not any(plain.moved.augmentation.flipped)
    seen = set()
    for epoch in range(12):
        batch = read_batch(reader, PlannedBatch(0, epoch, True, (1, 0), 2))
        assert batch.moved is not None
        flipped = batch.moved.augmentation.flipped
        assert tuple(bool(one.min() >= 100) for one in batch.frames.flatten(0, 1)) == flipped
        seen.add(flipped)
    assert len(seen) > 2


def read_batch(reader, planned):
    inputs = reader.allocate(planned)
    for position in range(len(planned.recordings)):
        views = {name: values[position].numpy() for name, values in inputs.items()}
        reader.read(planned, position, views)
    return reader.batch(planned, inputs)
