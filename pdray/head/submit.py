"""Submits a job to the head of this machine."""

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from pdray.command import Say
from pdray.errors import ClusterError
from pdray.head.running import Head, processes, read_head

RAY = str(Path(sys.executable).with_name("ray"))
"""Ray's command beside this Python, which need not be on the PATH of whoever pastes a line."""
_SOURCE = (".rayignore", "jobs", "pdray", "search_spaces")


def running_head(folder: Path) -> Head:
    """Return the head of a folder.

    Raises:
        ClusterError: If it does not run.
    """
    head = read_head(folder)
    if head is None or not processes(head):
        raise ClusterError(f"no head runs in {folder}; start it with make head")
    return head


def file_words(space: Path, manifest: Path) -> list[str]:
    """Return the words of a job that name its settings and its manifest, from any folder.

    Raises:
        ClusterError: If a file is not there.
    """
    files = {"space": space.expanduser().absolute(), "manifest": manifest.expanduser().absolute()}
    lacking = [f"{key}: got '{file}'" for key, file in files.items() if not file.is_file()]
    if lacking:
        raise ClusterError(f"{'; '.join(lacking)}; there is no such file")
    return ["--config", str(files["space"]), f"data.manifest={files['manifest']}"]


def submission(
    head: Head, source: Path, job: str, words: Sequence[str], *, name: str
) -> tuple[list[str], str]:
    """Return the words of ``ray job submit``, and the id of the job in Ray's dashboard.

    Args:
        head: Where the job runs.
        source: Folder of the checkout, which is uploaded.
        job: Name of the job, such as "tune_tsa".
        words: Its words.
        name: Name of the study; the id begins with it.

    Raises:
        ClusterError: If ``source`` is no checkout of pdray.
    """
    lacking = [one for one in (*_SOURCE, f"jobs/{job}.py") if not (source / one).exists()]
    if lacking:
        raise ClusterError(
            f"{source} has no {lacking[0]}, so it is no checkout of pdray: run the command in the "
            "folder of the checkout"
        )
    number = f"{name}-{time.strftime('%Y%m%d-%H%M%S')}"
    commit = ["git", "-C", str(source), "rev-parse", "HEAD"]
    found = subprocess.run(commit, capture_output=True, text=True, check=False).stdout.strip()
    metadata = ["--metadata-json", f'{{"git_commit": "{found}"}}'] if found else []
    line = [
        *(RAY, "job", "submit", "--address", head.dashboard, "--working-dir", str(source)),
        *("--submission-id", number, *metadata, "--", "python", f"jobs/{job}.py", *words),
    ]
    return line, number


def submit(head: Head, line: Sequence[str], number: str, say: Say) -> int:
    """Print and run a line of :func:`submission`; return its exit code.

    Raises:
        KeyboardInterrupt: If interrupted; the job goes on.
    """
    told = " ".join(f"{key}={shlex.quote(value)}" for key, value in head.environment.items())
    say(f"{told} \\\n  {shlex.join(line)}")
    command = [sys.executable, "-m", "ray.scripts.scripts", *line[1:]]
    try:
        return subprocess.run(command, env=os.environ | head.environment, check=False).returncode
    except KeyboardInterrupt as interrupt:
        ways = [[RAY, "job", way, "--address", head.dashboard] for way in ("logs", "stop")]
        logs, stop = (f"{told} {shlex.join([*way, number])}" for way in ways)
        raise KeyboardInterrupt(
            f"the job goes on; its output: {logs} --follow\nto stop it: {stop}"
        ) from interrupt
