r"""Take a first look at your recordings: what can be learnt from them in an hour.

usage: python jobs/quick_look.py [--resume] [--config FILE] [key=value ...]

for example:
  python jobs/quick_look.py data.manifest=/data/manifest.csv
  python jobs/quick_look.py data.manifest=/data/manifest.csv minutes=20 \
    output=/data/pdray_output
  python jobs/quick_look.py --resume output=/data/pdray_output

First, a linear model on the rhythm of movement is tested on all subjects, in
about a minute after the videos are decoded. Then a small network is tested
(search_spaces/laptop.yaml) as thoroughly as fits `minutes`; the time is printed
before it starts.

  --resume  continue the quick look in this output folder; the same command
            without it continues too
"""

import sys
from pathlib import Path

from pdray.command import run_job, say
from pdray.config import require_writable
from pdray.display import step
from pdray.search.quick_settings import QuickLookConfig, load_quick_look

SPACES = Path(__file__).resolve().parents[1] / "search_spaces"


def main(argv: list[str]) -> int:
    """Run the job; return its exit code."""
    resume = "nothing is lost; continue"
    return run_job(argv, work, about=__doc__, settings=QuickLookConfig, resume=resume)


def work(words: list[str]) -> str:
    """Run the studies; return what they found and where."""
    config = load_quick_look(words)
    require_writable(config.output / "studies", key="output")
    with step("loading libraries"):
        from pdray.search.quick_look import run_quick_look

    return run_quick_look(config, SPACES, say)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
