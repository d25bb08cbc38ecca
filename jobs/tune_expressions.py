r"""Search a classifier on expression intensities, cross-validated by subject.

usage: python jobs/tune_expressions.py [--resume] [--config FILE]
         [key=value ...]

for example:
  python jobs/tune_expressions.py data.manifest=/data/visits.csv
  python jobs/tune_expressions.py data.manifest=visits.csv data.target=grade
  python jobs/tune_expressions.py --resume search.name=expressions

A new study starts from search_spaces/expressions.yaml, after Huang et al. 2025:
ill or healthy, from the intensities that jobs/extract_intensities.py wrote.
"""

import sys
from pathlib import Path

from pdray.search.tuning import tune

SETTINGS = Path(__file__).resolve().parents[1] / "search_spaces" / "expressions.yaml"


def main(argv: list[str]) -> int:
    """Run the job; return its exit code."""
    return tune(argv, about=__doc__, settings=SETTINGS)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
