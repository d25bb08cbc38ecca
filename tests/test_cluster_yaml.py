import copy
import os
import re
import subprocess
import time
import warnings
from pathlib import Path
from typing import Any

import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config
from ray.scripts.scripts import drain_node, start

from tests.places import ROOT

FILE = ROOT / "cluster.yaml"
PHASES = (
    "initialization_commands",
    "setup_commands",
    "head_setup_commands",
    "worker_setup_commands",
    "head_start_ray_commands",
    "worker_start_ray_commands",
)
SECRETS = (
    r"AKIA[0-9A-Z]{16}",
    r"-----BEGIN",
    r"(?i)(password|secret|aws_\w*key)\s*[:=]",
    r"RAY_AUTH_TOKEN=",
    r"[0-9a-f]{32}",
    r"//[^/@\s]+:[^/@\s]+@",
)


@pytest.fixture(scope="module")
def written() -> dict[str, Any]:
    return yaml.safe_load(FILE.read_text())


@pytest.fixture(scope="module")
def prepared(written: dict[str, Any]) -> dict[str, Any]:
    """The file as ``ray up`` completes it from the provider's defaults."""
    return prepare_config(copy.deepcopy(written))


@pytest.fixture(scope="module")
def commands(written: dict[str, Any]) -> list[str]:
    return [command for phase in PHASES for command in written.get(phase, [])]


def test_ray_accepts_it(prepared: dict[str, Any]) -> None:
    validate_config(prepared)
    assert set(prepared["available_node_types"]) == {"head", "decode", "train"}
    assert prepared["head_node_type"] == "head"


def test_ray_would_refuse_a_misspelt_key(prepared: dict[str, Any]) -> None:
    with pytest.raises(Exception, match="max_worker"):
        validate_config({**prepared, "max_worker": 3})


def test_no_default_of_ray_for_commands_is_left(
    written: dict[str, Any], prepared: dict[str, Any]
) -> None:
    # Ray's own defaults install a development version of Ray.
    for kind in ("head", "worker"):
        own = written["setup_commands"] + written.get(f"{kind}_setup_commands", [])
        assert prepared[f"{kind}_setup_commands"] == own
        assert prepared[f"{kind}_start_ray_commands"] == written[f"{kind}_start_ray_commands"]


def test_workers_grow_from_zero_and_gpus_are_spot(prepared: dict[str, Any]) -> None:
    nodes = dict(prepared["available_node_types"])
    assert nodes.pop("head")["max_workers"] == 0
    assert [node["min_workers"] for node in nodes.values()] == [0, 0]
    assert sum(node["max_workers"] for node in nodes.values()) <= prepared["max_workers"]
    with_gpu = [node for node in nodes.values() if node["resources"].get("GPU")]
    assert len(with_gpu) == 1
    assert with_gpu[0]["node_config"]["InstanceMarketOptions"] == {"MarketType": "spot"}


def test_the_head_runs_no_trials(prepared: dict[str, Any]) -> None:
    assert prepared["available_node_types"]["head"]["resources"] == {"CPU": 0}


@pytest.mark.parametrize("pattern", SECRETS)
def test_no_secret_stands_in_it(pattern: str) -> None:
    assert re.findall(pattern, FILE.read_text()) == []


def test_the_files_it_copies_are_there(written: dict[str, Any]) -> None:
    mounts = dict(written["file_mounts"])
    assert mounts.pop("/home/ubuntu/.ray/auth_token") == "~/.ray/auth_token"
    assert set(mounts.values()) == {"pyproject.toml", "constraints.txt", "README.md"}
    assert [source for source in mounts.values() if not (ROOT / source).is_file()] == []


def test_every_package_is_pinned(written: dict[str, Any]) -> None:
    installs = [one for one in written["setup_commands"] if "pip install" in one]
    assert len(installs) == 1
    assert "-c ~/pdray/constraints.txt ~/pdray" in installs[0]
    pinned = (ROOT / "constraints.txt").read_text().splitlines()
    assert [line for line in pinned if "==" not in line or "+" in line] == []


