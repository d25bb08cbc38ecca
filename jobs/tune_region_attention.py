"""Search attention over regions of the face over subject-level folds.

A new study starts from search_spaces/region_attention.yaml, after YouTubePD (Zhou et al. 2023);
what the command line says goes over it. Without ``pretrained`` the frozen network is a random one,
and is said so.

python jobs/tune_region_attention.py data.manifest=/data/faces.csv pretrained=/weights/resnet50.pkl
ray job submit --working-dir . -- python jobs/tune_region_attention.py ...
"""

import sys
from pathlib import Path

from pdray.search.tuning import tune

SETTINGS = Path(__file__).resolve().parents[1] / "search_spaces" / "region_attention.yaml"


def main(argv: list[str]) -> int:
    """Run the job; return its exit code."""
    return tune("tune_region_attention", argv, settings=SETTINGS)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
