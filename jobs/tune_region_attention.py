r"""Search a network on regions of the face, cross-validated by subject.

usage: python jobs/tune_region_attention.py [--resume] [--config FILE]
         [key=value ...]

for example:
  python jobs/tune_region_attention.py data.manifest=/data/faces.csv
  python jobs/tune_region_attention.py data.manifest=/data/faces.csv \
    pretrained=/weights/resnet50.pkl search.name=faces
  python jobs/tune_region_attention.py --resume search.name=faces

A new study starts from search_spaces/region_attention.yaml, after YouTubePD
(Zhou et al. 2023). Without `pretrained`, the frozen network stays random.
"""

import sys
from pathlib import Path

from pdray.search.tuning import tune

SETTINGS = Path(__file__).resolve().parents[1] / "search_spaces" / "region_attention.yaml"


def main(argv: list[str]) -> int:
    """Run the job; return its exit code."""
    return tune(argv, about=__doc__, settings=SETTINGS)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
