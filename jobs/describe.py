"""Describe a cohort: its people, their grades, the lengths of recordings.

usage: python jobs/describe.py [--config FILE] [key=value ...]

for example:
  python jobs/describe.py data.manifest=demo/manifest.csv
  python jobs/describe.py data.manifest=/data/manifest.csv data.grade_cuts=[1,3]
  python jobs/describe.py --config /data/youtubepd/manifest.data.yaml
"""

import sys

from pdray.command import run_job
from pdray.config import part
from pdray.data.store.settings import Recipe
from pdray.rights import written_for
from pdray.search.settings import DescribeConfig, load_description


def main(argv: list[str]) -> int:
    """Run the job; return its exit code."""
    return run_job(argv, work, about=__doc__, settings=DescribeConfig)


def work(words: list[str]) -> str:
    """Write the tables and pictures; return the tables."""
    config = load_description(words)
    from pdray.evaluation.describe import describe_cohort  # heavy: import after the checks

    recipe, cells = part(config, Recipe), config.report.small_cells
    with written_for(config.output_mode):
        return describe_cohort(config.data, config.output, recipe, small_cells=cells)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
