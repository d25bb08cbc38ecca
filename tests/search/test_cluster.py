import pytest

from pdray.config import build
from pdray.errors import ClusterError, SettingsError
from pdray.search.cluster import Capacity, measure, reserve
from pdray.search.settings import ResourcesConfig, StudyConfig

TWO_CPUS = Capacity(cpus=2, gpus=0, num_nodes=1)


def study(*, resources=None, search=None, stream=None):
    tree = {
        "data": {"manifest": "m.csv"},
        "resources": resources or {},
        "search": search or {},
        "stream": stream or {},
    }
    return build(StudyConfig, tree)


def fitting(config, capacity, *, ray=False):
    return reserve(config, capacity, reads_through_ray=ray).concurrent_trials


def refused(config, capacity, *, ray=False):
    with pytest.raises(ClusterError) as error:
        reserve(config, capacity, reads_through_ray=ray)
    return str(error.value)


def test_as_many_trials_run_as_fit_the_cpus():
    assert fitting(study(), TWO_CPUS) == 2
    assert fitting(study(resources={"cpus_per_worker": 1.5}), TWO_CPUS) == 1
    # 0.1 + 0.2 and the like: twenty tenths are two.
    assert fitting(study(resources={"cpus_per_worker": 0.1}), TWO_CPUS) == 20


def test_reading_through_ray_takes_its_cpus_too():
    made = reserve(study(), TWO_CPUS, reads_through_ray=True)
    assert (made.concurrent_trials, made.cpus_per_trial) == (1, 1.25)
    half = study(resources={"cpus_per_worker": 0.75})
    assert fitting(half, TWO_CPUS, ray=True) == 2


def test_a_distributed_trial_holds_all_its_workers_and_its_own_process():
    config = study(resources={"num_workers": 2})
    made = reserve(config, Capacity(8, 0, 1), reads_through_ray=False)
    assert made.cpus_per_trial == pytest.approx(2.01)
    assert made.concurrent_trials == 3
    assert (made.workers.num_workers, made.workers.cpus_per_worker) == (2, 1.0)


def test_gpus_are_taken_where_there_are_enough_for_the_workers():
    both = Capacity(cpus=64, gpus=2, num_nodes=2)
    one = reserve(study(), both, reads_through_ray=False)
    assert (one.workers.gpus_per_worker, one.concurrent_trials) == (1.0, 2)
    two = reserve(study(resources={"num_workers": 2}), both, reads_through_ray=False)
    assert (two.workers.gpus_per_worker, two.concurrent_trials) == (1.0, 1)
    assert "4 workers, each with 1 CPU and 1 GPU" in refused(
        study(resources={"num_workers": 4}), both
    )
    half = study(resources={"gpus_per_worker": 0.5})
    assert fitting(half, both) == 4
    none = study(resources={"gpus_per_worker": 0.0})
    assert fitting(none, both) == 50


def test_no_more_trials_run_at_once_than_are_asked_for_or_wanted():
    assert fitting(study(search={"trials": 1}), TWO_CPUS) == 1
    many = Capacity(cpus=100, gpus=0, num_nodes=9)
    assert fitting(study(search={"max_concurrent_trials": 3}), many) == 3


def test_a_trial_that_can_never_start_is_refused_with_needs_and_settings():
    told = refused(study(resources={"num_workers": 2, "cpus_per_worker": 1.5}), TWO_CPUS)
    for part in (
        "2 workers, each with 1.5 CPUs and no GPU",
        "the cluster has 2 CPUs and no GPU on 1 node",
        "resources.cluster_cpus",
    ):
        assert part in told
    told = refused(study(resources={"cpus_per_worker": 2.0}), TWO_CPUS, ray=True)
    assert "one trial needs 2 CPUs and no GPU, and 0.25 CPUs for reading" in told
    assert "stream.cpus_per_task" in told
    told = refused(study(resources={"gpus_per_worker": 1.0}), TWO_CPUS)
    assert "one trial needs 1 CPU and 1 GPU" in told


def test_a_worker_must_fit_one_node():
    four = Capacity(cpus=16, gpus=0, num_nodes=4, nodes=((4.0, 0.0),) * 4)
    assert fitting(study(resources={"cpus_per_worker": 3.0}), four) == 4
    told = refused(study(resources={"cpus_per_worker": 8.0}), four)
    assert "needs 8 CPUs and no GPU, but the cluster has 16 CPUs and no GPU on 4 nodes" in told
    mixed = Capacity(cpus=8, gpus=2, num_nodes=2, nodes=((6.0, 0.0), (2.0, 2.0)))
    assert fitting(study(resources={"gpus_per_worker": 1.0}), mixed) == 2


def test_more_trials_at_once_than_fit_are_refused_with_both_counts():
    told = refused(study(search={"max_concurrent_trials": 3}), TWO_CPUS)
    assert "search.max_concurrent_trials: got 3, but only 2 fit" in told
    assert "needs 1 CPU and no GPU, and the cluster has 2 CPUs" in told


def test_capacity_is_what_ray_has_or_what_it_may_grow_to(monkeypatch):
    has = {"CPU": 2.0, "memory": 1.0}
    nodes = [{"Alive": alive, "Resources": has} for alive in (True, False, True)]
    monkeypatch.setattr("ray.nodes", lambda: nodes)
    two = ((2.0, 0.0), (2.0, 0.0))
    assert measure(study().resources) == Capacity(cpus=4.0, gpus=0.0, num_nodes=2, nodes=two)
    growing = study(resources={"cluster_cpus": 64.0, "cluster_gpus": 8.0}).resources
    assert measure(growing) == Capacity(cpus=64.0, gpus=8.0, num_nodes=2)
    # An autoscaling cluster starts from no node that works.
    monkeypatch.setattr("ray.nodes", lambda: [{"Alive": True, "Resources": {"memory": 1.0}}])
    assert measure(study().resources).cpus == 0
    assert fitting(study(resources={"cluster_cpus": 4.0}), measure(growing)) == 8


def test_no_gpus_may_be_said_although_there_are_some(monkeypatch):
    node = {"Alive": True, "Resources": {"CPU": 4.0, "GPU": 2.0}}
    monkeypatch.setattr("ray.nodes", lambda: [node])
    assert measure(study(resources={"cluster_gpus": 0.0}).resources).gpus == 0


@pytest.mark.parametrize("address", ["ray://host:10001", "http://host:8265", "https://host"])
def test_addresses_that_are_no_clusters_are_refused_with_the_right_one(address):
    with pytest.raises(SettingsError, match=f"got '{address}'; that is .* such as host:6379"):
        build(ResourcesConfig, {"address": address})
