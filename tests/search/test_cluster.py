import pytest

from pdray.config import build
from pdray.errors import ClusterError, SettingsError
from pdray.nodes import Node
from pdray.search.cluster import Capacity, describe_capacity, measure, reserve
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


def test_a_distributed_trial_holds_all_its_workers_and_nothing_else():
    config = study(resources={"num_workers": 2})
    made = reserve(config, Capacity(8, 0, 1), reads_through_ray=False)
    assert made.cpus_per_trial == 2
    assert made.concurrent_trials == 4
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
    four = Capacity(cpus=16, gpus=0, num_nodes=4, nodes=(Node(4),) * 4)
    assert fitting(study(resources={"cpus_per_worker": 3.0}), four) == 4
    told = refused(study(resources={"cpus_per_worker": 8.0}), four)
    assert "needs 8 CPUs and no GPU, but the cluster has 16 CPUs and no GPU on 4 nodes" in told
    mixed = Capacity(cpus=8, gpus=2, num_nodes=2, nodes=(Node(6), Node(2, 2)))
    assert fitting(study(resources={"gpus_per_worker": 1.0}), mixed) == 2


def test_more_trials_at_once_than_fit_are_refused_with_both_counts():
    told = refused(study(search={"max_concurrent_trials": 3}), TWO_CPUS)
    assert "search.max_concurrent_trials: got 3, but only 2 fit" in told
    assert "needs 1 CPU and no GPU, and the cluster has 2 CPUs" in told


@pytest.fixture
def joined(monkeypatch):
    """Return a function that stands for a joined cluster of nodes with these resources."""
    monkeypatch.setattr("pdray.search.cluster.reported_types", lambda: ())

    def join(*nodes):
        monkeypatch.setattr("ray.nodes", lambda: [{"Alive": True, "Resources": n} for n in nodes])

    return join


def test_capacity_is_what_ray_has_or_what_it_may_grow_to(joined, monkeypatch):
    has = {"CPU": 2.0, "memory": 1.0}
    joined(has, has)
    two = (Node(2), Node(2))
    assert measure(study().resources) == Capacity(cpus=4.0, gpus=0.0, num_nodes=2, nodes=two)
    growing = study(resources={"cluster_cpus": 64.0, "cluster_gpus": 8.0}).resources
    assert measure(growing) == Capacity(cpus=64.0, gpus=8.0, num_nodes=2, grows=True)
    # An autoscaling cluster starts from no node that works.
    joined({"memory": 1.0})
    assert measure(study().resources).cpus == 0
    assert fitting(study(resources={"cluster_cpus": 4.0}), measure(growing)) == 8
    monkeypatch.setattr("ray.nodes", lambda: [{"Alive": False, "Resources": has}])
    assert measure(study().resources) == Capacity(cpus=0, gpus=0, num_nodes=0)


def test_no_gpus_may_be_said_although_there_are_some(joined):
    joined({"CPU": 4.0, "GPU": 2.0})
    assert measure(study(resources={"cluster_gpus": 0.0}).resources).gpus == 0


HEAD = {"memory": 1.0, "node:__internal_head__": 1.0}
TRAIN = {"CPU": 8, "GPU": 1, "train": 1, "max_workers": 3}
DECODE = {"CPU": 16, "decode": 1, "max_workers": 4}
TYPED = {"node_types": {"decode": DECODE, "train": TRAIN}}


def test_a_cluster_at_zero_has_the_nodes_that_its_types_allow(joined):
    joined(HEAD)
    config = study(resources=TYPED)
    capacity = measure(config.resources)
    assert (capacity.cpus, capacity.gpus, capacity.num_nodes) == (88, 3, 1)
    made = reserve(config, capacity, reads_through_ray=False)
    assert made.concurrent_trials == 3
    assert made.workers.resources == {"CPU": 1, "GPU": 1, "train": 0.001}
    assert describe_capacity(capacity) == (
        "at most 88 CPUs and 3 GPUs (1 node now; up to 4 decode with 16 CPUs and no GPU, up to 3 "
        "train with 8 CPUs and 1 GPU)"
    )
    # Nodes of these types that run are not counted twice.
    joined(HEAD, {"CPU": 8.0, "GPU": 1.0, "train": 1.0})
    assert measure(config.resources).gpus == 3
    # A need above every type would wait for ever.
    told = refused(study(resources={**TYPED, "cpus_per_worker": 9}), capacity)
    assert "needs 9 CPUs and 1 GPU, but the cluster has at most 88 CPUs and 3 GPUs" in told
    assert "up to 3 train with 8 CPUs and 1 GPU" in told
    assert "if the cluster can grow" not in told


