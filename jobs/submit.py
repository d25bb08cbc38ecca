r"""Submit a job to the head of this machine and follow it to its end.

usage: python jobs/submit.py [--config FILE] [key=value ...]

for example:
  python jobs/submit.py space=search_spaces/tsa.yaml \
    manifest=/data/manifest.csv name=tapping
  python jobs/submit.py space=search_spaces/motion_linear.yaml \
    manifest=/data/manifest.csv name=baseline words=[search.protocol=nested]
  python jobs/submit.py job=tune_fusion space=search_spaces/fusion.yaml \
    manifest=/data/manifest.csv name=all
"""

import sys
from pathlib import Path

from pydantic import Field

from pdray.command import run_job, say
from pdray.config import load
from pdray.errors import ClusterError
from pdray.head.settings import HeadConfig


class SubmitConfig(HeadConfig):
    """Settings of this job."""

    space: Path = Field(description="YAML file of the study")
    manifest: Path = Field(description="the manifest")
    name: str = Field(description="name of the study", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    job: str = Field("tune_tsa", description="name of the job in jobs/")
    words: list[str] = Field([], description="further settings of the job, as key=value")


def main(argv: list[str]) -> int:
    """Run the job; return its exit code."""
    return run_job(argv, work, about=__doc__, settings=SubmitConfig)


def work(words: list[str]) -> str:
    """Submit the job and wait for its end."""
    config = load(SubmitConfig, words)
    from pdray.head.submit import file_words, running_head, submission, submit

    own, head = file_words(config.space, config.manifest), running_head(config.folder)
    own += [
        f"output={config.folder.parent}",
        f"search.name={config.name}",
        f"tracking.uri={head.tracking}",
    ]
    line, number = submission(head, Path.cwd(), config.job, [*own, *config.words], name=config.name)
    if code := submit(head, line, number, say):
        raise ClusterError(f"job {number} ended with exit code {code}; its output is above")
    return f"job {number} is done"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
