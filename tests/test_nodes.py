import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from pdray import nodes
from pdray.nodes import (
    DECODE,
    Node,
    NodeType,
    possible_nodes,
    reported_types,
    role_if_known,
    types_of,
)
from tests.places import ROOT

TRAIN = NodeType("train", Node(8, 1, frozenset({"train"})), 8)
BOTH = (NodeType("decode", Node(16, 0, frozenset({"decode"})), 4), TRAIN)


@pytest.fixture
def cluster(monkeypatch):
    """Return a function that stands for a joined cluster which reports these groups of nodes."""

    def join(*groups, address="10.0.0.1:6379", nodes=()):
        told = SimpleNamespace(node_group_configs=groups) if groups else None
        monkeypatch.setattr("ray._private.state.state.get_cluster_config", lambda: told)
        context = SimpleNamespace(gcs_address=address)
        monkeypatch.setattr("ray.get_runtime_context", lambda: context)
        alive = [{"Alive": True, "Resources": one} for one in nodes]
        monkeypatch.setattr("ray.nodes", lambda: alive)

    return join


def test_the_types_of_cluster_yaml_are_read_without_the_head():
    assert types_of(yaml.safe_load((ROOT / "cluster.yaml").read_text())) == BOTH


def test_no_more_nodes_of_a_type_than_of_the_cluster_are_counted():
    train = {"resources": {"CPU": 8}, "max_workers": 8}
    config = {"available_node_types": {"train": train, "no": {**train, "max_workers": 0}}}
    assert types_of({**config, "max_workers": 3}) == (NodeType("train", Node(8), 3),)
    config["available_node_types"]["auto"] = {"node_config": {"InstanceType": "c7i"}}
    assert types_of(config) == ()


def test_types_come_from_what_the_platform_reports_to_ray(cluster):
    group = SimpleNamespace(name="train", resources={"CPU": 8, "GPU": 1, "train": 1}, max_count=8)
    cluster(group)
    assert reported_types() == (TRAIN,)
    group.max_count = -1  # no limit; all nodes that may be are counted one by one
    assert len(possible_nodes(reported_types())) == 1000
    cluster(nodes=[{"CPU": 2.0}])
    assert reported_types() == ()


@pytest.mark.parametrize(
    "written", [yaml.safe_dump({"available_node_types": {"a": {"resources": {"CPU": 3}}}}), "{", ""]
)
def test_types_come_from_the_file_of_the_autoscaler_that_serves_this_cluster(
    cluster, tmp_path, written
):
    path = tmp_path / "ray_bootstrap_config.yaml"
    path.write_text(written)
    address = f"10.0.0.1:{os.getpid()}"  # other tests that run now have other clusters
    words = [f"--autoscaling-config={path}", f"--gcs-address={address}"]
    command = [sys.executable, "-c", "input()", *words]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        while str(path) not in _command_line(process.pid):
            time.sleep(0.01)
        cluster(address=address)
        found = reported_types()
        cluster(address="10.0.0.2:6379")
        others = reported_types()
        process.communicate(b"\n")
    assert [(one.name, one.node) for one in found] == ([("a", Node(3))] if "CPU" in written else [])
    assert others == ()


def _command_line(pid):
    return Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8")


def test_a_role_counts_where_a_node_has_it_or_may_have_it(cluster):
    cluster(nodes=[{"CPU": 2.0}])
    assert role_if_known(DECODE) is None
    cluster(nodes=[{"CPU": 2.0, "decode": 1.0}])
    assert role_if_known(DECODE) == DECODE
    cluster(SimpleNamespace(name="decode", resources={"CPU": 1, "decode": 1}, max_count=-1))
    assert role_if_known(DECODE) == DECODE


def test_work_without_a_node_says_so_until_one_is_up(cluster, monkeypatch, capsys):
    monkeypatch.setattr(nodes, "WAITING_SECONDS", 0.02)
    cluster(nodes=[{"CPU": 8.0}])
    with nodes.telling_of_no_node("decode", cpus=1):
        time.sleep(0.1)
    assert capsys.readouterr().out.startswith("waiting for the first decode node, 0 s\n")
    with nodes.telling_of_no_node(None, cpus=16):
        time.sleep(0.1)
    assert "waiting for the first node with 16 CPUs" in capsys.readouterr().out
    with nodes.telling_of_no_node(None, cpus=1):
        time.sleep(0.1)
    assert capsys.readouterr().out == ""
