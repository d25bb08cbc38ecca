"""The Ray stream gives the local one's batches; its tasks write down where and when they read."""

import os
import time
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest

from pdray.data.batches import stream as stream_module
from pdray.data.batches.plan import Schedule, plan_batches
from pdray.data.batches.reader import SnippetReader
from pdray.data.batches.settings import SnippetConfig, StreamConfig
from pdray.data.batches.stream import open_stream
from pdray.data.cohort.rated import FoldSides
from pdray.data.media.settings import DecodeConfig
from pdray.errors import DecodeError, StreamError

SIDES = (
    FoldSides(training=tuple(range(7)), evaluation=(7, 8, 9)),
    FoldSides(training=tuple(range(3, 10)), evaluation=(0, 1, 2)),
)
# Ray warns about itself on import.
integration = lambda test: pytest.mark.integration(pytest.mark.filterwarnings("ignore")(test))  # noqa: E731
PLAN = plan_batches(SIDES, Schedule(seed=1, batch_size=3, epochs=3))


class NotingReader(SnippetReader):
    """Leaves a file a read, named after the node, and may be slow or broken."""

    def __init__(self, reader, folder, *, seconds=0.0, broken=None):
        super().__init__(reader.recordings, reader.snippet, reader.decode, reader.seed)
        folder.mkdir()
        object.__setattr__(self, "settings", (folder, seconds, broken))

    def read(self, batch, position, out):
        import ray

        folder, seconds, broken = self.settings
        node = ray.get_runtime_context().get_node_id() if ray.is_initialized() else "none"
        name = f"{time.time_ns()}-{os.getpid()}-{node}"
        (folder / name).touch()
        time.sleep(seconds if batch.recordings[position] < 5 else 0.0)
        if batch.recordings[position] == broken:
            raise DecodeError(f"recording {broken}: is broken")
        super().read(batch, position, out)

    def notes(self):
        """Return the nodes of the reads so far."""
        return [path.name.split("-")[2] for path in self.settings[0].iterdir()]


def read_all(plan, reader, kind, *, cpus_per_task=0.5):
    config = StreamConfig(cpus_per_task=cpus_per_task)
    with open_stream(plan, reader, config, kind=kind) as stream:
        return list(stream)


def same(first, second):
    """Whether two lists of batches are equal bit for bit, in the same order."""
    assert [batch.planned for batch in first] == [batch.planned for batch in second]
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one.frames.numpy(), other.frames.numpy())
        assert one.target.tolist() == other.target.tolist()


@pytest.fixture(scope="module", autouse=True)
def no_ray_left():
    """Leave no cluster to the next module."""
    yield
    import ray

    ray.shutdown()


@pytest.fixture
def local_ray():
    """Two CPUs of Ray on this machine, kept from test to test."""
    import ray

    if not ray.is_initialized():
        ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    return ray


@pytest.fixture
def two_nodes():
    """A head without CPUs, a node with two CPUs and a node with one trainer and no CPU."""
    import ray
    from ray.cluster_utils import Cluster

    ray.shutdown()
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "num_gpus": 0})
    cluster.add_node(num_cpus=2, resources={"reading": 1})
    cluster.add_node(num_cpus=0, resources={"trainer": 1})
    cluster.wait_for_nodes()
    ray.init(address=cluster.address, log_to_driver=False)
    yield {
        name: node["NodeID"]
        for node in ray.nodes()
        for name in ("reading", "trainer")
        if name in node["Resources"]
    }
    ray.shutdown()
    cluster.shutdown()


def test_leaving_the_local_stream_closes_it(make_reader):
    with open_stream(PLAN, make_reader(), StreamConfig(), kind="local") as stream:
        assert next(stream).planned == PLAN[0]
    assert list(stream) == []


@pytest.mark.gpu
def test_a_gpu_gets_the_same_batches_while_it_computes(make_reader):
    import torch

    device = torch.device("cuda")
    reader = make_reader()
    local = read_all(PLAN, reader, "local")
    with open_stream(PLAN, reader, StreamConfig(), kind="local", device=device) as stream:
        moved = []
        for batch in stream:
            assert {t.device.type for t in (batch.frames, batch.target)} == {"cuda"}
            torch.cuda._sleep(10_000_000)  # the copy of the next one must not wait for this
            moved.append(replace(batch, inputs={"rgb": batch.frames.cpu()}))
    same(moved, local)


