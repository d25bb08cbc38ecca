"""Start a Ray head and an MLflow server on this machine, or say that they run.

usage: python jobs/start_head.py [--config FILE] [key=value ...]

for example:
  python jobs/start_head.py
  python jobs/start_head.py output=/data/pdray_output
  python jobs/start_head.py output=pdray_output
"""

import shlex
import sys

from pdray.command import run_job, say
from pdray.config import load, require_writable
from pdray.head.settings import HeadConfig


def main(argv: list[str]) -> int:
    """Run the job; return its exit code."""
    return run_job(argv, work, about=__doc__, settings=HeadConfig)


def work(words: list[str]) -> str:
    """Start what does not run; return the addresses."""
    config = load(HeadConfig, words)
    require_writable(config.output, key="output")
    from pdray.head.start import start_head

    head = start_head(config.folder, say)
    stop = shlex.join(["make", "head-stop", f"OUTPUT={config.output.expanduser().absolute()}"])
    return "\n".join(
        [
            f"jobs       {head.dashboard} (Ray; asks for the token in {head.token})",
            f"runs       {head.tracking} (MLflow)",
            f"more nodes {head.address} (on each: a copy of the token, then ray start --address)",
            f"stop it    {stop}",
        ]
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
