r"""Decode the recordings of a manifest once into the frame store, or check it.

usage: python jobs/prepare.py [--verify] [--config FILE] [key=value ...]

for example:
  python jobs/prepare.py data.manifest=/data/manifest.csv
  python jobs/prepare.py --config search_spaces/tsa.yaml \
    data.manifest=/data/manifest.csv
  python jobs/prepare.py --verify --config search_spaces/tsa.yaml \
    data.manifest=/data/manifest.csv

  --verify       check files and store entries by their digests; make nothing
  --config FILE  YAML file of a study, or with the settings below
"""

import sys

from pdray.command import run_job, say
from pdray.display import step
from pdray.rights import written_for
from pdray.search.settings import PrepareConfig, load_preparation


def main(argv: list[str]) -> int:
    """Run the job; return its exit code."""
    resume = "continue"
    return run_job(argv, work, about=__doc__, settings=PrepareConfig, resume=resume)


def work(words: list[str]) -> str:
    """Fill or check the store; return what is in it."""
    config = load_preparation([word for word in words if word != "--verify"], PrepareConfig)
    with step("loading libraries"):
        from pdray.search.preparation import plan_preparation, run_preparation, verify_preparation

    with step("reading the manifest"):
        preparation = plan_preparation(config)
    steps = step("checking files" if "--verify" in words else "preparing recordings")
    with written_for(config.output_mode), steps as now:
        progress = now.counting(say, "{} recordings")
        if "--verify" in words:
            return verify_preparation(preparation, progress=progress)
        return run_preparation(preparation, say=say, progress=progress)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
