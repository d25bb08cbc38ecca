import json
import os
from types import SimpleNamespace

import pytest
import ray
from ray._private import ray_constants

from pdray import cluster
from pdray.address import is_submitted, submitted_commit
from pdray.cluster import check_shared, joined_cluster
from pdray.cpus import granted_cpus
from pdray.errors import ClusterError

JOB = "RAY_JOB_CONFIG_JSON_ENV_VAR"


def test_a_submitted_job_is_known_and_its_commit_read(monkeypatch):
    monkeypatch.delenv(JOB, raising=False)
    assert (is_submitted(), submitted_commit()) == (False, None)
    monkeypatch.setenv(JOB, json.dumps({"metadata": {"git_commit": "abc123"}}))
    assert (is_submitted(), submitted_commit()) == (True, "abc123")
    monkeypatch.setenv(JOB, json.dumps({"metadata": {}}))
    assert (is_submitted(), submitted_commit()) == (True, None)


def test_a_nonce_is_read_back_or_the_reason_told(tmp_path):
    read = cluster._read_nonces._function
    good, other, absent = (tmp_path / name for name in ("good", "other", "absent"))
    good.write_text("n0nce")
    other.write_text("something")
    found = read([good, other, absent], "n0nce")
    assert found == {other: "its content differs", absent: "No such file or directory"}


def fake_nodes(monkeypatch, *names):
    nodes = [{"Alive": True, "NodeID": name, "NodeManagerAddress": name} for name in names]
    monkeypatch.setattr("ray.nodes", lambda: nodes)


def test_every_node_that_cannot_read_a_folder_is_named_and_no_nonce_stays(tmp_path, monkeypatch):
    asked = []

    def read_on(node, paths, nonce):
        asked.append(node)
        assert all(path.read_text() == nonce for path in paths)
        return {paths[1]: "No such file or directory"} if node != "head" else {}

    fake_nodes(monkeypatch, "head", "far", "farther")
    monkeypatch.setattr(cluster, "_read_on", read_on)
    folders = [tmp_path / "store", tmp_path / "output"]
    with pytest.raises(ClusterError) as error:
        check_shared(folders)
    for node in ("far", "farther"):
        assert f"node {node} cannot read {folders[1]}: No such file" in str(error.value)
    assert "node head" not in str(error.value)
    assert "is not shared by all nodes" in str(error.value)
    assert "choose an output that every node can read and write" in str(error.value)
    assert asked == ["head", "far", "farther"]
    assert [path for folder in folders for path in folder.iterdir()] == []


def test_nodes_that_all_read_it_pass(tmp_path, monkeypatch):
    fake_nodes(monkeypatch, "head", "far")
    monkeypatch.setattr(cluster, "_read_on", lambda node, paths, nonce: {})
    check_shared([tmp_path])
    assert list(tmp_path.iterdir()) == []


def test_one_node_needs_no_look(tmp_path, monkeypatch):
    fake_nodes(monkeypatch, "head")
    check_shared([tmp_path / "absent"])
    assert not (tmp_path / "absent").exists()


@pytest.mark.integration
@pytest.mark.filterwarnings("ignore")  # Ray warns about itself
def test_two_nodes_of_one_machine_read_what_one_wrote(tmp_path):
    from ray.cluster_utils import Cluster

    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    try:
        nodes.add_node(num_cpus=0)
        nodes.wait_for_nodes()
        ray.init(address=nodes.address, log_to_driver=False)
        assert len(ray.nodes()) == 2
        check_shared([tmp_path / "output"])
        assert list((tmp_path / "output").iterdir()) == []
        nonce = tmp_path / "nonce"
        node = ray.nodes()[1]["NodeID"]
        assert cluster._read_on(node, [nonce], "n0nce") == {nonce: "No such file or directory"}
    finally:
        ray.shutdown()
        nodes.shutdown()


@pytest.mark.parametrize(
    ("faults", "told"),
    [
        ([Exception("The current node timed out during startup.")] * 2, "tried twice"),
        ([OSError("AF_UNIX path length cannot exceed 107 bytes")], "set TMPDIR"),
        ([ValueError("no port in address")], "no port in address"),
        ([AttributeError()], "AttributeError"),
    ],
)
def test_whatever_ray_raises_at_its_start_becomes_one_sentence(monkeypatch, faults, told):
    left = list(faults)

    def init(**options):
        raise left.pop(0)

    monkeypatch.setattr(ray, "init", init)
    with pytest.raises(ClusterError, match=told), joined_cluster(None):
        pass
    assert not left


def test_a_slow_start_of_ray_is_tried_a_second_time(monkeypatch):
    left = [Exception("The current node timed out during startup.")]
    started = []

    def init(**options):
        if left:
            raise left.pop()
        started.append(options | {"is_reached": ray_constants.ENABLE_RAY_CLUSTER})

    monkeypatch.setattr(ray, "init", init)
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    context = SimpleNamespace(gcs_address="127.0.0.1:6379")
    monkeypatch.setattr(ray, "get_runtime_context", lambda: context)
    monkeypatch.delenv("RAY_USAGE_STATS_ENABLED", raising=False)
    with joined_cluster(None):
        assert [options["num_cpus"] for options in started] == [granted_cpus({})]
        assert not started[0]["is_reached"]  # from other machines
        assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"  # Ray would send them
    with joined_cluster("127.0.0.1:6379"):
        assert "num_cpus" not in started[-1]
        assert started[-1]["is_reached"]
