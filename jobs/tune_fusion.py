"""Search the fusion of face, landmarks and sound over subject-level folds.

A new study starts from search_spaces/fusion.yaml, the settings of YouTubePD (Zhou et al. 2023);
what the command line says goes over them.

python jobs/tune_fusion.py data.manifest=/data/manifest.csv pretrained=/data/resnet50_ft.pkl
ray job submit --working-dir . -- python jobs/tune_fusion.py ...
"""

import sys
from pathlib import Path

from pdray.search.tuning import tune

SETTINGS = Path(__file__).resolve().parents[1] / "search_spaces" / "fusion.yaml"


def main(argv: list[str]) -> int:
    """Run the job; return its exit code."""
    return tune("tune_fusion", argv, settings=SETTINGS)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