def test_trials_take_nodes_of_their_own_only_where_these_are_large_enough_and_not_wasted(joined):
    joined(HEAD)

    def place(**resources):
        config = study(resources={**TYPED, **resources})
        return reserve(config, measure(config.resources), reads_through_ray=False).workers.place

    assert place() == {"train": 0.001}
    assert place(gpus_per_worker=0) == {}  # the nodes that train have GPUs
    assert place(gpus_per_worker=0, cpus_per_worker=12) == {}
    without_gpu = {"decode": DECODE, "train": {**TRAIN, "GPU": 0}}
    assert place(node_types=without_gpu) == {"train": 0.001}
    assert place(node_types={"any": {"CPU": 4, "max_workers": 2}}) == {}


def test_what_trials_wait_for_is_told_in_nodes_of_the_type_that_they_need(joined):
    joined(HEAD)
    config = study(resources=TYPED, search={"trials": 9})
    made = reserve(config, measure(config.resources), reads_through_ray=False)
    assert made.lacking(2) == ("2 train nodes", "0 of 2 up")
    up = {"CPU": 8.0, "GPU": 1.0, "train": 1.0}
    joined(HEAD, up)
    assert made.lacking(9) == ("2 train nodes", "1 of 3 up")
    assert made.lacking(1) is None
    joined(HEAD, up, up, up)
    assert made.lacking(9) == ("room for 6 trials", "3 of 9 have room")
    pair = study(resources={**TYPED, "num_workers": 2, "cpus_per_worker": 8})
    made = reserve(pair, measure(pair.resources), reads_through_ray=False)
    joined(HEAD, up)
    assert made.lacking(1) == ("1 train node", "1 of 2 up")


def test_as_many_trials_run_at_once_as_fit_the_nodes_of_now_and_at_least_one(joined):
    two = {"CPU": 2.0}
    joined(two)
    config = study(search={"trials": 5})
    made = reserve(config, measure(config.resources), reads_through_ray=False)
    assert made.concurrent_trials == 2
    joined(two, two)
    assert made.now()[1] == 4
    joined(two, two, two)
    assert made.now()[1] == 5  # trials
    joined()
    assert made.now()[1] == 1


def test_idle_resources_train_folds_of_one_trial_at_once_if_asked():
    def folds(**search):
        config = study(search=search)
        made = reserve(config, Capacity(cpus=7, gpus=0, num_nodes=1), reads_through_ray=False)
        return made.concurrent_trials, made.folds_at_once

    assert folds(max_concurrent_trials=2) == (2, 1)
    auto = {"parallel_folds": "auto"}
    assert folds(max_concurrent_trials=2, **auto) == (2, 3)
    assert folds(max_concurrent_trials=1, **auto) == (1, study().folds.num_folds)
    assert folds(**auto) == (7, 1)
    assert folds(trials=3, **auto) == (3, 2)


@pytest.mark.parametrize("one", [{"CPU": 8}, {"max_workers": 2}, {"CPU": 0, "max_workers": 2}])
def test_a_node_type_without_a_size_is_refused_with_an_example(one):
    with pytest.raises(SettingsError, match=r"train: .* write train: \{CPU: 8, max_workers: 4\}"):
        study(resources={"node_types": {"train": one}})


@pytest.mark.parametrize(("word", "told"), [({"gpu": 1}, "gpu 1"), ({"GPU": -1}, "GPU -1")])
def test_a_node_type_whose_gpus_would_not_count_is_refused(word, told):
    one = {"CPU": 8, "max_workers": 2, **word}
    with pytest.raises(SettingsError, match=f"train: got {told}; write GPU, and 0 or more"):
        study(resources={"node_types": {"train": one}})


@pytest.mark.parametrize("address", ["ray://host:10001", "http://host:8265", "https://host"])
def test_addresses_that_are_no_clusters_are_refused_with_the_right_one(address):
    with pytest.raises(SettingsError, match=r"got '(ray:|http).* such as host:6379"):
        build(ResourcesConfig, {"address": address})