def test_commands_are_bash(commands: list[str]) -> None:
    assert len(commands) > 8
    for command in commands:
        done = subprocess.run(
            ["bash", "-n", "-c", command], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}\n{done.stderr}"


def test_every_ray_starts_in_the_environment_with_a_token(commands: list[str]) -> None:
    starts = [command for command in commands if "ray start" in command]
    assert len(starts) == 2
    for command in starts:
        assert command.startswith("source ~/env/bin/activate && export RAY_AUTH_MODE=token")
        assert "--disable-usage-stats" in command


def test_options_of_ray_start_exist(commands: list[str]) -> None:
    known = {name for option in start.params for name in option.opts}
    used = [flag for one in commands if "ray start" in one for flag in _flags(one, "ray start")]
    assert len(used) > 6
    assert set(used) <= known


def test_mlflow_listens_on_the_head_alone_and_its_options_exist(commands: list[str]) -> None:
    (server,) = [command for command in commands if "mlflow server" in command]
    used = _flags(server, "mlflow server")
    assert "--host 127.0.0.1" in server
    assert "export MLFLOW_DISABLE_TELEMETRY=true" in server
    assert {"--allowed-hosts", "--backend-store-uri", "--artifacts-destination"} <= set(used)
    assert set(used) <= _mlflow_options()


def test_the_notice_of_a_spot_node_drains_it(commands: list[str], tmp_path: Path) -> None:
    (command,) = [one for one in commands if "drain-node" in one]
    used = _flags(command, "drain-node")
    assert set(used) <= {name for option in drain_node.params for name in option.opts}
    asked, ran = tmp_path / "asked", tmp_path / "ran"
    programs = {  # of AWS the second answer is the notice
        "ray": f'echo "$@" > {ran}.new; mv {ran}.new {ran}',
        "sleep": "",
        "curl": f'[[ $* != *instance-action* ]] || {{ echo "$@" >> {asked}; '
        f"(( $(wc -l < {asked}) > 1 )); }}",
    }
    for name, text in programs.items():
        (tmp_path / name).write_text(f"#!/bin/bash\n{text}\n")
        (tmp_path / name).chmod(0o700)
    (tmp_path / "env/bin").mkdir(parents=True)
    (tmp_path / "env/bin/activate").touch()
    path = f"{tmp_path}:{os.environ['PATH']}"
    environment = {"HOME": str(tmp_path), "PATH": path, "RAY_HEAD_IP": "10.0.0.1"}
    subprocess.run(["bash", "-c", command], check=True, env=environment)
    deadline = time.monotonic() + 20
    while not ran.exists():
        assert time.monotonic() < deadline, (tmp_path / "spot.log").read_text()
        time.sleep(0.01)
    assert ran.read_text().startswith("drain-node --address=10.0.0.1:6379 --reason=DRAIN_NODE_")
    assert "/latest/meta-data/spot/instance-action" in asked.read_text()


def test_placeholders_are_the_two_that_the_head_of_the_file_speaks_of() -> None:
    lines = FILE.read_text().splitlines()
    found = [line.strip() for line in lines if "REPLACE_ME" in line and not line.startswith("#")]
    assert found == [
        "ImageId: ami-REPLACE_ME",
        "fs-REPLACE_ME.efs.eu-central-1.amazonaws.com:/ /shared",
    ]


def _flags(command: str, program: str) -> list[str]:
    return re.findall(r"(?<=\s)--[a-z-]+", command.partition(program)[2])


def _mlflow_options() -> set[str]:
    with warnings.catch_warnings():
        # MLflow 3.17 imports what SQLAlchemy 2.1 calls deprecated.
        warnings.simplefilter("ignore")
        from mlflow.cli import server
    return {name for option in server.params for name in option.opts}