@integration
def test_ray_gives_the_local_batches_bit_for_bit_and_in_order(local_ray, make_reader):
    sizes = {len(batch.recordings) for batch in PLAN}
    assert len(sizes) > 1, "the plan should have ragged batches"
    reader = make_reader(mode="segments", num_segments=2, num_frames=3)
    local = read_all(PLAN, reader, "local")
    assert len(local) == len(PLAN)
    same(read_all(PLAN, reader, "ray"), local)


@integration
def test_blocks_that_do_not_end_with_a_batch_change_nothing(local_ray, make_reader, monkeypatch):
    reader = make_reader()
    # Two recordings a block where batches have two or three, and many blocks at once.
    monkeypatch.setattr("pdray.data.batches.stream._BLOCK_BYTES", 2 * reader.snippet_bytes())
    same(read_all(PLAN, reader, "ray", cpus_per_task=0.25), read_all(PLAN, reader, "local"))


@integration
def test_slow_recordings_do_not_let_others_pass(local_ray, make_reader, tmp_path, monkeypatch):
    reader = NotingReader(make_reader(), tmp_path / "notes", seconds=0.2)
    monkeypatch.setattr("pdray.data.batches.stream._BLOCK_BYTES", reader.snippet_bytes())
    plan = PLAN[:8]
    same(read_all(plan, reader, "ray", cpus_per_task=0.5), read_all(plan, make_reader(), "local"))


@integration
def test_video_decoded_in_the_stream_gives_the_frames_of_the_store(local_ray, tiny_manifest):
    from pdray.data.cohort.manifest import load_manifest
    from pdray.data.cohort.rated import RatedRecording
    from pdray.data.store.frame_store import FrameStore
    from pdray.data.store.settings import Recipe

    config = DecodeConfig(height=24, width=24)
    manifest = load_manifest(tiny_manifest(num_subjects=5))
    store = FrameStore(manifest.path.parent / "store", Recipe(decode=config))
    stored = tuple(
        RatedRecording(
            recording_id=row.recording_id,
            subject_id=row.subject_id,
            item=row.item,
            grade=row.grade,
            target=int(row.grade >= 2),
            video=row.video,
            stored=store.add(row).paths,
        )
        for row in manifest.recordings
    )
    from_store = SnippetReader(stored, SnippetConfig(num_frames=4), config, seed=0)
    videos = tuple(replace(recording, stored=None) for recording in stored)
    from_video = replace(from_store, recordings=videos)
    same(read_all(PLAN, from_video, "ray"), read_all(PLAN, from_store, "local"))


@integration
def test_leaving_the_ray_stream_stops_its_tasks_within_a_second(
    local_ray, make_reader, tmp_path, monkeypatch
):
    # Four recordings a block, up to 0.05 s each: a task that is not stopped notes the next read
    # within 0.05 s, and 800 reads by two tasks would take 10 s.
    plan = plan_batches(SIDES, Schedule(seed=1, batch_size=3, epochs=40))
    reader = NotingReader(make_reader(), tmp_path / "notes", seconds=0.05)
    monkeypatch.setattr("pdray.data.batches.stream._BLOCK_BYTES", 4 * reader.snippet_bytes())
    # Somebody else holds the blocks too, so that it is not the end of the last reference.
    kept = []
    iter_blocks = stream_module.iter_blocks
    keep = lambda dataset: kept.append(iter_blocks(dataset)) or kept[0]  # noqa: E731
    monkeypatch.setattr(stream_module, "iter_blocks", keep)
    with open_stream(plan, reader, StreamConfig(cpus_per_task=0.5), kind="ray") as stream:
        assert [batch.planned for batch in islice(stream, 3)] == plan[:3]
        left = time.time()
    time.sleep(max(0.0, left + 1.0 - time.time()))
    after_a_second = len(reader.notes())
    time.sleep(1.0)
    assert len(reader.notes()) == after_a_second < sum(len(batch.recordings) for batch in plan) / 2
    assert list(stream) == []


