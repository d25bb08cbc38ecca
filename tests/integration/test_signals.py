"""Trials, machines and drivers of a search that get SIGTERM or are lost."""

import os
import random
import re
import shlex
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import ray
from ray._private.node import Node
from ray.cluster_utils import Cluster
from ray.core.generated.autoscaler_pb2 import DRAIN_NODE_REASON_PREEMPTION

from tests.integration.conftest import Job, kill_named

pytestmark = [pytest.mark.integration, pytest.mark.chaos]

SETTINGS = ["search.max_concurrent_trials=1", "search.trials=2", "optim.epochs=6"]
TRIAL = ("ray::study trial", "ray::FoldTrial")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, small_cohort: Path) -> dict[str, object]:
    """Return the outcome of an undisturbed study."""
    job = Job(small_cohort, tmp_path_factory.mktemp("whole"))
    done = job.run(*job.words(*SETTINGS))
    assert done.returncode == 0, done.stderr
    return job.outcome()


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """Start a head node without CPUs, and a node that trains."""
    made = Cluster(True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    made.add_node(num_cpus=1)
    yield made
    made.shutdown()


def on(cluster: Cluster) -> list[str]:
    """Return the settings of a job on a cluster, where nothing listens for MLflow."""
    return [*SETTINGS, f"resources.address={cluster.address}", "tracking.uri=http://127.0.0.1:9"]


def scored(outcome: dict[str, object]) -> dict[str, object]:
    """Return an outcome but for the names of files: without MLflow one less is kept."""
    return {name: value for name, value in outcome.items() if name != "files"}


def test_sigterm_to_the_process_of_a_trial_costs_no_epoch(
    job: Job, whole: dict[str, object]
) -> None:
    process, draw = job.start(*job.words(*SETTINGS)), random.Random(3)
    for number in range(8):
        job.wait_for_epochs(process, 2 * number + 1)
        time.sleep(draw.uniform(0.0, 0.4))
        kill_named(process, *TRIAL, by=signal.SIGTERM)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, out + err
    assert job.outcome() == whole
    told = [line for line in out.splitlines() if "goes on from fold" in line]
    assert len(told) >= 4
    assert any("batches are done" in line for line in told)
    assert err == ""


def test_sigterm_to_the_driver_leaves_a_study_that_resumes(
    job: Job, whole: dict[str, object]
) -> None:
    words = job.words(*SETTINGS)
    for epochs, to_all in ((3, False), (8, True)):
        process = job.start(*words)
        job.wait_for_epochs(process, epochs)
        (os.killpg if to_all else os.kill)(process.pid, signal.SIGTERM)
        sent = time.monotonic()
        first = process.stderr.readline()
        assert time.monotonic() - sent < 2  # `ray job stop` waits three seconds
        told = shlex.split(first.removeprefix("interrupted by SIGTERM; continue: "))
        assert told[-len(words) :] == words
        out, err = process.communicate(timeout=60)
        assert (process.returncode, err) == (143, ""), out
    done = job.run("--resume", f"output={job.output}")
    assert done.returncode == 0, done.stderr
    assert job.outcome() == whole


def test_a_job_whose_head_is_lost_says_how_to_go_on(job: Job, whole: dict[str, object]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_gcs_rpc_server_reconnect_timeout_s", "40")
        process = job.start(*job.words(*SETTINGS))
    job.wait_for_epochs(process, 3)
    family = psutil.Process(process.pid).children(recursive=True)
    (head,) = [one for one in family if "gcs_server" in one.name()]
    head.kill()
    out, err = process.communicate(timeout=60)
    assert process.returncode == 143, out + err
    assert "the head of the Ray cluster at 127.0.0.1" in out
    assert err.startswith("interrupted by SIGTERM; continue: ")
    done = job.run("--resume", f"output={job.output}")
    assert done.returncode == 0, done.stderr
    assert job.outcome() == whole


def test_a_search_goes_on_after_all_machines_that_train_were_lost(
    job: Job, whole: dict[str, object], cluster: Cluster
) -> None:
    process = job.start(*job.words(*on(cluster)))
    for epochs in (3, 14):
        job.wait_for_epochs(process, epochs)
        (node,) = cluster.worker_nodes
        cluster.remove_node(node, allow_graceful=False)
        time.sleep(3)
        cluster.add_node(num_cpus=1)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, out + err
    assert scored(job.outcome()) == scored(whole)
    # Ray may learn of the process before it learns of the machine.
    assert len(re.findall("its (machine|process) was lost; it goes on from fold", out)) == 2
    assert err == ""


def test_a_trial_leaves_a_machine_that_is_drained(
    job: Job, whole: dict[str, object], cluster: Cluster
) -> None:
    cluster.add_node(num_cpus=1)
    process = job.start(*job.words(*on(cluster)))
    job.wait_for_epochs(process, 3)
    (old,) = [node for node in cluster.worker_nodes if trains(node)]
    drain(cluster, old.node_id)
    assert any("had notice to end" in line for line in process.stdout)
    cluster.remove_node(old, allow_graceful=False)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, out + err
    assert scored(job.outcome()) == scored(whole)


def trains(node: Node) -> bool:
    """Return whether a process of a trial is on a node of the local cluster."""
    (raylet,) = node.all_processes["raylet"]
    processes = psutil.Process(raylet.process.pid).children(recursive=True)
    return any(" ".join(one.cmdline()).startswith(TRIAL) for one in processes)


def drain(cluster: Cluster, node: str) -> None:
    """Let Ray drain a node, as after the notice of a spot machine, with 30 s left."""
    end = int(1000 * (time.time() + 30))
    done, why = ray._raylet.GcsClient(address=cluster.address).drain_node(
        node, DRAIN_NODE_REASON_PREEMPTION, "spot", end
    )
    assert done, why
