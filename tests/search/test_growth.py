from types import SimpleNamespace

import pytest
from ray.tune import TuneConfig
from ray.tune.search import ConcurrencyLimiter, Searcher

from pdray.config import build
from pdray.search import growth
from pdray.search.cluster import measure, reserve
from pdray.search.course import Course, Work
from pdray.search.growth import Growth
from pdray.search.progress import Extent, Progress
from pdray.search.settings import StudyConfig

NODE = {"CPU": 1.0, "train": 1.0}
TYPES = {"train": {"CPU": 1, "train": 1, "max_workers": 3}}


class Numbers(Searcher):
    """Proposes trials without end."""

    def suggest(self, trial_id):
        return {}

    def on_trial_complete(self, trial_id, result=None, error=False):
        pass


@pytest.fixture
def cluster(monkeypatch):
    """Return a cluster whose number of nodes and time can be set."""
    now = SimpleNamespace(nodes=1, seconds=0.0)
    monkeypatch.setattr("pdray.search.cluster.reported_types", lambda: ())
    monkeypatch.setattr(
        "ray.nodes", lambda: [{"Alive": True, "Resources": NODE} for _ in range(now.nodes)]
    )
    monkeypatch.setattr(growth.time, "monotonic", lambda: now.seconds)
    return now


def follow(cluster, trials=9, **resources):
    """Return what follows a cluster, and a function that passes time with trials in such states."""
    tree = {"data": {"manifest": "m.csv"}, "search": {"trials": trials}, "resources": resources}
    config = build(StudyConfig, tree)
    reservation = reserve(config, measure(config.resources), reads_through_ray=False)
    course = Course(Work(9, 4, 9, 1.0, reservation.concurrent_trials, 0.0))
    progress = Progress(
        None, None, print, extent=Extent(9, 0, 2, 2), course=course, direction=("val/mcc", True)
    )
    at_once = reservation.concurrent_trials
    how = TuneConfig(search_alg=Numbers("value", "max"), max_concurrent_trials=at_once)
    found = Growth(reservation, how, [progress])

    def step(seconds, running=0, pending=0):
        states = ["RUNNING"] * running + ["PENDING"] * pending
        cluster.seconds += seconds
        found.on_step_begin(1, [SimpleNamespace(status=state) for state in states])

    return found, step, course


def proposed(limiter, *names):
    return [name for name in names if limiter.suggest(name) is not None]


def test_a_search_follows_the_cluster_up_and_down(cluster, capsys):
    found, step, course = follow(cluster)
    limiter = found.how.search_alg
    assert isinstance(limiter, ConcurrencyLimiter)
    assert found.how.max_concurrent_trials is None
    assert proposed(limiter, "a", "b") == ["a"]
    cluster.nodes = 3
    step(1)
    assert proposed(limiter, "b") == []  # it looks at intervals
    step(growth.LOOK_SECONDS)
    assert proposed(limiter, "b", "c", "d") == ["b", "c"]
    assert course.work.at_once == 3
    assert capsys.readouterr().out == (
        "cluster    3 CPUs and no GPU on 3 nodes: 3 trials at once, 1 before\n"
    )
    cluster.nodes = 2
    step(growth.LOOK_SECONDS)
    limiter.on_trial_complete("a", {})
    assert proposed(limiter, "d") == []
    limiter.on_trial_complete("b", {})
    assert proposed(limiter, "d", "e") == ["d"]
    cluster.nodes = 0
    step(growth.LOOK_SECONDS)
    assert limiter.max_concurrent == course.work.at_once == 1
    assert capsys.readouterr().out.endswith("no GPU on no node: no trial at once, 2 before\n")


def test_known_trials_follow_it_too(cluster):
    found = Growth(follow(cluster)[0]._reservation, TuneConfig(max_concurrent_trials=1), [])
    cluster.seconds, cluster.nodes = 9, 4
    found.on_step_begin(1, [])
    assert found.how.search_alg.max_concurrent == 4


def test_a_refit_stays_one_trial(cluster, capsys):
    found = Growth(follow(cluster)[0]._reservation, TuneConfig(), [])
    cluster.seconds, cluster.nodes = 9, 4
    found.on_step_begin(1, [])
    assert found.how.search_alg.max_concurrent == 1
    assert capsys.readouterr().out == ""


def test_waiting_is_told_every_15_seconds_until_the_nodes_are_up(cluster, capsys):
    _, step, _ = follow(cluster, node_types=TYPES)
    for _ in range(9):
        step(5, running=1, pending=2)
    assert capsys.readouterr().out == (
        "waiting for 2 train nodes (1 of 3 up, 15 s)\nwaiting for 2 train nodes (1 of 3 up, 30 s)\n"
    )
    cluster.nodes = 3
    for _ in range(9):
        step(5, running=2, pending=1)  # its process starts
    cluster.nodes = 2
    for _ in range(5):
        step(5, running=2, pending=1)
    assert capsys.readouterr().out == "waiting for 1 train node (2 of 3 up, 15 s)\n"
