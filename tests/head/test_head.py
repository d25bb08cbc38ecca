"""A head without Ray: its processes, its token and the line that submits to it."""

import json
import os
import shlex
import socket
import subprocess
import sys
import threading
from contextlib import ExitStack
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psutil
import pytest

from pdray.atomic import held
from pdray.errors import ClusterError
from pdray.head import start, stop
from pdray.head.running import TAG, Head, processes, read_head
from pdray.head.start import start_head
from pdray.head.stop import stop_head
from pdray.head.submit import running_head, submission
from tests.places import ROOT

SLEEP = [sys.executable, "-c", "import time; print(flush=True); time.sleep(600)"]


@pytest.fixture
def head(tmp_path: Path) -> Head:
    """A head of which head.json and the private folder are there."""
    private = tmp_path / "private"
    private.mkdir()
    token = tmp_path / "token"
    token.write_text("secret")
    made = Head("host:1", "http://127.0.0.1:2", "http://127.0.0.1:3", token, private)
    made.write(tmp_path)
    return made


def test_what_was_started_is_read_again_without_the_token(head: Head, tmp_path: Path) -> None:
    assert read_head(tmp_path) == head
    assert "secret" not in (tmp_path / "head.json").read_text()
    assert read_head(tmp_path / "elsewhere") is None
    (tmp_path / "head.json").write_text("{")
    with pytest.raises(ClusterError, match=r"head\.json cannot be read .*remove the file"):
        read_head(tmp_path)


def test_only_the_processes_of_the_head_are_ended(head: Head, tmp_path: Path) -> None:
    with ExitStack() as stack:
        own, others, another_head = (
            _sleeping(stack, {TAG: tag} if tag else {})
            for tag in (str(head.private), None, str(tmp_path / "another"))
        )
        assert {process.pid for process in processes(head)} == {own.pid}
        assert stop_head(tmp_path) == 1
        assert not psutil.pid_exists(own.pid)
        assert others.poll() is another_head.poll() is None
    assert not head.private.exists()
    assert head.token.exists()
    assert stop_head(tmp_path) == 0


def test_a_process_that_ignores_the_first_signal_is_killed(
    head: Head, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stop, "_SECONDS", 0.2)
    deaf = (
        "import signal, time; signal.signal(15, signal.SIG_IGN); print(flush=True); time.sleep(9)"
    )
    with ExitStack() as stack:
        own = _sleeping(stack, {TAG: str(head.private)}, [sys.executable, "-c", deaf])
        assert stop_head(tmp_path) == 1
        assert not psutil.pid_exists(own.pid)


def _sleeping(
    stack: ExitStack, variables: dict[str, str], command: list[str] = SLEEP
) -> subprocess.Popen[bytes]:
    """Start a process that lives until the stack ends, and wait until it runs."""
    process = stack.enter_context(
        subprocess.Popen(command, env=os.environ | variables, stdout=subprocess.PIPE)
    )
    stack.callback(process.kill)
    assert process.stdout is not None
    process.stdout.readline()
    return process


def test_a_head_that_does_not_start_is_told_and_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spawn = start._spawn
    monkeypatch.setattr(
        start, "_spawn", lambda words, head, log: spawn(["no_such_module"], head, log)
    )
    with pytest.raises(ClusterError, match=r"(?s)ray does not answer.*ray\.log.*No module named"):
        start_head(tmp_path / "head", print)
    token = tmp_path / "head" / "token"
    assert token.stat().st_mode & 0o777 == 0o600
    assert len(token.read_text()) == 64
    assert token.parent.stat().st_mode & 0o777 == 0o700
    assert read_head(token.parent) is None
    assert not [one for one in psutil.process_iter(["cmdline"]) if "no_such_module" in
                (one.info["cmdline"] or [])]  # fmt: skip


def test_ray_and_mlflow_start_without_statistics_of_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://elsewhere")
    spawn = start._spawn
    noted = tmp_path / "environment.json"
    code = f"import json, os; open({str(noted)!r}, 'w').write(json.dumps(dict(os.environ)))"
    words = ["timeit", "-n1", "-r1", code]
    monkeypatch.setattr(start, "_spawn", lambda _, head, log: spawn(words, head, log))
    with pytest.raises(ClusterError, match="ray does not answer"):
        start_head(tmp_path / "head", print)
    seen = json.loads(noted.read_text())
    assert (seen["RAY_USAGE_STATS_ENABLED"], seen["MLFLOW_DISABLE_TELEMETRY"]) == ("0", "true")
    assert "MLFLOW_TRACKING_URI" not in seen


