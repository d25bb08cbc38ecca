"""What the doctor says of ports, a head, a cluster and an MLflow server."""

import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from pdray.doctor import services
from pdray.doctor.services import cluster, look_at_head, look_at_services, ports, tracking
from pdray.head.running import Head


class _Answer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"OK" if self.path == "/health" else b"something else")

    def log_message(self, *words: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[int]:
    """An MLflow server, as far as its health goes; its port."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Answer) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield running.server_address[1]
        running.shutdown()
        thread.join()


@pytest.fixture
def closed() -> int:
    """A port on which nobody listens."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def test_a_taken_port_is_told_with_its_program(server: int, closed: int) -> None:
    assert ports({closed: "Ray"}).state == "ok"
    line = ports({closed: "Ray", server: "MLflow"})
    assert line.state == "warning"
    assert line.told.startswith(f"{server} (MLflow) is taken by ")
    assert "(pid " in line.told


def test_a_server_that_answers_and_one_that_does_not(
    server: int, closed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services, "_SECONDS", 1.0)
    assert cluster(f"127.0.0.1:{server}").state == "ok"
    assert cluster("auto").told.endswith("not tried")
    line = cluster(f"127.0.0.1:{closed}")
    assert (line.state, "does not answer" in line.told) == ("fault", True)
    assert tracking(f"http://127.0.0.1:{server}").state == "ok"
    assert tracking(f"http://127.0.0.1:{server}/elsewhere").told.startswith("another program")
    assert "does not answer" in tracking(f"http://127.0.0.1:{closed}").told
    assert tracking("sqlite:////x/mlflow.db").state == "ok"
    line = tracking("file:/x/runs")
    assert (line.state, line.way[:16]) == ("fault", "use sqlite:////a")


def test_a_head_that_runs_that_ended_and_none(
    tmp_path: Path, server: int, closed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert look_at_head(tmp_path)[1].way.startswith("make head starts one")
    token = tmp_path / "token"
    token.write_text("secret")
    url = f"http://127.0.0.1:{server}"
    head = Head("host:1", url, url, token, tmp_path / "private")
    folder = tmp_path / "output" / "head"
    folder.mkdir(parents=True)
    head.write(folder)
    assert look_at_head(folder)[1].told == "it does not run any more"
    monkeypatch.setattr(services, "processes", lambda head: ["one"])
    monkeypatch.setattr(services, "_SECONDS", 0.0)
    line = look_at_head(folder)[1]  # nothing says ALIVE
    assert (line.state, line.told) == ("fault", "it runs, but ray does not answer")
    monkeypatch.setattr(services, "silent", lambda *words: None)
    monkeypatch.setattr(services, "PORTS", {server: "MLflow", closed: "Ray"})
    lines = list(look_at_services(tmp_path / "output", None, None))
    assert [line.state for line in lines] == ["ok", "ok"]  # its ports are its own
    replace(head, host="other").write(folder)
    line = look_at_head(folder)[1]
    assert (line.state, "was started on other" in line.told) == ("warning", True)
