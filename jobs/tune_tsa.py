"""Search a temporal self-attention network over subject-level folds.

python jobs/tune_tsa.py --config search_spaces/tsa.yaml data.manifest=/data/manifest.csv
ray job submit --working-dir . -- python jobs/tune_tsa.py ...
"""

import sys

from pdray.search.tuning import tune


def main(argv: list[str]) -> int:
    """Run the job; return its exit code."""
    return tune("tune_tsa", argv, settings=None)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
