"""Searches on a cluster that grows from no node at all and is empty again afterwards."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from tests.integration.conftest import Job
from tests.integration.growing import GrowingCluster, growing_cluster, wait_until
from tests.places import ROOT

pytestmark = [pytest.mark.integration, pytest.mark.chaos]

TYPES = {
    "decode": {"CPU": 1, "decode": 1, "max_workers": 1},
    "train": {"CPU": 1, "train": 1, "max_workers": 2},
}


@pytest.fixture(scope="module")
def cluster() -> Iterator[GrowingCluster]:
    with growing_cluster(TYPES) as found:
        yield found


def start(job: Job, cluster: GrowingCluster, *words: str) -> subprocess.Popen[str]:
    where = [f"resources.address={cluster.address}", "tracking.uri=http://127.0.0.1:9"]
    return subprocess.Popen(
        [sys.executable, "jobs/tune_tsa.py", *job.words(*where, *words)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, **cluster.env, "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"},
    )


def test_a_search_grows_from_no_node_survives_a_loss_and_leaves_none(
    make_job: Callable[[str], Job], cluster: GrowingCluster
) -> None:
    alone, grown = make_job("alone"), make_job("grown")
    # Both folds of a trial train at once, which changes nothing.
    done = alone.run(*alone.words("search.max_concurrent_trials=1", "search.parallel_folds=auto"))
    assert done.returncode == 0, done.stderr
    assert "each of 2 folds of a trial that train at once uses 1 CPU" in done.stdout

    assert cluster.nodes() == []
    process = start(grown, cluster)
    wait_until(lambda: cluster.nodes() == ["decode"], 120)
    wait_until(lambda: cluster.nodes()[-2:] == ["train", "train"], 120)
    grown.wait_for_epochs(process, 1)
    cluster.lose("train")
    out, err = process.communicate(timeout=200)
    assert process.returncode == 0, out + err
    assert "2 trials run at once; the cluster has at most 3 CPUs and no GPU (1 node now;" in out
    assert grown.outcome() == alone.outcome()
    wait_until(lambda: cluster.nodes() == [], 90)


def test_a_trial_that_takes_whole_nodes_starts_and_one_above_every_type_is_refused(
    job: Job, cluster: GrowingCluster
) -> None:
    process = start(job, cluster, "resources.num_workers=2", "search.trials=1", "optim.epochs=1")
    out, err = process.communicate(timeout=200)
    assert process.returncode == 0, out + err

    process = start(job, cluster, "resources.cpus_per_worker=2", "search.name=other")
    _, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "one trial needs 2 CPUs and no GPU, but the cluster has at most 3 CPUs" in err
    assert "up to 2 train with 1 CPU and no GPU" in err
