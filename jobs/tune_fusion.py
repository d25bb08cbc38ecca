r"""Search a fusion of face, landmarks and sound, cross-validated by subject.

usage: python jobs/tune_fusion.py [--resume] [--config FILE] [key=value ...]

for example:
  python jobs/tune_fusion.py data.manifest=/data/manifest.csv
  python jobs/tune_fusion.py data.manifest=/data/manifest.csv \
    pretrained=/data/resnet50_ft.pkl search.name=fusion
  python jobs/tune_fusion.py --resume search.name=fusion

A new study starts from search_spaces/fusion.yaml, the settings of YouTubePD
(Zhou et al. 2023); the command line overrides them.
"""

import sys
from pathlib import Path

from pdray.search.tuning import tune

SETTINGS = Path(__file__).resolve().parents[1] / "search_spaces" / "fusion.yaml"


def main(argv: list[str]) -> int:
    """Run the job; return its exit code."""
    return tune(argv, about=__doc__, settings=SETTINGS)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
