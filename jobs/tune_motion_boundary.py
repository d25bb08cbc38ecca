r"""Search segment attention on colours, flow and motion boundaries.

usage: python jobs/tune_motion_boundary.py [--resume] [--config FILE]
         [key=value ...]

for example:
  python jobs/tune_motion_boundary.py data.manifest=/data/manifest.csv
  python jobs/tune_motion_boundary.py data.manifest=/data/manifest.csv \
    flow.method=dis search.name=motion
  python jobs/tune_motion_boundary.py --resume search.name=motion

A new study starts from search_spaces/motion_boundary.yaml, the settings of the
motion boundary paper; the command line overrides them.
"""

import sys
from pathlib import Path

from pdray.search.tuning import tune

SETTINGS = Path(__file__).resolve().parents[1] / "search_spaces" / "motion_boundary.yaml"


def main(argv: list[str]) -> int:
    """Run the job; return its exit code."""
    return tune(argv, about=__doc__, settings=SETTINGS)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
