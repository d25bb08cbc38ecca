"""Stop the Ray head and the MLflow server of start_head, and nothing else.

usage: python jobs/stop_head.py [--config FILE] [key=value ...]

for example:
  python jobs/stop_head.py
  python jobs/stop_head.py output=/data/pdray_output
  python jobs/stop_head.py output=pdray_output
"""

import sys

from pdray.command import run_job
from pdray.config import load
from pdray.head.settings import HeadConfig


def main(argv: list[str]) -> int:
    """Run the job; return its exit code."""
    return run_job(argv, work, about=__doc__, settings=HeadConfig)


def work(words: list[str]) -> str:
    """End the processes of the head; return how many there were."""
    config = load(HeadConfig, words)
    from pdray.head.stop import stop_head

    ended = stop_head(config.folder)
    told = f"ended {ended} processes of the head" if ended else "no head runs"
    return f"{told}; its token, logs and MLflow runs stay in {config.folder}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
