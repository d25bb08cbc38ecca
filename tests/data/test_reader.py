import pickle
import threading
import time

import numpy as np
import pytest

from pdray.data.decode import DecodeConfig, decode
from pdray.data.plan import FoldSides, PlannedBatch, Schedule, plan_batches
from pdray.data.reader import SnippetReader, StreamConfig, read_locally
from pdray.data.snippet import Draw, SnippetConfig, frame_indices
from pdray.errors import DecodeError

SIDES = (FoldSides(training=tuple(range(7)), evaluation=(7, 8, 9)),)
PLAN = plan_batches(SIDES, Schedule(seed=1, batch_size=3, epochs=2))


class CountingReader(SnippetReader):
    """Remembers what it read, and can be made to fail."""

    def __init__(self, reader, broken=None):
        super().__init__(reader.recordings, reader.snippet, reader.decode, reader.seed)
        object.__setattr__(self, "met", [])
        object.__setattr__(self, "broken", broken)

    def read(self, batch, position):
        self.met.append(batch.recordings[position])
        if batch.recordings[position] == self.broken:
            raise DecodeError(f"recording {self.broken}: is broken")
        return super().read(batch, position)


def test_frames_are_those_the_draw_names(make_reader):
    reader = make_reader()
    batch = PlannedBatch(fold=2, epoch=5, training=True, recordings=(4, 1), global_size=2)
    frames = np.load(reader.recordings[1].stored)
    draw = Draw(seed=3, fold=2, epoch=5, recording_id="S001")
    expected = frames[frame_indices(len(frames), reader.snippet, draw)]
    assert expected.shape == (1, 6, 17, 17, 3)
    np.testing.assert_array_equal(reader.read(batch, 1), expected)


def test_evaluation_reads_the_central_view_in_every_epoch(make_reader):
    reader = make_reader()
    frames = np.load(reader.recordings[4].stored)
    central = frames[frame_indices(len(frames), reader.snippet, None)]
    for epoch in range(3):
        batch = PlannedBatch(0, epoch, training=False, recordings=(4,), global_size=1)
        np.testing.assert_array_equal(reader.read(batch, 0), central)


def test_segments_give_as_many_snippets(make_reader):
    reader = make_reader(mode="segments", num_segments=2, num_frames=3)
    batch = PlannedBatch(0, 0, training=True, recordings=(0, 1), global_size=2)
    assert reader.read(batch, 0).shape == (2, 3, 17, 17, 3)
    assert reader.snippet_bytes() == reader.read(batch, 0).nbytes


def test_a_recording_outside_the_store_is_decoded(make_reader, unstored, numbered_video):
    config = DecodeConfig(height=24, width=24)
    recording = unstored(make_reader(1).recordings[0], numbered_video)
    reader = SnippetReader((recording,), SnippetConfig(num_frames=5), config, seed=3)
    batch = PlannedBatch(0, 1, training=True, recordings=(0,), global_size=1)
    indices = frame_indices(40, reader.snippet, Draw(3, 0, 1, recording.recording_id))
    expected = decode(numbered_video, config).frames[indices]
    np.testing.assert_array_equal(reader.read(batch, 0), expected)


def test_only_the_span_of_a_recording_is_read(
    make_reader, unstored, numbered_video, read_frame_number
):
    from dataclasses import replace

    recording = unstored(make_reader(1).recordings[0], numbered_video)
    recording = replace(recording, span=(0.4, 0.8))  # frames 10 to 19 of 25 a second
    config = DecodeConfig(height=64, width=64)
    reader = SnippetReader((recording,), SnippetConfig(num_frames=10), config, seed=0)
    frames = reader.read(PlannedBatch(0, 0, False, (0,), 1), 0)[0]
    assert [read_frame_number(frame) for frame in frames] == list(range(10, 20))


def test_a_recording_that_cannot_be_decoded_is_named(make_reader, unstored, tmp_path):
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    recording = unstored(make_reader(1).recordings[0], broken)
    reader = SnippetReader((recording,), SnippetConfig(), DecodeConfig(), seed=0)
    with pytest.raises(DecodeError, match=r"^recording S000: "):
        reader.read(PlannedBatch(0, 0, True, (0,), 1), 0)


def test_a_reader_survives_the_journey_to_a_task(make_reader):
    reader = make_reader()
    batch = PLAN[0]
    there = pickle.loads(pickle.dumps(reader))
    np.testing.assert_array_equal(there.read(batch, 1), reader.read(batch, 1))


def test_the_local_stream_is_the_plan_read_in_order(make_reader):
    reader = make_reader()
    batches = list(read_locally(PLAN, reader))
    assert [batch.planned for batch in batches] == PLAN
    for batch in batches:
        expected = [reader.read(batch.planned, at) for at in range(len(batch.planned.recordings))]
        np.testing.assert_array_equal(batch.frames.numpy(), np.stack(expected))
        classes = [reader.recordings[index].target for index in batch.planned.recordings]
        assert batch.target.tolist() == classes


def test_an_empty_plan_gives_no_batch(make_reader):
    assert list(read_locally([], make_reader())) == []


def test_one_batch_is_read_in_advance_and_no_more(make_reader):
    reader = CountingReader(make_reader())
    stream = read_locally(PLAN, reader)
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
    stream = read_locally(PLAN, reader)
    next(stream)
    stream.close()
    met = len(reader.met)
    assert not [thread for thread in threading.enumerate() if "snippets" in thread.name]
    time.sleep(0.1)
    assert len(reader.met) == met < sum(len(batch.recordings) for batch in PLAN)


def test_an_unreadable_recording_ends_the_stream_where_it_is_due(make_reader):
    broken = PLAN[1].recordings[0]
    stream = read_locally(PLAN, CountingReader(make_reader(), broken))
    assert next(stream).planned == PLAN[0]
    with pytest.raises(DecodeError, match=f"recording {broken}"):
        next(stream)
    assert not [thread for thread in threading.enumerate() if "snippets" in thread.name]


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
