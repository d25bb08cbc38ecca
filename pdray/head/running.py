"""A head that was started: its addresses, its token and its processes, in ``head.json``."""

import json
import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psutil

from pdray.atomic import write_text
from pdray.errors import ClusterError

FILE = "head.json"
TAG = "PDRAY_HEAD"
"""Variable in the environment of every process of a head; its value is the private folder."""


@dataclass(frozen=True)
class Head:
    """A Ray head and an MLflow server of one user.

    Attributes:
        address: Where other nodes join Ray, as host:port.
        dashboard: URL to which jobs are submitted.
        tracking: URL of the MLflow server.
        token: File of the token, which only its owner can read.
        private: Folder of Ray's temporary files; removed when the head stops.
        host: The machine that it runs on.
    """

    address: str
    dashboard: str
    tracking: str
    token: Path
    private: Path
    host: str = field(default_factory=socket.gethostname)

    @property
    def environment(self) -> dict[str, str]:
        """Variables with which a command of Ray reaches the head, and nothing else."""
        direct = os.environ.get("no_proxy") or os.environ.get("NO_PROXY")
        return {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(self.token),
            # Ray lets RAY_ADDRESS, which may name another cluster, replace --address.
            "RAY_API_SERVER_ADDRESS": self.dashboard,
            # A proxy would be sent the token.
            "no_proxy": ",".join(filter(None, [direct, "127.0.0.1"])),
        }

    def write(self, folder: Path) -> None:
        """Write ``head.json``; it contains no token."""
        texts = {name: str(value) for name, value in asdict(self).items()}
        write_text(folder / FILE, json.dumps(texts, indent=1) + "\n")


def read_head(folder: Path) -> Head | None:
    """Return the head that was started in a folder; None: there is none.

    Raises:
        ClusterError: If ``head.json`` cannot be read, or the head is of another machine.
    """
    try:
        texts = json.loads((folder / FILE).read_text(encoding="utf-8"))
        token, private = Path(texts.pop("token")), Path(texts.pop("private"))
        head = Head(**texts, token=token, private=private)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ClusterError(
            f"{folder / FILE} cannot be read ({type(error).__name__}); end the head's processes "
            f"('pgrep -f {folder}' lists them) and remove the file"
        ) from error
    if head.host != socket.gethostname():  # its processes cannot be seen from here
        raise ClusterError(
            f"the head of {folder} was started on {head.host}, and this is {socket.gethostname()}: "
            "run the command there, or start a head of this machine with another output; if "
            f"{head.host} has been shut down, remove {folder / FILE}"
        )
    return head


def processes(head: Head) -> list[psutil.Process]:
    """Return the processes of a head that run, and no others.

    A worker of Ray hides its environment; its parent does not.
    """
    found: dict[int, psutil.Process] = {}
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.pid != os.getpid() and process.status() != psutil.STATUS_ZOMBIE:
                found |= {one.pid: one for one in _of(head, process)}
    return list(found.values())


def _of(head: Head, process: psutil.Process) -> Iterator[psutil.Process]:
    if process.environ().get(TAG) == str(head.private):
        yield process
        yield from process.children(recursive=True)
