r"""Search a temporal self-attention network, cross-validated by subject.

usage: python jobs/tune_tsa.py [--resume] [--config FILE] [key=value ...]

for example:
  python jobs/tune_tsa.py --config search_spaces/demo.yaml \
    data.manifest=demo/manifest.csv
  python jobs/tune_tsa.py --config search_spaces/tsa.yaml \
    data.manifest=/data/manifest.csv search.name=gait search.trials=50
  python jobs/tune_tsa.py --resume search.name=gait
"""

import sys

from pdray.search.tuning import tune


def main(argv: list[str]) -> int:
    """Run the job; return its exit code."""
    return tune(argv, about=__doc__, settings=None)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