@integration
def test_a_slow_consumer_bounds_what_is_read_in_advance(
    local_ray, make_reader, tmp_path, monkeypatch
):
    plan = plan_batches(SIDES, Schedule(seed=1, batch_size=3, epochs=10))
    reader = NotingReader(make_reader(num_frames=256), tmp_path / "notes")
    total = sum(len(batch.recordings) for batch in plan)
    assert total == 200
    monkeypatch.setattr("pdray.data.batches.stream._BLOCK_BYTES", 4 * reader.snippet_bytes())
    monkeypatch.setattr("pdray.data.batches.stream._STREAM_BYTES", 40 * reader.snippet_bytes())
    with open_stream(plan, reader, StreamConfig(cpus_per_task=0.5), kind="ray") as stream:
        next(stream)
        time.sleep(4.0)
        ahead = len(reader.notes())
        rest = list(stream)
    assert ahead < total / 2
    assert len(rest) == len(plan) - 1
    assert len(reader.notes()) == total


@integration
def test_dense_views_and_further_modalities_pass_through_ray(local_ray, make_reader, write_entry):
    reader = make_reader(
        mode="segments", num_segments=2, num_frames=3, views="dense", num_views=5, view_frames=4
    )
    recordings = []
    for number, recording in enumerate(reader.recordings):
        points = np.full((8, 3, 2), number, np.float32)
        path = recording.stored["rgb"].with_suffix(".points")
        stored = {**recording.stored, "landmarks": write_entry(path, points)}
        recordings.append(replace(recording, stored=stored))
    reader = replace(reader, recordings=tuple(recordings), beside=("landmarks",))
    local, through_ray = (read_all(PLAN[:8], reader, kind) for kind in ("local", "ray"))
    assert {tuple(batch.frames.shape[1:3]) for batch in local} == {(2, 3), (5, 4)}
    for one, other in zip(local, through_ray, strict=True):
        for modality in ("rgb", "landmarks"):
            ours, theirs = one.inputs[modality].numpy(), other.inputs[modality].numpy()
            np.testing.assert_array_equal(ours, theirs)


@integration
def test_a_stream_without_a_cpu_ends_with_what_it_waits_for(local_ray, make_reader):
    import ray

    @ray.remote(num_cpus=2)
    class Hog:
        def there(self):
            return True

    hog = Hog.remote()
    assert ray.get(hog.there.remote())
    config = StreamConfig(cpus_per_task=0.5, stall_seconds=3.0)
    started = time.monotonic()
    try:
        with (
            pytest.raises(StreamError) as caught,
            open_stream(PLAN, make_reader(), config, kind="ray") as stream,
        ):
            next(stream)
    finally:
        ray.kill(hog)
    assert time.monotonic() - started < 30
    told = str(caught.value)
    first = f"S{PLAN[0].recordings[0]:03d}"
    assert told.startswith(f"no data for 3 s: waiting for recordings {first}, ")
    assert "tasks of 0.5 CPUs each; the cluster has 0 free CPUs" in told
    assert "search.max_concurrent_trials" in told


@integration
def test_an_unreadable_recording_is_named_through_ray(local_ray, make_reader, tmp_path):
    reader = NotingReader(make_reader(), tmp_path / "notes", broken=4)
    with pytest.raises(DecodeError, match=r"^recording 4: is broken$"):
        read_all(PLAN, reader, "ray")


@integration
def test_pixels_read_on_another_node_arrive(two_nodes, make_reader, tmp_path):
    import ray

    reader = NotingReader(make_reader(), tmp_path / "notes")

    @ray.remote(num_cpus=0, resources={"trainer": 1})
    def train():
        return ray.get_runtime_context().get_node_id(), read_all(PLAN, reader, "ray")

    consumer, batches = ray.get(train.remote())
    assert consumer == two_nodes["trainer"]
    assert set(reader.notes()) == {two_nodes["reading"]}
    same(batches, read_all(PLAN, make_reader(), "local"))
