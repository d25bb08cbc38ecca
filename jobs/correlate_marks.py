r"""Test whether the regions that a clinician marked predict severity.

usage: python jobs/correlate_marks.py [--config FILE] [key=value ...]

for example:
  python jobs/correlate_marks.py data.manifest=/data/manifest.csv \
    data.marks=/data/marks.csv
  python jobs/correlate_marks.py --config /data/youtubepd/manifest.data.yaml \
    data.marks=/data/youtubepd/manifest.marks.csv
  python jobs/correlate_marks.py data.manifest=demo/manifest.csv \
    data.marks=demo/manifest.marks.csv data.items=[face_interview] repeats=2
"""

import sys

from pdray.command import run_job
from pdray.config import load
from pdray.papers.settings import MarksConfig
from pdray.rights import written_for


def main(argv: list[str]) -> int:
    """Run the job; return its exit code."""
    return run_job(argv, work, about=__doc__, settings=MarksConfig)


def work(words: list[str]) -> str:
    """Return the table of scores."""
    config = load(MarksConfig, words)
    from pdray.papers.region_marks import correlate_marks

    with written_for(config.output_mode):
        return correlate_marks(config)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
