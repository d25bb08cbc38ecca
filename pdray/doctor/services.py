"""Looks at ports, the head of this machine, and the Ray cluster and MLflow of the settings."""

import http.client
import socket
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from pdray.doctor.finding import Line
from pdray.errors import ClusterError, TrackingError
from pdray.head.running import Head, processes, read_head
from pdray.head.start import silent
from pdray.tracking.address import bare, check_tracking

PORTS = {8265: "Ray's dashboard", 5000: "MLflow", 6379: "Ray", 10001: "Ray's client"}
_SECONDS = 5.0
_TOKEN = "copy its token to ~/.ray/auth_token and set RAY_AUTH_MODE=token"


def look_at_services(output: Path, address: str | None, uri: str | None) -> Iterator[Line]:
    """Yield what is to be known of ports and servers.

    Args:
        output: The output folder, in which a head keeps its addresses.
        address: Address of a Ray cluster; None: none is meant.
        uri: Address of MLflow runs; None: a file in the output folder.
    """
    head, line = look_at_head(output / "head")
    own = {urlsplit(url).port for url in (head.dashboard, head.tracking)} if head else set()
    yield ports({port: name for port, name in PORTS.items() if port not in own})
    yield line
    if address is not None:
        yield cluster(address)
    if uri is not None:
        yield tracking(uri)


def ports(wanted: Mapping[int, str] = PORTS) -> Line:
    """Look whether the ports that Ray and MLflow usually take are free.

    Args:
        wanted: Name of the program of each port.
    """
    taken = [port for port in wanted if _answers("127.0.0.1", port, seconds=1.0)]
    if not taken:
        return Line("ports", "ok", f"{', '.join(map(str, wanted))} are free")
    who = _listeners()
    told = ", ".join(f"{port} ({wanted[port]}) is taken by {who.get(port, '?')}" for port in taken)
    way = "make head takes others; give ray start and mlflow server other ports yourself"
    return Line("ports", "warning", told, way)


def _listeners() -> dict[int, str]:
    """Return the program that listens on each port, as far as this user may know it."""
    found: dict[int, str] = {}
    with suppress(psutil.Error, OSError):
        for one in psutil.net_connections("tcp"):
            if one.status == psutil.CONN_LISTEN and one.pid is not None:
                with suppress(psutil.Error):
                    found[one.laddr.port] = f"{psutil.Process(one.pid).name()} (pid {one.pid})"
    return found


def look_at_head(folder: Path) -> tuple[Head | None, Line]:
    """Return the head that was started in a folder and runs, and its line.

    Args:
        folder: Folder of the head.
    """
    try:
        head = read_head(folder)
    except ClusterError as error:
        told, _, way = str(error).partition("; ")
        return None, Line("head", "warning", told, way)
    if head is None:
        told = f"none was started in {folder}"
        return None, Line("head", "ok", told, "make head starts one, for jobs that are submitted")
    if not processes(head):
        return None, Line("head", "warning", "it does not run any more", "make head starts it")
    if tool := silent(head, _SECONDS, lambda tool: False):
        way = f"read {folder / f'{tool}.log'}; make head-stop, then make head start it anew"
        return head, Line("head", "fault", f"it runs, but {tool} does not answer", way)
    return head, Line("head", "ok", f"jobs {head.dashboard}, runs {head.tracking}")


def cluster(address: str) -> Line:
    """Look whether a Ray cluster answers.

    Args:
        address: Its address as host:port; "auto" is found when a job starts.
    """
    host, _, port = address.rpartition(":")
    if not port.isdecimal():
        told = f"{address} is looked up when a job starts; not tried"
        return Line("Ray", "ok", told, "give address=HOST:PORT to try it")
    if _answers(host.strip("[]"), int(port), seconds=_SECONDS):
        return Line("Ray", "ok", f"{address} answers", f"if it refuses jobs, {_TOKEN}")
    way = "start it (ray start --head), or open its port in the firewall"
    return Line("Ray", "fault", f"{address} does not answer within {_SECONDS:g} s", way)


def tracking(uri: str) -> Line:
    """Look whether an MLflow server answers, or a database file can be written.

    Args:
        uri: Its address.
    """
    try:
        check_tracking(uri, num_nodes=1)
    except TrackingError as error:
        told, _, way = str(error).partition("; ")
        return Line("MLflow", "fault", told, way)
    if not uri.startswith("http"):
        return Line("MLflow", "ok", f"{bare(uri)} is opened when a job starts; not tried")
    question = urllib.request.Request(f"{uri.rstrip('/')}/health")
    try:
        with urllib.request.urlopen(question, timeout=_SECONDS) as answer:
            told = answer.read(100).decode(errors="replace").strip()
    except (OSError, http.client.HTTPException) as error:
        way = "start it (mlflow server), open its port in the firewall, or leave out tracking.uri: "
        told = f"{bare(uri)} does not answer: {bare(str(getattr(error, 'reason', error)))}"
        return Line("MLflow", "fault", told, f"{way}the log on disk is complete without it")
    if told != "OK":
        way = "give the address that 'mlflow server' printed"
        return Line("MLflow", "fault", f"another program answers at {bare(uri)}", way)
    return Line("MLflow", "ok", f"{bare(uri)} answers")


def _answers(host: str, port: int, *, seconds: float) -> bool:
    try:
        with socket.create_connection((host, port), timeout=seconds):
            return True
    except OSError:
        return False
