"""Measures the CPU seconds of --help and of the error for a misspelt key, for each job.

python benchmarks/startup.py
"""

import resource
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def measure(job: Path, words: list[str]) -> float:
    """Return the CPU seconds (user and system) of a process that runs a job."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, str(job), *words]
    subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> int:
    """Print one line per job."""
    print(f"{'job':<24}{'--help':>8}{'typo':>8}  CPU seconds")
    for job in sorted((ROOT / "jobs").glob("*.py")):
        table = ["--table", "tsa.table5"] if job.stem == "reproduce" else []
        cost = [measure(job, words) for words in (["--help"], [*table, "optim.learning_rat=1"])]
        print(f"{job.stem:<24}{cost[0]:8.2f}{cost[1]:8.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
