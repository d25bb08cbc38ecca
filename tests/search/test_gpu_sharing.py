from dataclasses import dataclass
from types import SimpleNamespace

import pytest

from pdray.config import build
from pdray.search import gpu_sharing
from pdray.search.cluster import Reservation, measure, reserve
from pdray.search.gpu_sharing import largest, share_gpus
from pdray.search.settings import StudyConfig
from pdray.search.space import Choices, Range
from pdray.training.loop.launch import Workers


@dataclass(frozen=True)
class Trials:
    """The part of a trial plan that sharing changes."""

    workers: Workers
    reservation: Reservation


@pytest.fixture
def shared(monkeypatch):
    """Return a function that shares a node of 2 GPUs and 16 CPUs; gives trials and lines."""
    nodes = [{"Alive": True, "Resources": {"CPU": 16.0, "GPU": 2.0}}]
    monkeypatch.setattr("ray.nodes", lambda: nodes)
    monkeypatch.setattr("pdray.search.cluster.reported_types", lambda: ())

    def share(memory, trials=20, **resources):
        tree = {"data": {"manifest": "m"}, "search": {"trials": trials}, "resources": resources}
        config = build(StudyConfig, tree)
        made = reserve(config, measure(config.resources), reads_through_ray=False)
        plan = SimpleNamespace(config=config, starts=(), space={})
        monkeypatch.setattr(gpu_sharing, "measured_share", lambda *_: memory)
        said = []
        found, reservation = share_gpus(plan, Trials(made.workers, made), made, said.append)
        assert found == Trials(reservation.workers, reservation)
        return reservation, said

    return share


def test_trials_share_a_gpu_as_far_as_their_memory_fits(shared):
    found, said = shared(0.21)
    assert (found.workers.gpus_per_worker, found.concurrent_trials) == (0.3333, 6)
    assert said == [
        "resources  a trial takes at most 21% of a GPU's memory, so 3 share a GPU: 6 trials run "
        "at once"
    ]
    assert shared(0.001)[0].concurrent_trials == 16  # CPUs
    assert shared(0.001, cpus_per_worker=4)[0].workers.gpus_per_worker == 0.5  # no more fit anyway
    assert shared(0.001, trials=3)[0].workers.gpus_per_worker == 0.5


@pytest.mark.parametrize(
    ("memory", "settings"),
    [
        (0.41, {}),  # two would fill the GPU
        (None, {}),  # unknown
        (0.1, {"gpus_per_worker": 1}),  # chosen by the user
        (0.1, {"gpus_per_worker": 0}),
        (0.1, {"num_workers": 2}),
        (0.1, {"trials": 2}),  # each has a GPU
    ],
)
def test_trials_that_cannot_share_or_need_not_keep_a_whole_gpu(shared, memory, settings):
    found, said = shared(memory, **settings)
    assert found.workers.gpus_per_worker in (0, 1)
    assert said == []


def test_memory_is_measured_at_the_ends_of_what_changes_sizes():
    space = {
        "optim.learning_rate": Range(1e-4, 1e-2, log=True, step=None, whole=False),
        "loss.gamma": Choices((0.0, 2.0)),
        "optim.batch_size": Choices((8, 16, 32)),
        "model.depth": Range(10, 18, log=False, step=8, whole=True),
        "model.pool": Choices(("mean", "max")),
    }
    start = SimpleNamespace(params={"model.depth": 18, "optim.learning_rate": 1e-3})
    found = largest(SimpleNamespace(space=space, starts=(start,)))
    assert len(found) == 8
    assert {one["optim.batch_size"] for one in found} == {8, 32}
    assert {one["model.depth"] for one in found} == {10, 18}
    assert {one["model.pool"] for one in found} == {"mean", "max"}
    assert {one["optim.learning_rate"] for one in found} == {1e-3}
    many = {f"model.{name}": Choices((1, 2)) for name in "abcde"}
    assert largest(SimpleNamespace(space=many, starts=())) == []
