"""Search segment attention on colours, flow and motion boundaries over subject-level folds.

A new study starts from search_spaces/motion_boundary.yaml, the settings of the motion boundary
paper; what the command line says goes over them.

python jobs/tune_motion_boundary.py data.manifest=/data/manifest.csv
ray job submit --working-dir . -- python jobs/tune_motion_boundary.py ...
"""

import sys
from pathlib import Path

from pdray.search.tuning import tune

SETTINGS = Path(__file__).resolve().parents[1] / "search_spaces" / "motion_boundary.yaml"


def main(argv: list[str]) -> int:
    """Run the job; return its exit code."""
    return tune("tune_motion_boundary", argv, settings=SETTINGS)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