def test_no_proxy_is_sent_the_token_and_no_other_cluster_the_job(
    head: Head, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    class Proxy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)

    with ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for name in ("http_proxy", "HTTP_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("no_proxy", "hospital.example")
        spawn = start._spawn
        monkeypatch.setattr(
            start, "_spawn", lambda words, head, log: spawn(["no_such_module"], head, log)
        )
        with pytest.raises(ClusterError, match="ray does not answer"):
            start_head(tmp_path / "head", print)
        server.shutdown()
    assert not asked
    told = head.environment
    assert told["no_proxy"] == "hospital.example,127.0.0.1"
    monkeypatch.setenv("RAY_ADDRESS", "http://elsewhere:8265")
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    from ray.dashboard.utils import get_address_for_submission_client

    assert get_address_for_submission_client(head.dashboard) == head.dashboard


def test_a_head_is_started_once_and_one_that_does_not_answer_is_told(
    tmp_path: Path, head: Head, monkeypatch: pytest.MonkeyPatch
) -> None:
    with held(tmp_path / "head.lock"), pytest.raises(ClusterError, match="is being started"):
        start_head(tmp_path, print)
    monkeypatch.setattr(start, "_SECONDS_KNOWN", 0.0)
    with ExitStack() as stack:
        _sleeping(stack, {TAG: str(head.private)})
        with pytest.raises(ClusterError, match="ray does not answer; make head-stop ends it"):
            start_head(tmp_path, print)
        assert read_head(tmp_path) == head
        stop_head(tmp_path)


def test_what_a_dead_head_left_is_removed_and_an_empty_token_made_again(
    tmp_path: Path, head: Head, monkeypatch: pytest.MonkeyPatch
) -> None:
    head.token.write_text("")
    monkeypatch.setattr(start, "_start", lambda *of: None)
    new = start_head(tmp_path, print)
    assert not head.private.exists()
    assert len(new.token.read_text()) == 64
    stop_head(tmp_path)


def test_a_head_of_another_machine_is_left_alone(tmp_path: Path, head: Head) -> None:
    replace(head, host="lab2").write(tmp_path)
    for use in (stop_head, running_head, lambda folder: start_head(folder, print)):
        with pytest.raises(ClusterError, match="was started on lab2, and this is"):
            use(tmp_path)
    assert head.private.is_dir()


def test_a_folder_of_another_user_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, mode: int) -> None:
        raise PermissionError(1, "Operation not permitted", str(path))

    monkeypatch.setattr(Path, "chmod", refuse)
    with pytest.raises(ClusterError, match=r"belongs to another user; .* another output"):
        start_head(tmp_path / "head", print)


def test_a_port_that_is_taken_is_not_used() -> None:
    with socket.socket() as other, ExitStack() as taken:
        other.bind(("127.0.0.1", 0))
        usual = other.getsockname()[1]
        ports = [start._port(taken, usual), start._port(taken)]
    assert usual not in ports
    assert len(set(ports)) == 2


def test_the_line_that_submits_can_be_pasted(head: Head) -> None:
    words = ["--config", "search_spaces/tsa.yaml", "data.manifest=/data/a folder/manifest.csv"]
    line, number = submission(head, ROOT, "tune_tsa", words, name="tapping")
    assert shlex.split(shlex.join(line)) == line
    assert line[1:4] == ["job", "submit", "--address"]
    assert Path(line[0]).is_file()
    assert line[line.index("--") + 1 :] == ["python", "jobs/tune_tsa.py", *words]
    assert number.startswith("tapping-")
    assert "secret" not in shlex.join(line)


def test_what_cannot_be_submitted_is_refused(head: Head, tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match="no checkout of pdray: run the command in the folder"):
        submission(head, tmp_path, "tune_tsa", [], name="a")
    with pytest.raises(ClusterError, match=r"has no jobs/tune_tas\.py"):
        submission(head, ROOT, "tune_tas", [], name="a")
    with pytest.raises(ClusterError, match=r"no head runs in .*; start it with make head"):
        running_head(tmp_path)
